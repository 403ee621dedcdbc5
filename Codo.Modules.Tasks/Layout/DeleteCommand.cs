using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>Takes a command out of the library. Steps that were made from it stay: they are copies.</summary>
internal static class DeleteCommand
{
    internal sealed record Command(long? CommandId) : IRequest<Answer>;

    internal sealed record Gone(string CommandName, string Command, string Args, string ForceHost);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(command => command.CommandId).IdGiven();
    }

    internal sealed class Handler(NpgsqlDataSource source, Caller caller) : IRequestHandler<Command, Answer>
    {
        private const string RemoveSql = """
            DELETE FROM tasks.scheduler_cmd_list WHERE command_id = @CommandId RETURNING command_name, command, args, force_host
            """;

        public async Task<Answer> Handle(Command command, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var gone = await connection.QuerySingleOrDefaultAsync<Gone>(RemoveSql, command, transaction) ?? throw LibraryRules.NoSuchId;
            await Audit.Write(connection, transaction, caller, "delete", "command", $"{command.CommandId}", before: gone);
            await transaction.CommitAsync(cancellationToken);
            return new Answer(Messages.Deleted);
        }
    }
}
