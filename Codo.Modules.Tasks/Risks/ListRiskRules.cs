using Codo.Platform.Http;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Risks;

/// <summary>High-risk rules by name.</summary>
internal static class ListRiskRules
{
    internal sealed record Query(int? Page, int? Limit, long? RuleId) : IRequest<Result>, IPaged;

    internal sealed record Result(IReadOnlyList<RiskRuleRow> Data, long Count) : Answer(Messages.Fetched);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => this.Paged();
    }

    internal sealed class Handler(NpgsqlDataSource source) : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 100;

        private const string PageSql = $"""
            SELECT {RiskRuleRow.Columns} FROM platform.risk_rule WHERE CAST(@RuleId AS bigint) IS NULL OR rule_id = @RuleId
            ORDER BY name LIMIT @Limit OFFSET @Offset
            """;

        private const string CountSql = """
            SELECT count(*) FROM platform.risk_rule WHERE CAST(@RuleId AS bigint) IS NULL OR rule_id = @RuleId
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            var asked = new { query.RuleId, Limit = query.Limit ?? DefaultLimit, Offset = query.Offset(DefaultLimit) };
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var rules = (await connection.QueryAsync<RiskRuleRow>(PageSql, asked)).AsList();
            return new Result(rules, await connection.ExecuteScalarAsync<long>(CountSql, asked));
        }
    }
}
