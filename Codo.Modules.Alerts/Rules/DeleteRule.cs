using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Alerts.Rules;

/// <summary>Deletes a rule, the default one too: what no rule fits raises nothing.</summary>
internal static class DeleteRule
{
    internal sealed record Command(long? RuleId) : IRequest<Answer>;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(rule => rule.RuleId).NotNull().Refuse("ID不能为空", "rule_id is missing");
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Command, Answer>
    {
        private const string DeleteSql = $"""
            DELETE FROM alerts.rule WHERE rule_id = @RuleId RETURNING {ListRules.Columns}
            """;

        public async Task<Answer> Handle(Command request, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var rule = await AlertAccess.Demand(access, Verbs.Edit, await AlertAccess.Rule(connection, request.RuleId!.Value));
            var gone = await connection.QuerySingleOrDefaultAsync<ListRules.Row>(DeleteSql, new { request.RuleId }, transaction) ?? throw RuleFields.NoSuchId;
            await ObjectGrants.Forget(connection, transaction, access.Caller, rule.Kind, rule.Id);
            await Audit.Write(connection, transaction, access.Caller, "delete", "alert_rule", $"{request.RuleId}", before: gone);
            await transaction.CommitAsync(cancellationToken);
            return new Answer(Messages.Deleted);
        }
    }
}
