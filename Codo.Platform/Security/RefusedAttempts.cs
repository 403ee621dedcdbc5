using Codo.Platform.Data;
using Dapper;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Platform.Security;

/// <summary>
/// Brings refused attempts and failed sign-ins into the audit. The first of a minute is written within seconds; the rest of the minute is one row that counts
/// them. A flood fills neither the memory nor the disk: beyond <see cref="MostKeys"/> different attempts of an action a minute one row counts all others.
/// </summary>
public sealed class RefusedAttempts(NpgsqlDataSource source, TimeProvider time, ILogger<RefusedAttempts> log) : IHostedService
{
    /// <summary>Different attempts of one action that a node keeps apart in a minute. Each writes at most two rows: the first, and how many followed.</summary>
    public const int MostKeys = 200;

    /// <summary>
    /// User names kept apart per address in a minute. Further names are counted without a name, so that one address cannot use up the places of others.
    /// </summary>
    internal const int MostNames = 20;

    private const int MostText = 200;

    private const string WriteSql = """
        INSERT INTO platform.audit (user_id, username, nickname, address, request_id, action, kind, object_id, after, result, times)
        SELECT r.user_id, r.username, r.nickname, r.address, r.request_id, r.action, r.kind, r.object_id, CAST(r.after AS jsonb), r.result, r.times
        FROM unnest(CAST(@UserIds AS bigint[]), CAST(@Usernames AS text[]), CAST(@Nicknames AS text[]), CAST(@Addresses AS text[]),
            CAST(@RequestIds AS text[]), CAST(@Actions AS text[]), CAST(@Kinds AS text[]), CAST(@Objects AS text[]), CAST(@Afters AS text[]),
            CAST(@Results AS text[]), CAST(@Times AS int[]))
            AS r(user_id, username, nickname, address, request_id, action, kind, object_id, after, result, times)
        """;

    private readonly Lock gate = new();
    private readonly Dictionary<Key, Counted> minute = [];
    private DateTimeOffset began = DateTimeOffset.MinValue;

    /// <summary>Somebody who is signed in tried what they may not.</summary>
    /// <param name="what">The method and the path.</param>
    /// <param name="why">The answer in English.</param>
    public void Refused(Http.Caller caller, string what, string why) =>
        Note(
            new Key(caller.UserId, caller.Username, caller.Address, "refuse", what, "refused"),
            new Row(caller.Nickname, caller.RequestId, why)
        );

    /// <summary>Notes what a caller was answered, where that was an attempt on what is not theirs.</summary>
    public void Refused(Http.Caller caller, string what, Http.Refusal refusal)
    {
        if (refusal.Kind == Http.RefusalKind.Forbidden) Refused(caller, what, refusal.Text.En);
        else if (refusal.IsHidden) Refused(caller, what, "they may not see it; answered as if it did not exist");
    }

    /// <summary>Somebody came with a token or a password that is not good.</summary>
    /// <param name="claimed">Who they say they are; nobody has checked it.</param>
    /// <param name="how"><c>token</c>, <c>password</c>, <c>code</c>, <c>terminal</c> or <c>openid connect</c>.</param>
    public void SignInFailed(string claimed, string address, string how, string why) =>
        Note(new Key(0, Cut(claimed), address, "sign_in", how, "failed"), new Row("", "", why));

    /// <summary>The method and the route of a request: there are no more of these than routes, whatever a stranger asks for.</summary>
    public static string Route(HttpContext context) => $"{context.Request.Method} {(context.GetEndpoint() as RouteEndpoint)?.RoutePattern.RawText ?? "…"}";

