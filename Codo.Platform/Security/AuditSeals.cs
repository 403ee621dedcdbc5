using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Codo.Platform.Cluster;
using Dapper;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Platform.Security;

/// <summary>
/// Seals each day of the audit (UTC) 25 hours after its end: a keyed hash of its rows, chained to the seal of the day before. Whoever can change the database
/// and has not the master key cannot make a changed day hold. Seals outlive the rows, which retention drops by months (by days where they lie in none).
/// </summary>
public sealed class AuditSeals(NpgsqlDataSource source, SecretBox box)
{
    private const string Place = "platform.audit_seal";

    private const string LockSql = """
        SELECT pg_advisory_xact_lock(hashtextextended('codo audit seals', 0))
        """;

    private const string LastSql = """
        SELECT CAST(day AS timestamp) AS day, rows, digest, previous, seal AS value, master_key FROM platform.audit_seal
            WHERE day <= CAST(clock_timestamp() AS date) + 2 ORDER BY day DESC LIMIT 1
        """;

    private const string FirstSql = """
        SELECT min(at) FROM platform.audit WHERE at > @Earliest
        """;

    private const string SealsSql = """
        SELECT CAST(day AS timestamp) AS day, rows, digest, previous, seal AS value, master_key FROM platform.audit_seal ORDER BY day
        """;

    // As one text a row, in which no value can look like two: an array of JSON.
    private const string RowsSql = """
        SELECT CAST(jsonb_build_array(audit_id, CAST(extract(epoch FROM at) * 1000000 AS bigint), user_id, username, nickname, address, request_id, action,
            kind, object_id, before, after, result, times) AS text)
        FROM platform.audit WHERE at >= @From AND at < @Until ORDER BY at, audit_id
        """;

    private const string InsertSql = """
        INSERT INTO platform.audit_seal (day, rows, digest, previous, seal, master_key)
        VALUES (CAST(@Day AS date), @Rows, @Digest, @Previous, @Seal, @MasterKey) ON CONFLICT (day) DO NOTHING
        """;

    // Which stretches of time have a partition of their own; a month that retention dropped has none.
    private const string PartitionsSql = """
        SELECT CAST(substring(pg_get_expr(c.relpartbound, c.oid) FROM 'FROM \(''([^'']+)''\)') AS timestamptz) AS begins,
            CAST(substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''([^'']+)''\)') AS timestamptz) AS ends
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = CAST('platform.audit' AS regclass) AND pg_get_expr(c.relpartbound, c.oid) <> 'DEFAULT'
        """;

    private const string NowSql = """
        SELECT clock_timestamp()
        """;

    // Rows of a clock that was wrong do not make the chain begin in another century.
    private static readonly DateTime Earliest = new(2020, 1, 1, 0, 0, 0, DateTimeKind.Utc);

    /// <summary>
    /// How long after a day its rows may still come: no transaction that writes them lasts longer than an hour, and <see cref="RetentionGuard"/> lets
    /// PostgreSQL's clock be ahead by a day.
    /// </summary>
    private static readonly TimeSpan Rest = TimeSpan.FromHours(25);

    // A day is sealed within ten minutes once its rest is over.
    private static readonly TimeSpan Late = TimeSpan.FromHours(1);

    // What PostgreSQL's own function keeps, whatever the setting says.
    private static readonly TimeSpan LeastKept = TimeSpan.FromDays(90);

    /// <summary>PostgreSQL's time, UTC.</summary>
    public async Task<DateTime> Now()
    {
        await using var connection = await source.OpenConnectionAsync();
        return await connection.ExecuteScalarAsync<DateTime>(NowSql);
    }

    /// <summary>Seals every day that ended 25 hours before; days without a row too, so that the chain has no gap.</summary>
    /// <param name="now">UTC.</param>
    public async Task<int> SealUntil(DateTime now, CancellationToken cancellation = default)
    {
        var sealedDays = 0;
        while (await SealNext(now, cancellation)) sealedDays++;
        return sealedDays;
    }

