using System.Security.Cryptography;
using Codo.Modules.Tasks.Execution;
using Codo.Modules.Tasks.Hosts;
using Codo.Modules.Tasks.Layout;
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

/// <summary>
/// What an order runs, for whoever decides about it: the final command lines by groups of equal hosts, what makes them other than the template and the last
/// approved order, and the rule.
/// </summary>
internal static class ShowPlan
{
    internal sealed record Query(long? ListId) : IRequest<Result>;

    /// <param name="ExecUser">Who it runs as.</param>
    /// <param name="ForceHost">The host that it runs on instead of the lane's; empty for none.</param>
    /// <param name="Node">Which nodes of Codo may run it; empty for every one.</param>
    internal sealed record Step(
        int Level,
        string TaskName,
        string CommandLine,
        string ExecUser,
        string ForceHost,
        string Trigger,
        int Timeout,
        int Retries,
        int RetryDelay,
        string OnError,
        string Node
    );

    /// <summary>Hosts that run the same lines as the same user.</summary>
    internal sealed record EqualHosts(IReadOnlyList<string> Hosts, IReadOnlyList<Step> Steps);

    internal sealed record Group(int TaskGroup, int Batches, int BatchPause, int MaxFailures, string Next, int HostCount, IReadOnlyList<EqualHosts> Alike);

    /// <param name="Words">The rule in a sentence.</param>
    internal sealed record Rule(int Approvals, string Team, bool NotSubmitter, bool NotEditor, int? ValidHours, bool ReasonRequired, Text Words);

    /// <param name="Before">The command line of the other; null where the difference is no line.</param>
    /// <param name="Now">The command line of this order.</param>
    internal sealed record Difference(Text Words, string? Before, string? Now);

    internal sealed record LastOrder(long ListId, string TaskName, DateTime Time, IReadOnlyList<Difference> Differences);

    /// <param name="Wrong">Why the command lines cannot be put together; null when they can.</param>
    /// <param name="MayNot">Why the caller may not approve it; null when they may.</param>
    /// <param name="TemplateDifferences">Null where the caller may not see the template, or nothing is left to decide.</param>
    /// <param name="LastOrder">The last approved order of the same template that the caller may see.</param>
    internal sealed record Plan(
        long ListId,
        long TempId,
        string PlanSha256,
        Text? Wrong,
        Text? MayNot,
        Rule Rule,
        IReadOnlyList<Group> Groups,
        IReadOnlyList<RiskView> Risks,
        IReadOnlyList<Difference>? TemplateDifferences,
        LastOrder? LastOrder
    );

