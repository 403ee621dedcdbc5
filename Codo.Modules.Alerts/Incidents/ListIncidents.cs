using System.Text.Json.Serialization;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Alerts.Incidents;

/// <summary>Incidents that the caller may see, newest first.</summary>
internal static class ListIncidents
{
    internal sealed record Query(int? Page, int? Limit, long? Id, string? State, string? Source, string? Kind, string? Subject, long? ListId)
        : IRequest<Result>,
            IPaged;

    /// <param name="CountIsEstimate">There are more than 10,000 incidents, and no more were counted.</param>
    internal sealed record Result(List<IncidentView> Data, long Count, bool CountIsEstimate) : Answer(Messages.Fetched);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator()
        {
            this.Paged();
            RuleFor(query => query.State).OneOf("state", "open", "acknowledged", "resolved");
            RuleFor(query => query.Source).OneOf("source", "job", "order", "codo");
            RuleFor(query => query.Kind).OneOf("kind", [.. Rules.Matching.Kinds, "undeliverable"]);
        }
    }

    internal sealed class Handler(
        NpgsqlDataSource source,
        PublicAddress address,
        PagePositions positions,
        Access access,
        IEnumerable<IResourceReader> readers
    ) : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 15;

        private const string Where = $"""
            WHERE (CAST(@Id AS bigint) IS NULL OR m.id = @Id) AND (CAST(@State AS text) IS NULL OR m.state = @State) AND (CAST(@Source AS text) IS NULL
                OR m.source = @Source)
                AND (CAST(@Kind AS text) IS NULL OR m.kind = @Kind) AND (CAST(@Subject AS text) IS NULL OR m.subjects @> ARRAY[@Subject])
                    AND (CAST(@ListId AS bigint) IS NULL OR m.list_id = @ListId)
                AND {IncidentVisibility.Visible}
            """;

        private const string ListSql = $"""
            SELECT {IncidentView.Columns} FROM alerts.task_monitor m {Where} AND (CAST(@Before AS bigint) IS NULL OR m.id < @Before)
            ORDER BY m.id DESC LIMIT @Limit OFFSET @Offset
            """;

        private const string RowsSql = $"""
            SELECT FROM alerts.task_monitor m {Where}
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            var list = (request with { Page = null, Limit = null }).ToString();
            var place = new PagePositions.PageKey(access.Caller.UserId, "incidents " + list, request.Limit ?? DefaultLimit, request.Page ?? 1);
            var before = positions.Before<Last>(place)?.Id;
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var asked = new DynamicParameters(await IncidentVisibility.Parameters(connection, access, readers));
            asked.AddDynamicParams(new
            {
                request.Id,
                request.State,
                request.Source,
                request.Kind,
                request.Subject,
                request.ListId,
                place.Limit,
                Offset = before is null ? request.Offset(DefaultLimit) : 0,
                Before = before,
            });
            await using var transaction = await ListReading.Begin(connection, cancellationToken, withBitmaps: request.Subject is not null);
            var found = (await connection.QueryAsync<IncidentView.Row>(ListSql, asked, transaction)).AsList();
            if (found.Count == place.Limit) positions.Remember(place, new Last(found[^1].Id));
            var count = await ListReading.Count(connection, transaction, RowsSql, asked);
            await transaction.CommitAsync(cancellationToken);
            var rows = new List<IncidentView>(found.Count);
            foreach (var row in found)
                rows.Add(IncidentView.Of(row, address, await IncidentVisibility.MayActOn(access, row.SpaceId, row.ToldByName, row.ToldIds)));
            return new Result(rows, count.Rows, count.IsEstimate);
        }

        private sealed record Last(long Id);
    }
}

/// <summary>An incident as it is answered: the original's columns, and what an incident has beyond them.</summary>
/// <param name="CallStatus">0 nobody was told, 1 told, 2 could not be told.</param>
/// <param name="Ending">Empty until it is resolved, then how: <c>recovered</c>, <c>deleted</c> with its job, <c>ended</c> with its order, or by a
/// <c>person</c>.</param>
/// <param name="Url">The page for a phone.</param>
/// <param name="MayAct">Whether the caller was told of it or is an admin of its space, for pages.</param>
internal sealed record IncidentView(
    long Id,
    long? ListId,
    int CallLevel,
    string CallInfo,
    string CallStatus,
    string CallUsers,
    DateTime Ctime,
    string Source,
    string Kind,
    string Subject,
    string[] Subjects,
    string Fingerprint,
    string State,
    int Count,
    DateTime FirstTime,
    DateTime LastTime,
    Text Title,
    Text Detail,
    string Output,
    long? RuleId,
    long? SilenceId,
    string Acknowledger,
    DateTime? AcknowledgeTime,
    string Ending,
    string Resolver,
    DateTime? ResolveTime,
    string Url,
    [property: JsonIgnore] bool MayAct
)
{
    public const string Columns = """
        m.id, m.list_id, m.call_level, m.call_info, m.call_status, m.call_users, m.ctime, m.source, m.kind, m.subject, m.subjects, m.fingerprint, m.state,
            m.count, m.last_time, m.title_zh, m.title_en,
        m.detail_zh, m.detail_en, m.output, m.rule_id, m.silence_id, m.acknowledger, m.acknowledged_at, m.ending, m.resolver, m.resolved_at,
            m.space_id, m.told_by_name,
            m.told_ids
        """;

    public static IncidentView Of(Row row, PublicAddress address, bool mayAct) =>
        new(
            row.Id,
            row.ListId,
            row.CallLevel,
            row.CallInfo,
            $"{row.CallStatus}",
            row.CallUsers,
            row.Ctime,
            row.Source,
            row.Kind,
            row.Subject,
            row.Subjects,
            row.Fingerprint,
            row.State,
            row.Count,
            row.Ctime,
            row.LastTime,
            new Text(row.TitleZh, row.TitleEn),
            new Text(row.DetailZh, row.DetailEn),
            row.Output,
            row.RuleId,
            row.SilenceId,
            row.Acknowledger,
            row.AcknowledgedAt,
            row.Ending,
            row.Resolver,
            row.ResolvedAt,
            address.Incident(row.Id),
            mayAct
        );

    // With properties, because Dapper gives no array to a constructor.
    internal sealed record Row
    {
        public long Id { get; init; }
        public long? ListId { get; init; }
        public int CallLevel { get; init; }
        public string CallInfo { get; init; } = "";
        public short CallStatus { get; init; }
        public string CallUsers { get; init; } = "";
        public DateTime Ctime { get; init; }
        public string Source { get; init; } = "";
        public string Kind { get; init; } = "";
        public string Subject { get; init; } = "";
        public string[] Subjects { get; init; } = [];
        public string Fingerprint { get; init; } = "";
        public string State { get; init; } = "";
        public int Count { get; init; }
        public DateTime LastTime { get; init; }
        public string TitleZh { get; init; } = "";
        public string TitleEn { get; init; } = "";
        public string DetailZh { get; init; } = "";
        public string DetailEn { get; init; } = "";
        public string Output { get; init; } = "";
        public long? RuleId { get; init; }
        public long? SilenceId { get; init; }
        public string Acknowledger { get; init; } = "";
        public DateTime? AcknowledgedAt { get; init; }
        public string Ending { get; init; } = "";
        public string Resolver { get; init; } = "";
        public DateTime? ResolvedAt { get; init; }
        public long SpaceId { get; init; }
        public string[] ToldByName { get; init; } = [];
        public long[] ToldIds { get; init; } = [];
    }
}
