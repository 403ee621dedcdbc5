using Codo.Platform.Events;
using Dapper;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Execution;

/// <summary>Answers other modules what orders wait for, and what runs.</summary>
internal static class RunningOrders
{
    internal sealed class Handler(NpgsqlDataSource source) : IRequestHandler<ListRunningOrders, IReadOnlyList<RunningOrder>>
    {
        private const string RunningSql = $"""
            SELECT o.list_id, o.task_name, o.task_type, w.what, w.step, w.host, w.since, o.approver_ids, o.watchers, o.watcher_ids, o.watcher_names,
                o.creator_id, o.creator, o.space_id,
                ARRAY(SELECT COALESCE((SELECT u.nickname FROM tasks.scheduler_temp_user u WHERE u.temp_id = o.temp_id AND u.user_id = a.id), '')
                    FROM unnest(o.approver_ids) WITH ORDINALITY AS a(id, place) ORDER BY a.place) AS approver_names
            FROM (
                SELECT o.list_id, 'approval' AS what, '' AS step, '' AS host, {StartCheck.WaitsSince} AS since FROM tasks.scheduler_task_list o
                    WHERE o.schedule = 'new'
                UNION ALL SELECT l.list_id, 'hand', COALESCE((SELECT i.task_name FROM tasks.scheduler_task_info i WHERE i.lane_id = l.lane_id
                    AND i.task_status = 5 ORDER BY i.task_level, i.sched_id LIMIT 1), ''),
                    l.host, l.since FROM tasks.lane l WHERE l.state = 'hand'
                UNION ALL SELECT g.list_id, 'hand', '', '', {Progress.BatchWaitsSince} FROM tasks.scheduler_task_list s JOIN tasks.order_group g USING (list_id)
                    WHERE s.schedule = 'start' AND g.confirm AND {Progress.BatchWaits}
                UNION ALL SELECT a.list_id, 'step', i.task_name, a.host, a.started_at FROM tasks.attempt a
                    JOIN tasks.scheduler_task_info i USING (sched_id) WHERE a.ended_at IS NULL
            ) w JOIN tasks.scheduler_task_list o USING (list_id) WHERE o.schedule IN ('new', 'start') ORDER BY w.since
            """;

        public async Task<IReadOnlyList<RunningOrder>> Handle(ListRunningOrders request, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            return
            [
                .. (await connection.QueryAsync<Row>(RunningSql)).Select(row => new RunningOrder(
                    row.ListId,
                    row.TaskName,
                    row.TaskType,
                    Read(row.What),
                    row.Step,
                    row.Host,
                    row.Since,
                    OrderPeople.Of(row.ApproverIds, row.ApproverNames, row.WatcherIds, row.WatcherNames, row.CreatorId, row.Creator),
                    row.Watchers,
                    row.SpaceId
                )),
            ];
        }

        private static OrderSituation Read(string what) => what switch
        {
            "approval" => OrderSituation.AwaitsApproval,
            "hand" => OrderSituation.AwaitsPerson,
            _ => OrderSituation.GoesOn,
        };

        // With properties, because Dapper gives no array to a constructor.
        private sealed record Row
        {
            public long ListId { get; init; }
            public required string TaskName { get; init; }
            public required string TaskType { get; init; }
            public required string What { get; init; }
            public required string Step { get; init; }
            public required string Host { get; init; }
            public DateTime Since { get; init; }
            public long[] ApproverIds { get; init; } = [];
            public string[] ApproverNames { get; init; } = [];
            public string[] Watchers { get; init; } = [];
            public long[] WatcherIds { get; init; } = [];
            public string[] WatcherNames { get; init; } = [];
            public long? CreatorId { get; init; }
            public string Creator { get; init; } = "";
            public long SpaceId { get; init; }
        }
    }
}
