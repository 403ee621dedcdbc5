using System.Globalization;
using System.Text.Json.Nodes;

namespace Codo.Modules.Tasks.Orders;

/// <summary>When an order ran and what it waited for, as bands and as a table in one; below it who did what.</summary>
public sealed partial class TimelinePage
{
    // Units: what took no time is still to be seen and to be clicked.
    private const int LeastWidth = 6;

    private long id;
    private ShowTimeline.Result found = null!;
    private TimelineScale scale = null!;
    private List<Row> rows = [];

    /// <inheritdoc/>
    public override IReadOnlyList<string> Topics => ["orders"];

    // The commands of an order that somebody ends are killed after it has ended.
    private bool IsOver => found.Order.EndedAt is not null && found.Data.All(stretch => stretch.Running == 0);

    // The topic `orders` does not change with an order's steps, so the page is polled.
    private IReadOnlyList<string> Scripts => found is null || IsOver ? [] : ["poll.js"];

    /// <inheritdoc/>
    protected override async Task Load()
    {
        id = NumberPart("list_id");
        found = await Send(new ShowTimeline.Query(id));
        var order = found.Order;
        scale = new TimelineScale(
            order.CreateTime,
            order.EndedAt ?? order.Now,
            found.Data.Select(stretch => (stretch.FromTime, stretch.ToTime ?? order.Now))
        );
        rows =
        [
            .. found.Waits.Where(wait => wait.TaskGroup is null).Select(Of),
            .. found.Data
                .GroupBy(stretch => (stretch.TaskGroup, stretch.Batch, stretch.Step))
                .Select(band => Of([.. band]))
                .Concat(found.Waits.Where(wait => wait.TaskGroup is not null && wait.Kind != "idle").Select(Of))
                .OrderBy(row => row.Group)
                .ThenBy(row => row.Batch)
                .ThenBy(row => row.FromTime)
                .ThenBy(row => row.Step),
        ];
        var several = found.Data.Select(stretch => (stretch.TaskGroup, stretch.Batch)).Distinct().Skip(1).Any();
        for (var at = 0; several && at < rows.Count; at++)
            if (rows[at].Group > 0 && (at == 0 || (rows[at - 1].Group, rows[at - 1].Batch) != (rows[at].Group, rows[at].Batch)))
                rows[at] = rows[at] with { Band = T($"组 {rows[at].Group}，第 {rows[at].Batch} 批", $"Group {rows[at].Group}, batch {rows[at].Batch}") };
    }

    private Row Of(IReadOnlyList<TimelineStretch> band)
    {
        var (first, now) = (band[0], found.Order.Now);
        var (attempts, done, running, repeated) = (
            band.Sum(one => one.Attempts),
            band.Sum(one => one.Done),
            band.Sum(one => one.Running),
            band.Sum(one => one.Repeated)
        );
        var hosts = band.Max(one => one.Hosts);
        var took = band.Aggregate(TimeSpan.Zero, (sum, one) => sum + ((one.ToTime ?? now) - one.FromTime));
        var unlike = attempts - done - running;
        var tone = running > 0 ? "run" : unlike > 0 ? "bad" : "ok";
        var outcome =
            running > 0 ? T($"{running} 台执行中", $"{running} running")
            : unlike > 0 ? T($"完成 {done}，未完成 {unlike}", $"{done} done, {unlike} not")
            : T($"{hosts} 台完成", hosts == 1 ? "1 host done" : $"{hosts} hosts done");
        return new Row(
            $"{first.TaskGroup}-{first.Batch}-{first.Step}",
            first.TaskGroup,
            first.Batch,
            first.Step,
            "",
            $"{first.Step} {first.TaskName}",
            repeated > 0 ? T($"重复执行 {repeated} 次", $"{repeated} attempts were repeated") : "",
            $"/orders/{id}?cell={first.TaskGroup}/{Uri.EscapeDataString(band[^1].SlowestHost)}/{first.Step - 1}",
            [.. band.Select(one => Bar(one.Running > 0 ? "run" : one.Done < one.Attempts ? "bad" : "ok", one.FromTime, one.ToTime ?? now))],
            first.FromTime,
            DurationText.Of(took),
            tone,
            tone switch { "run" => "play", "bad" => "cross", _ => "check" },
            outcome
        );
    }

