using Codo.Modules.Cron.Jobs;
using Codo.Platform.Events;
using Codo.Platform.Http;
using Dapper;
using Hangfire;
using MediatR;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>Tells other modules what became of jobs, from the rows in <c>cron.news</c>, in their order.</summary>
internal sealed class Telling(NpgsqlDataSource source, IMediator mediator, JobEnvironment environments, ILogger<Telling> log)
{
    private const int Batch = 200, MostTries = 5;
    private const string One = "one";

    // One teller at a time, so that a success is not told before the failure that it ends.
    private const string LockSql = """
        SELECT pg_advisory_xact_lock(hashtext('cron.news'))
        """;

    private const string ReadSql = """
        SELECT n.news_id, n.at, n.kind, n.job, n.job_id, n.log_id, n.nominal_at, n.nominal_until, n.times, n.tries, n.at < clock_timestamp() - interval '10 minutes' AS is_old, coalesce(l.status, '') AS status, l.exec_time, l.ended_at, l.exit_code,
            coalesce(l.task_cmd, '') AS task_cmd, coalesce(l.cause_zh, '') AS cause_zh, coalesce(l.cause_en, '') AS cause_en, l.env, j.owners, j.id IS NOT NULL AS is_there,
            (SELECT a.node FROM cron.attempt a WHERE a.log_id = n.log_id AND a.nominal_at = n.nominal_at ORDER BY a.attempt DESC LIMIT 1) AS node
        FROM (SELECT * FROM cron.news ORDER BY news_id LIMIT @Batch) n
        LEFT JOIN cron.cron_log l ON l.log_id = n.log_id AND l.nominal_at = n.nominal_at
        LEFT JOIN cron.job j ON j.id = n.job ORDER BY n.news_id
        """;

    private const string OutputSql = """
        SELECT right(string_agg(p.text, '' ORDER BY p.from_byte), 8000) FROM (
            SELECT o.text, o.from_byte FROM cron.output o WHERE o.log_id = @LogId AND o.nominal_at = @NominalAt
                AND o.attempt = (SELECT max(a.attempt) FROM cron.attempt a WHERE a.log_id = @LogId AND a.nominal_at = @NominalAt)
            ORDER BY o.from_byte DESC LIMIT 4) p
        """;

    private const string EndedSql = """
        UPDATE cron.job SET failures = CASE WHEN @Failed THEN failures + 1 ELSE 0 END, troubled = @Failed WHERE id = @Job RETURNING failures
        """;

    private const string TroubledSql = """
        UPDATE cron.job SET troubled = true WHERE id = @Job AND NOT troubled
        """;

    private const string ForgetSql = """
        DELETE FROM cron.news WHERE news_id = ANY(@Told)
        """;

    private const string TriedSql = """
        UPDATE cron.news SET tries = tries + 1 WHERE news_id = @NewsId
        """;

    /// <summary>The background job. What fails here stays in the table, and is told again.</summary>
    [AutomaticRetry(Attempts = 5, DelaysInSeconds = [1, 5, 20, 60, 300])]
    [JobDisplayName("Cron: tell what became of jobs")]
    public async Task Tell()
    {
        while (await TellSome() == Batch)
        {
        }
    }

    private async Task<int> TellSome()
    {
        await using var connection = await source.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        await connection.ExecuteAsync(LockSql, transaction: transaction);
        var news = (await connection.QueryAsync<Row>(ReadSql, new { Batch }, transaction)).AsList();
        if (news.Count == 0) return 0;
        // Of a job that was deleted meanwhile only that is told: nothing of it can become well again.
        var left = news.FindAll(row => row.Kind == "deleted" || (row.IsThere && (row.Kind != "ended" || row.Status.Length > 0)));
        for (var i = 0; i < left.Count; i++)
        {
            var missed = left.Skip(i).TakeWhile(row => row.Kind == "missed").ToList();
            await transaction.SaveAsync(One);
            try
            {
                await mediator.Publish(left[i].Kind switch
                {
                    "ended" => await Ended(connection, transaction, left[i]),
                    "skipped" => await Skipped(connection, transaction, left[i]),
                    "missed" => await Missed(connection, transaction, missed),
                    _ => new JobDeleted(left[i].JobId),
                });
            }
            catch (Exception error) when (!Failures.IsDatabaseAway(error))
            {
                await transaction.RollbackAsync(One);
                var givenUp = await Stop(connection, transaction, news, missed.Count > 0 ? missed : [left[i]], error);
                await transaction.CommitAsync();
                if (!givenUp) throw;
                return Batch;
            }
            i += Math.Max(0, missed.Count - 1);
        }
        await connection.ExecuteAsync(ForgetSql, new { Told = news.Select(row => row.NewsId).ToArray() }, transaction);
        await transaction.CommitAsync();
        return news.Count;
    }

