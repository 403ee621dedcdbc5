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

        private const string OthersSql = """
            SELECT count(*) FROM platform.node WHERE name <> @Name AND drained_at IS NULL AND stopped_at IS NULL AND fenced < incarnation
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
            var others = await connection.ExecuteScalarAsync<long>(OthersSql, new { request.Name }, transaction);
            await Audit.Write(connection, transaction, caller, "drain", "node", request.Name!);
            await Control.Notify(connection, transaction, request.Name!);
            await transaction.CommitAsync(cancellationToken);
            if (request.Name == node.Name) node.Drained(true);
            return new Result(
                request.Name!,
                await connection.ExecuteScalarAsync<long>(RunningSql, new { request.Name }),
                others > 0
                    ? []
                    :
                    [
                        new Text(
                            "没有其他节点接收任务：到期的任务与订单将等待，直到有节点恢复接收",
                            "No other node takes work: jobs that are due and orders wait until one does"
                        ),
                    ]
            );
        }
    }
}
