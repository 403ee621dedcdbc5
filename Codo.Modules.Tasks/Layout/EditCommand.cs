using System.Text.Json.Serialization;
using Codo.Modules.Tasks.Hosts;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

internal static class EditCommand
{
    private static readonly Text Saved = new("编辑成功,名称不能修改", "Saved; the name cannot be changed");

    [Echoed("command_name", "creator", "create_time", "update_time")]
    internal sealed record Command(long? CommandId, [property: JsonPropertyName("command")] string? Line, string? Args, string? ForceHost) : IRequest<Answer>;

    internal sealed record State(string Command, string Args, string ForceHost);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command.CommandId).IdGiven();
            RuleFor(command => command.Line).GivenOrAbsent();
            RuleFor(command => command.Line).AtMost(LibraryRules.MostText, "command");
            RuleFor(command => command.Args).AtMost(LibraryRules.MostText, "args");
            RuleFor(command => command.ForceHost).HostOrNothing("force_host");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, Caller caller) : IRequestHandler<Command, Answer>
    {
        private const string LockSql = """
            SELECT command, args, force_host FROM tasks.scheduler_cmd_list WHERE command_id = @CommandId FOR UPDATE
            """;

        private const string SaveSql = """
            UPDATE tasks.scheduler_cmd_list SET command = @Command, args = @Args, force_host = @ForceHost, update_time = now() WHERE command_id = @CommandId
            """;

        public async Task<Answer> Handle(Command command, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var before = await connection.QuerySingleOrDefaultAsync<State>(LockSql, new { command.CommandId }, transaction) ?? throw LibraryRules.NoSuchId;
            var after = new State(command.Line ?? before.Command, command.Args ?? before.Args, command.ForceHost?.Trim() ?? before.ForceHost);
            await connection.ExecuteAsync(SaveSql, new { command.CommandId, after.Command, after.Args, after.ForceHost }, transaction);
            await Audit.Write(connection, transaction, caller, "edit", "command", $"{command.CommandId}", before, after);
            await transaction.CommitAsync(cancellationToken);
            return new Answer(Saved);
        }
    }
}
