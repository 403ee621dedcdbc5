using System.Globalization;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>Sets what the orders of a template, or of all templates of a space, need before they start. Orders that wait keep what they had.</summary>
internal static class SetApprovalRule
{
    /// <param name="Approvals">0 is as without a rule.</param>
    /// <param name="TeamId">Only members of this team; absent is whoever has the right to approve.</param>
    /// <param name="NotSubmitter">Default true when <paramref name="Approvals"/> is above 0.</param>
    /// <param name="NotEditor">Not whoever last edited the template.</param>
    /// <param name="ValidHours">Hours that an approval counts; absent is for good.</param>
    internal sealed record Command(
        long? TempId,
        long? SpaceId,
        int? Approvals,
        long? TeamId,
        bool? NotSubmitter,
        bool? NotEditor,
        int? ValidHours,
        bool? ReasonRequired
    ) : IRequest<Result>;

    internal sealed record Result(long RuleId) : Answer(Messages.Edited);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(rule => rule)
                .Must(rule => rule.TempId is null != rule.SpaceId is null)
                .Refuse("temp_id 和 space_id 必须填一个，且只填一个", "Give temp_id or space_id, and only one of them");
            RuleFor(rule => rule.Approvals).NotNull().Refuse("approvals 不能为空", "approvals is required");
            RuleFor(rule => rule.Approvals).Within(0, 20, "approvals");
            RuleFor(rule => rule.ValidHours).Within(1, 8760, "valid_hours");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, TeamDirectory teams, Caller caller) : IRequestHandler<Command, Result>
    {
        private const string TemplateSql = """
            SELECT temp_id FROM tasks.scheduler_temp_list WHERE temp_id = @TempId FOR KEY SHARE
            """;

        // A team that is being deleted has looked for rules that name it.
        private const string TeamSql = """
            SELECT true FROM accounts.team WHERE team_id = @TeamId FOR KEY SHARE
            """;

        private const string OldSql = $"""
            SELECT {ListApprovalRules.Columns} FROM tasks.approval_rule r WHERE r.temp_id = CAST(@TempId AS bigint) OR r.space_id = CAST(@SpaceId AS bigint)
                FOR UPDATE
            """;

        private const string DeleteSql = """
            DELETE FROM tasks.approval_rule WHERE temp_id = CAST(@TempId AS bigint) OR space_id = CAST(@SpaceId AS bigint)
            """;

        private const string InsertSql = """
            INSERT INTO tasks.approval_rule (temp_id, space_id, approvals, team_id, not_submitter, not_editor, valid_hours, reason_required)
            VALUES (@TempId, @SpaceId, @Approvals, @TeamId, @NotSubmitter, @NotEditor, @ValidHours, @ReasonRequired) RETURNING rule_id
            """;

        public async Task<Result> Handle(Command command, CancellationToken cancellationToken)
        {
            if (command.TeamId is { } team && teams.NameOf(team) is null)
                throw Refusal.NotFound($"团队 {team} 不存在", $"There is no team {team}");
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            if (command.TempId is not null && await connection.ExecuteScalarAsync<long?>(TemplateSql, command, transaction) is null)
                throw Refusal.NotFound("模板不存在", "No such template");
            if (command.TeamId is { } named && !await connection.ExecuteScalarAsync<bool>(TeamSql, command, transaction))
                throw Refusal.NotFound($"团队 {named} 不存在", $"There is no team {named}");
            var before = await connection.QuerySingleOrDefaultAsync<ListApprovalRules.Row>(OldSql, command, transaction);
            var rule = new
            {
                command.TempId,
                command.SpaceId,
                Approvals = command.Approvals!.Value,
                command.TeamId,
                NotSubmitter = command.NotSubmitter ?? command.Approvals > 0,
                NotEditor = command.NotEditor ?? false,
                command.ValidHours,
                ReasonRequired = command.ReasonRequired ?? false,
            };
            await connection.ExecuteAsync(DeleteSql, command, transaction);
            var id = await connection.ExecuteScalarAsync<long>(InsertSql, rule, transaction);
            await Audit.Write(connection, transaction, caller, "edit", "approval_rule", id.ToString(CultureInfo.InvariantCulture), before, rule);
            await transaction.CommitAsync(cancellationToken);
            return new Result(id);
        }
    }
}
