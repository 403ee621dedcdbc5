using System.Globalization;
using Codo.Platform.Cluster;
using Microsoft.AspNetCore.Components;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Codo.Host.Operations;

/// <summary>The nodes with their leases and clocks, what waits, what the database takes and how long the disk lasts, health, loops.</summary>
public sealed partial class NodesPage
{
    private const int DeadLimit = 20;

    private ListNodes.Result found = null!;
    private List<ListOutbox.Message> dead = [];
    private List<(string Name, string Status, string Detail)> checks = [];
    private long deadCount;
    private int stale;

    [Inject]
    private HealthCheckService Health { get; set; } = null!;

    private string DaysLeft =>
        found.Storage.Growth is null ? "–"
        : found.Storage.DaysLeft is not { } days ? T("不增长", "does not grow")
        : days > 3650 ? T("10 年以上", "more than 10 years")
        : T($"{days:0} 天", $"{days:0} days");

    /// <inheritdoc/>
    protected override async Task Load()
    {
        found = await Send(new ListNodes.Query());
        stale = found.Loops.Count(loop => loop.Stale);
        var messages = await Send(new ListOutbox.Query(true, PageNumber, DeadLimit));
        (dead, deadCount) = (messages.Data, messages.Count);
        var report = await Health.CheckHealthAsync(Context.RequestAborted);
        // What is wrong stands first.
        checks = report.Entries
            .OrderBy(entry => entry.Value.Status)
            .ThenBy(entry => entry.Key, StringComparer.Ordinal)
            .Select(entry => (entry.Key, entry.Value.Status.ToString().ToLowerInvariant(), entry.Value.Description ?? ""))
            .ToList();
    }

    private static string Short(string detail) => detail.Length > 220 ? detail[..220] + "…" : detail;

    private string Of(string check) => checks.Find(one => one.Name == check).Status ?? "";

    private static (string Tone, string Icon, string Word) FaceOf(string state) =>
        state switch
        {
            "alive" => ("ok", "check", T("持有", "Held")),
            "stopped" => ("idle", "stop", T("已停止", "Stopped")),
            _ => ("bad", "cross", T("失效", "Run out")),
        };

    private static string DrainWord(ListNodes.NodeView node) =>
        node.Running == 0 ? T("无任务在执行", "nothing runs") : T($"{node.Running} 项未完成", $"finishes {node.Running}");

    private string DrainQuestion(ListNodes.NodeView node)
    {
        var others = found.Data
            .Where(other => other.Name != node.Name && other.State == "alive" && other.DrainedAt is null)
            .Where(other => Math.Abs(other.ClockSkew) <= Node.MostSkew.TotalSeconds)
            .ToList();
        var untaken = node.Roles.Where(role => role is NodeRoles.Cron or NodeRoles.Orders && !others.Exists(other => other.Roles.Contains(role))).ToList();
        return untaken.Count > 0
            ? T(
                $"排空节点 {node.Name}\n没有其他节点具有角色 {string.Join("、", untaken)}：到期的任务或订单将等待",
                $"Drain node {node.Name}\nNo other node has the role {string.Join(" or ", untaken)}: jobs that are due or orders wait"
            )
            : T($"排空节点 {node.Name}\n正在执行的会继续，新的由其他节点接收", $"Drain node {node.Name}\nWhat runs goes on; other nodes take what is new");
    }

    private static string Skew(double seconds) =>
        Math.Abs(seconds) < 1
            ? Math.Round(seconds * 1000).ToString("+0;-0;0", CultureInfo.InvariantCulture) + " ms"
            : seconds.ToString("+0.0;-0.0", CultureInfo.InvariantCulture) + " s";

    private static string Size(long bytes)
    {
        string[] units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
        double size = bytes;
        var unit = 0;
        for (; Math.Abs(size) >= 1024 && unit < units.Length - 1; unit++) size /= 1024;
        return size.ToString(Math.Abs(size) < 10 && unit > 0 ? "0.#" : "0", CultureInfo.InvariantCulture) + " " + units[unit];
    }

    private static string WordOf(string kind) =>
        kind switch
        {
            "ledger" => T("台账", "ledger"),
            "output" => T("任务输出", "output of jobs"),
            "jobs" => T("任务", "jobs"),
            "lines" => T("订单日志", "lines of orders"),
            "orders" => T("订单", "orders"),
            "audit" => T("审计", "audit"),
            "alerts" => T("告警", "alerts"),
            "hangfire" => T("后台作业", "background jobs"),
            _ => T("其他", "other"),
        };

    private static string HealthWord(string status) =>
        status switch
        {
            "healthy" => T("正常", "Healthy"),
            "degraded" => T("降级", "Degraded"),
            _ => T("不可用", "Unhealthy"),
        };
}
