using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>What a page of the audit and its export are filtered by.</summary>
internal interface IAuditFilter
{
    string? Who { get; }
    string? Kind { get; }
    string? Object { get; }
    string? Action { get; }
    string? Result { get; }
    string? From { get; }
    string? To { get; }
    string? After { get; }
}

/// <summary>One field that a change made another.</summary>
/// <param name="Field">Its name; a dot stands between an object's name and the field in it.</param>
/// <param name="Before">Null when it was not there.</param>
/// <param name="After">Null when it is gone.</param>
internal sealed record AuditChange(string Field, JsonNode? Before, JsonNode? After);

/// <summary>A line of the audit, as answers show it.</summary>
/// <param name="UserId">0 is Codo itself, and in failed sign-ins whoever it was.</param>
/// <param name="Times">Attempts that this line counts.</param>
internal sealed record AuditRow(
    long AuditId,
    DateTime Time,
    long UserId,
    string Username,
    string Nickname,
    string Address,
    string RequestId,
    string Action,
    string Kind,
    string Object,
    string Result,
    int Times,
    IReadOnlyList<AuditChange> Changes
);

/// <summary>Reads the audit newest first, from any place on, by what a filter asks.</summary>
internal sealed class AuditReader(NpgsqlDataSource source, SecretNames secretNames, Zone zone)
{
    private const string Mask = "******";

    // Of all times that a DateTime can have: outside of them a cursor was not given by a page.
    private static readonly long FirstMicrosecond = Microseconds(DateTime.MinValue), LastMicrosecond = Microseconds(DateTime.MaxValue);

    // A condition that is not asked for is a constant to the planner, so that each filter has its own index.
    private const string PageSql = """
        SELECT audit_id, at, user_id, username, nickname, address, request_id, action, kind, object_id, result, times,
            CAST(before AS text) AS before, CAST(after AS text) AS after
        FROM platform.audit
        WHERE (CAST(@UserId AS bigint) IS NULL OR user_id = @UserId) AND (CAST(@Username AS text) IS NULL OR username = @Username)
            AND (CAST(@Kind AS text) IS NULL OR kind = @Kind) AND (CAST(@ObjectId AS text) IS NULL OR object_id = @ObjectId)
            AND (CAST(@Action AS text) IS NULL OR action = @Action)
            AND (CAST(@Result AS text) IS NULL OR result = @Result) AND (CAST(@Bad AS boolean) IS NULL OR result <> 'ok')
            AND (CAST(@From AS timestamptz) IS NULL OR at >= @From) AND (CAST(@Until AS timestamptz) IS NULL OR at < @Until)
            AND (CAST(@Before AS timestamptz) IS NULL OR (at, audit_id) < (@Before, CAST(@BeforeId AS bigint)))
        ORDER BY at DESC, audit_id DESC LIMIT @Limit
        """;

    /// <summary>Lines from <c>after</c> on, and what to ask with for those behind them; null when there are none.</summary>
    /// <exception cref="Refusal">A time or <c>after</c> does not read.</exception>
    public async Task<(List<AuditRow> Rows, string? Next)> Read(IAuditFilter filter, int limit, CancellationToken cancellation)
    {
        var (before, beforeId) = Cursor(filter.After);
        var isId = long.TryParse(filter.Who, NumberStyles.None, CultureInfo.InvariantCulture, out var userId);
        await using var connection = await source.OpenConnectionAsync(cancellation);
        var rows = (
            await connection.QueryAsync<Row>(
                new CommandDefinition(
                    PageSql,
                    new
                    {
                        UserId = isId ? userId : (long?)null,
                        Username = isId ? null : Given(filter.Who),
                        Kind = Given(filter.Kind),
                        ObjectId = Given(filter.Object),
                        Action = Given(filter.Action),
                        Result = Given(filter.Result) is { } result && result != "bad" ? result : null,
                        Bad = filter.Result == "bad" ? true : (bool?)null,
                        From = Start(filter.From),
                        Until = End(filter.To),
                        Before = before,
                        BeforeId = beforeId,
                        Limit = limit + 1,
                    },
                    cancellationToken: cancellation
                )
            )
        ).AsList();
        var isMore = rows.Count > limit;
        if (isMore) rows.RemoveAt(limit);
        return (rows.ConvertAll(Show), isMore ? $"{Microseconds(rows[^1].At)}:{rows[^1].AuditId}" : null);
    }

