using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Dapper;
using MediatR;
using Npgsql;

namespace Codo.Host.Operations;

/// <summary>The nodes of the cluster, and what the database takes.</summary>
internal static class ListNodes
{
    internal sealed record Query : IRequest<Result>;

    /// <param name="Node">The node that answers; the loops are its own.</param>
    internal sealed record Result(List<NodeView> Data, Use Storage, string Node, IReadOnlyList<LoopView> Loops, IReadOnlyList<QueueView> Queues)
        : Answer(Messages.Fetched);

    /// <param name="Period">Seconds between two runs.</param>
    /// <param name="Age">Seconds since the last success.</param>
    /// <param name="Stale">Whether it has not succeeded for ten periods.</param>
    /// <param name="Failure">Why the last run failed; empty when it succeeded.</param>
    internal sealed record LoopView(string Name, double Period, double Age, bool Stale, string Failure);

    internal sealed record QueueView(string Name, Text Words, long Waiting);

    /// <param name="State"><c>alive</c>, <c>stopped</c>, or <c>dead</c>: its lease has run out.</param>
    /// <param name="HeartbeatAt">When it was last heard of; one that was stopped says so at its end.</param>
    /// <param name="ClockSkew">Seconds between its clock and PostgreSQL's.</param>
    /// <param name="DrainedAt">Since when it takes no new work; null where it does.</param>
    /// <param name="Running">Runs and lanes that are under way there.</param>
    /// <param name="Roles">Of <see cref="NodeRoles"/>: what it takes of the cluster's work.</param>
    /// <param name="Tags">What selectors name beside its name.</param>
    internal sealed record NodeView(
        string Name,
        string State,
        string Machine,
        string Version,
        string Address,
        long Incarnation,
        DateTime StartedAt,
        DateTime HeartbeatAt,
        double ClockSkew,
        DateTime? DrainedAt,
        string DrainedBy,
        long Running,
        IReadOnlyList<string> Roles,
        IReadOnlyList<string> Tags
    );

    internal sealed class Handler(NpgsqlDataSource source, StorageUse storage, Node node, LoopStates loops, IEnumerable<QueueDepth> queues)
        : IRequestHandler<Query, Result>
    {
        private const string NodesSql = """
            SELECT name, CASE WHEN stopped_at IS NOT NULL THEN 'stopped' WHEN fenced >= incarnation THEN 'dead' ELSE 'alive' END AS state, machine, version,
                address, incarnation, started_at, COALESCE(stopped_at, heartbeat_at) AS heartbeat_at,
                CAST(extract(epoch FROM clock_skew) AS float8) AS clock_skew, drained_at, drained_by,
                (SELECT count(*) FROM cron.active_execution e WHERE e.node = n.name AND e.state = 'running')
                    + (SELECT count(*) FROM tasks.lane l WHERE l.node = n.name AND l.state = 'running') AS running,
                roles, tags
            FROM platform.node n ORDER BY name
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var nodes = (await connection.QueryAsync<NodeRow>(NodesSql)).Select(row => row.View).ToList();
            var waiting = new List<QueueView>();
            foreach (var queue in queues) waiting.Add(new QueueView(queue.Name, queue.Words, await connection.ExecuteScalarAsync<long>(queue.Sql)));
            return new Result(nodes, await storage.Measure(cancellationToken), node.Name, [.. loops.All.Select(View)], waiting);
        }

        // With properties, because Dapper gives no list to a constructor.
        private sealed record NodeRow
        {
            public string Name { get; init; } = "";
            public string State { get; init; } = "";
            public string Machine { get; init; } = "";
            public string Version { get; init; } = "";
            public string Address { get; init; } = "";
            public long Incarnation { get; init; }
            public DateTime StartedAt { get; init; }
            public DateTime HeartbeatAt { get; init; }
            public double ClockSkew { get; init; }
            public DateTime? DrainedAt { get; init; }
            public string DrainedBy { get; init; } = "";
            public long Running { get; init; }
            public string[] Roles { get; init; } = [];
            public string[] Tags { get; init; } = [];

            public NodeView View =>
                new(Name, State, Machine, Version, Address, Incarnation, StartedAt, HeartbeatAt, ClockSkew, DrainedAt, DrainedBy, Running, Roles, Tags);
        }

        private static LoopView View(LoopState loop) =>
            new(loop.Name, loop.Period.TotalSeconds, Math.Round(loop.Age.TotalSeconds, 1), loop.IsStale, loop.Failure?.Message ?? "");
    }
}
