using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

internal static class EditArgument
{
    [Echoed("creator", "update_time")]
    internal sealed record Command(long? ArgsId, string? ArgsName, string? ArgsSelf) : IRequest<Answer>;

    internal sealed record State(string ArgsName, string ArgsSelf);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command.ArgsId).IdGiven();
            RuleFor(command => command.ArgsName).GivenOrAbsent();
            RuleFor(command => command.ArgsSelf).GivenOrAbsent();
            RuleFor(command => command.ArgsName).AtMost(LibraryRules.MostName, "args_name");
            RuleFor(command => command.ArgsSelf).AtMost(LibraryRules.MostText, "args_self");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, RunAsRule rule, Caller caller) : IRequestHandler<Command, Answer>
    {
        private const string LockSql = """
            SELECT args_name, args_self FROM tasks.scheduler_args_list WHERE args_id = @ArgsId FOR UPDATE
            """;

        private const string SaveSql = """
            UPDATE tasks.scheduler_args_list SET args_name = @ArgsName, args_self = @ArgsSelf, update_time = now() WHERE args_id = @ArgsId
            """;

        public async Task<Answer> Handle(Command command, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var before = await connection.QuerySingleOrDefaultAsync<State>(LockSql, new { command.ArgsId }, transaction) ?? throw LibraryRules.NoSuchId;
            var after = new State(command.ArgsName ?? before.ArgsName, command.ArgsSelf?.Trim(ArgumentWords.Blanks) ?? before.ArgsSelf);
            if (after.ArgsSelf != before.ArgsSelf) await WordRight.Demand(connection, transaction, rule, caller, after.ArgsSelf);
            try
            {
                await connection.ExecuteAsync(SaveSql, new { command.ArgsId, after.ArgsName, after.ArgsSelf }, transaction);
            }
            catch (PostgresException error) when (error.IsTaken())
            {
                throw LibraryRules.NameIsTaken;
            }
            await Audit.Write(connection, transaction, caller, "edit", "argument", $"{command.ArgsId}", before, after);
            await transaction.CommitAsync(cancellationToken);
            return new Answer(Messages.Edited);
        }
    }
}
