using System.Globalization;
using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>
/// Brings a deleted template back under its number, with its steps, groups, users, approval rule and versions. Grants on the template itself have ended with
/// it.
/// </summary>
internal static class UndeleteTemplate
{
    /// <param name="TempName">Another name, where its own is taken by now; absent, its own.</param>
    /// <param name="Space">Another space; needed where its own was deleted meanwhile. Absent, its own.</param>
    internal sealed record Command(long? TempId, string? TempName, string? Space) : IRequest<Result>;

    /// <param name="Warnings">What it needs before an order is made of it.</param>
    internal sealed record Result(long TempId, string TempName, int Version, IReadOnlyList<Text> Warnings)
        : Answer(new Text($"模板「{TempName}」已恢复", $"The template {TempName} is back"));

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command.TempId).TemplateGiven();
            RuleFor(command => command.TempName)
                .Must(name => name is null || !string.IsNullOrWhiteSpace(name))
                .Refuse("编排模板名称不能为空", "The template's name is empty");
            RuleFor(command => command.TempName).AtMost(LibraryRules.MostName, "temp_name");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, RunAsRule rule, Access access) : IRequestHandler<Command, Result>
    {
        private const string LockSql = """
            SELECT d.temp_name, d.space_id, d.creator_id, NOT EXISTS (SELECT FROM accounts.space s WHERE s.space_id = d.space_id) AS space_is_gone,
                ARRAY(SELECT CAST(u #>> '{}' AS bigint) FROM jsonb_path_query(d.users, '$[*].user_id ? (@.type() == "number")') AS u) AS users
            FROM tasks.deleted_template d WHERE d.temp_id = @TempId AND d.deleted_at > clock_timestamp() - make_interval(days => @Days)
            FOR UPDATE
            """;

        private const string TemplateSql = """
            INSERT INTO tasks.scheduler_temp_list (temp_id, temp_name, creator, creator_id, create_time, space_id, editor_id, declared, version)
            SELECT d.temp_id, @TempName, d.creator, d.creator_id, d.create_time, CAST(@SpaceId AS bigint), d.editor_id, d.declared, d.version
            FROM tasks.deleted_template d WHERE d.temp_id = @TempId
            ON CONFLICT DO NOTHING RETURNING version
            """;

        // Rows that were deleted before a column came lack it.
        private const string ContentSql = $"""
            INSERT INTO tasks.scheduler_temp_details (id, temp_id, {TemplateColumns.Step}, creator, creator_id, update_time)
            SELECT s.id, d.temp_id, {TemplateColumns.Step}, s.creator, s.creator_id, s.update_time
            FROM tasks.deleted_template d CROSS JOIN jsonb_array_elements(d.steps) AS kept
                CROSS JOIN jsonb_populate_record(CAST(NULL AS tasks.scheduler_temp_details), jsonb_build_object('node_selector', '') || kept) AS s
            WHERE d.temp_id = @TempId;
            INSERT INTO tasks.scheduler_temp_group (temp_id, {TemplateColumns.Group})
            SELECT d.temp_id, {TemplateColumns.Group}
            FROM tasks.deleted_template d CROSS JOIN jsonb_populate_recordset(CAST(NULL AS tasks.scheduler_temp_group), d.groups) AS g
            WHERE d.temp_id = @TempId;
            INSERT INTO tasks.scheduler_temp_user (temp_id, user_id, nickname)
            SELECT d.temp_id, u.user_id, u.nickname
            FROM tasks.deleted_template d CROSS JOIN jsonb_populate_recordset(CAST(NULL AS tasks.scheduler_temp_user), d.users) AS u
            WHERE d.temp_id = @TempId ORDER BY u.id;
            INSERT INTO tasks.approval_rule (temp_id, approvals, team_id, not_submitter, not_editor, valid_hours, reason_required)
            SELECT d.temp_id, r.approvals, r.team_id, r.not_submitter, r.not_editor, r.valid_hours, r.reason_required
            FROM tasks.deleted_template d CROSS JOIN jsonb_populate_recordset(CAST(NULL AS tasks.approval_rule), d.rules) AS r
            WHERE d.temp_id = @TempId;
            DELETE FROM tasks.deleted_template WHERE temp_id = @TempId
            """;

        private const string RuleSql = """
            SELECT team_id FROM tasks.approval_rule WHERE temp_id = @TempId
            """;

        // Waits for a deletion of the team that is under way: it has not seen the rule that comes back here.
        private const string TeamSql = """
            SELECT true FROM accounts.team WHERE team_id = @TeamId FOR KEY SHARE
            """;

        public async Task<Result> Handle(Command command, CancellationToken cancellationToken)
        {
            var id = command.TempId!.Value;
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var asked = new { TempId = id, Days = RetentionGuard.DeletedDays };
            var deleted = await connection.QuerySingleOrDefaultAsync<Deleted>(LockSql, asked, transaction) ?? throw Gone(id);
            var resource = new Resource(ResourceKind.Template, id.ToString(CultureInfo.InvariantCulture), deleted.SpaceId)
            {
                People = deleted.Users,
                Creator = deleted.CreatorId,
            };
            await access.Demand(Verbs.Edit, resource, Gone(id));
            var space = await access.SpaceForReturn(resource, command.Space, deleted.SpaceIsGone);
            var name = command.TempName?.Trim() ?? deleted.TempName;
            var version = await connection.ExecuteScalarAsync<int?>(TemplateSql, new { TempId = id, TempName = name, SpaceId = space }, transaction)
                ?? throw Refusal.Conflict(
                    $"名称「{name}」已被另一个模板使用；可用 temp_name 指定新名称",
                    $"There is another template {name} by now; temp_name gives this one another name",
                    -2
                );
            await connection.ExecuteAsync(ContentSql, new { TempId = id }, transaction);
            var steps = (await TemplateContent.Read(connection, transaction, id)).Steps;
            // Undeleting makes these steps usable again: as Codo's own user only a superuser may do that.
            foreach (var runAs in steps.Select(step => step.RunAs).Distinct(StringComparer.Ordinal))
                await rule.MayChange(connection, transaction, access.Caller, runAs);
            if (space != deleted.SpaceId)
            {
                // What the template brings along must be usable where it goes.
                await ExecuteUserRight.Demand(connection, transaction, access, [.. steps.Select(step => step.ExecUser).Distinct()], isNew: false, space);
                version = await TemplateVersions.Keep(connection, transaction, id, access.Caller);
            }
            var warnings = await Warnings(connection, transaction, id);
            var after = new { temp_name = name, version, space = access.NameOf(space) };
            await Audit.Write(connection, transaction, access.Caller, "undelete", "template", $"{id}", after: after);
            await transaction.CommitAsync(cancellationToken);
            return new Result(id, name, version, warnings);
        }

        // The rules of deleted templates keep no team from being deleted.
        private static async Task<IReadOnlyList<Text>> Warnings(NpgsqlConnection connection, NpgsqlTransaction transaction, long id)
        {
            if (await connection.ExecuteScalarAsync<long?>(RuleSql, new { TempId = id }, transaction) is not { } team) return [];
            if (await connection.ExecuteScalarAsync<bool>(TeamSql, new { TeamId = team }, transaction)) return [];
            return
            [
                new Text(
                    "负责审批的团队已删除；提交订单前请设置 /v2/task/approval/rule/",
                    "The team that approves is gone; set /v2/task/approval/rule/ before an order is made"
                ),
            ];
        }

        private static Refusal Gone(long id) =>
            Refusal.NotFound(
                $"没有可恢复的模板 {id}（删除后保留 {RetentionGuard.DeletedDays} 天）",
                $"There is no deleted template {id} to bring back (kept for {RetentionGuard.DeletedDays} days)"
            );

        // With properties, because Dapper gives no array to a constructor.
        private sealed class Deleted
        {
            public string TempName { get; init; } = "";
            public long SpaceId { get; init; }
            public bool SpaceIsGone { get; init; }
            public long CreatorId { get; init; }
            public long[] Users { get; init; } = [];
        }
    }
}