    /// <summary>The newest day that is sealed, with its seal; null where none is.</summary>
    public async Task<NotedSeal?> Newest(CancellationToken cancellation = default)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        return await connection.QuerySingleOrDefaultAsync<Seal>(LastSql) is { } last ? new NotedSeal(last.Day, last.Value) : null;
    }

    /// <summary>Checks the whole chain, and the rows of every day that are still there.</summary>
    /// <param name="now">UTC.</param>
    /// <param name="noted">
    /// A seal that was kept elsewhere. Whoever deletes the seals from a day on has the host make them anew: then the chain holds, and this seal is not in it.
    /// </param>
    public async Task<AuditVerdict> Verify(DateTime now, NotedSeal? noted = null, CancellationToken cancellation = default)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        var seals = (await connection.QueryAsync<Seal>(SealsSql)).AsList();
        var partitions = (await connection.QueryAsync<(DateTime? Begins, DateTime? Ends)>(PartitionsSql)).AsList();
        var (dropped, rows) = (0, 0L);
        Seal? before = null;
        foreach (var seal in seals)
        {
            if (await Wrong(connection, seal, before, cancellation) is { } why)
            {
                var isDropped =
                    why.IsEmpty && seal.Rows > 0 && seal.Day.AddDays(1) < now - LeastKept
                    && !partitions.Exists(one => (one.Begins is null || one.Begins <= seal.Day) && (one.Ends is null || one.Ends > seal.Day));
                if (!isDropped) return Found(seal.Day, why.Text);
                dropped++;
            }
            else rows += seal.Rows;

            if (noted is not null && noted.Day == seal.Day && !Same(noted.Value, seal.Value))
                return Found(seal.Day, "its seal is not the one that is given: this day or one before it was changed and sealed anew");
            before = seal;
        }

        if (noted is not null && !seals.Exists(seal => seal.Day == noted.Day))
        {
            before = seals.LastOrDefault(seal => seal.Day < noted.Day);
            return Found(noted.Day, "the seal that is given for it is there no more");
        }

        var late = before is not null && before.Day.AddDays(2) + Rest + Late < now;
        return late ? Found(before!.Day.AddDays(1), "no day is sealed from here on") : Found(null, "");

        AuditVerdict Found(DateTime? broken, string why) => new(seals.Count, dropped, rows, broken, why, before?.Day, before?.Value ?? "");
    }

    private async Task<bool> SealNext(DateTime now, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        // Two hosts that seal at once: the second finds the day sealed.
        await connection.ExecuteAsync(LockSql, transaction: transaction);
        var last = await connection.QuerySingleOrDefaultAsync<Seal>(LastSql, transaction: transaction);
        var next =
            last?.Day.AddDays(1)
            ?? (await connection.ExecuteScalarAsync<DateTime?>(FirstSql, new { Earliest }, transaction))?.Date;
        if (next is not { } day || day.AddDays(1) + Rest > now) return false;
        day = DateTime.SpecifyKind(day, DateTimeKind.Utc);
        var key = box.Current;
        var (rows, digest) = await Digest(connection, transaction, day, key, cancellation);
        var previous = last?.Value ?? "";
        await connection.ExecuteAsync(
            InsertSql,
            new
            {
                Day = day,
                Rows = rows,
                Digest = digest,
                Previous = previous,
                Seal = Chain(day, rows, digest, previous, key),
                MasterKey = key,
            },
            transaction
        );
        await transaction.CommitAsync(cancellation);
        return true;
    }

    private async Task<Fault?> Wrong(NpgsqlConnection connection, Seal seal, Seal? before, CancellationToken cancellation)
    {
        // The first one follows none; seals are not dropped with their rows.
        if (before is null ? seal.Previous.Length > 0 : seal.Day != before.Day.AddDays(1)) return new Fault("the seal of a day before it is missing");
        if (before is not null && seal.Previous != before.Value) return new Fault("its seal does not follow that of the day before");
        if (!box.Has(seal.MasterKey))
            return new Fault($"it is sealed with master key {seal.MasterKey}, which is not set here (Codo:OldMasterKeys:{seal.MasterKey})");
        if (!Same(seal.Value, Chain(seal.Day, seal.Rows, seal.Digest, seal.Previous, seal.MasterKey))) return new Fault("its seal was changed");
        var (rows, digest) = await Digest(connection, null, seal.Day, seal.MasterKey, cancellation);
        if (rows != seal.Rows) return new Fault($"{seal.Rows} rows were sealed, {rows} are there", rows == 0);
        return Same(digest, seal.Digest) ? null : new Fault("a row was changed");
    }

    private async Task<(long Rows, string Digest)> Digest(
        NpgsqlConnection connection,
        NpgsqlTransaction? transaction,
        DateTime day,
        int key,
        CancellationToken cancellation
    )
    {
        using var hash = box.StartDigest(Place + ".digest", key);
        var rows = 0L;
        await using var command = new NpgsqlCommand(RowsSql, connection, transaction) { CommandTimeout = 0 };
        command.Parameters.AddWithValue("From", day);
        command.Parameters.AddWithValue("Until", day.AddDays(1));
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            hash.AppendData(Encoding.UTF8.GetBytes(reader.GetString(0)));
            hash.AppendData("\n"u8);
            rows++;
        }

        return (rows, Convert.ToHexStringLower(hash.GetHashAndReset()));
    }

    private string Chain(DateTime day, long rows, string digest, string previous, int key)
    {
        using var hash = box.StartDigest(Place + ".seal", key);
        hash.AppendData(Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{day:yyyy-MM-dd}\n{rows}\n{digest}\n{previous}")));
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static bool Same(string one, string other) => CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(one), Encoding.UTF8.GetBytes(other));

    private sealed record Fault(string Text, bool IsEmpty = false);

    private sealed record Seal
    {
        private readonly DateTime day;

        public DateTime Day
        {
            get => day;
            init => day = DateTime.SpecifyKind(value, DateTimeKind.Utc);
        }

        public long Rows { get; init; }
        public string Digest { get; init; } = "";
        public string Previous { get; init; } = "";
        public string Value { get; init; } = "";
        public int MasterKey { get; init; }
    }
}

