using System.Globalization;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Codo.Platform.Ui;
using Dapper;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>That something is queued, runs, has ended or was skipped.</summary>
internal sealed class RunsTopic(NpgsqlDataSource source, TimeProvider time) : PolledTopic(source, time)
{
    // The newest rows say what was recorded; the small table of active executions says what of it is under way. A row of a time to come, of a clock that was
    // put back since, would stay the newest until then.
    private const string VersionSql = """
        SELECT md5(COALESCE((SELECT max(log_id) FROM (SELECT log_id FROM cron.cron_log WHERE exec_time <= statement_timestamp()
                ORDER BY exec_time DESC, log_id DESC LIMIT 20) newest), 0) || '.' ||
            COALESCE((SELECT string_agg(log_id || state || attempt, ',' ORDER BY log_id) FROM cron.active_execution), ''))
        """;

    public override string Name => "runs";

    protected override Task<string> Read(NpgsqlConnection connection, string argument, CancellationToken cancellation) =>
        connection.QuerySingleAsync<string>(new CommandDefinition(VersionSql, cancellationToken: cancellation));
}

/// <summary>That a job was made, changed or deleted.</summary>
internal sealed class JobsTopic(NpgsqlDataSource source, TimeProvider time) : PolledTopic(source, time)
{
    // Hashed: not everybody may know how many jobs there are. A value must never come back, or a page that was read in between stays stale: max(deleted_at)
    // tells of a job that was made and deleted. A sum and not a maximum: a change may be committed after a later one. Of whole microseconds,
    // which add up in half the time of numbers with a fraction.
    private const string VersionSql = """
        SELECT md5(count(*) || '.' || COALESCE(sum(CAST(date_part('epoch', update_time) * 1000000 AS bigint)) FILTER (WHERE isfinite(update_time)), 0)
            || '.' || COALESCE(sum(CAST(date_part('epoch', broken_at) * 1000000 AS bigint)) FILTER (WHERE isfinite(broken_at)), 0) || '.' ||
            COALESCE(extract(epoch FROM (SELECT max(deleted_at) FROM cron.deleted_job WHERE job_id IS NOT NULL)), 0)) FROM cron.job
        """;

    public override string Name => "jobs";

    protected override Task<string> Read(NpgsqlConnection connection, string argument, CancellationToken cancellation) =>
        connection.QuerySingleAsync<string>(new CommandDefinition(VersionSql, cancellationToken: cancellation));
}

/// <summary>A topic of one execution, by its log id, for those who may see its job.</summary>
internal abstract class OneRunTopic(NpgsqlDataSource source, TimeProvider time) : PolledTopic(source, time)
{
    private const string JobSql = """
        SELECT job FROM cron.cron_log WHERE log_id = @LogId
        """;

    protected static long LogIdOf(string argument) => long.Parse(argument, NumberStyles.None, CultureInfo.InvariantCulture);

    protected override bool Takes(string argument) => long.TryParse(argument, NumberStyles.None, CultureInfo.InvariantCulture, out _);

    protected override async Task Demand(NpgsqlConnection connection, string argument, Access access)
    {
        var logId = LogIdOf(argument);
        var absent = Refusal.NotFound($"日志 {logId} 不存在", $"There is no log {logId}");
        var job = await connection.ExecuteScalarAsync<long?>(JobSql, new { LogId = logId }) ?? throw absent;
        await access.Demand(Verbs.See, await JobAccess.OfRow(connection, job), absent);
    }
}

/// <summary>That one execution has more output, or stands otherwise.</summary>
internal sealed class RunTopic(NpgsqlDataSource source, TimeProvider time) : OneRunTopic(source, time)
{
    // The cause as well: that no node fits is said of a row that stays queued.
    private const string VersionSql = """
        SELECT md5(l.status || '.' || l.cause_en || '.' || COALESCE((SELECT max(a.attempt) || '.' || max(o.next_byte)
            FROM cron.attempt a LEFT JOIN cron.output o ON o.log_id = a.log_id AND o.nominal_at = a.nominal_at AND o.attempt = a.attempt
            WHERE a.log_id = l.log_id AND a.nominal_at = l.nominal_at AND a.attempt = (SELECT max(m.attempt) FROM cron.attempt m
                WHERE m.log_id = l.log_id AND m.nominal_at = l.nominal_at)), ''))
        FROM cron.cron_log l WHERE l.log_id = @LogId
        """;

    public override string Name => "run";

    protected override async Task<string> Read(NpgsqlConnection connection, string argument, CancellationToken cancellation)
    {
        var asked = new { LogId = LogIdOf(argument) };
        return await connection.QuerySingleOrDefaultAsync<string>(new CommandDefinition(VersionSql, asked, cancellationToken: cancellation)) ?? "";
    }
}

/// <summary>What an execution uses while it runs: every two seconds on its own node, as often as it is stored on others.</summary>
internal sealed class UsageTopic(NpgsqlDataSource source, TimeProvider time, Runner runner) : OneRunTopic(source, time)
{
    private const int Seconds = 2;

    private const string VersionSql = """
        SELECT attempt || '.' || at FROM cron.live_usage WHERE log_id = @LogId ORDER BY attempt DESC LIMIT 1
        """;

    public override string Name => "usage";

    protected override async Task<string> Read(NpgsqlConnection connection, string argument, CancellationToken cancellation)
    {
        var logId = LogIdOf(argument);
        if (runner.Find(logId) is { } run)
            return string.Create(CultureInfo.InvariantCulture, $"{run.Claimed.Attempt}.{(int)((run.Watch?.Latest?.Seconds ?? 0) / Seconds)}");
        var asked = new CommandDefinition(VersionSql, new { LogId = logId }, cancellationToken: cancellation);
        // A topic without a version is not followed.
        return await connection.QuerySingleOrDefaultAsync<string>(asked) ?? "0";
    }
}
