using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>Gives a word of the steps' arguments the name that forms show for it.</summary>
internal static class CreateArgument
{
    [Echoed("args_id", "creator", "update_time")]
    internal sealed record Command(string? ArgsName, string? ArgsSelf) : IRequest<Result>;

    internal sealed record Result(long ArgsId) : Answer(Messages.Added);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command.ArgsName).Given();
            RuleFor(command => command.ArgsSelf).Given();
            RuleFor(command => command.ArgsName).AtMost(LibraryRules.MostName, "args_name");
            RuleFor(command => command.ArgsSelf).AtMost(LibraryRules.MostText, "args_self");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, RunAsRule rule, Caller caller) : IRequestHandler<Command, Result>
    {
        private const string AddSql = """
            INSERT INTO tasks.scheduler_args_list (args_name, args_self, creator, creator_id) VALUES (@ArgsName, @ArgsSelf, @Username, @UserId)
            ON CONFLICT (args_name) DO NOTHING
            RETURNING args_id
            """;

        public async Task<Result> Handle(Command command, CancellationToken cancellationToken)
        {
            // Compared with the words of steps, which end at these blanks.
            var word = command.ArgsSelf!.Trim(ArgumentWords.Blanks);
            command = command with { ArgsSelf = word };
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            await WordRight.Demand(connection, transaction, rule, caller, word);
            var id =
                await connection.ExecuteScalarAsync<long?>(
                    AddSql,
                    new
                    {
                        command.ArgsName,
                        command.ArgsSelf,
                        caller.Username,
                        caller.UserId,
                    },
                    transaction
                ) ?? throw LibraryRules.NameIsTaken;
            await Audit.Write(connection, transaction, caller, "create", "argument", $"{id}", after: command);
            await transaction.CommitAsync(cancellationToken);
            return new Result(id);
        }
    }
}
