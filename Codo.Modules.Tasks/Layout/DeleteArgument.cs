using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

internal static class DeleteArgument
{
    internal sealed record Command(long? ArgsId) : IRequest<Answer>;

    internal sealed record Gone(string ArgsName, string ArgsSelf);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(command => command.ArgsId).IdGiven();
    }

    internal sealed class Handler(NpgsqlDataSource source, Caller caller) : IRequestHandler<Command, Answer>
    {
        private const string RemoveSql = """
            DELETE FROM tasks.scheduler_args_list WHERE args_id = @ArgsId RETURNING args_name, args_self
            """;

        public async Task<Answer> Handle(Command command, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var gone = await connection.QuerySingleOrDefaultAsync<Gone>(RemoveSql, command, transaction) ?? throw LibraryRules.NoSuchId;
            await Audit.Write(connection, transaction, caller, "delete", "argument", $"{command.ArgsId}", before: gone);
            await transaction.CommitAsync(cancellationToken);
            return new Answer(Messages.Deleted);
        }
    }
}
