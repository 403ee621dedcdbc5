using System.Globalization;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>Takes a rule away: orders that are accepted from now on need one approval by whoever has the right.</summary>
internal static class DeleteApprovalRule
{
    internal sealed record Command(long? RuleId) : IRequest<Answer>;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(rule => rule.RuleId).NotNull().Refuse("ID不能为空", "rule_id is missing");
    }

    internal sealed class Handler(NpgsqlDataSource source, Caller caller) : IRequestHandler<Command, Answer>
    {
        private const string DeleteSql = $"""
            DELETE FROM tasks.approval_rule r WHERE r.rule_id = @RuleId RETURNING {ListApprovalRules.Columns}
            """;

        public async Task<Answer> Handle(Command command, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var gone =
                await connection.QuerySingleOrDefaultAsync<ListApprovalRules.Row>(DeleteSql, command, transaction)
                ?? throw Refusal.NotFound("没有这条规则", "No such rule");
            var id = gone.RuleId.ToString(CultureInfo.InvariantCulture);
            await Audit.Write(connection, transaction, caller, "delete", "approval_rule", id, before: gone);
            await transaction.CommitAsync(cancellationToken);
            return new Answer(Messages.Deleted);
        }
    }
}
