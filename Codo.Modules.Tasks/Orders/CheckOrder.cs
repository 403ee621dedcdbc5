using System.Globalization;
using System.Text.Json.Nodes;
using Codo.Modules.Tasks.Execution;
using Codo.Modules.Tasks.Hosts;
using Codo.Modules.Tasks.Risks;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>One order as its page shows it: the group and host that were asked for, their steps, the hosts beside them, and who did what.</summary>
internal static class CheckOrder
{
    /// <param name="ExecIp">The same as <paramref name="GetRunHost"/>, under the name that every other request of an order has for it.</param>
    internal sealed record Query(long? ListId, string? GetRunGroup, string? GetRunHost, string? ExecIp) : IRequest<Result>;

    internal sealed record Result(Page Data) : Answer(new Text("获取订单信息成功", "OK"));

    internal sealed record Argument(string ArgsKey, JsonNode? ArgsValue);

    /// <summary>A step that a person releases, as every host of its group has it.</summary>
    internal sealed record HandStep(int TaskGroup, int TaskLevel, string TaskName);

    /// <summary>A batch that has not begun although nothing before it is under way: it waits for a person, or for the pause.</summary>
    /// <param name="AwaitsPerson">The group has <c>next: "confirm"</c>, and nobody has let it begin.</param>
    /// <param name="GoesOn">It begins by itself: the pause is all that it waits for, or a person has just let it begin.</param>
    internal sealed record WaitingBatch(int TaskGroup, int Batch, bool AwaitsPerson, bool GoesOn);

    internal sealed record Event(DateTime Time, string User, long UserId, string Action, JsonNode? Detail);

    /// <param name="Verdict"><c>approve</c>, <c>reject</c>, <c>push_back</c> or <c>break_glass</c>.</param>
    /// <param name="Counts">False for an approval of another plan, one whose time is over, and a push back that its person took back.</param>
    internal sealed record Approval(long UserId, string User, string Verdict, string Comment, string PlanSha256, DateTime Time, bool Counts);

    /// <param name="Usage">What it used so far or in all; null where nothing was measured.</param>
    internal sealed record Attempt(
        long SchedId,
        int Number,
        DateTime StartTime,
        DateTime? EndTime,
        int? ExitCode,
        string Node,
        string Host,
        string? Outcome,
        string Cause,
        string? LeftBehind,
        RunUsage? Usage
    );

    /// <param name="ExecUser">Who it runs as: the execute-user's alias, on Codo's own machine the user of <paramref name="RunAs"/>.</param>
    internal sealed record Step(
        long SchedId,
        string ListId,
        int TaskGroup,
        int TaskLevel,
        string TaskName,
        string TaskCmd,
        string TaskArgs,
        string Trigger,
        string ExecUser,
        string ForceHost,
        string ExecIp,
        string TaskStatus,
        string? Outcome,
        string Cause,
        int Timeout,
        int Retries,
        int RetryDelay,
        string OnError,
        string RunAs,
        string Node
    )
    {
        public IReadOnlyList<Attempt> Attempts { get; init; } = [];
    }

