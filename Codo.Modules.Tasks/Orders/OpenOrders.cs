using Codo.Modules.Tasks.Execution;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>Orders that the caller may see and that wait for a person or run, the longest first: what the first page of the console shows.</summary>
internal static class OpenOrders
{
    /// <param name="NeedsPerson">Those that wait for a person; else those that run.</param>
    internal sealed record Query(bool NeedsPerson, int Limit) : IRequest<Result>;

    internal sealed record Result(IReadOnlyList<Row> Data, long Count) : Answer(Messages.Fetched);

    /// <param name="Face">The key of its <see cref="OrderBadge"/>.</param>
    internal sealed record Row(long ListId, string TaskName, string Creator, string Face, DateTime Since, long Hosts, long Done, bool IsPushedBack);

    // Pushed back, and approved by nobody since: the submitter has to act. An approval after the push-back returns the order to the other approvers.
    private const string IsPushedBack = """
        EXISTS (SELECT FROM tasks.approval p WHERE p.list_id = o.list_id AND p.verdict = 'push_back' AND NOT p.void
            AND NOT EXISTS (SELECT FROM tasks.approval a WHERE a.list_id = p.list_id AND a.verdict = 'approve' AND NOT a.void
                AND a.approval_id > p.approval_id))
        """;

    // Only those who can still approve: what waits for others is no work of the caller's. A superuser sees all that waits. The spaces and templates of the
    // viewer are those where a role approves.
    private const string Approves = $"""
        (@IsSuperuser OR COALESCE((SELECT t.team_id = ANY(@Teams) FROM tasks.order_approval t WHERE t.list_id = o.list_id AND t.team_id IS NOT NULL),
                @UserId = ANY(o.approver_ids) OR o.space_id = ANY(@Spaces) OR o.temp_id = ANY(@Templates))
            AND NOT EXISTS (SELECT FROM tasks.approval p WHERE p.list_id = o.list_id AND p.user_id = @UserId AND p.verdict = 'approve'
                AND {OrderApproval.Counts})
            AND NOT EXISTS (SELECT FROM tasks.order_approval t WHERE t.list_id = o.list_id
                AND (t.not_editor_id = @UserId OR t.not_submitter
                    AND (@UserId IN (t.submitter_id, o.creator_id) OR o.creator_id IS NULL AND o.creator = ANY(@Names)))))
        """;

    // The status is 6 also where somebody stopped a host and nothing is left to do about it. It is asked first: an order may have thousands of hosts.
    private const string NeedsPerson = $"""
        (o.status IN (4, 5, 6) AND EXISTS (SELECT FROM tasks.lane l WHERE l.list_id = o.list_id AND l.state IN ('failed', 'interrupted', 'hand'))
            OR {Progress.AwaitsBatch})
        """;

    private const string Waits = $"""
        FROM tasks.scheduler_task_list o WHERE o.schedule <> 'OK'
            AND CASE o.schedule WHEN 'new' THEN CASE WHEN {IsPushedBack} THEN o.creator_id = @UserId ELSE {Approves} END
                WHEN 'start' THEN {NeedsPerson} AND {OrderAccess.Visible} ELSE false END
        """;

    private const string WaitsCountSql = $"""
        SELECT count(*) {Waits}
        """;

    /// <summary>How many wait for the caller.</summary>
    public static Task<long> Waiting(NpgsqlConnection connection, Access access) =>
        connection.QuerySingleAsync<long>(WaitsCountSql, Viewer.Of(access));

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Query, Result>
    {
        // Of the few that are shown, and of no others.
        private const string Columns = $"""
            SELECT o.list_id, o.task_name, o.creator, o.face, {OrderBadge.Since} AS since,
                (SELECT count(*) FROM tasks.lane l WHERE l.list_id = o.list_id) AS hosts,
                (SELECT count(*) FROM tasks.lane l WHERE l.list_id = o.list_id AND l.state = 'done') AS done,
                {IsPushedBack} AS is_pushed_back
            FROM shown o ORDER BY o.start_time, o.list_id
            """;

        private const string WaitingSql = $"""
            WITH shown AS MATERIALIZED (
                SELECT o.list_id, o.task_name, o.creator, o.create_time, o.start_time, {OrderBadge.KeyOf} AS face
                {Waits} ORDER BY o.start_time, o.list_id LIMIT @Limit)
            {Columns}
            """;

        private const string Runs = $"""
            FROM tasks.scheduler_task_list o WHERE o.schedule = 'start' AND NOT {NeedsPerson} AND {OrderAccess.Visible}
            """;

        private const string RunningSql = $"""
            WITH shown AS MATERIALIZED (
                SELECT o.list_id, o.task_name, o.creator, o.create_time, o.start_time, {OrderBadge.KeyOf} AS face
                {Runs} ORDER BY o.start_time, o.list_id LIMIT @Limit)
            {Columns}
            """;

        private const string RunningCountSql = $"""
            SELECT count(*) {Runs}
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            var viewer = Viewer.Of(access);
            var asked = new
            {
                viewer.UserId,
                viewer.IsSuperuser,
                viewer.Names,
                viewer.Spaces,
                viewer.Templates,
                viewer.Teams,
                query.Limit,
            };
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var rows = (await connection.QueryAsync<Row>(query.NeedsPerson ? WaitingSql : RunningSql, asked)).AsList();
            var count =
                rows.Count < query.Limit ? rows.Count : await connection.QuerySingleAsync<long>(query.NeedsPerson ? WaitsCountSql : RunningCountSql, asked);
            return new Result(rows, count);
        }
    }
}
