using System.Globalization;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Microsoft.AspNetCore.Components;

namespace Codo.Modules.Cron.Executions;

/// <summary>What a run uses, how long it is likely to go on, and its processes; after its end what it used, and what is left of it.</summary>
public sealed partial class UsagePanel
{
    private const int Width = 200, Height = 26;

    /// <summary>Whether the run is under way.</summary>
    [Parameter]
    public bool IsRunning { get; set; }

    /// <summary>Null where nothing was measured.</summary>
    [Parameter]
    public RunUsage? Usage { get; set; }

    /// <summary>Processors that are busy now.</summary>
    [Parameter]
    public double? Cores { get; set; }

    /// <summary>The memory of now.</summary>
    [Parameter]
    public long? MemoryBytes { get; set; }

    /// <summary>How many processes there are, where not all are shown.</summary>
    [Parameter]
    public int? ProcessCount { get; set; }

    /// <summary>Those that run, or those that are left.</summary>
    [Parameter]
    public IReadOnlyList<RunProcess> Processes { get; set; } = [];

    /// <summary>From the start until now.</summary>
    [Parameter]
    public IReadOnlyList<UsagePoint> History { get; set; } = [];

    /// <summary>Seconds since the start.</summary>
    [Parameter]
    public double? Elapsed { get; set; }

    /// <summary>The p50 of the job's runs in seconds; null where it is not known.</summary>
    [Parameter]
    public double? Expected { get; set; }

    /// <summary>The p95 of the job's runs in seconds.</summary>
    [Parameter]
    public double? ExpectedP95 { get; set; }

    /// <summary>Seconds until the p50; null where it is past.</summary>
    [Parameter]
    public double? Remaining { get; set; }

    /// <summary>The word of the API; null when it does not run.</summary>
    [Parameter]
    public string? Outlook { get; set; }

    /// <summary>Where the figures come from, when that is not plain.</summary>
    [Parameter]
    public string Note { get; set; } = "";

    private bool HasFigures => Usage is not null;

    private string LeftWords
    {
        get
        {
            var (p50, p95) = (ExecutionBadge.Lasted(Expected), ExecutionBadge.Lasted(ExpectedP95));
            var left = ExecutionBadge.Lasted(Remaining is { } seconds ? Math.Ceiling(seconds) : null);
            return Outlook switch
            {
                ShowUsage.Usual => T($"约 {left}（p50 {p50}）", $"about {left} (p50 {p50})"),
                ShowUsage.Longer => T($"比平常久（p50 {p50}，p95 {p95}）", $"longer than usual (p50 {p50}, p95 {p95})"),
                ShowUsage.Overdue => T($"已超过 p95 {p95}", $"past its p95 of {p95}"),
                _ => T("未知：运行次数太少", "not known: too few runs"),
            };
        }
    }

    private string CpuWords =>
        History.Count == 0
            ? ""
            : T(
                $"处理器：平均 {History.Average(point => point.Cores):0.00} 核，最多 {History.Max(point => point.Cores):0.00} 核",
                $"Processor: {History.Average(point => point.Cores):0.00} cores on average, {History.Max(point => point.Cores):0.00} at most"
            );

    private string MemoryWords =>
        History.Count == 0
            ? ""
            : T(
                $"内存：从 {Size(History[0].MemoryBytes)} 到 {Size(History[^1].MemoryBytes)}，最多 {Size(History.Max(point => point.MemoryBytes))}",
                $"Memory: from {Size(History[0].MemoryBytes)} to {Size(History[^1].MemoryBytes)}, {Size(History.Max(point => point.MemoryBytes))} at most"
            );

    // Each process behind its parent. What a chain of parents does not lead to is a root.
    private List<(int Depth, RunProcess Process)> Tree
    {
        get
        {
            var ids = Processes.Select(process => process.Pid).ToHashSet();
            var children = Processes.ToLookup(process => process.Parent);
            var tree = new List<(int, RunProcess)>();
            var shown = new HashSet<int>();
            foreach (var root in Processes.Where(process => !ids.Contains(process.Parent))) Add(0, root);
            foreach (var rest in Processes) Add(0, rest);
            return tree;

            void Add(int depth, RunProcess process)
            {
                if (!shown.Add(process.Pid)) return;
                tree.Add((depth, process));
                foreach (var child in children[process.Pid]) Add(depth + 1, child);
            }
        }
    }

    private static string Branch(int depth) => depth == 0 ? "" : new string('\u00a0', 2 * (Math.Min(depth, 12) - 1)) + "└ ";

    private static string StateWord(string state) =>
        state switch
        {
            "running" => T("运行", "running"),
            "disk" => T("等待 I/O", "waits for I/O"),
            "stopped" => T("已停止", "stopped"),
            "zombie" => T("僵尸", "zombie"),
            _ => T("休眠", "sleeping"),
        };

    private static string Seconds(double? seconds) => ExecutionBadge.Lasted(seconds);

    private static string Number(double value) => value.ToString("0.###", CultureInfo.InvariantCulture);

    private static string Size(long? bytes) => ExecutionBadge.Size(bytes);

    private static MarkupString Spark(IReadOnlyList<double> values, string words)
    {
        if (values.Count < 2) return default;
        var most = Math.Max(values.Max(), 1e-9);
        var points = values.Select((value, at) =>
            string.Create(CultureInfo.InvariantCulture, $"{at * Width / (double)(values.Count - 1):0.#} {Height - 1 - (value / most * (Height - 3)):0.#}")
        );
        var line = string.Join(" L", points);
        // Numbers and a text of our own: nothing of it comes from outside.
        return new MarkupString(
            $"<svg class=\"spark\" viewBox=\"0 0 {Width} {Height}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{words}\"><title>{words}</title>"
                + $"<path class=\"area\" d=\"M0 {Height} L{line} L{Width} {Height}Z\"/><path class=\"line\" d=\"M{line}\"/></svg>"
        );
    }

    private static string T(string zh, string en) => new Text(zh, en).ToString();
}