    /// <summary>What was told stays told. What cannot be told is tried again for ten minutes, and then given up, because everything else waits behind it.</summary>
    private async Task<bool> Stop(NpgsqlConnection connection, NpgsqlTransaction transaction, List<Row> news, List<Row> untold, Exception error)
    {
        var at = untold[0];
        // Every run that ends asks for a telling, so that tries alone may be over within a second.
        var givenUp = at.IsOld && at.Tries + 1 >= MostTries;
        if (givenUp) log.LogError(error, "What became of job {Job} (execution {LogId}, {Kind}) could not be told in {Tries} tries and is told to nobody", at.JobId, at.LogId, at.Kind, at.Tries + 1);
        await connection.ExecuteAsync(ForgetSql, new { Told = news.TakeWhile(row => row.NewsId < at.NewsId).Concat(givenUp ? untold : []).Select(row => row.NewsId).ToArray() }, transaction);
        await connection.ExecuteAsync(TriedSql, new { at.NewsId }, transaction);
        return givenUp;
    }

    private async Task<INotification> Ended(NpgsqlConnection connection, NpgsqlTransaction transaction, Row row)
    {
        var failed = row.Status != "success";
        var failures = await connection.ExecuteScalarAsync<int?>(EndedSql, new { row.Job, Failed = failed }, transaction) ?? (failed ? 1 : 0);
        var output = failed ? await connection.ExecuteScalarAsync<string?>(OutputSql, new { row.LogId, row.NominalAt }, transaction) ?? "" : "";
        var ended = row.EndedAt ?? row.At;
        return new ExecutionEnded(row.JobId, row.LogId, row.Status, failures, row.NominalAt, row.ExecTime ?? ended, ended, row.ExitCode, row.Node ?? "", new Text(row.CauseZh, row.CauseEn), row.TaskCmd,
            environments.WithoutSecrets(output, row.Env), row.Owners ?? []);
    }

    private static async Task<INotification> Skipped(NpgsqlConnection connection, NpgsqlTransaction transaction, Row row)
    {
        await connection.ExecuteAsync(TroubledSql, new { row.Job }, transaction);
        return new FiresSkipped(row.JobId, row.LogId, row.Times, row.NominalAt, row.NominalUntil, new Text(row.CauseZh, row.CauseEn), row.Owners ?? []);
    }

    // What was noticed together is told together, and before a success that comes after it.
    private static async Task<INotification> Missed(NpgsqlConnection connection, NpgsqlTransaction transaction, List<Row> missed)
    {
        foreach (var job in missed.Select(row => row.Job).Distinct()) await connection.ExecuteAsync(TroubledSql, new { Job = job }, transaction);
        return new FiresMissed(missed.ConvertAll(row => new MissedJob(row.JobId, row.NominalAt, row.NominalUntil, row.Times, row.At, row.Owners ?? [])));
    }

    // With properties, because Dapper gives no array to a constructor.
    private sealed record Row
    {
        public long NewsId { get; init; }
        public DateTime At { get; init; }
        public required string Kind { get; init; }
        public long Job { get; init; }
        public required string JobId { get; init; }
        public long LogId { get; init; }
        public DateTime NominalAt { get; init; }
        public DateTime NominalUntil { get; init; }
        public int Times { get; init; }
        public int Tries { get; init; }
        public bool IsOld { get; init; }
        public required string Status { get; init; }
        public DateTime? ExecTime { get; init; }
        public DateTime? EndedAt { get; init; }
        public int? ExitCode { get; init; }
        public required string TaskCmd { get; init; }
        public required string CauseZh { get; init; }
        public required string CauseEn { get; init; }
        public byte[]? Env { get; init; }
        public string[]? Owners { get; init; }
        public string? Node { get; init; }
        public bool IsThere { get; init; }
    }
}

/// <summary>Gets what is in <c>cron.news</c> told: at once after the commit that wrote it, and by a sweep for what a crash in between left.</summary>
internal sealed class News(NpgsqlDataSource source, IBackgroundJobClient jobs, ILogger<News> log)
{
    /// <summary>Skips of a job in a row that are news.</summary>
    public const int SkipsThatCount = 3;

    private const string LeftSql = """
        SELECT EXISTS (SELECT 1 FROM cron.news WHERE at < clock_timestamp() - interval '10 seconds')
        """;

    public void Soon()
    {
        try
        {
            jobs.Enqueue<Telling>("alerts", telling => telling.Tell());
        }
        catch (Exception error) when (Failures.IsDatabaseAway(error) || error is BackgroundJobClientException)
        {
            log.LogWarning("What became of jobs could not be queued to be told, the sweep does it: {Cause}", error.Message);
        }
    }

    public async Task Sweep(CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        if (await connection.ExecuteScalarAsync<bool>(LeftSql)) Soon();
    }
}
