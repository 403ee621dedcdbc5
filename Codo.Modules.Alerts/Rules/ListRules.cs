using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Alerts.Rules;

/// <summary>Rules in the order in which they are asked.</summary>
internal static class ListRules
{
    internal sealed record Query(int? Page, int? Limit, long? RuleId) : IRequest<Result>, IPaged;

    internal sealed record Result(List<View> Data, long Count) : Answer(Messages.Fetched);

    internal sealed record View(
        long RuleId,
        string Name,
        bool Enabled,
        int Priority,
        string Source,
        string[] Kinds,
        string Subject,
        int Failures,
        int? WaitsAfter,
        int? RunsAfter,
        bool Involved,
        string[] People,
        JsonNode Escalation,
        int EscalateAfter,
        int RepeatAfter,
        long[] Channels,
        string Creator,
        DateTime CreateTime,
        DateTime UpdateTime,
        string Space,
        [property: JsonIgnore] long SpaceId
    );

    public const string Columns = $"{Rule.Columns}, name, enabled, priority, creator, create_time, update_time";

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => this.Paged();
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 15;

        private const string Where =
            "(@SeesAll OR space_id = ANY(@Spaces) OR rule_id = ANY(@Objects)) AND (CAST(@RuleId AS bigint) IS NULL OR rule_id = @RuleId)";

        private const string ListSql = $"""
            SELECT {Columns} FROM alerts.rule WHERE {Where} ORDER BY priority DESC,
                rule_id DESC LIMIT @Limit OFFSET @Offset;
            """;

        private const string CountSql = $"""
            SELECT count(*) FROM alerts.rule WHERE {Where}
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            var sight = access.Sees(ResourceKind.Rule);
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var both = await connection.QueryMultipleAsync(
                ListSql + CountSql,
                new
                {
                    request.RuleId,
                    SeesAll = sight.All,
                    sight.Spaces,
                    Objects = sight.Numbers,
                    Limit = request.Limit ?? DefaultLimit,
                    Offset = request.Offset(DefaultLimit),
                }
            );
            var rules = (await both.ReadAsync<Row>())
                .Select(row => new View(
                    row.RuleId,
                    row.Name,
                    row.Enabled,
                    row.Priority,
                    row.Source,
                    row.Kinds,
                    row.Subject,
                    row.Failures,
                    row.WaitsAfter,
                    row.RunsAfter,
                    row.Involved,
                    row.People,
                    JsonNode.Parse(row.Escalation)!,
                    row.EscalateAfter,
                    row.RepeatAfter,
                    row.Channels,
                    row.Creator,
                    row.CreateTime,
                    row.UpdateTime,
                    access.NameOf(row.SpaceId),
                    row.SpaceId
                ))
                .ToList();
            return new Result(rules, await both.ReadSingleAsync<long>());
        }
    }

    // With properties, because Dapper gives no array to a constructor.
    internal sealed record Row
    {
        public long RuleId { get; init; }
        public string Name { get; init; } = "";
        public bool Enabled { get; init; }
        public int Priority { get; init; }
        public string Source { get; init; } = "";
        public string[] Kinds { get; init; } = [];
        public string Subject { get; init; } = "";
        public int Failures { get; init; }
        public int? WaitsAfter { get; init; }
        public int? RunsAfter { get; init; }
        public bool Involved { get; init; }
        public string[] People { get; init; } = [];
        public string Escalation { get; init; } = "[]";
        public int EscalateAfter { get; init; }
        public int RepeatAfter { get; init; }
        public long[] Channels { get; init; } = [];
        public string Creator { get; init; } = "";
        public DateTime CreateTime { get; init; }
        public DateTime UpdateTime { get; init; }
        public long SpaceId { get; init; }
    }
}