    internal sealed record Page(
        DateTime CreateTime,
        DateTime StartTime,
        string Username,
        string Creator,
        string Executor,
        JsonObject NewArgs,
        IReadOnlyList<Argument> NewArgsList,
        string Schedule,
        string AssociatedUser,
        bool ApprovalButton,
        IReadOnlyList<string> ArgsKeys,
        IReadOnlyList<string> HandList,
        IReadOnlyList<HandStep> HandSteps,
        WaitingBatch? NextBatch,
        IReadOnlyList<int> GroupList,
        string RunGroup,
        IReadOnlyList<string> ThisHostList,
        string ThisHost,
        IReadOnlyList<Step> SchedulerList,
        IReadOnlyDictionary<string, string> HostsStatus,
        string ListId,
        string TaskName,
        string TaskType,
        string Details,
        string Description,
        string Status,
        bool Hold,
        DateTime? EndedAt,
        int ApprovalsNeeded,
        int ApprovalsGiven,
        string WaitsFor,
        string ApprovalTeam,
        IReadOnlyList<Approval> Approvals,
        string PlanSha256,
        Text? PlanChanged,
        Text? Stopped,
        IReadOnlyList<RiskView> Risks,
        IReadOnlyList<Event> Events
    );

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => RuleFor(query => query.ListId).NotNull().Refuse("订单ID不能为空", "list_id is required");
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access, RunPlans plans, TeamDirectory teams) : IRequestHandler<Query, Result>
    {
        private const string GivenSql = $"""
            SELECT p.user_id, p.nickname AS user, p.verdict, p.comment, p.plan_sha256, p.at AS time, {OrderApproval.Counts} AS counts
            FROM tasks.approval p JOIN tasks.scheduler_task_list o ON o.list_id = p.list_id WHERE p.list_id = @ListId ORDER BY p.approval_id
            """;

        private const string StoppedSql = """
            SELECT stopped_zh, stopped_en FROM tasks.order_approval WHERE list_id = @ListId AND stopped_en <> ''
            """;

        private const string OrderSql = $"""
            SELECT {OrderRow.Columns} FROM tasks.scheduler_task_list o WHERE o.list_id = @ListId AND {OrderAccess.Visible}
            """;

        private const string LanesSql = """
            SELECT l.lane_id, l.task_group, l.host, l.state,
                   COALESCE((SELECT i.task_status FROM tasks.scheduler_task_info i WHERE i.lane_id = l.lane_id AND i.task_status <> 3 ORDER BY i.task_level,
                       i.sched_id LIMIT 1), 3) AS status
            FROM tasks.lane l WHERE l.list_id = @ListId ORDER BY l.task_group, l.lane_id
            """;

        private const string StepsSql = """
            SELECT sched_id, CAST(list_id AS text) AS list_id, task_group, task_level, task_name, task_cmd, task_args, trigger, exec_user, force_host, exec_ip,
                   CAST(task_status AS text) AS task_status, outcome, cause, timeout, retries, retry_delay, on_error, run_as,
                   node_selector AS node
            FROM tasks.scheduler_task_info WHERE lane_id = @LaneId ORDER BY task_level, sched_id
            """;

        private const string AttemptsSql = """
            SELECT sched_id, attempt AS number, started_at AS start_time, ended_at AS end_time, exit_code, node, host, outcome, cause, left_behind,
                cpu_ms, peak_memory_bytes, read_bytes, written_bytes, usage_source
            FROM tasks.attempt WHERE sched_id = ANY(@Steps) ORDER BY sched_id, attempt
            """;

        private const string HandSql = """
            SELECT task_group, task_level, task_name FROM tasks.scheduler_task_info WHERE list_id = @ListId AND trigger = 'hand'
            GROUP BY task_group, task_level, task_name ORDER BY min(sched_id)
            """;

        private const string NextBatchSql = $"""
            SELECT g.task_group, n.batch, g.confirm AND n.batch > g.allowed AS awaits_person,
                n.batch <= g.allowed OR NOT g.confirm AND (SELECT count(*) FROM tasks.lane l
                    WHERE l.list_id = g.list_id AND l.task_group = g.task_group AND l.state IN ('failed', 'interrupted')) <= g.max_failures AS goes_on
            FROM tasks.order_group g JOIN tasks.scheduler_task_list o USING (list_id), LATERAL (SELECT {Progress.NextBatch} AS batch) n
            WHERE g.list_id = @ListId AND o.schedule = 'start' AND n.batch > 1 AND {Progress.HasTurn}
            """;

        private const string NamesSql = """
            SELECT args_self, args_name FROM tasks.scheduler_args_list WHERE args_self = ANY(@Words)
            """;

        private const string EventsSql = """
            SELECT at, nickname, user_id, action, CAST(after AS text) AS after FROM platform.audit WHERE kind = 'order' AND object_id = @Id ORDER BY audit_id
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            var (viewer, caller) = (Viewer.Of(access), access.Caller);
            var id = query.ListId!.Value;
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var order =
                await connection.QuerySingleOrDefaultAsync<OrderRow>(
                    OrderSql,
                    new
                    {
                        viewer.UserId,
                        viewer.IsSuperuser,
                        viewer.Names,
                        viewer.Spaces,
                        viewer.Templates,
                        viewer.Teams,
                        ListId = id,
                    }
                ) ?? throw OrderAccess.NoSuchOrder;
            var lanes = (await connection.QueryAsync<LaneRow>(LanesSql, new { ListId = id })).AsList();
            if (lanes.Count == 0)
                throw Refusal.NotFound("没有可运行组", "The order has no group");
            var group =
                query.GetRunGroup
                ?? lanes.FirstOrDefault(lane => lane.State is not ("done" or "stopped"), lanes[0]).TaskGroup.ToString(CultureInfo.InvariantCulture);
            var beside = lanes.Where(lane => lane.TaskGroup.ToString(CultureInfo.InvariantCulture) == group).ToList();
            var shown = (query.GetRunHost ?? query.ExecIp) is { } host ? beside.Find(lane => lane.Host == host) : beside.FirstOrDefault();
            if (shown is null) throw Refusal.NotFound("运行组中没有可执行主机", "The group has no such host", -2);
            var steps = (await connection.QueryAsync<Step>(StepsSql, shown)).AsList();
            var tried = await connection.QueryAsync<AttemptRow>(AttemptsSql, new { Steps = steps.Select(step => step.SchedId).ToArray() });
            var attempts = tried.ToLookup(attempt => attempt.SchedId);
            var arguments = await Arguments(connection, order.Args);
            var now = order.Schedule == "new" ? await Now(connection, id) : null;
            var verdicts = (await connection.QueryAsync<Approval>(GivenSql, new { ListId = id })).AsList();
            // The next approval makes those of another plan void; whoever gave one can give one of this plan.
            var outdated = now is null ? [] : verdicts.FindAll(one => one.Counts && one.Verdict == "approve" && one.PlanSha256 != now.Sha256);
            var given = verdicts.ConvertAll(one => outdated.Contains(one) ? one with { Counts = false } : one);
            var hand = (await connection.QueryAsync<HandStep>(HandSql, new { ListId = id })).AsList();
            var nextBatch = await connection.QueryFirstOrDefaultAsync<WaitingBatch>(NextBatchSql, new { ListId = id });
            var stopped = await connection.QuerySingleOrDefaultAsync<(string? Zh, string? En)>(StoppedSql, new { ListId = id });
            var approval = await OrderApproval.Read(connection, null, id);
            var mayApprove = await OrderAccess.Find(connection, id) is { } resource && await access.May(Verbs.Approve, resource);
            return new Result(
                new Page(
                    order.CreateTime,
                    order.StartTime,
                    caller.Username,
                    order.Creator,
                    order.Executor,
                    new JsonObject(arguments.Select(argument => KeyValuePair.Create(argument.ArgsKey, argument.ArgsValue?.DeepClone()))),
                    arguments,
                    order.Schedule,
                    Admins(order.AssociatedUser),
                    order.Schedule == "new"
                        ? approval.Rule.Against(access.Caller, teams, mayApprove, order.CreatorId, order.Creator) is null
                            && !given.Exists(one => one is { Counts: true, Verdict: "approve" } && one.UserId == access.Caller.UserId)
                        : mayApprove,
                    [.. arguments.Select(argument => argument.ArgsKey)],
                    [.. hand.Select(step => step.TaskName).Distinct()],
                    hand,
                    nextBatch,
                    [.. lanes.Select(lane => lane.TaskGroup).Distinct()],
                    group,
                    [.. beside.Select(lane => lane.Host)],
                    shown.Host,
                    [
                        .. steps.Select(step =>
                            step with
                            {
                                Cause = Causes.Apart(step.Cause).ToString(),
                                Attempts = [.. attempts[step.SchedId].Select(attempt => attempt.View)],
                                ExecUser = StepHost.User(step.ForceHost.Length > 0 ? step.ForceHost : step.ExecIp, step.ExecUser, step.RunAs),
                            }
                        ),
                    ],
                    beside.ToDictionary(lane => lane.Host, lane => lane.Status.ToString(CultureInfo.InvariantCulture)),
                    id.ToString(CultureInfo.InvariantCulture),
                    order.TaskName,
                    order.TaskType,
                    order.Details,
                    order.Description,
                    order.Status,
                    order.Hold,
                    order.EndedAt,
                    order.ApprovalsNeeded,
                    given.Count(one => one is { Counts: true, Verdict: "approve" }),
                    string.Join('，', outdated.Select(one => one.User).Prepend(order.WaitsFor).Where(name => name.Length > 0)),
                    approval.Rule.TeamName,
                    given,
                    now?.Sha256 ?? approval.Sha256,
                    now is null ? null : approval.Difference(now),
                    stopped.En is null ? null : new Text(stopped.Zh ?? "", stopped.En),
                    [.. (now?.Risks ?? approval.Risks).Select(RiskView.Of)],
                    await Events(connection, id)
                )
            );
        }

        // What would run now: whoever approves it approves this.
        private async Task<PlannedRun?> Now(NpgsqlConnection connection, long id)
        {
            try
            {
                return await plans.OfOrder(connection, null, id);
            }
            catch (Exception error) when (error is CommandNotStartedException or System.Security.Cryptography.CryptographicException)
            {
                // An approval is refused for the same reason, in words.
                return null;
            }
        }

        // Under the name that the library has for the word, where it has one; the first, where it has several.
        private static async Task<List<Argument>> Arguments(NpgsqlConnection connection, string args)
        {
            var values = JsonNode.Parse(args)!.AsObject();
            var names = (
                await connection.QueryAsync<(string Self, string Name)>(NamesSql, new { Words = values.Select(value => value.Key).ToArray() })
            ).ToLookup(row => row.Self, row => row.Name);
            return
            [
                .. values.Select(value => new Argument(names[value.Key].FirstOrDefault() ?? value.Key, value.Value)).DistinctBy(argument => argument.ArgsKey),
            ];
        }

        private static string Admins(string associated) =>
            JsonNode.Parse(associated) is JsonObject people && people["admin"] is JsonArray admins
                ? string.Join('，', admins.Select(admin => admin?.ToString()))
                : "";

        private static async Task<List<Event>> Events(NpgsqlConnection connection, long id)
        {
            var rows = await connection.QueryAsync<EventRow>(EventsSql, new { Id = id.ToString(CultureInfo.InvariantCulture) });
            return [.. rows.Select(row => new Event(row.At, row.Nickname, row.UserId, row.Action, row.After is null ? null : JsonNode.Parse(row.After)))];
        }

        private sealed record LaneRow(long LaneId, int TaskGroup, string Host, string State, int Status);

        private sealed record AttemptRow(
            long SchedId,
            int Number,
            DateTime StartTime,
            DateTime? EndTime,
            int? ExitCode,
            string Node,
            string Host,
            string? Outcome,
            string Cause,
            string? LeftBehind,
            long? CpuMs,
            long? PeakMemoryBytes,
            long? ReadBytes,
            long? WrittenBytes,
            string? UsageSource
        )
        {
            public Attempt View =>
                new(
                    SchedId,
                    Number,
                    StartTime,
                    EndTime,
                    ExitCode,
                    Node,
                    Host,
                    Outcome,
                    Causes.Apart(Cause).ToString(),
                    LeftBehind,
                    StepUsage.Of(CpuMs, PeakMemoryBytes, ReadBytes, WrittenBytes, UsageSource)
                );
        }

        private sealed record EventRow(DateTime At, string Nickname, long UserId, string Action, string? After);
    }
}