    private Row Of(TimelineWait wait)
    {
        var to = wait.ToTime ?? found.Order.EndedAt ?? found.Order.Now;
        var isOpen = wait.ToTime is null && found.Order.EndedAt is null;
        return new Row(
            $"wait-{wait.Kind}-{wait.TaskGroup}-{wait.Batch}-{wait.Step}-{wait.FromTime.Ticks.ToString(CultureInfo.InvariantCulture)}",
            wait.TaskGroup ?? 0,
            wait.Batch ?? 0,
            wait.Step ?? 0,
            "",
            NameOf(wait.Kind),
            wait.TaskName,
            null,
            [Bar("warn", wait.FromTime, to)],
            wait.FromTime,
            DurationText.Of(to - wait.FromTime),
            isOpen ? "warn" : "idle",
            isOpen ? "clock" : "dash",
            isOpen ? T("仍在等待", "Waits still") : wait.By.Length > 0 ? T($"由 {wait.By} 结束", $"Ended by {wait.By}") : T("已过", "Over")
        );
    }

    private DrawnBar Bar(string tone, DateTime from, DateTime to)
    {
        var (begin, end) = (scale.Place(from), scale.Place(to));
        var width = Math.Max(LeastWidth, end - begin);
        return new DrawnBar(tone, Math.Min(begin, 1000 - width), width);
    }

    private static string NameOf(string kind) =>
        kind switch
        {
            "approval" => T("等待审批", "Waited for its approval"),
            "start" => T("等待开始时间", "Waited for its time"),
            "hand" => T("等待人工步骤", "Waited at a hand step"),
            "timed" => T("等待步骤的时间", "Waited for a step's time"),
            "confirm" => T("等待确认下一批", "Waited for the next batch to be let begin"),
            "pause" => T("批次之间的停顿", "Pause between batches"),
            "retry" => T("重试之前的停顿", "Pause before a retry"),
            "failure" => T("失败，等待处理", "Stood after a failure"),
            _ => T("等待空位", "Waited for a free place"),
        };

    private static string ActionOf(string action) =>
        action switch
        {
            "create" => T("提交", "Submitted"),
            "approve" => T("批准", "Approved"),
            "reject" => T("驳回", "Rejected"),
            "push_back" => T("退回", "Pushed back"),
            "break_glass" => T("未经审批启动", "Started without approval"),
            "move" => T("改时间", "Moved its time"),
            "return" => T("退回审批：执行内容已变", "Back to approval: what would run has changed"),
            "block" => T("被规则阻止", "Blocked by a rule"),
            "release" or "execute" => T("放行人工步骤", "Released a hand step"),
            "restart" => T("重新执行", "Restarted a host"),
            "restart_failed" => T("重新执行失败的主机", "Restarted the failed hosts"),
            "stop_one" => T("停止一台主机", "Stopped a host"),
            "skip" => T("跳过步骤", "Skipped a step"),
            "next_batch" => T("放行下一批", "Let the next batch begin"),
            "interrupt" => T("命令中断", "A command was interrupted"),
            "end" => T("结束订单", "Ended the order"),
            _ => action,
        };

    // A comment is what a person said; the rest as it stands.
    private static string DetailOf(TimelineEvent one) =>
        one.Detail is not JsonObject detail ? ""
        : detail["comment"] is JsonValue said && said.ToString() is { Length: > 0 } comment ? comment
        : string.Join(", ", detail.Where(pair => pair.Value is JsonValue).Select(pair => $"{pair.Key}: {pair.Value}"));

    private sealed record Row(
        string Key,
        int Group,
        int Batch,
        int Step,
        string Band,
        string Name,
        string Note,
        string? Address,
        IReadOnlyList<DrawnBar> Bars,
        DateTime FromTime,
        string Took,
        string Tone,
        string Icon,
        string Outcome
    );

    private sealed record DrawnBar(string Tone, int X, int Width);
}
