using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Host.Operations;

/// <summary>Drains a node: it takes no new fires, lanes or background jobs, and finishes what runs. It stays so over restarts.</summary>
internal static class DrainNode
{
    internal sealed record Command(string? Name) : IRequest<Result>;

    /// <param name="Running">Runs and lanes that the node still has to finish.</param>
    internal sealed record Result(string Name, long Running, IReadOnlyList<Text> Warnings)
        : Answer(new Text("节点已排空，不再接收新任务", "The node is drained: it takes no new work"));

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(command => command.Name).NotEmpty().Refuse("name 不能为空", "name is required");
    }

    internal sealed class Handler(NpgsqlDataSource source, Node node, Caller caller) : IRequestHandler<Command, Result>
    {
        private const string DrainSql = """
            UPDATE platform.node SET drained_at = clock_timestamp(), drained_by = @By WHERE name = @Name AND drained_at IS NULL
            """;

        // What a drained node takes no more, and nobody else takes.
        private const string UntakenSql = """
            SELECT role FROM platform.node n CROSS JOIN LATERAL unnest(n.roles) role WHERE n.name = @Name AND role IN ('cron', 'orders')
                AND NOT EXISTS (SELECT FROM platform.live_node o WHERE o.name <> @Name AND role = ANY (o.roles)) ORDER BY role
            """;

        private const string RunningSql = """
            SELECT (SELECT count(*) FROM cron.active_execution WHERE node = @Name AND state = 'running')
                + (SELECT count(*) FROM tasks.lane WHERE node = @Name AND state = 'running')
            """;

        public async Task<Result> Handle(Command request, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            if (await connection.ExecuteAsync(DrainSql, new { request.Name, By = caller.Username.Length > 0 ? caller.Username : "?" }, transaction) == 0)
                throw await UndrainNode.Refused(connection, transaction, request.Name!, new Text("已经排空", "drained already"));
            var untaken = (await connection.QueryAsync<string>(UntakenSql, new { request.Name }, transaction)).AsList();
            await Audit.Write(connection, transaction, caller, "drain", "node", request.Name!);
            await Control.Notify(connection, transaction, request.Name!);
            await transaction.CommitAsync(cancellationToken);
            if (request.Name == node.Name) node.Drained(true);
            return new Result(
                request.Name!,
                await connection.ExecuteScalarAsync<long>(RunningSql, new { request.Name }),
                untaken.ConvertAll(role =>
                    role == NodeRoles.Cron
                        ? new Text("没有其他节点执行到期的任务（角色 cron）：任务将等待", "No other node takes jobs that are due (the role cron): they wait until one does")
                        : new Text("没有其他节点执行订单（角色 orders）：订单将等待", "No other node takes orders (the role orders): they wait until one does")
                )
            );
        }
    }
}
