using System.Globalization;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Risks;

/// <summary>Makes a high-risk rule. It holds at once, on every node, for what is made, started and fired from now on.</summary>
internal static class CreateRiskRule
{
    internal sealed record Command(string? Name, bool? Enabled, string? Kind, string? Pattern, string? Action, string? Reason, string? ReasonEn)
        : IRequest<Result>,
            IRiskRuleFields;

    internal sealed record Result(long RuleId) : Answer(Messages.Added);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(rule => rule.Name).NotNull().Refuse("名称不能为空", "The name is missing");
            RuleFor(rule => rule.Pattern).Must(pattern => !string.IsNullOrWhiteSpace(pattern)).Refuse("pattern 不能为空", "pattern is missing");
            this.Fields();
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, Caller caller) : IRequestHandler<Command, Result>
    {
        private const string InsertSql = """
            INSERT INTO platform.risk_rule (name, enabled, kind, pattern, action, reason_zh, reason_en, creator_id, creator)
            VALUES (@Name, @Enabled, @Kind, @Pattern, @Action, @Reason, @ReasonEn, @CreatorId, @Creator) ON CONFLICT (name) DO NOTHING RETURNING rule_id
            """;

        public async Task<Result> Handle(Command command, CancellationToken cancellationToken)
        {
            var rule = new
            {
                Name = command.Name!.Trim(),
                Enabled = command.Enabled ?? true,
                Kind = command.Kind ?? "regex",
                Pattern = command.Pattern!,
                Action = command.Action ?? "warn",
                Reason = command.Reason ?? command.ReasonEn ?? "",
                ReasonEn = command.ReasonEn ?? command.Reason ?? "",
                CreatorId = caller.UserId,
                Creator = caller.Nickname,
            };
            RiskRuleFields.Demand(rule.Kind, rule.Pattern, rule.Action);
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var id = await connection.ExecuteScalarAsync<long?>(InsertSql, rule, transaction) ?? throw RiskRuleFields.NameIsTaken;
            await RiskRules.Changed(connection, transaction);
            await Audit.Write(connection, transaction, caller, "create", "risk_rule", id.ToString(CultureInfo.InvariantCulture), after: rule);
            await transaction.CommitAsync(cancellationToken);
            return new Result(id);
        }
    }
}
