using Codo.Modules.Tasks.Orders;
using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Logs;

/// <summary>The output of one step of an order compared across its hosts: which printed the same, and in what the others differ from the most.</summary>
internal static class CompareOutput
{
    private const int DefaultLines = 1000, MostLines = 10_000, MostDifferences = 10;

    /// <param name="Step">Its place in the group, from 1, as the order's grid has its columns.</param>
    /// <param name="Normalise"><c>host</c>, <c>time</c>, or both with a comma.</param>
    /// <param name="Host">The difference of this host alone, instead of that of the first groups.</param>
    internal sealed record Query(long? ListId, int? TaskGroup, int? Step, string? Normalise, string? Host, int? Lines) : IRequest<Result>;

    /// <param name="Steps">All steps of the order, to choose from.</param>
    /// <param name="Hosts">Of the step.</param>
    /// <param name="Compared">Those that are in a group.</param>
    /// <param name="Data">Groups of equal output, the largest first.</param>
    /// <param name="Others">Hosts that could not be compared, each with the reason.</param>
    /// <param name="Partial">The time was over, or an output is longer than what is compared.</param>
    internal sealed record Result(
        int TaskGroup,
        int Step,
        int TaskLevel,
        string TaskName,
        int Hosts,
        int Compared,
        IReadOnlyList<EqualHosts> Data,
        IReadOnlyList<LeftOut> Others,
        bool Partial,
        IReadOnlyList<OrderStep> Steps
    ) : Answer(Messages.Fetched);

    /// <param name="Lines">That were compared.</param>
    /// <param name="Partial">There is more output than was compared.</param>
    /// <param name="Difference">To the largest group; null for that group itself, and for those that were not asked about.</param>
    /// <param name="DifferencePartial">The difference is longer than what is answered.</param>
    internal sealed record EqualHosts(
        int Count,
        int Lines,
        bool Partial,
        string Sha256,
        IReadOnlyList<ExitCount> ExitCodes,
        IReadOnlyList<HostEnd> Hosts,
        IReadOnlyList<DifferenceLine>? Difference,
        bool DifferencePartial
    );

    internal sealed record OrderStep(int TaskGroup, int Step, int TaskLevel, string TaskName);

    internal sealed record ExitCount(int? ExitCode, int Count);

    internal sealed record HostEnd(string Host, long SchedId, int Attempt, int? ExitCode, string? Outcome);

