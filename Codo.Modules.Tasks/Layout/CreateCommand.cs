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

internal static class CreateCommand
{
    private static readonly Text Added = new("添加新命令成功", "The command was added");

    [Echoed("command_id", "creator", "create_time", "update_time")]
    internal sealed record Command(string? CommandName, [property: JsonPropertyName("command")] string? Line, string? Args, string? ForceHost)
        : IRequest<Result>;

    internal sealed record Result(long CommandId) : Answer(Added);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command.CommandName).Given();
            RuleFor(command => command.Line).Given();
            RuleFor(command => command.CommandName).AtMost(LibraryRules.MostName, "command_name");
            RuleFor(command => command.Line).AtMost(LibraryRules.MostText, "command");
            RuleFor(command => command.Args).AtMost(LibraryRules.MostText, "args");
            RuleFor(command => command.ForceHost).HostOrNothing("force_host");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, Caller caller) : IRequestHandler<Command, Result>
    {
        private const string AddSql = $"""
            WITH made AS (
                INSERT INTO tasks.scheduler_cmd_list (command_name, command, args, force_host, creator, creator_id)
                VALUES (@CommandName, @Line, @Args, @ForceHost, @Username, @UserId)
                ON CONFLICT (lower(command_name)) DO NOTHING
                RETURNING command_id AS id)
            {Audit.MadeLine}
            """;

        public async Task<Result> Handle(Command command, CancellationToken cancellationToken)
        {
            var (name, line, args, host) = (command.CommandName!, command.Line!, command.Args ?? "", (command.ForceHost ?? "").Trim());
            var parameters = Audit.Made(caller, "command", new { command_name = name, command = line, args, force_host = host });
            parameters.AddDynamicParams(new { CommandName = name, Line = line, Args = args, ForceHost = host });
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            return new Result(await connection.ExecuteScalarAsync<long?>(AddSql, parameters) ?? throw LibraryRules.NameIsTaken);
        }
    }
}
