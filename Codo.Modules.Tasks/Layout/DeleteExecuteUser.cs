using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>
/// Takes an execute-user away. Steps may go on naming it: an order that is made from them warns. One that is another's bastion stays, and one that is named by
/// an order which has not ended.
/// </summary>
internal static class DeleteExecuteUser
{
    internal sealed record Command(long? ExecUserId) : IRequest<Answer>;

    internal sealed record Gone(string AliasUser, string ExecUser, int SshPort, string SshHost, string Remarks);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(command => command.ExecUserId).IdGiven();
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Command, Answer>
    {
        private const string RemoveSql = """
            DELETE FROM tasks.scheduler_execute_user WHERE id = @ExecUserId RETURNING alias_user, exec_user, ssh_port, ssh_host, remarks
            """;

        public async Task<Answer> Handle(Command command, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var resource = await ExecuteUserRight.DemandEdit(connection, transaction, access, command.ExecUserId!.Value);
            if (await BastionChain.UsersOf(connection, transaction, command.ExecUserId!.Value) is { Length: > 0 } users)
                throw Refusal.Conflict($"执行用户 {users} 以它为跳板机（via）", $"It is the bastion (via) of {users}");
            var gone = await connection.QuerySingleOrDefaultAsync<Gone>(RemoveSql, command, transaction) ?? throw LibraryRules.NoSuchId;
            await ExecuteUser.DemandUnused(connection, transaction, gone.AliasUser, new Text("删除", "delete"));
            await ObjectGrants.Forget(connection, transaction, access.Caller, resource.Kind, resource.Id);
            await Audit.Write(connection, transaction, access.Caller, "delete", "execute_user", $"{command.ExecUserId}", before: gone);
            await transaction.CommitAsync(cancellationToken);
            return new Answer(Messages.Deleted);
        }
    }
}
