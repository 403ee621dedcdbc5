namespace Codo.Modules.Cron.Executions;

/// <summary>What the module writes into the outbox: the kinds of messages, and what they carry.</summary>
internal static class JobEvents
{
    /// <summary>An execution ended: <see cref="Execution"/>.</summary>
    public const string Ended = "cron.ended";

    /// <summary>Due times were skipped several times in a row, or a high-risk rule keeps the job from running: <see cref="Stretch"/>.</summary>
    public const string Skipped = "cron.skipped";

    /// <summary>Due times were missed: <see cref="Stretch"/>.</summary>
    public const string Missed = "cron.missed";

    /// <summary>A job was deleted of which something had been told: <see cref="Job"/>.</summary>
    public const string Deleted = "cron.deleted";

    /// <summary>A job's row does not read: <see cref="Brokenness"/>.</summary>
    public const string Broken = "cron.broken";

    /// <summary>A broken job reads again: <see cref="Job"/>.</summary>
    public const string Mended = "cron.mended";

    /// <summary>Skips in a row that are told.</summary>
    public const int SkipsThatCount = 3;

    /// <summary>The messages of one job are published in order.</summary>
    /// <param name="job">The surrogate id.</param>
    public static string Stream(long job) => $"job:{job}";

    internal sealed record Execution(long Job, string JobId, long LogId, DateTimeOffset NominalAt);

    internal sealed record Stretch(long Job, string JobId, long LogId, DateTimeOffset NominalAt, DateTimeOffset NominalUntil, int Times);

    internal sealed record Job(string JobId);

    internal sealed record Brokenness(long Job, string JobId, string Zh, string En);
}
