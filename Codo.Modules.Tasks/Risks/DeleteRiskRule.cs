using System.Globalization;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Risks;

/// <summary>Deletes a high-risk rule, a default one too.</summary>
internal static class DeleteRiskRule
{
    internal sealed record Command(long? RuleId) : IRequest<Answer>;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(rule => rule.RuleId).NotNull().Refuse("ID不能为空", "rule_id is missing");
    }

    internal sealed class Handler(NpgsqlDataSource source, Caller caller) : IRequestHandler<Command, Answer>
    {
        private const string DeleteSql = $"""
            DELETE FROM platform.risk_rule WHERE rule_id = @RuleId RETURNING {RiskRuleRow.Columns}
            """;

        public async Task<Answer> Handle(Command command, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var gone = await connection.QuerySingleOrDefaultAsync<RiskRuleRow>(DeleteSql, command, transaction) ?? throw RiskRuleFields.NoSuchRule;
            await RiskRules.Changed(connection, transaction);
            var id = gone.RuleId.ToString(CultureInfo.InvariantCulture);
            await Audit.Write(connection, transaction, caller, "delete", "risk_rule", id, before: gone);
            await transaction.CommitAsync(cancellationToken);
            return new Answer(Messages.Deleted);
        }
    }
}