    /// <param name="Why"><c>not_run</c>, <c>running</c>, <c>arriving</c>, <c>away</c>, <c>missing</c> or <c>time</c>.</param>
    internal sealed record LeftOut(string Host, long SchedId, string Why, string TaskStatus, int Attempt, int? ExitCode, string? Outcome);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator()
        {
            RuleFor(query => query.ListId).NotNull().Refuse("订单ID不能为空", "list_id is required");
            RuleFor(query => query.Step).Within(1, 10_000, "step");
            RuleFor(query => query.Lines).Within(1, MostLines, "lines");
            RuleFor(query => query.Normalise)
                .Must(text => text is null || Array.TrueForAll(text.Split(','), word => word.Trim() is "host" or "time"))
                .Refuse("normalise 只能是 host、time", "normalise may be host, time, or both");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, OutputComparison comparison, Node node, Access access) : IRequestHandler<Query, Result>
    {
        // Every lane of a group has the group's steps.
        private const string StepsSql = """
            SELECT i.task_group, CAST(row_number() OVER (PARTITION BY i.task_group ORDER BY i.task_level, i.sched_id) AS int) AS step, i.task_level, i.task_name
            FROM (SELECT min(lane_id) AS lane_id FROM tasks.lane WHERE list_id = @ListId GROUP BY task_group) first
            JOIN tasks.scheduler_task_info i USING (lane_id) ORDER BY i.task_group, step
            """;

        private const string HostsSql = """
            SELECT l.host, i.sched_id, CAST(i.task_status AS text) AS task_status, COALESCE(a.attempt, 0) AS attempt, a.exit_code, a.outcome, a.started_at,
                a.ended_at, COALESCE(a.log_whole, false) AS log_whole,
                COALESCE(a.node = @Here OR n.heartbeat_at >= clock_timestamp() - CAST(@Lease AS interval), false) AS is_alive
            FROM tasks.lane l
            CROSS JOIN LATERAL (SELECT sched_id, task_status FROM tasks.scheduler_task_info WHERE lane_id = l.lane_id ORDER BY task_level, sched_id
                OFFSET @Step - 1 LIMIT 1) i
            LEFT JOIN LATERAL (SELECT attempt, node, exit_code, outcome, started_at, ended_at, log_whole FROM tasks.attempt
                WHERE sched_id = i.sched_id ORDER BY attempt DESC LIMIT 1) a ON true
            LEFT JOIN platform.node n ON n.name = a.node
            WHERE l.list_id = @ListId AND l.task_group = @TaskGroup ORDER BY l.lane_id
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            List<OrderStep> steps;
            OrderStep step;
            List<ComparedHost> hosts;
            await using (var connection = await source.OpenConnectionAsync(cancellationToken))
            {
                if (!await OrderAccess.Sees(connection, access, query.ListId!.Value)) throw OrderAccess.NoSuchOrder;
                steps = (await connection.QueryAsync<OrderStep>(new CommandDefinition(StepsSql, query, cancellationToken: cancellationToken))).AsList();
                step =
                    steps.Find(one => (query.TaskGroup is null || one.TaskGroup == query.TaskGroup) && one.Step == (query.Step ?? 1))
                    ?? throw Refusal.NotFound("没有这个步骤", "There is no such step");
                hosts = (
                    await connection.QueryAsync<ComparedHost>(
                        new CommandDefinition(
                            HostsSql,
                            new
                            {
                                query.ListId,
                                step.TaskGroup,
                                step.Step,
                                Here = node.Name,
                                Node.Lease,
                            },
                            cancellationToken: cancellationToken
                        )
                    )
                ).AsList();
            }
            var rule = new ComparisonRule(Has(query, "host"), Has(query, "time"), query.Lines ?? DefaultLines);
            var ended = hosts.Where(host => Why(host) is null).ToList();
            var (digests, read) = await comparison.Read(ended, rule, cancellationToken);
            var sums = ended.Zip(digests).ToDictionary(pair => pair.First, pair => pair.Second);
            // Where two groups are of one size, the one with the first host.
            var groups = ended
                .Where(host => sums[host] is not null)
                .GroupBy(host => (sums[host]!.Sha256, sums[host]!.Partial))
                .OrderByDescending(group => group.Count())
                .Select(group => (IReadOnlyList<ComparedHost>)[.. group])
                .ToList();
            var data = new List<EqualHosts>();
            List<string>? most = null;
            for (var place = 0; place < groups.Count; place++)
            {
                var same = groups[place];
                var one = query.Host is { Length: > 0 } name ? same.FirstOrDefault(host => host.Host == name) : place <= MostDifferences ? same[0] : null;
                (IReadOnlyList<DifferenceLine> Lines, bool Partial)? difference = null;
                if (place > 0 && one is not null)
                {
                    most ??= await comparison.Lines(groups[0][0], rule, cancellationToken);
                    difference = LineDifference.Between(most, await comparison.Lines(one, rule, cancellationToken));
                }
                data.Add(Group(same, sums[same[0]]!, difference));
            }
            List<LeftOut> others = [.. hosts.Where(host => Why(host) is not null).Select(host => Left(host, Why(host)!))];
            for (var place = 0; place < ended.Count; place++)
                if (digests[place] is null) others.Add(Left(ended[place], place < read ? "missing" : "time"));
            return new Result(
                step.TaskGroup,
                step.Step,
                step.TaskLevel,
                step.TaskName,
                hosts.Count,
                data.Sum(group => group.Count),
                data,
                others,
                data.Exists(group => group.Partial) || others.Exists(other => other.Why == "time"),
                steps
            );
        }

        private static bool Has(Query query, string word) => query.Normalise is { } words && words.Split(',').Any(one => one.Trim() == word);

        // What has not all come is not compared: it would look different for a moment.
        private static string? Why(ComparedHost host) =>
            host.Attempt == 0 ? "not_run"
            : host.EndedAt is null ? "running"
            : !host.LogWhole ? host.IsAlive ? "arriving" : "away"
            : null;

        private static EqualHosts Group(IReadOnlyList<ComparedHost> hosts, OutputDigest sum, (IReadOnlyList<DifferenceLine> Lines, bool Partial)? difference) =>
            new(
                hosts.Count,
                sum.Lines,
                sum.Partial,
                sum.Sha256,
                [.. hosts.GroupBy(host => host.ExitCode).OrderByDescending(code => code.Count()).Select(code => new ExitCount(code.Key, code.Count()))],
                [.. hosts.Select(host => new HostEnd(host.Host, host.SchedId, host.Attempt, host.ExitCode, host.Outcome))],
                difference?.Lines,
                difference?.Partial ?? false
            );

        private static LeftOut Left(ComparedHost host, string why) =>
            new(host.Host, host.SchedId, why, host.TaskStatus, host.Attempt, host.ExitCode, host.Outcome);
    }
}
