using Codo.Modules.Alerts.Incidents;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Alerts.Channels;

/// <summary>
/// What was sent, when, to whom, and, for superusers, who see the channels, what came back; newest first. Those of an incident for those who may see it;
/// digests and tests for superusers.
/// </summary>
internal static class ListDeliveries
{
    internal sealed record Query(int? Page, int? Limit, long? IncidentId, long? ChannelId, string? State, string? Reason) : IRequest<Result>, IPaged;

    /// <param name="CountIsEstimate">There are more than 10,000 deliveries, and no more were counted.</param>
    internal sealed record Result(List<View> Data, long Count, bool CountIsEstimate) : Answer(Messages.Fetched);

    // With properties, because Dapper gives no array to a constructor.
    internal sealed record View
    {
        public long DeliveryId { get; init; }
        public long? IncidentId { get; init; }
        public long ChannelId { get; init; }
        public string ChannelName { get; init; } = "";
        public string Reason { get; init; } = "";
        public string[] People { get; init; } = [];
        public string State { get; init; } = "";
        public int Attempts { get; init; }
        public DateTime CreateTime { get; init; }
        public DateTime? StartedAt { get; init; }
        public DateTime? EndedAt { get; init; }
        public string Answer { get; init; } = "";
        public long? DigestId { get; init; }
    }

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator()
        {
            this.Paged();
            RuleFor(query => query.State).OneOf("state", "due", "sending", "sent", "failed", "held", "digested");
            RuleFor(query => query.Reason).OneOf("reason", "opened", "repeated", "escalated", "recovered", "digest", "test");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, PagePositions positions, Access access, IEnumerable<IResourceReader> readers)
        : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 15;

        private const string From = $"""
            FROM alerts.delivery d LEFT JOIN alerts.task_monitor m ON m.id = d.incident_id
            WHERE (CAST(@IncidentId AS bigint) IS NULL OR d.incident_id = @IncidentId) AND (CAST(@ChannelId AS bigint) IS NULL OR d.channel_id = @ChannelId)
                AND (CAST(@State AS text) IS NULL OR d.state = @State) AND (CAST(@Reason AS text) IS NULL OR d.reason = @Reason)
                    AND {IncidentVisibility.Visible}
            """;

        private const string ListSql = $"""
            SELECT d.delivery_id, d.incident_id, d.channel_id, d.channel_name, d.reason, d.people, d.state, d.attempts, d.create_time, d.started_at, d.ended_at,
                CASE WHEN @Super THEN d.answer ELSE '' END AS answer, d.digest_id
            {From} AND (CAST(@Before AS bigint) IS NULL OR d.delivery_id < @Before) ORDER BY d.delivery_id DESC LIMIT @Limit OFFSET @Offset
            """;

        private const string RowsSql = $"""
            SELECT {From}
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            var list = (request with { Page = null, Limit = null }).ToString();
            var place = new PagePositions.PageKey(access.Caller.UserId, "deliveries " + list, request.Limit ?? DefaultLimit, request.Page ?? 1);
            var before = positions.Before<Last>(place)?.Id;
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var asked = new DynamicParameters(await IncidentVisibility.Parameters(connection, access, readers));
            asked.AddDynamicParams(new
            {
                request.IncidentId,
                request.ChannelId,
                request.State,
                request.Reason,
                place.Limit,
                Offset = before is null ? request.Offset(DefaultLimit) : 0,
                Before = before,
            });
            await using var transaction = await ListReading.Begin(connection, cancellationToken);
            var rows = (await connection.QueryAsync<View>(ListSql, asked, transaction)).AsList();
            if (rows.Count == place.Limit) positions.Remember(place, new Last(rows[^1].DeliveryId));
            var count = await ListReading.Count(connection, transaction, RowsSql, asked);
            await transaction.CommitAsync(cancellationToken);
            return new Result(rows, count.Rows, count.IsEstimate);
        }

        private sealed record Last(long Id);
    }
}
