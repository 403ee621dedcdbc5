using System.Text.Json.Serialization;
using Codo.Modules.Cron.Executions;
using Codo.Modules.Cron.Schedules;
using Codo.Platform.Http;
using Codo.Platform.Localization;

namespace Codo.Modules.Cron.Jobs;

/// <summary>A job as answers show it: the original's fields, and Codo's own behind them.</summary>
/// <param name="State"><c>running</c>, <c>paused</c>, or <c>broken</c>: it does not read, fires nothing, and <paramref name="Broken"/> says why.</param>
/// <param name="LastStatus">Of the newest row of the ledger; null before the first.</param>
/// <param name="LastExecTime">When it started, or was due where it never did.</param>
/// <param name="LastSeconds">How long it ran; null while it runs, and where it never did.</param>
/// <param name="SpaceId">The number of <paramref name="Space"/>, for decisions; answers have the name alone.</param>
internal sealed record JobView(
    string JobId,
    string Cmd,
    string Cron,
    string NextRunTime,
    string Status,
    IReadOnlyDictionary<string, string> Cron1,
    Text CronText,
    string TimeZone,
    int? Timeout,
    string Overlap,
    string Misfire,
    int MisfireWindow,
    int Retries,
    int RetryDelay,
    IReadOnlyDictionary<string, string> Env,
    IReadOnlyList<string> SecretEnv,
    string WorkingDirectory,
    string Interpreter,
    string Encoding,
    string RunAs,
    string Node,
    string Description,
    string[] Tags,
    string[] Owners,
    long CreatorId,
    string Creator,
    DateTime CreateTime,
    long UpdaterId,
    string Updater,
    DateTime UpdateTime,
    string State,
    Text Broken,
    Text Held,
    string? LastStatus,
    DateTime? LastExecTime,
    double? LastSeconds,
    string Space,
    int Version,
    [property: JsonIgnore] long SpaceId
)
{
    private static readonly string[] FieldNames = ["second", "minute", "hour", "day", "month", "day_of_week"];

    /// <summary>The view of a row, its next time in the job's own zone. It never throws: what does not read is shown as broken.</summary>
    /// <param name="space">The name of the space that it is in.</param>
    /// <param name="inList">Long texts are shown by their beginnings.</param>
    public static JobView Of(Row row, JobEnvironment environments, string space, bool inList)
    {
        var broken = row.BrokenAt is null ? default : new Text(row.BrokenZh, row.BrokenEn);
        CronExpression? expression = null;
        var next = "None";
        try
        {
            expression = JobRow.ExpressionOf(row.Cron);
            var zone = JobRow.ZoneOf(row.TimeZone);
            if (row is { Paused: false, NextRunAt: { } at, BrokenAt: null }) next = Times.FormatWithOffset(new DateTimeOffset(at, TimeSpan.Zero), zone);
        }
        catch (Exception error) when (error is JobIsBroken or ArgumentException)
        {
            if (broken.En is null) broken = (error as JobIsBroken)?.Why ?? Text.Same(error.Message);
        }
        if (environments.TryOpen(row.Env) is not { } variables)
        {
            variables = JobVariables.None;
            if (broken.En is null)
                broken = new Text(
                    "环境变量无法读取（主密钥不同或数据损坏），请重新设置 env",
                    "The environment does not read (another master key, or a damaged row); set env again"
                );
        }
        var env = environments.Masked(variables);
        if (inList)
            env = env.ToDictionary(pair => pair.Key, pair => Excerpt.Of(pair.Value));
        var fields = FieldNames
            .Zip(expression?.Fields ?? row.Cron.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .ToDictionary(pair => pair.First, pair => pair.Second);
        fields["week"] = "*";
        fields["year"] = "*";
        return new JobView(
            row.JobId,
            inList ? Excerpt.Of(row.Cmd) : row.Cmd,
            row.Cron,
            next,
            row.Paused ? "1" : "0",
            fields,
            expression?.Describe() ?? Text.Same(row.Cron),
            row.TimeZone,
            row.Timeout,
            row.Overlap,
            row.Misfire,
            row.MisfireWindow,
            row.Retries,
            row.RetryDelay,
            env,
            variables.Marked,
            row.WorkingDirectory,
            row.Interpreter,
            row.Encoding,
            row.RunAs,
            row.NodeSelector,
            row.Description,
            row.Tags,
            row.Owners,
            row.CreatorId,
            row.Creator,
            row.CreateTime,
            row.UpdaterId,
            row.Updater,
            row.UpdateTime,
            broken.En is not null ? "broken"
                : row.Paused ? "paused"
                : "running",
            new Text(broken.Zh ?? "", broken.En ?? ""),
            new Text(row.HeldZh, row.HeldEn),
            row.LastStatus,
            row.LastExecTime,
            row.LastSeconds,
            space,
            row.Version,
            row.SpaceId
        );
    }

    /// <summary>The columns that a view is made of.</summary>
    internal sealed class Row
    {
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
        public string Interpreter { get; init; } = "";
        public string Encoding { get; init; } = "";
        public string RunAs { get; init; } = "";
        public string NodeSelector { get; init; } = "";
        public string Description { get; init; } = "";
        public string[] Tags { get; init; } = [];
        public string[] Owners { get; init; } = [];
        public long SpaceId { get; init; }
        public long CreatorId { get; init; }
        public string Creator { get; init; } = "";
        public DateTime CreateTime { get; init; }
        public long UpdaterId { get; init; }
        public string Updater { get; init; } = "";
        public DateTime UpdateTime { get; init; }
        public DateTime? NextRunAt { get; init; }
        public DateTime? BrokenAt { get; init; }
        public string BrokenZh { get; init; } = "";
        public string BrokenEn { get; init; } = "";
        public string HeldZh { get; init; } = "";
        public string HeldEn { get; init; } = "";
        public string? LastStatus { get; init; }
        public DateTime? LastExecTime { get; init; }
        public double? LastSeconds { get; init; }
        public int Version { get; init; }
    }
}
