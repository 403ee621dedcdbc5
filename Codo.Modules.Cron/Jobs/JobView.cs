using Codo.Platform.Http;

namespace Codo.Modules.Cron.Jobs;

/// <summary>A job as answers show it: the original's fields, and Codo's own behind them.</summary>
internal sealed record JobView(
    string JobId, string Cmd, string Cron, string NextRunTime, string Status, IReadOnlyDictionary<string, string> Cron1, Text CronText, string TimeZone, int? Timeout, string Overlap, string Misfire,
    int MisfireWindow, int Retries, int RetryDelay, IReadOnlyDictionary<string, string> Env, string WorkingDirectory, string Description, string[] Tags, string[] Owners,
    long CreatorId, string Creator, DateTime CreateTime, long UpdaterId, string Updater, DateTime UpdateTime)
{
    private static readonly string[] FieldNames = ["second", "minute", "hour", "day", "month", "day_of_week"];

    /// <summary>The view of a row, its next time in the job's own zone.</summary>
    public static JobView Of(Row row, JobEnvironment environments)
    {
        var expression = JobRow.Expression(row.Cron);
        var fields = FieldNames.Zip(expression.Fields).ToDictionary(pair => pair.First, pair => pair.Second);
        fields["week"] = "*";
        fields["year"] = "*";
        var next = row.Paused || row.NextRunAt is not { } at ? "None" : Times.FormatWithOffset(new DateTimeOffset(at, TimeSpan.Zero), TimeZoneInfo.FindSystemTimeZoneById(row.TimeZone));
        return new JobView(row.JobId, row.Cmd, row.Cron, next, row.Paused ? "1" : "0", fields, expression.Describe(), row.TimeZone, row.Timeout, row.Overlap, row.Misfire, row.MisfireWindow,
            row.Retries, row.RetryDelay, environments.Masked(row.Env), row.WorkingDirectory, row.Description, row.Tags, row.Owners,
            row.CreatorId, row.Creator, row.CreateTime, row.UpdaterId, row.Updater, row.UpdateTime);
    }

    /// <summary>The columns that a view is made of.</summary>
    internal sealed class Row
    {
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
        public string Description { get; init; } = "";
        public string[] Tags { get; init; } = [];
        public string[] Owners { get; init; } = [];
        public long CreatorId { get; init; }
        public string Creator { get; init; } = "";
        public DateTime CreateTime { get; init; }
        public long UpdaterId { get; init; }
        public string Updater { get; init; } = "";
        public DateTime UpdateTime { get; init; }
        public DateTime? NextRunAt { get; init; }
    }
}
