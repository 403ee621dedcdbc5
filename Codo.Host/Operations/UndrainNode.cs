using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Host.Operations;

/// <summary>Lets a drained node take work again.</summary>
internal static class UndrainNode
{
    private const string ExistsSql = """
        SELECT EXISTS (SELECT FROM platform.node WHERE name = @Name)
        """;

    internal sealed record Command(string? Name) : IRequest<Answer>;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(command => command.Name).NotEmpty().Refuse("name 不能为空", "name is required");
    }

    internal sealed class Handler(NpgsqlDataSource source, Node node, Caller caller) : IRequestHandler<Command, Answer>
    {
        private const string UndrainSql = """
            UPDATE platform.node SET drained_at = NULL, drained_by = '' WHERE name = @Name AND drained_at IS NOT NULL
            """;

        public async Task<Answer> Handle(Command request, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            if (await connection.ExecuteAsync(UndrainSql, new { request.Name }, transaction) == 0)
                throw await Refused(connection, transaction, request.Name!, new Text("未被排空", "not drained"));
            await Audit.Write(connection, transaction, caller, "undrain", "node", request.Name!);
            await Control.Notify(connection, transaction, request.Name!);
            await transaction.CommitAsync(cancellationToken);
            if (request.Name == node.Name) node.Drained(false);
            return new Answer(new Text("节点恢复接收任务", "The node takes work again"));
        }
    }

    /// <summary>Why nothing was changed: there is no such node, or it is in that state.</summary>
    internal static async Task<Refusal> Refused(NpgsqlConnection connection, NpgsqlTransaction transaction, string name, Text state) =>
        await connection.ExecuteScalarAsync<bool>(ExistsSql, new { Name = name }, transaction)
            ? Refusal.Conflict($"节点 {name} {state.Zh}", $"node {name} is {state.En}")
            : Refusal.NotFound($"没有节点 {name}", $"there is no node {name}");
}
