using Codo.Modules.Tasks.Layout;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>What orders need before they start, by template and space, as far as the caller sees these.</summary>
internal static class ListApprovalRules
{
    internal sealed record Query(int? Page, int? Limit, long? TempId, long? SpaceId) : IRequest<Result>, IPaged;

    internal sealed record Result(IReadOnlyList<Row> Data, long Count) : Answer(Messages.Fetched);

    internal sealed record Row
    {
        public long RuleId { get; init; }
        public long? TempId { get; init; }
        public string? TempName { get; init; }
        public long? SpaceId { get; init; }
        public int Approvals { get; init; }
        public long? TeamId { get; init; }
        public string TeamName { get; init; } = "";
        public bool NotSubmitter { get; init; }
        public bool NotEditor { get; init; }
        public int? ValidHours { get; init; }
        public bool ReasonRequired { get; init; }
        public DateTime UpdateTime { get; init; }
    }

    public const string Columns = """
        r.rule_id, r.temp_id, (SELECT t.temp_name FROM tasks.scheduler_temp_list t WHERE t.temp_id = r.temp_id) AS temp_name, r.space_id, r.approvals,
        r.team_id, r.not_submitter, r.not_editor, r.valid_hours, r.reason_required, r.update_time
        """;

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => this.Paged();
    }

    internal sealed class Handler(NpgsqlDataSource source, TeamDirectory teams, Access access) : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 100;

        private const string Seen = $"""
            tasks.approval_rule r LEFT JOIN tasks.scheduler_temp_list t ON t.temp_id = r.temp_id
            WHERE (CAST(@TempId AS bigint) IS NULL OR r.temp_id = @TempId) AND (CAST(@SpaceId AS bigint) IS NULL OR r.space_id = @SpaceId)
                AND (r.space_id = ANY(@SeenSpaces) OR {TemplateRight.Visible})
            """;

        private const string PageSql = $"""
            SELECT {Columns} FROM {Seen} ORDER BY r.rule_id LIMIT @Limit OFFSET @Offset
            """;

        private const string CountSql = $"""
            SELECT count(*) FROM {Seen}
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            var asked = new DynamicParameters(TemplateRight.Parameters(access));
            asked.AddDynamicParams(
                new
                {
                    query.TempId,
                    query.SpaceId,
                    SeenSpaces = access.Rules.Spaces.Keys.Where(access.SeesSpace).ToArray(),
                    Limit = query.Limit ?? DefaultLimit,
                    Offset = query.Offset(DefaultLimit),
                }
            );
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var rules = (await connection.QueryAsync<Row>(PageSql, asked)).Select(row =>
                row.TeamId is { } team ? row with { TeamName = teams.NameOf(team) ?? $"#{team}" } : row
            );
            return new Result([.. rules], await connection.ExecuteScalarAsync<long>(CountSql, asked));
        }
    }
}