    internal sealed record Result(Plan Data) : Answer(Messages.Fetched);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => RuleFor(query => query.ListId).NotNull().Refuse("订单ID不能为空", "list_id is required");
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access, RunPlans plans, OrderArguments arguments, TaskSettings settings, TeamDirectory teams)
        : IRequestHandler<Query, Result>
    {
        private const string OrderSql = $"""
            SELECT o.schedule, o.temp_id, o.creator_id, o.creator, o.args, o.secret_args FROM tasks.scheduler_task_list o
            WHERE o.list_id = @ListId AND {OrderAccess.Visible}
            """;

        private const string ApprovedSql = $"""
            SELECT EXISTS (SELECT FROM tasks.approval p JOIN tasks.scheduler_task_list o ON o.list_id = p.list_id WHERE p.list_id = @ListId
                AND p.user_id = @UserId AND p.verdict = 'approve' AND p.plan_sha256 = @Sha256 AND {OrderApproval.Counts})
            """;

        private const string LastSql = $"""
            SELECT o.list_id, o.task_name, p.at AS time, a.plan FROM tasks.scheduler_task_list o JOIN tasks.order_approval a USING (list_id)
            JOIN LATERAL (SELECT max(at) AS at FROM tasks.approval g WHERE g.list_id = o.list_id AND g.verdict IN ('approve', 'break_glass') AND NOT g.void) p
                ON p.at IS NOT NULL
            WHERE o.temp_id = @TempId AND o.list_id < @ListId AND o.schedule <> 'new' AND {OrderAccess.Visible} ORDER BY o.list_id DESC LIMIT 1
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            var id = query.ListId!.Value;
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var order = await connection.QuerySingleOrDefaultAsync<OrderRow>(OrderSql, Asked(id, 0)) ?? throw OrderAccess.NoSuchOrder;
            var approval = await OrderApproval.Read(connection, null, id);
            var (now, wrong) = order.Schedule == "new" || approval.Plan is null ? await Now(connection, id) : (null, null);
            var rule = now?.NeedsSecond == true ? approval.Rule with { NotSubmitter = true } : approval.Rule;
            var isOpen = order.Schedule == "new" && now is not null;
            return new Result(
                new Plan(
                    id,
                    order.TempId,
                    now?.Sha256 ?? approval.Sha256,
                    wrong,
                    order.Schedule == "new" ? await MayNot(connection, id, order, rule, now?.Sha256) : null,
                    new Rule(rule.Needed, rule.TeamName, rule.NotSubmitter, rule.NotEditorId is not null, rule.ValidHours, rule.ReasonRequired, Words(rule)),
                    [.. (now?.Plan ?? approval.Plan)?.Groups.Select(Show) ?? []],
                    [.. (now?.Risks ?? approval.Risks).Select(RiskView.Of)],
                    isOpen ? await AgainstTemplate(connection, order, now!) : null,
                    isOpen ? await AgainstLast(connection, id, order, now!) : null
                )
            );
        }

        private object Asked(long listId, long tempId)
        {
            var viewer = Viewer.Of(access);
            return new
            {
                viewer.UserId,
                viewer.IsSuperuser,
                viewer.Names,
                viewer.Spaces,
                viewer.Templates,
                viewer.Teams,
                ListId = listId,
                TempId = tempId,
            };
        }

        private async Task<(PlannedRun? Run, Text? Wrong)> Now(NpgsqlConnection connection, long id)
        {
            try
            {
                return (await plans.OfOrder(connection, null, id), null);
            }
            catch (CommandNotStartedException error)
            {
                return (null, error.Text);
            }
            catch (CryptographicException)
            {
                return (null, OrderArguments.CannotOpen);
            }
        }

        private async Task<Text?> MayNot(NpgsqlConnection connection, long id, OrderRow order, ApprovalRule rule, string? sha256)
        {
            var mayApprove = await OrderAccess.Find(connection, id) is { } resource && await access.May(Verbs.Approve, resource);
            if (rule.Against(access.Caller, teams, mayApprove, order.CreatorId, order.Creator) is { } why) return why;
            return sha256 is not null
                && await connection.QuerySingleAsync<bool>(ApprovedSql, new { ListId = id, access.Caller.UserId, Sha256 = sha256 })
                ? new Text("你已经审批过，还需要其他人", "You have approved it already; it needs others")
                : null;
        }

        private async Task<IReadOnlyList<Difference>?> AgainstTemplate(NpgsqlConnection connection, OrderRow order, PlannedRun now)
        {
            if (await TemplateRight.Find(connection, null, order.TempId) is not { } resource)
                return [new Difference(new Text("模板已被删除", "the template is deleted"), null, null)];
            if (!await access.May(Verbs.See, resource)) return null;
            try
            {
                var template = await Drafting.Read(connection, order.TempId, resource.Space);
                var hosts = now.Plan.Groups.ToDictionary(group => group.Group, IReadOnlyList<string> (group) => [.. group.Hosts.Select(host => host.Host)]);
                var plan = OrderPlan.Make(template, hosts, settings);
                var other = await plans.Of(connection, plan.Groups, arguments.Open(order.Args, order.SecretArgs));
                return other.Sha256 == now.Sha256 ? [] : Differences(other.Plan, now.Plan);
            }
            catch (Refusal refusal)
            {
                return [new Difference(refusal.Text, null, null)];
            }
            catch (CommandNotStartedException error)
            {
                return [new Difference(error.Text, null, null)];
            }
        }

        private async Task<LastOrder?> AgainstLast(NpgsqlConnection connection, long id, OrderRow order, PlannedRun now)
        {
            if (await connection.QuerySingleOrDefaultAsync<LastRow>(LastSql, Asked(id, order.TempId)) is not { } last) return null;
            if (RunPlan.Read(last.Plan) is not { } plan) return null;
            // Secrets are digests under the master key of their day.
            var own = plan.Key == now.Plan.Key ? now : await plans.OfOrder(connection, null, id, plan.Key);
            return new LastOrder(
                last.ListId,
                last.TaskName,
                last.Time,
                RunPlan.HashOf(last.Plan) == own.Sha256 ? [] : Differences(plan, own.Plan)
            );
        }

        private static IReadOnlyList<Difference> Differences(RunPlan other, RunPlan own) =>
            [.. PlanDifference.All(other, own).Select(change => new Difference(change.Words, change.Before, change.Now))];

        private static Group Show(PlanGroup group) =>
            new(
                group.Group,
                group.Batches,
                group.BatchPause,
                group.MaxFailures,
                group.Confirm ? "confirm" : "auto",
                group.Hosts.Count,
                [
                    .. group
                        .Hosts.Select(host => (host.Host, Steps: Steps(group, host.Host)))
                        .GroupBy(host => (StepHost.IsLocal(host.Host), string.Join('\n', host.Steps)))
                        .Select(alike => new EqualHosts([.. alike.Select(host => host.Host)], alike.First().Steps)),
                ]
            );

        private static List<Step> Steps(PlanGroup group, string host) =>
            [
                .. group
                    .Steps.Where(step => step.Hosts is null || step.Hosts.Contains(host))
                    .Select(step => new Step(
                        step.Level,
                        step.Name,
                        step.Line,
                        StepHost.User(step.ForceHost ?? host, step.ExecUser ?? "", step.RunAs ?? ""),
                        step.ForceHost ?? "",
                        step.Trigger,
                        step.Timeout,
                        step.Retries,
                        step.RetryDelay,
                        step.OnError,
                        step.Node ?? ""
                    )),
            ];

        private static Text Words(ApprovalRule rule)
        {
            var zh = new List<string> { $"需要 {rule.Needed} 人审批" };
            var en = new List<string> { rule.Needed == 1 ? "One approval" : $"{rule.Needed} approvals" };
            if (rule.TeamId is not null) Add($"审批人须在团队「{rule.TeamName}」中", $"by members of the team {rule.TeamName}");
            if (rule.NotSubmitter) Add("提交人不能审批", "not by the submitter");
            if (rule.NotEditorId is not null) Add("最后修改模板的人不能审批", "not by whoever last edited the template");
            if (rule.ReasonRequired) Add("必须填写理由", "with a reason");
            if (rule.ValidHours is { } hours) Add($"审批 {hours} 小时内有效", $"valid for {hours} h");
            return new Text(string.Join("，", zh), string.Join(", ", en));

            void Add(string chinese, string english)
            {
                zh.Add(chinese);
                en.Add(english);
            }
        }

        private sealed record LastRow(long ListId, string TaskName, DateTime Time, string Plan);

        // With properties, because Dapper gives no array to a constructor.
        private sealed record OrderRow
        {
            public string Schedule { get; init; } = "";
            public long TempId { get; init; }
            public long? CreatorId { get; init; }
            public string Creator { get; init; } = "";
            public string Args { get; init; } = "{}";
            public byte[]? SecretArgs { get; init; }
        }
    }
}
