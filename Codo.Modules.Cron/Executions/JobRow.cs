using System.Collections.Concurrent;
using Codo.Modules.Cron.Schedules;
using Codo.Platform.Data;
using Codo.Platform.Localization;

namespace Codo.Modules.Cron.Executions;

/// <summary>A job as the ledger locks it.</summary>
internal sealed record JobRow
{
    // Expressions repeat from fire to fire, and parsing one costs more than all the rest of a fire.
    private static readonly ConcurrentDictionary<string, CronExpression> Parsed = new(StringComparer.Ordinal);

    public long Id { get; init; }
    public string JobId { get; init; } = "";
    public string Cmd { get; init; } = "";
    public string Cron { get; init; } = "";
    public string TimeZone { get; init; } = "";
    public bool Paused { get; init; }
    public int? Timeout { get; init; }
    public string Overlap { get; init; } = "";
    public string Misfire { get; init; } = "";
    public int MisfireWindow { get; init; }
    public int Retries { get; init; }
    public int RetryDelay { get; init; }
    public byte[]? Env { get; init; }
    public string WorkingDirectory { get; init; } = "";
    public string RunAs { get; init; } = "";
    public string NodeSelector { get; init; } = "";
    public string Interpreter { get; init; } = "";
    public string Released { get; init; } = "";
    public long? HeldBy { get; init; }

    /// <summary>Who last changed what it runs.</summary>
    public long WriterId { get; init; }

    public string HeldZh { get; init; } = "";
    public string HeldEn { get; init; } = "";
    public DateTime AccountedTo { get; init; }
    public long? GapLogId { get; init; }
    public DateTime? GapNominalAt { get; init; }
    public string? GapReason { get; init; }

    /// <summary>PostgreSQL's time when the row was locked.</summary>
    public DateTime LockedAt { get; init; }

    public DateTime? BrokenAt { get; init; }
    public string BrokenZh { get; init; } = "";
    public string BrokenEn { get; init; } = "";
    public DateTime CreateTime { get; init; }
    public DateTime? NextRunAt { get; init; }

    /// <summary>The job as the account needs it.</summary>
    /// <exception cref="JobIsBroken">The row does not read; the exception says why in words.</exception>
    /// <param name="skip">Why its due times are skipped though it is not paused.</param>
    /// <param name="held">Up to when nothing runs because the installation was restored.</param>
    public Accounting.Due ToDue(
        DateTimeOffset steadySince,
        Accounting.GapReason? gap = null,
        Accounting.GapReason? skip = null,
        Accounting.HeldTimes? held = null
    ) => new(
        ExpressionOf(Cron), ZoneOf(TimeZone), Paused, Overlap, Misfire, TimeSpan.FromSeconds(MisfireWindow),
        // Nothing was due before the job was made: an account that lies further back is damage.
        new DateTimeOffset(AccountedTo < CreateTime && CreateTime < LockedAt ? CreateTime : AccountedTo, TimeSpan.Zero), steadySince, gap, skip, held);

    /// <exception cref="JobIsBroken">The machine's zone data has no such zone.</exception>
    public static TimeZoneInfo ZoneOf(string id)
    {
        try
        {
            return FixedZone.Parse(id) ?? TimeZoneInfo.FindSystemTimeZoneById(id);
        }
        catch (Exception error) when (error is TimeZoneNotFoundException or InvalidTimeZoneException or System.Security.SecurityException or ArgumentException)
        {
            throw new JobIsBroken(
                new Text(
                    $"本机没有时区 {id}（系统时区数据更新后可能移除，Debian 可安装 tzdata-legacy），请修改任务的 time_zone",
                    $"This machine has no time zone {id} (an update of its zone data may have removed it; Debian has tzdata-legacy); change the job's time_zone"
                )
            );
        }
    }

    /// <exception cref="JobIsBroken">The stored expression does not parse.</exception>
    public static CronExpression ExpressionOf(string text)
    {
        try
        {
            return Expression(text);
        }
        catch (Exception error) when (error is InvalidOperationException or FormatException or ArgumentException)
        {
            throw new JobIsBroken(new Text($"定时表达式 {text} 无法解析，请修改任务的 cron", $"The expression {text} does not parse; change the job's cron"));
        }
    }

    /// <summary>A stored expression, which was checked when it arrived.</summary>
    public static CronExpression Expression(string text) =>
        ReadExpression(text, out var why) ?? throw new InvalidOperationException($"The stored expression '{text}' does not parse: {why.En}");

    /// <summary>A stored expression; null where it does not parse.</summary>
    public static CronExpression? ReadExpression(string text, out Text why)
    {
        why = default;
        if (Parsed.TryGetValue(text, out var known))
            return known;
        if (!CronExpression.TryParse(text, out var parsed, out why, out _))
            return null;
        // Stored expressions are few; a table that grew past any real set is begun anew.
        if (Parsed.Count > 20_000) Parsed.Clear();
        return Parsed[text] = parsed!;
    }
}

/// <summary>The row of a job does not read: it fires nothing until it is edited, or until what it lacks is there again.</summary>
internal sealed class JobIsBroken(Text why) : Exception(why.En)
{
    public Text Why { get; } = why;
}
