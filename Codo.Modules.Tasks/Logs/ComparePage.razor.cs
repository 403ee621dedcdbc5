using System.Globalization;

namespace Codo.Modules.Tasks.Logs;

/// <summary>The output of one step of an order compared across its hosts.</summary>
public sealed partial class ComparePage
{
    // Groups without their difference that are named.
    private const int MostGroups = 100;

    private long id;
    private CompareOutput.Result found = null!;

    private bool IsSide => Asked("view") == "side";

    private string? Normalise => (Without("host"), Without("time")) switch
    {
        (true, true) => "host,time",
        (true, false) => "host",
        (false, true) => "time",
        _ => null,
    };

    private string Api =>
        $"/v2/task/compare/?list_id={id}&task_group={found?.TaskGroup ?? 1}&step={found?.Step ?? 1}" + (Normalise is { } words ? $"&normalise={words}" : "");

    private string Summary
    {
        get
        {
            var (most, unlike) = (found.Data[0].Count, found.Compared - found.Data[0].Count);
            var left = found.Others.Count;
            return unlike == 0
                ? T($"{most} 台全部相同", most == 1 ? "1 host" : $"All {most} identical") + (left > 0 ? T($"，{left} 台没有对比", $", {left} not compared") : "")
                : T($"{most} 台相同，{unlike} 台不同", $"{most} identical, {unlike} differ") + (left > 0 ? T($"，{left} 台没有对比", $", {left} not compared") : "");
        }
    }

    private string PartialText =>
        found.Others.Any(other => other.Why == "time")
            ? T("时间用完，部分主机没有对比", "Time was up before all hosts were compared")
            : T("有的输出很长，只对比了每台主机的开头", "Some output is long: only its beginning was compared");

    /// <inheritdoc/>
    protected override async Task Load()
    {
        id = NumberPart("list_id");
        // "1/2" of the form, or the group beside the step in a link.
        var asked = (Asked("step") ?? "").Split('/');
        var group = asked.Length == 2 ? Number(asked[0]) : (int?)AskedNumber("group");
        found = await Send(new CompareOutput.Query(id, group, Number(asked[^1]), Normalise, Asked("only"), null));
    }

    private bool Without(string name) => Asked(name) == "1";

    private static int? Number(string text) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;

    private string Cell(string host) => $"/orders/{id}?cell={found.TaskGroup}/{Uri.EscapeDataString(host)}/{found.Step - 1}";

    private static string NameOf(int place, CompareOutput.EqualHosts group) =>
        place == 0
            ? T($"{group.Count} 台相同", group.Count == 1 ? "1 host" : $"{group.Count} identical")
            : T($"{group.Count} 台不同", group.Count == 1 ? "1 host differs" : $"{group.Count} differ alike");

    private static string CodeOf(CompareOutput.ExitCount code) =>
        (code.ExitCode is { } number ? T($"退出码 {number}", $"exit code {number}") : T("没有退出码", "no exit code")) + $" × {code.Count}";

    private static string More(int hosts) => hosts > 0 ? $" … (+{hosts})" : "";

    private static string Sign(string kind) => kind switch { "removed" => "−", "added" => "+", _ => " " };

    private static string WhyText(string why) =>
        why switch
        {
            "not_run" => T("没有执行过", "Has not run"),
            "running" => T("正在执行", "Runs now"),
            "arriving" => T("输出还没有全部到达", "Its output has not all arrived"),
            "away" => T("它的节点不在线，只有它才有其余的输出", "Its node is away and alone has the rest of its output"),
            "missing" => T("输出已不在数据库中，或有缺失", "Its output is no longer kept, or lines of it are lost"),
            _ => T("时间用完", "Time was up"),
        };

    // Removed lines stand beside the added ones that follow them.
    private static IEnumerable<(DifferenceLine? Left, DifferenceLine? Right)> Pairs(IReadOnlyList<DifferenceLine> lines)
    {
        for (var at = 0; at < lines.Count;)
        {
            if (lines[at].Kind is "same" or "skipped")
            {
                yield return (lines[at], lines[at]);
                at++;
                continue;
            }
            var removed = lines.Skip(at).TakeWhile(line => line.Kind == "removed").ToList();
            var added = lines.Skip(at + removed.Count).TakeWhile(line => line.Kind == "added").ToList();
            for (var row = 0; row < Math.Max(removed.Count, added.Count); row++) yield return (removed.ElementAtOrDefault(row), added.ElementAtOrDefault(row));
            at += removed.Count + added.Count;
        }
    }
}
