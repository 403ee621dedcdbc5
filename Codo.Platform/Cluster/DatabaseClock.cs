using Npgsql;

namespace Codo.Platform.Cluster;

/// <summary>
/// PostgreSQL's clock, as every node reads it: measured at the start and at each heartbeat, and carried on by <see cref="BootTime"/> in between. It is the
/// host's <see cref="TimeProvider"/>, so that what is due, late or old is decided by one clock in the whole cluster. Timers and timestamps stay the machine's
/// monotonic ones.
/// </summary>
public sealed class DatabaseClock : TimeProvider
{
    private const string NowSql = """
        SELECT clock_timestamp()
        """;

    // UTC of PostgreSQL minus time since boot, in ticks.
    private long offset = long.MinValue;
    private long jumpedAt = long.MinValue;

    /// <summary>A difference from what was expected that is no drift any more: somebody set a clock.</summary>
    public static readonly TimeSpan Jump = TimeSpan.FromSeconds(2);

    /// <summary>
    /// The most by which two nodes' readings of PostgreSQL's clock differ. A time further ahead was written before the clock was put back.
    /// </summary>
    public static readonly TimeSpan MaxSkew = TimeSpan.FromSeconds(5);

    /// <summary>Whether PostgreSQL's clock has gone evenly for this long; after a jump nobody can be judged by it for a while.</summary>
    public bool IsSteadyFor(TimeSpan time) =>
        Interlocked.Read(ref jumpedAt) is var at && (at == long.MinValue || BootTime.Now - TimeSpan.FromTicks(at) >= time);

    /// <summary>PostgreSQL's time, UTC. Before the first measurement it is the machine's.</summary>
    public override DateTimeOffset GetUtcNow() =>
        Interlocked.Read(ref offset) is var ticks && ticks == long.MinValue
            ? System.GetUtcNow()
            : new DateTimeOffset(BootTime.Now.Ticks + ticks, TimeSpan.Zero);

    /// <summary>Asks PostgreSQL for its time.</summary>
    public async Task Measure(NpgsqlDataSource source, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await using var command = new NpgsqlCommand(NowSql, connection);
        var sent = BootTime.Now;
        var there = (DateTime)(await command.ExecuteScalarAsync(cancellation))!;
        Measured(there, sent, BootTime.Now);
    }

    /// <summary>Takes what PostgreSQL answered to a question sent and answered at these times since boot.</summary>
    /// <returns>PostgreSQL's clock minus this machine's wall clock.</returns>
    internal TimeSpan Measured(DateTime there, TimeSpan sent, TimeSpan answered)
    {
        var error = (answered - sent) / 2;
        var measured = there.Ticks - (sent + error).Ticks;
        var known = Interlocked.Read(ref offset);
        if (known != long.MinValue && Math.Abs(measured - known) > (Jump + error).Ticks) Interlocked.Exchange(ref jumpedAt, BootTime.Now.Ticks);
        // A difference within the error of the measurement is no news: taking it would make the clock jitter.
        if (known == long.MinValue || Math.Abs(measured - known) > error.Ticks) Interlocked.Exchange(ref offset, measured);
        return GetUtcNow() - System.GetUtcNow();
    }
}
