using Codo.Platform.Events;
using Dapper;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>Answers other modules what runs now.</summary>
internal static class RunningJobs
{
    internal sealed class Handler(NpgsqlDataSource source) : IRequestHandler<ListRunningJobs, IReadOnlyList<RunningJob>>
    {
        private const string RunningSql = """
            SELECT g.job_id, g.log_id, a.started_at, a.node, j.owners, coalesce(j.space_id, d.space_id, 1) AS space_id FROM cron.active_execution g
            JOIN cron.attempt a ON a.log_id = g.log_id AND a.nominal_at = g.nominal_at AND a.attempt = g.attempt
            LEFT JOIN cron.job j ON j.id = g.job LEFT JOIN cron.deleted_job d ON d.job = g.job WHERE g.state = 'running' ORDER BY a.started_at
            """;

        public async Task<IReadOnlyList<RunningJob>> Handle(ListRunningJobs request, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            return
            [
                .. (await connection.QueryAsync<Row>(RunningSql)).Select(row => new RunningJob(
                    row.JobId,
                    row.LogId,
                    row.StartedAt,
                    row.Node,
                    row.Owners ?? [],
                    row.SpaceId
                )),
            ];
        }

        private sealed record Row
        {
            public required string JobId { get; init; }
            public long LogId { get; init; }
            public DateTime StartedAt { get; init; }
            public required string Node { get; init; }
            public string[]? Owners { get; init; }
            public long SpaceId { get; init; }
        }
    }
}
