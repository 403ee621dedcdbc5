using System.Globalization;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Risks;

/// <summary>Changes the fields of a high-risk rule that the request carries.</summary>
internal static class EditRiskRule
{
    [Echoed("creator", "create_time", "update_time")]
    internal sealed record Command(
        long? RuleId,
        string? Name,
        bool? Enabled,
        string? Kind,
        string? Pattern,
        string? Action,
        string? Reason,
        string? ReasonEn
    ) : IRequest<Answer>, IRiskRuleFields;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(rule => rule.RuleId).NotNull().Refuse("ID不能为空", "rule_id is missing");
            this.Fields();
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, Caller caller) : IRequestHandler<Command, Answer>
    {
        private const string LockSql = $"""
            SELECT {RiskRuleRow.Columns} FROM platform.risk_rule WHERE rule_id = @RuleId FOR UPDATE
            """;

        private const string UpdateSql = """
            UPDATE platform.risk_rule SET name = coalesce(@Name, name), enabled = coalesce(@Enabled, enabled), kind = coalesce(@Kind, kind),
                pattern = coalesce(@Pattern, pattern), action = coalesce(@Action, action), reason_zh = coalesce(@Reason, reason_zh),
                reason_en = coalesce(@ReasonEn, reason_en), update_time = clock_timestamp()
            WHERE rule_id = @RuleId
            """;

        public async Task<Answer> Handle(Command command, CancellationToken cancellationToken)
        {
            command = command with { Name = command.Name?.Trim() };
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var before = await connection.QuerySingleOrDefaultAsync<RiskRuleRow>(LockSql, command, transaction) ?? throw RiskRuleFields.NoSuchRule;
            RiskRuleFields.Demand(command.Kind ?? before.Kind, command.Pattern ?? before.Pattern, command.Action ?? before.Action);
            try
            {
                await connection.ExecuteAsync(UpdateSql, command, transaction);
            }
            catch (PostgresException error) when (error.SqlState == PostgresErrorCodes.UniqueViolation)
            {
                throw RiskRuleFields.NameIsTaken;
            }

            var after = await connection.QuerySingleAsync<RiskRuleRow>(LockSql, command, transaction);
            await RiskRules.Changed(connection, transaction);
            var id = before.RuleId.ToString(CultureInfo.InvariantCulture);
            await Audit.Write(connection, transaction, caller, "edit", "risk_rule", id, before, after);
            await transaction.CommitAsync(cancellationToken);
            return new Answer(Messages.Edited);
        }
    }
}
