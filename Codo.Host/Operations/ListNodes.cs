using Codo.Platform.Http;
using Dapper;
using MediatR;
using Npgsql;

namespace Codo.Host.Operations;

/// <summary>The nodes of the cluster, and what the database takes.</summary>
internal static class ListNodes
{
    internal sealed record Query : IRequest<Result>;

    internal sealed record Result(List<NodeView> Data, Use Storage) : Answer(Say.Fetched);

    /// <param name="State"><c>alive</c>, <c>stopped</c>, or <c>dead</c>: its lease has run out.</param>
    /// <param name="ClockSkew">Seconds between its clock and PostgreSQL's.</param>
    internal sealed record NodeView(
        string Name,
        string State,
        string Machine,
        string Version,
        string Address,
        long Incarnation,
        DateTime StartedAt,
        DateTime HeartbeatAt,
        double ClockSkew
    );

    internal sealed class Handler(NpgsqlDataSource source, StorageUse storage) : IRequestHandler<Query, Result>
    {
        private const string NodesSql = """
            SELECT name, CASE WHEN stopped_at IS NOT NULL THEN 'stopped' WHEN fenced >= incarnation THEN 'dead' ELSE 'alive' END AS state, machine, version,
                address, incarnation, started_at, heartbeat_at, CAST(extract(epoch FROM clock_skew) AS float8) AS clock_skew
            FROM platform.node ORDER BY name
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var nodes = (await connection.QueryAsync<NodeView>(NodesSql)).AsList();
            return new Result(nodes, await storage.Measure(cancellationToken));
        }
    }
}
