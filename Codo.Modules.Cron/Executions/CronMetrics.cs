using System.Diagnostics.Metrics;
using Codo.Platform.Telemetry;
using Dapper;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>What this node has done with due times and runs, for metrics.</summary>
internal static class CronMetrics
{
    private static readonly Counter<long> Fires = CodoTelemetry.Meter.CreateCounter<long>(
        "codo.fires",
        "{fire}",
        "Due times and runs by hand that are over, by outcome: a status of the ledger. A retry is not counted beside its run"
    );

    private static readonly Histogram<double> Late = CodoTelemetry.Meter.CreateHistogram(
        "codo.fire.lateness",
        "s",
        "From a due time to the start of its command",
        advice: CodoTelemetry.Seconds
    );

    private static readonly Histogram<double> Took = CodoTelemetry.Meter.CreateHistogram(
        "codo.run.duration",
        "s",
        "From the start of a command to its end, each attempt",
        advice: CodoTelemetry.Seconds
    );

    public static void Over(ExecutionStatus status, long times = 1) => Fires.Add(times, new KeyValuePair<string, object?>("outcome", status.Word()));

    public static void Started(TimeSpan late) => Late.Record(Math.Max(0, late.TotalSeconds));

    public static void Ended(TimeSpan took) => Took.Record(Math.Max(0, took.TotalSeconds));
}

/// <summary>Jobs and runs of the whole installation.</summary>
internal sealed class CronGauges : IGaugeSource
{
    private const string Sql = $"""
        SELECT 'codo.runs' AS name, state AS word, CAST(count(*) AS float8) AS value FROM cron.active_execution GROUP BY state
        UNION ALL SELECT 'codo.runs.queued.oldest', '', COALESCE(CAST(extract(epoch FROM clock_timestamp() - min(not_before)) AS float8), 0)
            FROM cron.active_execution g WHERE {ScheduleCheck.CouldStart}
        UNION ALL SELECT 'codo.jobs', CASE WHEN broken_at IS NOT NULL THEN 'broken' WHEN paused THEN 'paused' ELSE 'scheduled' END, CAST(count(*) AS float8)
            FROM cron.job GROUP BY 2
        """;

    public IReadOnlyList<Gauge> Gauges { get; } =
    [
        new("codo.runs", "{run}", "Runs that are queued or run, on all nodes", "state"),
        new("codo.runs.queued.oldest", "s", "How long the oldest run that could start waits for its start"),
        new("codo.jobs", "{job}", "Jobs by state", "state"),
    ];

    public Task<IEnumerable<GaugeValue>> Read(NpgsqlConnection connection, CancellationToken cancellation) =>
        connection.QueryAsync<GaugeValue>(new CommandDefinition(Sql, cancellationToken: cancellation));
}
