using System.Text.Json;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Alerts.Rules;

/// <summary>Changes the fields that the request carries. Incidents that are open go on under the rule as it is now.</summary>
internal static class EditRule
{
    [Echoed("creator", "create_time", "update_time")]
    internal sealed record Command(
        long? RuleId,
        string? Name,
        bool? Enabled,
        int? Priority,
        string? Source,
        string[]? Kinds,
        string? Subject,
        int? Failures,
        int? WaitsAfter,
        int? RunsAfter,
        bool? Involved,
        string[]? People,
        string[][]? Escalation,
        int? EscalateAfter,
        int? RepeatAfter,
        long[]? Channels,
        string? Space = null
    ) : IRequest<Answer>, IRuleFields;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(rule => rule.RuleId).NotNull().Refuse("ID不能为空", "rule_id is missing");
            this.Fields();
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Command, Answer>
    {
        private const string LockSql = $"""
            SELECT {ListRules.Columns} FROM alerts.rule WHERE rule_id = @RuleId FOR UPDATE
            """;

        private const string UpdateSql = """
            UPDATE alerts.rule SET name = coalesce(@Name, name), enabled = coalesce(@Enabled, enabled), priority = coalesce(@Priority, priority),
                source = coalesce(@Source, source),
                kinds = coalesce(@Kinds, kinds), subject = coalesce(@Subject, subject), failures = coalesce(@Failures, failures),
                waits_after = CASE WHEN CAST(@WaitsAfter AS int) IS NULL THEN waits_after ELSE nullif(@WaitsAfter, 0) END,
                runs_after = CASE WHEN CAST(@RunsAfter AS int) IS NULL THEN runs_after ELSE nullif(@RunsAfter, 0) END,
                involved = coalesce(@Involved, involved), people = coalesce(@People, people), escalation = coalesce(CAST(@Escalation AS jsonb), escalation),
                escalate_after = coalesce(@EscalateAfter, escalate_after), repeat_after = coalesce(@RepeatAfter, repeat_after),
                    channels = coalesce(@Channels, channels), space_id = @SpaceId, update_time = now()
            WHERE rule_id = @RuleId
            """;

        public async Task<Answer> Handle(Command request, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var id = request.RuleId!.Value;
            await AlertAccess.Demand(access, Verbs.Edit, await AlertAccess.Rule(connection, id));
            var before = await connection.QuerySingleOrDefaultAsync<ListRules.Row>(LockSql, new { request.RuleId }, transaction) ?? throw RuleFields.NoSuchId;
            // Asked again under the lock: somebody may have moved the rule meanwhile, and it must not go back to where it was.
            var rule = await AlertAccess.Demand(access, Verbs.Edit, await AlertAccess.Rule(connection, id));
            var (caller, space) = (access.Caller, await access.SpaceFor(rule, request.Space));
            await RuleFields.DemandChannels(connection, transaction, request.Channels ?? (space == rule.Space ? null : before.Channels), space);
            try
            {
                await connection.ExecuteAsync(UpdateSql, new
                {
                    request.RuleId,
                    request.Name,
                    request.Enabled,
                    request.Priority,
                    request.Source,
                    request.Kinds,
                    Subject = RuleFields.SubjectOf(request.Subject),
                    request.Failures,
                    request.WaitsAfter,
                    request.RunsAfter,
                    request.Involved,
                    request.People,
                    Escalation = request.Escalation is null ? null : JsonSerializer.Serialize(request.Escalation),
                    request.EscalateAfter,
                    request.RepeatAfter,
                    request.Channels,
                    SpaceId = space,
                }, transaction);
            }
            catch (PostgresException error) when (error.SqlState == PostgresErrorCodes.UniqueViolation)
            {
                throw RuleFields.NameIsTaken;
            }
            var after = await connection.QuerySingleAsync<ListRules.Row>(LockSql, new { request.RuleId }, transaction);
            await Audit.Write(connection, transaction, caller, "edit", "alert_rule", $"{request.RuleId}", before, after);
            await transaction.CommitAsync(cancellationToken);
            return new Answer(Messages.Edited);
        }
    }
}