    /// <summary>The rules of the filter's fields.</summary>
    public static void Rules<T>(AbstractValidator<T> validator) where T : IAuditFilter
    {
        validator.RuleFor(filter => filter.Who).AtMost(200, "who");
        validator.RuleFor(filter => filter.Kind).AtMost(100, "kind");
        validator.RuleFor(filter => filter.Object).AtMost(400, "object");
        validator.RuleFor(filter => filter.Action).AtMost(100, "action");
        validator.RuleFor(filter => filter.Result).Must(word => string.IsNullOrEmpty(word) || word is "ok" or "refused" or "failed" or "bad")
            .Refuse("result 只能是 ok | refused | failed | bad", "result must be one of ok | refused | failed | bad");
    }

    private AuditRow Show(Row row) =>
        new(row.AuditId, row.At, row.UserId, row.Username, row.Nickname, row.Address, row.RequestId, row.Action, row.Kind, row.ObjectId, row.Result, row.Times,
            [.. Changes("", Parsed(row.Before), Parsed(row.After), 0)]);

    // Members of objects one by one, two objects deep; everything else as a whole.
    private IEnumerable<AuditChange> Changes(string name, JsonNode? before, JsonNode? after, int depth)
    {
        if (depth < 2 && before is JsonObject or null && after is JsonObject or null && (before ?? after) is not null)
        {
            var (old, now) = (before as JsonObject ?? [], after as JsonObject ?? []);
            foreach (var field in old.Select(pair => pair.Key).Union(now.Select(pair => pair.Key)))
                foreach (var change in Changes(name.Length == 0 ? field : $"{name}.{field}", old[field], now[field], depth + 1))
                    yield return change;
            yield break;
        }

        if (JsonNode.DeepEquals(before, after)) yield break;
        var isSecret = secretNames.Match(name[(name.LastIndexOf('.') + 1)..]);
        yield return new AuditChange(name, Shown(before, isSecret), Shown(after, isSecret));
    }

    private static JsonNode? Shown(JsonNode? value, bool isSecret) =>
        isSecret && value is JsonValue secret && secret.GetValueKind() == JsonValueKind.String ? JsonValue.Create(Mask) : value?.DeepClone();

    private static JsonNode? Parsed(string? text) => text is null ? null : JsonNode.Parse(text);

    private static string? Given(string? text) => string.IsNullOrWhiteSpace(text) ? null : text.Trim();

    private DateTime? Start(string? text) =>
        string.IsNullOrWhiteSpace(text) ? null
        : Times.TryParseStart(text, zone.Info, out var time) ? time.UtcDateTime
        : throw Refusal.Invalid("from " + Times.Expected.Zh, "from " + Times.Expected.En);

    private DateTime? End(string? text) =>
        string.IsNullOrWhiteSpace(text) ? null
        : Times.TryParseEnd(text, zone.Info, out var time) ? time.UtcDateTime
        : throw Refusal.Invalid("to " + Times.Expected.Zh, "to " + Times.Expected.En);

    private static (DateTime? At, long Id) Cursor(string? text)
    {
        if (string.IsNullOrWhiteSpace(text)) return (null, 0);
        return
            text.Split(':') is [var at, var id]
            && long.TryParse(at, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var microseconds)
            && microseconds >= FirstMicrosecond
            && microseconds <= LastMicrosecond
            && long.TryParse(id, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? (DateTime.UnixEpoch.AddTicks(microseconds * 10), number)
            : throw Refusal.Invalid("after 不是上一页给出的 next", "after is not a next that a page has given");
    }

    private static long Microseconds(DateTime at) => (at - DateTime.UnixEpoch).Ticks / 10;

    private sealed record Row
    {
        public long AuditId { get; init; }
        public DateTime At { get; init; }
        public long UserId { get; init; }
        public string Username { get; init; } = "";
        public string Nickname { get; init; } = "";
        public string Address { get; init; } = "";
        public string RequestId { get; init; } = "";
        public string Action { get; init; } = "";
        public string Kind { get; init; } = "";
        public string ObjectId { get; init; } = "";
        public string Result { get; init; } = "";
        public int Times { get; init; }
        public string? Before { get; init; }
        public string? After { get; init; }
    }
}
