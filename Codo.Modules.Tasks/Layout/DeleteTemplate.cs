using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>
/// Takes a template away with its steps, groups and users. Orders that were made from it have copies of all they need and stay. For 30 days it can be brought
/// back (<see cref="UndeleteTemplate"/>).
/// </summary>
internal static class DeleteTemplate
{
    internal sealed record Command(long? TempId) : IRequest<Answer>;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(command => command.TempId).NotNull().Refuse("不能为空", "The template's id is missing");
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Command, Answer>
    {
        // An older one with its number is no longer to be brought back.
        private const string KeepSql = """
            DELETE FROM tasks.deleted_template WHERE temp_id = @TempId;
            INSERT INTO tasks.deleted_template (temp_id, temp_name, space_id, version, by_id, by_name, creator, creator_id, editor_id, create_time, declared,
                steps, groups, users, rules)
            SELECT t.temp_id, t.temp_name, t.space_id, t.version, @UserId, @Nickname, t.creator, t.creator_id, t.editor_id, t.create_time, t.declared,
                (SELECT COALESCE(jsonb_agg(to_jsonb(d) ORDER BY d.id), '[]') FROM tasks.scheduler_temp_details d WHERE d.temp_id = t.temp_id),
                (SELECT COALESCE(jsonb_agg(to_jsonb(g)), '[]') FROM tasks.scheduler_temp_group g WHERE g.temp_id = t.temp_id),
                (SELECT COALESCE(jsonb_agg(to_jsonb(u) ORDER BY u.id), '[]') FROM tasks.scheduler_temp_user u WHERE u.temp_id = t.temp_id),
                (SELECT COALESCE(jsonb_agg(to_jsonb(r)), '[]') FROM tasks.approval_rule r WHERE r.temp_id = t.temp_id)
            FROM tasks.scheduler_temp_list t WHERE t.temp_id = @TempId
            """;

        private const string RemoveSql = """
            DELETE FROM tasks.scheduler_temp_list WHERE temp_id = @TempId
            """;

        public async Task<Answer> Handle(Command command, CancellationToken cancellationToken)
        {
            var id = command.TempId!.Value;
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var (name, resource, _) = await TemplateRight.LockForEdit(connection, transaction, access, id);
            var content = await TemplateContent.Read(connection, transaction, id);
            await TemplateVersions.Keep(connection, transaction, id, null);
            await connection.ExecuteAsync(KeepSql, new { command.TempId, access.Caller.UserId, access.Caller.Nickname }, transaction);
            await connection.ExecuteAsync(RemoveSql, new { command.TempId }, transaction);
            await ObjectGrants.Forget(connection, transaction, access.Caller, resource.Kind, resource.Id);
            await Audit.Write(
                connection,
                transaction,
                access.Caller,
                "delete",
                "template",
                $"{id}",
                before: new
                {
                    temp_name = name,
                    content.Steps,
                    content.Groups,
                    content.Users,
                }
            );
            await transaction.CommitAsync(cancellationToken);
            return new Answer(Messages.Deleted);
        }
    }
}
