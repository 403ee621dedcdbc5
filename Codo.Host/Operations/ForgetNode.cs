using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Host.Operations;

/// <summary>
/// Takes a node that is gone for good off the list, once what it had under way is recovered. One that starts again under the name joins as a new one.
/// </summary>
internal static class ForgetNode
{
    internal sealed record Command(string? Name) : IRequest<Answer>;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(command => command.Name).NotEmpty().Refuse("name 不能为空", "name is required");
    }

    internal sealed class Handler(NpgsqlDataSource source, Caller caller) : IRequestHandler<Command, Answer>
    {
        // What is still the node's own is recovered by this row alone, which has its incarnation, its machine and its boot.
        private const string ForgetSql = """
            DELETE FROM platform.node WHERE name = @Name AND fenced = incarnation AND settled = incarnation
                AND NOT EXISTS (SELECT FROM cron.active_execution WHERE node = @Name AND state = 'running')
                AND NOT EXISTS (SELECT FROM tasks.lane WHERE node = @Name)
                AND NOT EXISTS (SELECT FROM tasks.attempt WHERE node = @Name AND ended_at IS NULL)
            RETURNING machine, version, started_at
            """;

        public async Task<Answer> Handle(Command request, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var gone =
                await connection.QuerySingleOrDefaultAsync<Gone>(ForgetSql, new { request.Name }, transaction)
                ?? throw await UndrainNode.Refused(
                    connection,
                    transaction,
                    request.Name!,
                    new Text("仍在运行，或它未完成的工作尚未恢复", "alive, or what it had under way is not recovered yet")
                );
            await Audit.Write(connection, transaction, caller, "forget", "node", request.Name!, before: gone);
            await transaction.CommitAsync(cancellationToken);
            return new Answer(new Text("节点已移除", "The node is forgotten"));
        }
    }

    private sealed record Gone(string Machine, string Version, DateTime StartedAt);
}
