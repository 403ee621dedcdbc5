using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>Orders that have not ended, newest start first.</summary>
internal static class ListOrders
{
    internal sealed record Query(int? Page, int? Limit) : IRequest<Result>, IPaged;

    /// <param name="ListId">The first order's, or empty text: the console opens it.</param>
    /// <param name="CountIsEstimate">There are more than 10,000 orders, and no more were counted.</param>
    internal sealed record Result(IAsyncEnumerable<OrderRow> Data, long Count, bool CountIsEstimate, object ListId) : Answer(Messages.Fetched);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => this.Paged();
    }

    internal sealed class Handler(NpgsqlDataSource source, PagePositions positions, Access access) : IRequestHandler<Query, Result>
    {
        private const string RowsSql = $"""
            SELECT FROM tasks.scheduler_task_list o WHERE o.schedule <> 'OK' AND {OrderAccess.Visible}
            """;

        private const string PageSql = $"""
            SELECT o.list_id, o.start_time FROM tasks.scheduler_task_list o WHERE o.schedule <> 'OK' AND {OrderAccess.Visible}
                AND (CAST(@BeforeTime AS timestamptz) IS NULL OR (o.start_time, o.list_id) < (@BeforeTime, CAST(@BeforeId AS bigint)))
            ORDER BY o.start_time DESC, o.list_id DESC LIMIT @Limit OFFSET @Offset
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            var viewer = Viewer.Of(access);
            var place = new PagePositions.PageKey(access.Caller.UserId, "orders", query.Limit ?? 100, query.Page ?? 1);
            var before = positions.Before<Last>(place);
            var asked = new
            {
                viewer.UserId,
                viewer.IsSuperuser,
                viewer.Names,
                viewer.Spaces,
                viewer.Templates,
                viewer.Teams,
                place.Limit,
                Offset = before is null ? query.Offset(100) : 0,
                BeforeTime = before?.StartTime,
                BeforeId = before?.ListId,
            };
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await ListReading.Begin(connection, cancellationToken);
            var rows = (await connection.QueryAsync<Last>(PageSql, asked, transaction)).AsList();
            if (rows.Count == place.Limit) positions.Remember(place, rows[^1]);
            // A page that is not full is the last: its rows are all that there are.
            var shown = query.Offset(100) + rows.Count;
            var count =
                rows.Count > 0 && rows.Count < place.Limit && shown <= ListReading.MostCounted
                    ? new ListCount(shown, false)
                    : await ListReading.Count(connection, transaction, RowsSql, asked);
            await transaction.CommitAsync(cancellationToken);
            var ids = rows.ConvertAll(row => row.ListId);
            return new Result(OrderRow.Read(source, ids, cancellationToken), count.Rows, count.IsEstimate, ids.Count > 0 ? ids[0] : "");
        }

        private sealed record Last(long ListId, DateTime StartTime);
    }
}

/// <summary>An order's columns, as lists answer them.</summary>
/// <param name="TempId">Text, as the original has it.</param>
/// <param name="Status">Text, as the original has it; <c>0</c> before the approval, so that the console shows 新建 and an approver finds the order.</param>
internal sealed record OrderRow(
    long ListId,
    string TaskName,
    string TaskType,
    string Hosts,
    string Args,
    string Details,
    string Description,
    string AssociatedUser,
    string Creator,
    long? CreatorId,
    string Executor,
    long? ExecutorId,
    string Status,
    string Schedule,
    string TempId,
    DateTime CreateTime,
    DateTime StartTime,
    bool Hold,
    DateTime? EndedAt,
    int ApprovalsNeeded,
    int ApprovalsGiven,
    string WaitsFor
)
{
    public const string Columns = $"""
        o.list_id, o.task_name, o.task_type, o.hosts, o.args, o.details, o.description, o.associated_user, o.creator, o.creator_id,
        o.executor, o.executor_id, CASE WHEN o.schedule = 'new' THEN '0' ELSE CAST(o.status AS text) END AS status, o.schedule,
            CAST(o.temp_id AS text) AS temp_id, o.create_time, o.start_time, o.hold, o.ended_at, {WaitingFor.Columns}
        """;

    private const int MostValue = 100;

    // Of a long text its beginning: an order holds up to half a megabyte.
    private const string RowsSql = $"""
        SELECT o.list_id, o.task_name, o.task_type, left(o.hosts, 4097) AS hosts, left(o.args, 4097) AS args,
            CASE WHEN length(o.details) > 4096 THEN left(o.details, 4096) || '… (+' || length(o.details) - 4096 || ')' ELSE o.details END AS details,
            left(o.description, 4096) AS description, left(o.associated_user, 4097) AS associated_user, o.creator, o.creator_id,
            o.executor, o.executor_id, CASE WHEN o.schedule = 'new' THEN '0' ELSE CAST(o.status AS text) END AS status, o.schedule,
                CAST(o.temp_id AS text) AS temp_id, o.create_time, o.start_time, o.hold, o.ended_at, {WaitingFor.Columns}
        FROM tasks.scheduler_task_list o WHERE o.list_id = ANY(@Ids)
        """;

    /// <summary>The orders of a page, as lists show them.</summary>
    public static IAsyncEnumerable<OrderRow> Read(NpgsqlDataSource source, IReadOnlyList<long> ids, CancellationToken cancellation) =>
        Chunks.Read(
            ids,
            async (some, stop) =>
            {
                await using var connection = await source.OpenConnectionAsync(stop);
                return (await connection.QueryAsync<OrderRow>(RowsSql, new { Ids = some })).Select(row =>
                    (row.ListId, row with { Hosts = Short(row.Hosts), Args = Short(row.Args), AssociatedUser = Short(row.AssociatedUser) })
                );
            },
            cancellation: cancellation
        );

    // Still an object, because clients parse it: the members that are whole in the text's beginning, their values cut.
    private static string Short(string json)
    {
        const int mostMembers = 20;
        if (json.Length <= Excerpt.Length) return json;
        var shown = new JsonObject();
        try
        {
            var reader = new Utf8JsonReader(Encoding.UTF8.GetBytes(json), isFinalBlock: false, default);
            reader.Read();
            while (shown.Count < mostMembers && reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                var name = Cut(reader.GetString()!);
                shown[name] = "…";
                if (!reader.Read()) break;
                var text = reader.TokenType == JsonTokenType.String ? reader.GetString()! : Encoding.UTF8.GetString(reader.ValueSpan);
                if (!reader.TrySkip()) break;
                shown[name] = Cut(text);
            }
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            // An import may have brought anything; what was read of it is shown.
        }
        shown["…"] = "…";
        return shown.ToJsonString(Json.Stored);

        static string Cut(string text) => OutsideText.Cut(text, MostValue);
    }
}