    /// <summary>Writes what has come together: new attempts at once, the counts of a minute when it is over.</summary>
    public Task Flush(CancellationToken cancellation) => Flush(isLast: false, cancellation);

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>Writes the counts of a minute that is not over.</summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        try
        {
            await Flush(isLast: true, cancellationToken);
        }
        catch (Exception error)
        {
            log.LogWarning(error, "The last refused attempts could not be written into the audit");
        }
    }

    private async Task Flush(bool isLast, CancellationToken cancellation)
    {
        var rows = Take(isLast);
        if (rows.Count == 0) return;
        try
        {
            await Write(rows, cancellation);
        }
        catch (Exception error) when (error is OperationCanceledException || DatabaseErrors.IsTransient(error))
        {
            PutBack(rows);
            throw;
        }
        log.LogDebug("{Rows} rows of refused attempts are in the audit", rows.Count);
    }

    private async Task Write(List<Taken> rows, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await connection.ExecuteAsync(
            WriteSql,
            new
            {
                UserIds = rows.Select(row => row.Key.UserId).ToArray(),
                Usernames = rows.Select(row => row.Key.Username).ToArray(),
                Nicknames = rows.Select(row => row.Counted.Row.Nickname).ToArray(),
                Addresses = rows.Select(row => row.Key.Address).ToArray(),
                RequestIds = rows.Select(row => row.Counted.Row.RequestId).ToArray(),
                Actions = rows.Select(row => row.Key.Action).ToArray(),
                Kinds = rows.Select(row => row.Key.Action == "sign_in" ? "person" : "route").ToArray(),
                Objects = rows.Select(row => row.Key.What).ToArray(),
                Afters = rows.Select(row => System.Text.Json.JsonSerializer.Serialize(new { why = row.Counted.Row.Why }, Http.Json.Stored)).ToArray(),
                Results = rows.Select(row => row.Key.Result).ToArray(),
                Times = rows.Select(row => row.Times).ToArray(),
            }
        );
    }

    private void Note(Key key, Row row)
    {
        key = key with { Username = Cut(key.Username), What = Cut(key.What) };
        lock (gate) CountedOf(key, row).Times++;
    }

    // Under the lock.
    private Counted CountedOf(Key key, Row row)
    {
        if (minute.TryGetValue(key, out var counted)) return counted;
        if (IsOfStranger(key) && minute.Keys.Count(one => IsOfStranger(one) && one.Address == key.Address) >= MostNames)
        {
            key = key with { Username = "" };
            row = row with { Why = "too many different names from this address in one minute; counted together" };
            if (minute.TryGetValue(key, out counted)) return counted;
        }

        if (minute.Keys.Count(one => one.Action == key.Action) >= MostKeys)
        {
            key = new Key(0, "", "", key.Action, "…", key.Result);
            row = new Row("", "", "too many different attempts in one minute; counted together");
        }
        if (!minute.TryGetValue(key, out counted)) minute[key] = counted = new Counted(row);
        return counted;
    }

    private static bool IsOfStranger(Key key) => key is { UserId: 0, Username.Length: > 0 };

    private List<Taken> Take(bool isLast)
    {
        var now = time.GetUtcNow();
        lock (gate)
        {
            var isOver = isLast || now - began >= TimeSpan.FromMinutes(1) || now < began;
            var rows = new List<Taken>();
            foreach (var (key, counted) in minute)
            {
                if (counted.Written == 0)
                {
                    rows.Add(new Taken(key, counted, 1));
                    counted.Written = 1;
                }

                if (isOver && counted.Times > counted.Written) rows.Add(new Taken(key, counted, counted.Times - counted.Written));
            }

            if (isOver)
            {
                minute.Clear();
                began = now;
            }

            return rows;
        }
    }

    // What could not be written is counted once more, in the minute that goes on or in the one that has begun.
    private void PutBack(List<Taken> rows)
    {
        lock (gate)
            foreach (var (key, counted, times) in rows)
                if (minute.TryGetValue(key, out var present) && present == counted) counted.Written -= times;
                else CountedOf(key, counted.Row).Times += times;
    }

    // Who claims to be somebody may claim it with what PostgreSQL cannot store, which would cost the attempts of all others.
    private static string Cut(string text) =>
        OutsideText.Storable(OutsideText.Head(text, MostText));

    private sealed record Key(long UserId, string Username, string Address, string Action, string What, string Result);

    private sealed record Row(string Nickname, string RequestId, string Why);

    private sealed record Taken(Key Key, Counted Counted, int Times);

    private sealed class Counted(Row row)
    {
        public Row Row => row;

        public int Times { get; set; }

        public int Written { get; set; }
    }
}