/// <summary>What a check of the audit's seals found.</summary>
/// <param name="Days">Sealed days.</param>
/// <param name="Dropped">Of these, days whose rows retention has dropped: their seals hold.</param>
/// <param name="Rows">Rows that were compared.</param>
/// <param name="Broken">The first day that does not hold; null when all do.</param>
/// <param name="Last">The last day that holds.</param>
/// <param name="LastSeal">The seal of that day; empty where there is none.</param>
public sealed record AuditVerdict(int Days, int Dropped, long Rows, DateTime? Broken, string Why, DateTime? Last, string LastSeal);

/// <summary>A day (UTC) of the audit with its seal, to be kept where whoever can change the database does not get.</summary>
public sealed record NotedSeal(DateTime Day, string Value)
{
    private const string DayForm = "yyyy-MM-dd";

    /// <summary>Reads it as it is printed; null where it does not read.</summary>
    public static NotedSeal? Read(string text) =>
        text.Trim().Split('=', 2) is [var day, { Length: > 0 } value]
        && DateTime.TryParseExact(day, DayForm, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var at)
            ? new NotedSeal(at, value)
            : null;

    public override string ToString() => $"{Day.ToString(DayForm, CultureInfo.InvariantCulture)}={Value}";
}

/// <summary>Seals on this node, by a clock of PostgreSQL's that has not jumped: a day that is sealed too early would not hold.</summary>
internal sealed class AuditSealing(AuditSeals seals, RetentionGuard guard, ILogger<AuditSealing> log)
{
    /// <summary>The run every ten minutes.</summary>
    public async Task SealDue(CancellationToken cancellation)
    {
        // Also while the installation is held: a seal drops nothing, and without it the audit would not hold.
        if (await guard.Agrees(cancellation) is not { } now || await seals.SealUntil(now, cancellation) is not (> 0 and var days)) return;
        // A log is often kept where the database is not: `codo audit verify --seal` compares.
        var newest = await seals.Newest(cancellation);
        log.LogInformation("{Days} days of the audit are sealed; the newest with its seal: {Seal}", days, newest);
    }
}
