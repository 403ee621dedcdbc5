using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

internal static class CreateTemplate
{
    private static readonly Text Added = new("模板创建成功，可以对此模板进行编辑了", "The template was made and can be edited now");

    /// <param name="TempId">The number that it is to have, from a superuser: an import keeps those that hooks hold. Absent, the next one.</param>
    internal sealed record Command(string? TempName, string? Space, long? TempId) : IRequest<Result>;

    internal sealed record Result(long TempId) : Answer(Added);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command.TempName)
                .Must(name => !string.IsNullOrWhiteSpace(name))
                .Refuse("编排模板名称不能为空", "The template's name is missing");
            RuleFor(command => command.TempName).AtMost(LibraryRules.MostName, "temp_name");
            RuleFor(command => command.TempId)
                .Must(id => id is null or (> 0 and <= int.MaxValue))
                .Refuse("temp_id 必须是正整数", "temp_id must be a positive number");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Command, Result>
    {
        private const string AddSql = """
            INSERT INTO tasks.scheduler_temp_list (temp_id, temp_name, creator, creator_id, space_id)
            VALUES (coalesce(CAST(@TempId AS bigint), nextval(pg_get_serial_sequence('tasks.scheduler_temp_list', 'temp_id'))), @TempName, @Username, @UserId,
                @SpaceId)
            ON CONFLICT DO NOTHING
            RETURNING temp_id
            """;

        // A deleted template of that number cannot come back any more, and its versions are not the new one's.
        private const string ForgetSql = """
            WITH d AS (DELETE FROM tasks.deleted_template WHERE temp_id = @TempId)
            DELETE FROM tasks.template_version WHERE temp_id = @TempId AND NOT EXISTS (SELECT FROM tasks.scheduler_temp_list t WHERE t.temp_id = @TempId)
            """;

        // The sequence goes on behind a number that was given.
        private const string SkipSql = """
            SELECT setval(s.name, greatest(nextval(s.name), CAST(@TempId AS bigint)))
            FROM (SELECT CAST(pg_get_serial_sequence('tasks.scheduler_temp_list', 'temp_id') AS regclass) AS name) s
            """;

        public async Task<Result> Handle(Command command, CancellationToken cancellationToken)
        {
            if (command.TempId is not null && !access.Caller.IsSuperuser)
                throw Refusal.Forbidden("只有超级用户可以指定 temp_id", "Only superusers choose a temp_id");
            command = command with { TempName = command.TempName!.Trim() };
            var (caller, space) = (access.Caller, await access.SpaceForNew(ResourceKind.Template, command.Space));
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var asked = new { command.TempId, command.TempName, caller.Username, caller.UserId, SpaceId = space };
            if (command.TempId is not null)
            {
                await connection.ExecuteAsync(ForgetSql, asked, transaction);
                await connection.ExecuteAsync(SkipSql, asked, transaction);
            }
            var id =
                await connection.ExecuteScalarAsync<long?>(AddSql, asked, transaction)
                ?? throw Refusal.Conflict("模板已存在", "The template exists already", -2);
            await TemplateVersions.Keep(connection, transaction, id, caller);
            await Audit.Write(connection, transaction, caller, "create", "template", $"{id}", after: command);
            await transaction.CommitAsync(cancellationToken);
            return new Result(id);
        }
    }
}
