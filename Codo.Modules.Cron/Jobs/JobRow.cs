using System.Collections.Concurrent;
using Codo.Modules.Cron.Executions;

namespace Codo.Modules.Cron.Jobs;

/// <summary>A job as the ledger locks it.</summary>
internal sealed class JobRow
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
    public DateTime AccountedTo { get; init; }
    public long? GapLogId { get; init; }
    public DateTime? GapNominalAt { get; init; }
    public string? GapReason { get; init; }

    public Accounting.Due ToDue() => new(
        Expression(Cron), TimeZoneInfo.FindSystemTimeZoneById(TimeZone), Paused, Overlap, Misfire, TimeSpan.FromSeconds(MisfireWindow), new DateTimeOffset(AccountedTo, TimeSpan.Zero));

    /// <summary>A stored expression, which was checked when it arrived.</summary>
    public static CronExpression Expression(string text)
    {
        if (Parsed.TryGetValue(text, out var known)) return known;
        if (!CronExpression.TryParse(text, out var parsed, out var why, out _)) throw new InvalidOperationException($"The stored expression '{text}' does not parse: {why.En}");
        // Stored expressions are few; a table that grew past any real set is begun anew.
        if (Parsed.Count > 20_000) Parsed.Clear();
        return Parsed[text] = parsed!;
    }
}
