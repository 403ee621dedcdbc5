using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Events;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Dapper;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>What is recorded when an attempt has ended; it survives this process in a file when the database is away.</summary>
/// <param name="RetryDelay">Seconds until the next attempt may start; null when this was the last.</param>
internal sealed record ExecutionResult(Claimed Claimed, string Node, Ending Ending, int? RetryDelay, string Output, long OutputBytes)
{
    /// <summary>It failed and is over, for this reason.</summary>
    public ExecutionResult WithoutRetry(Text why)
    {
        var (zh, en) = ($"{Ending.Cause.Zh}；{why.Zh}".TrimStart('；'), $"{Ending.Cause.En}; {why.En}".TrimStart(';', ' '));
        return this with { RetryDelay = null, Ending = Ending with { Cause = new Text(zh, en) } };
    }
}

/// <summary>The runner's statements. Each is guarded by node and incarnation, so that a node that was declared dead changes nothing any more.</summary>
internal sealed class ExecutionStore
{
    private readonly NpgsqlDataSource source;
    private readonly Outbox outbox;
    private readonly ILogger<ExecutionStore> log;
    private readonly BatchWriter<(Run Run, RunMark Mark), Text?> marks;
    private readonly BatchWriter<ExecutionResult, bool> ends;

    // Without it a batch has three or four of the hundreds that come in a second, and those commits cost PostgreSQL a third of the processors.
    private static readonly TimeSpan Gather = TimeSpan.FromMilliseconds(10);

    public ExecutionStore(NpgsqlDataSource source, Outbox outbox, ILogger<ExecutionStore> log)
    {
        (this.source, this.outbox, this.log) = (source, outbox, log);
        // Ends carry up to 64 KiB of output each.
        (marks, ends) = (new(WriteMarks, 200, Gather), new(WriteEnds, 50, Gather));
    }

    /// <summary>One execution of a job that runs, where its overlap allows no more: the index that sees to it.</summary>
    private const string OneAtATime = "active_execution_one_at_a_time";

    /// <summary>Characters of output that lists show; the rest is had from the endpoint that the last line names.</summary>
    public const int ListLimit = 64 << 10;

    // The run's id begins with the claim's, by which rows are found whose claim got no answer. Its end is random: a command knows its own id, and could tell
    // those of its claim's other commands from it.
    private const string ClaimSql = """
        WITH free AS (
            SELECT g.log_id, g.unplaced FROM cron.active_execution g
            WHERE g.state = 'queued' AND g.not_before <= statement_timestamp()
                AND NOT (g.exclusive AND EXISTS (SELECT 1 FROM cron.active_execution o WHERE o.job = g.job AND o.log_id <> g.log_id
                    AND (o.state = 'running' OR o.log_id < g.log_id)))
                AND EXISTS (SELECT 1 FROM platform.node n WHERE n.name = @Node AND n.incarnation = @Incarnation AND n.fenced < n.incarnation
                    AND n.drained_at IS NULL)
                AND (g.node_selector = '' OR EXISTS (SELECT 1 FROM platform.node n WHERE n.name = @Node AND platform.fits(n.labels, g.node_selector)))
                AND (cardinality(CAST(@Full AS bigint[])) = 0 OR NOT EXISTS (SELECT 1 FROM cron.job j WHERE j.id = g.job AND j.creator_id = ANY(@Full)))
            ORDER BY g.not_before, g.log_id LIMIT @Room FOR UPDATE SKIP LOCKED
        ), claimed AS (
            UPDATE cron.active_execution g SET state = 'running', node = @Node, incarnation = @Incarnation, unplaced = false FROM free
            WHERE g.log_id = free.log_id RETURNING g.log_id, g.nominal_at, g.job, g.job_id, g.attempt, free.unplaced
        ), started AS (
            UPDATE cron.cron_log l SET status = 'running', exec_time = CASE WHEN c.attempt = 1 THEN clock_timestamp() ELSE l.exec_time END,
                cause_zh = CASE WHEN c.unplaced THEN '' ELSE l.cause_zh END, cause_en = CASE WHEN c.unplaced THEN '' ELSE l.cause_en END
            FROM claimed c WHERE l.log_id = c.log_id AND l.nominal_at = c.nominal_at AND l.status = 'queued'
            RETURNING c.log_id, c.nominal_at, c.job, c.job_id, c.attempt,
                concat_ws('-', CAST(@Claim AS text), c.log_id, c.attempt, replace(CAST(gen_random_uuid() AS text), '-', '')) AS run_id,
                l.task_cmd, l.spec, l.env, l.trigger
        ), attempted AS (
            INSERT INTO cron.attempt (log_id, nominal_at, attempt, trigger, run_id, node, incarnation, started_at)
            SELECT log_id, nominal_at, attempt, CASE WHEN attempt = 1 THEN trigger ELSE 'retry' END, run_id, @Node, @Incarnation, clock_timestamp() FROM started
        )
        SELECT log_id, nominal_at, job, job_id, attempt, run_id, CAST(@Incarnation AS bigint) AS incarnation, task_cmd, spec::text AS spec, env,
            (SELECT j.creator_id FROM cron.job j WHERE j.id = started.job) AS person FROM started
        """;

    // Codo writes no such rows: somebody has put an execution back into the queue by hand, or a row is damaged.
    private const string SetApartSql = """
        WITH apart AS (
            DELETE FROM cron.active_execution g WHERE g.state = 'queued' AND EXISTS (SELECT 1 FROM cron.attempt a WHERE a.log_id = g.log_id
                AND a.nominal_at = g.nominal_at AND a.attempt = g.attempt)
            RETURNING g.log_id, g.nominal_at, g.job, g.job_id, g.attempt
        ), told AS (
            INSERT INTO platform.outbox (stream, kind, payload)
            SELECT 'job:' || job, 'cron.ended', jsonb_build_object('job', job, 'job_id', job_id, 'log_id', log_id, 'nominal_at', nominal_at) FROM apart
        ), ended AS (
            UPDATE cron.cron_log l SET status = 'interrupted', ended_at = clock_timestamp(),
                cause_zh = '第 ' || a.attempt || ' 次执行在台账中已存在，排队记录已损坏，未再执行',
                cause_en = 'Attempt ' || a.attempt || ' is in the ledger already: the queued row is damaged, and nothing was run'
            FROM apart a WHERE l.log_id = a.log_id AND l.nominal_at = a.nominal_at AND l.status IN ('queued', 'running')
        )
        SELECT log_id FROM apart
        """;

    private const string UnansweredSql = """
        SELECT a.log_id, a.nominal_at, g.job, g.job_id, a.attempt, a.run_id, a.incarnation, l.task_cmd, l.spec::text AS spec, l.env,
            (SELECT j.creator_id FROM cron.job j WHERE j.id = g.job) AS person
        FROM cron.active_execution g JOIN cron.attempt a ON a.log_id = g.log_id AND a.nominal_at = g.nominal_at AND a.attempt = g.attempt
        JOIN cron.cron_log l ON l.log_id = g.log_id AND l.nominal_at = g.nominal_at
        WHERE g.node = @Node AND g.incarnation = @Incarnation AND g.state = 'running' AND a.ended_at IS NULL
            AND split_part(a.run_id, '-', 1) = ANY(@Claims)
        """;

    private const string MineSql = """
        SELECT log_id, attempt, incarnation, stop_zh, stop_en FROM cron.active_execution WHERE node = @Node AND state = 'running'
        """;

    private const string WorkSql = """
        SELECT EXISTS (SELECT 1 FROM cron.active_execution WHERE state = 'queued' AND not_before <= statement_timestamp()) AS queued,
            EXISTS (SELECT 1 FROM cron.job WHERE NOT paused AND next_run_at <= statement_timestamp() AND broken_at IS NULL) AS due,
            EXISTS (SELECT 1 FROM cron.active_execution) OR EXISTS (SELECT 1 FROM cron.job WHERE NOT paused
                AND next_run_at <= statement_timestamp() + interval '6 seconds' AND broken_at IS NULL) AS any,
            clock_timestamp() AS now
        """;

    private const string MarkSql = """
        WITH marked AS (
            SELECT * FROM unnest(CAST(@LogIds AS bigint[]), CAST(@Times AS timestamptz[]), CAST(@Attempts AS int[]), CAST(@Groups AS int[]),
                CAST(@Ticks AS bigint[]))
                AS m(log_id, nominal_at, attempt, process_group, start_ticks)
        ), found AS (
            UPDATE cron.attempt a SET process_group = m.process_group, start_ticks = m.start_ticks, boot_id = @BootId
            FROM marked m WHERE a.log_id = m.log_id AND a.nominal_at = m.nominal_at AND a.attempt = m.attempt
        )
        SELECT g.log_id, g.attempt, g.stop_zh AS zh, g.stop_en AS en FROM cron.active_execution g JOIN marked m ON m.log_id = g.log_id
            AND m.attempt = g.attempt WHERE g.stop_zh IS NOT NULL
        """;

    // Sorted by log_id, so that two statements lock rows in the same order.
    private const string EndSql = """
        WITH ending AS (
            SELECT * FROM unnest(CAST(@LogIds AS bigint[]), CAST(@Times AS timestamptz[]), CAST(@Attempts AS int[]), CAST(@Nodes AS text[]),
                CAST(@Incarnations AS bigint[]), CAST(@Ends AS timestamptz[]),
                    CAST(@Statuses AS text[]), CAST(@ExitCodes AS int[]), CAST(@Lefts AS int[]), CAST(@CausesZh AS text[]), CAST(@CausesEn AS text[]),
                        CAST(@RetryDelays AS int[]), CAST(@Jobs AS bigint[]),
                    CAST(@JobIds AS text[]), CAST(@Outputs AS text[]), CAST(@Cpu AS bigint[]), CAST(@Peaks AS bigint[]), CAST(@Reads AS bigint[]),
                        CAST(@Writes AS bigint[]), CAST(@UsageSources AS text[]))
                AS e(log_id, nominal_at, attempt, node, incarnation, ended_at, status, exit_code, left_alive, cause_zh, cause_en, retry_delay, job, job_id,
                    output, cpu_ms, peak_memory_bytes, read_bytes, written_bytes, usage_source) ORDER BY log_id
        ), ended AS (
            UPDATE cron.attempt a SET ended_at = e.ended_at, status = e.status, exit_code = e.exit_code, left_alive = e.left_alive, cause_zh = e.cause_zh,
                cause_en = e.cause_en, cpu_ms = e.cpu_ms, peak_memory_bytes = e.peak_memory_bytes, read_bytes = e.read_bytes,
                written_bytes = e.written_bytes, usage_source = e.usage_source
            FROM ending e WHERE a.log_id = e.log_id AND a.nominal_at = e.nominal_at AND a.attempt = e.attempt AND a.node = e.node
                AND a.incarnation = e.incarnation AND a.ended_at IS NULL
            RETURNING e.*
        ), gone AS (
            DELETE FROM cron.active_execution g USING ended e WHERE g.log_id = e.log_id AND g.attempt = e.attempt AND e.retry_delay IS NULL
        ), again AS (
            UPDATE cron.active_execution g SET state = 'queued', attempt = g.attempt + 1,
                not_before = clock_timestamp() + make_interval(secs => e.retry_delay), node = NULL, incarnation = NULL, stop_zh = NULL, stop_en = NULL
            FROM ended e WHERE g.log_id = e.log_id AND g.attempt = e.attempt AND e.retry_delay IS NOT NULL
        ), told AS (
            INSERT INTO platform.outbox (stream, kind, payload)
            SELECT 'job:' || e.job, 'cron.ended', jsonb_build_object('job', e.job, 'job_id', e.job_id, 'log_id', e.log_id, 'nominal_at', e.nominal_at)
                FROM ended e
            WHERE e.retry_delay IS NULL AND (e.status IN ('faild', 'timeout', 'interrupted')
                OR e.status = 'success' AND (EXISTS (SELECT 1 FROM cron.job j WHERE j.id = e.job AND j.troubled) OR EXISTS (SELECT 1
                    FROM platform.outbox o WHERE o.stream = 'job:' || e.job)
                    OR EXISTS (SELECT 1 FROM ended f WHERE f.job = e.job AND f.status <> 'success')))
            RETURNING 1
        )
        UPDATE cron.cron_log l SET status = CASE WHEN e.retry_delay IS NULL THEN e.status ELSE 'queued' END, ended_at = e.ended_at, exit_code = e.exit_code,
            task_log = e.output, cause_zh = e.cause_zh, cause_en = e.cause_en
        FROM ended e WHERE l.log_id = e.log_id AND l.nominal_at = e.nominal_at AND l.status = 'running'
        RETURNING e.log_id, e.attempt, EXISTS (SELECT 1 FROM told) AS is_told
        """;

    // Whoever deletes a job takes what waits for its retry out of the queue: the job's row is locked so that one of the two sees the other. Then the
    // executions, which somebody may have asked to stop since their command ended: all are locked, so that a stop that is about to commit is waited for.
    private const string JobsSql = """
        SELECT id FROM cron.job WHERE id = ANY(@Jobs) ORDER BY id FOR KEY SHARE
        """;

    private const string StopsSql = """
        SELECT log_id, attempt, stop_zh AS zh, stop_en AS en FROM cron.active_execution WHERE log_id = ANY(@LogIds) ORDER BY log_id FOR UPDATE
        """;

    private const string StoredSql = """
        SELECT coalesce((SELECT max(o.next_byte) FROM cron.output o WHERE o.log_id = a.log_id AND o.nominal_at = a.nominal_at AND o.attempt = a.attempt), 0)
        FROM cron.attempt a WHERE a.log_id = @LogId AND a.nominal_at = @NominalAt AND a.attempt = @Attempt AND a.node = @Node
            AND a.incarnation = @Incarnation AND a.ended_at IS NULL
        """;

    // A piece that is there already was stored without an answer. It is sent again with what has come since, which must not be lost.
    private const string AppendSql = """
        INSERT INTO cron.output AS o (log_id, nominal_at, attempt, from_byte, next_byte, text) VALUES (@LogId, @NominalAt, @Attempt, @From, @Next, @Text)
        ON CONFLICT (log_id, attempt, from_byte, nominal_at) DO UPDATE SET next_byte = excluded.next_byte, text = excluded.text
            WHERE o.next_byte < excluded.next_byte
        """;

    private const string DropMiddleSql = """
        DELETE FROM cron.output WHERE log_id = @LogId AND nominal_at = @NominalAt AND attempt = @Attempt AND from_byte >= @Head AND next_byte <= @Tail
        """;

    private const string AllRunningSql = """
        SELECT a.log_id, g.job_id, a.attempt, a.node, a.started_at, a.process_group FROM cron.active_execution g
        JOIN cron.attempt a ON a.log_id = g.log_id AND a.nominal_at = g.nominal_at AND a.attempt = g.attempt
        WHERE g.state = 'running' ORDER BY a.started_at LIMIT 500
        """;

    /// <summary>Takes up to <paramref name="room"/> queued executions for this node; their attempts are committed when this returns.</summary>
    /// <param name="claim">Names this claim: letters and digits. Where it gets no answer it may be committed all the same (<see cref="Unanswered"/>).</param>
    public async Task<List<Claimed>> Claim(string claim, string nodeName, long incarnation, int room, long[] full, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        try
        {
            var asked = new
            {
                Claim = claim,
                Node = nodeName,
                Incarnation = incarnation,
                Room = room,
                Full = full,
            };
            return (await connection.QueryAsync<Claimed>(ClaimSql, asked)).AsList();
        }
        catch (PostgresException error) when (error is { SqlState: PostgresErrorCodes.UniqueViolation, ConstraintName: OneAtATime })
        {
            // Another node has claimed a fire of the same job in this instant; the next look finds it running.
            return [];
        }
        catch (PostgresException error) when (error.SqlState == PostgresErrorCodes.UniqueViolation)
        {
            // It would be in the way of all others for ever: it is the oldest that waits.
            var apart = (await connection.QueryAsync<long>(SetApartSql)).AsList();
            if (apart.Count == 0) throw;
            log.LogError(error, "Executions {LogIds} waited for an attempt that the ledger has already: they are interrupted", apart);
            return [];
        }
    }

    /// <summary>What these claims have taken, as the claim would have returned it.</summary>
    public async Task<List<Claimed>> Unanswered(string[] claims, string nodeName, long incarnation, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        return (
            await connection.QueryAsync<Claimed>(
                UnansweredSql,
                new
                {
                    Claims = claims,
                    Node = nodeName,
                    Incarnation = incarnation,
                }
            )
        ).AsList();
    }

    public async Task<IEnumerable<MineRow>> Mine(string nodeName, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        return await connection.QueryAsync<MineRow>(MineSql, new { Node = nodeName });
    }

    public async Task<WorkRow> HasWork(CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        return await connection.QuerySingleAsync<WorkRow>(WorkSql);
    }

    /// <summary>Stores what finds the processes again; returns why the run is to be ended, when somebody asked before there was a process to end.</summary>
    public Task<Text?> RecordMark(Run run, RunMark mark) => marks.Write((run, mark));

    /// <summary>Records how an attempt ended; false when the row was settled before.</summary>
    public Task<bool> RecordEnd(ExecutionResult result) => ends.Write(result);

    private async Task<IReadOnlyList<Text?>> WriteMarks(IReadOnlyList<(Run Run, RunMark Mark)> all)
    {
        // What is over already has no process that somebody would have to find.
        var batch = all.Where(one => !one.Run.Over).Select(one => (one.Run.Claimed, one.Mark)).ToList();
        if (batch.Count == 0) return new Text?[all.Count];
        await using var connection = await source.OpenConnectionAsync();
        var stops = (await connection.QueryAsync<StopRow>(MarkSql, new
        {
            LogIds = batch.Select(one => one.Claimed.LogId).ToArray(),
            Times = batch.Select(one => one.Claimed.NominalAt).ToArray(),
            Attempts = batch.Select(one => one.Claimed.Attempt).ToArray(),
            Groups = batch.Select(one => one.Mark.ProcessGroup).ToArray(),
            Ticks = batch.Select(one => one.Mark.StartTicks).ToArray(),
            batch[0].Mark.BootId,
        })).ToDictionary(row => (row.LogId, row.Attempt), row => new Text(row.Zh!, row.En!));
        return [.. all.Select(one => stops.TryGetValue((one.Run.Claimed.LogId, one.Run.Claimed.Attempt), out var stop) ? stop : (Text?)null)];
    }

    private async Task<IReadOnlyList<bool>> WriteEnds(IReadOnlyList<ExecutionResult> batch)
    {
        await using var connection = await source.OpenConnectionAsync();
        Dictionary<(long LogId, int Attempt), bool> ended;
        if (batch.All(one => one.RetryDelay is null)) ended = await End(connection, null, batch);
        else
        {
            await using var transaction = await connection.BeginTransactionAsync();
            // A job's row that somebody holds for longer keeps the ends of its own runs, and no other's.
            await LockWait.Limit(connection, transaction, TimeSpan.FromSeconds(1));
            ended = await End(connection, transaction, await WithoutVainRetries(connection, transaction, batch));
            await transaction.CommitAsync();
        }

        if (ended.ContainsValue(true)) outbox.Wake();
        return [.. batch.Select(one => ended.ContainsKey((one.Claimed.LogId, one.Claimed.Attempt)))];
    }

    /// <summary>No retry of a job that was deleted, and none of a run that was stopped: it had failed just before the stop could reach it.</summary>
    private static async Task<IReadOnlyList<ExecutionResult>> WithoutVainRetries(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        IReadOnlyList<ExecutionResult> batch
    )
    {
        var retried = batch.Where(one => one.RetryDelay is not null).ToList();
        var asked = new { Jobs = retried.Select(one => one.Claimed.Job).ToArray() };
        var jobs = (await connection.QueryAsync<long>(JobsSql, asked, transaction)).ToHashSet();
        var stops = (
            await connection.QueryAsync<StopRow>(StopsSql, new { LogIds = retried.Select(one => one.Claimed.LogId).ToArray() }, transaction)
        )
            .Where(row => row.Zh is not null)
            .ToDictionary(row => (row.LogId, row.Attempt), row => new Text(row.Zh!, row.En!));
        return [.. batch.Select(one => one.RetryDelay is not null && Vain(one.Claimed) is { } why ? one.WithoutRetry(why) : one)];

        Text? Vain(Claimed claimed) =>
            stops.TryGetValue((claimed.LogId, claimed.Attempt), out var stop) ? stop
            : jobs.Contains(claimed.Job) ? null
            : new Text("任务已删除，不再重试", "The job was deleted: it is not tried again");
    }

    /// <returns>The attempts that had not been settled before, and whether somebody is to be told of them.</returns>
    private static async Task<Dictionary<(long LogId, int Attempt), bool>> End(
        NpgsqlConnection connection,
        NpgsqlTransaction? transaction,
        IReadOnlyList<ExecutionResult> batch
    ) =>
        (await connection.QueryAsync<EndRow>(EndSql, new
        {
            LogIds = batch.Select(one => one.Claimed.LogId).ToArray(),
            Times = batch.Select(one => one.Claimed.NominalAt).ToArray(),
            Attempts = batch.Select(one => one.Claimed.Attempt).ToArray(),
            Nodes = batch.Select(one => one.Node).ToArray(),
            Incarnations = batch.Select(one => one.Claimed.Incarnation).ToArray(),
            Ends = batch.Select(one => one.Ending.EndedAt).ToArray(),
            Statuses = batch.Select(one => one.Ending.Status.Word()).ToArray(),
            ExitCodes = batch.Select(one => one.Ending.ExitCode).ToArray(),
            Lefts = batch.Select(one => one.Ending.Left).ToArray(),
            CausesZh = batch.Select(one => one.Ending.Cause.Zh ?? "").ToArray(),
            CausesEn = batch.Select(one => one.Ending.Cause.En ?? "").ToArray(),
            RetryDelays = batch.Select(one => one.RetryDelay).ToArray(),
            Jobs = batch.Select(one => one.Claimed.Job).ToArray(),
            JobIds = batch.Select(one => one.Claimed.JobId).ToArray(),
            Outputs = batch.Select(OutputOf).ToArray(),
            Cpu = batch.Select(one => LiveUsage.Milliseconds(one.Ending.Usage)).ToArray(),
            Peaks = batch.Select(one => one.Ending.Usage?.PeakMemoryBytes).ToArray(),
            Reads = batch.Select(one => one.Ending.Usage?.ReadBytes).ToArray(),
            Writes = batch.Select(one => one.Ending.Usage?.WrittenBytes).ToArray(),
            UsageSources = batch.Select(one => one.Ending.Usage?.Source).ToArray(),
        }, transaction)).ToDictionary(row => (row.LogId, row.Attempt), row => row.IsTold);

    /// <summary>The line that stands for the rest of a long output in lists.</summary>
    public static string RestAt(long logId) => $"… /v1/cron/log/output/?log_id={logId} …";

    private static string OutputOf(ExecutionResult result) =>
        result.Output.Length <= ListLimit ? result.Output : OutsideText.Head(result.Output, ListLimit) + '\n' + RestAt(result.Claimed.LogId);

    /// <summary>Bytes of an attempt's output that are stored; null when the attempt was settled before.</summary>
    public async Task<long?> StoredOutput(ExecutionResult result)
    {
        await using var connection = await source.OpenConnectionAsync();
        var (claimed, node) = (result.Claimed, result.Node);
        return await connection.ExecuteScalarAsync<long?>(
            StoredSql,
            new
            {
                claimed.LogId,
                claimed.NominalAt,
                claimed.Attempt,
                Node = node,
                claimed.Incarnation,
            }
        );
    }

    /// <summary>Appends a piece of output.</summary>
    public async Task AppendOutput(Claimed claimed, long from, OutputPart part)
    {
        await using var connection = await source.OpenConnectionAsync();
        await connection.ExecuteAsync(AppendSql, new { claimed.LogId, claimed.NominalAt, claimed.Attempt, From = from, part.Next, part.Text });
    }

    /// <summary>Lets go of the pieces that have fallen out between head and tail.</summary>
    public async Task DropMiddle(Claimed claimed, int limit, long total)
    {
        await using var connection = await source.OpenConnectionAsync();
        await connection.ExecuteAsync(
            DropMiddleSql,
            new
            {
                claimed.LogId,
                claimed.NominalAt,
                claimed.Attempt,
                Head = (long)(limit / 2),
                Tail = total - (limit / 2),
            }
        );
    }

    public async Task<IReadOnlyList<RunningWork>> AllRunning(CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        return (await connection.QueryAsync<RunningRow>(AllRunningSql))
            .Select(row => new RunningWork(
                $"Cron {row.JobId} #{row.LogId}",
                row.Node,
                row.StartedAt,
                $"attempt {row.Attempt}, process group {row.ProcessGroup?.ToString() ?? "-"}",
                ExecutionMirror.LinkOf(row.LogId)
            ))
            .ToList();
    }

    internal sealed record MineRow(long LogId, int Attempt, long Incarnation, string? StopZh, string? StopEn);

    internal sealed record WorkRow(bool Queued, bool Due, bool Any, DateTime Now);

    private sealed record StopRow(long LogId, int Attempt, string? Zh, string? En);

    private sealed record EndRow(long LogId, int Attempt, bool IsTold);

    private sealed record RunningRow(long LogId, string JobId, int Attempt, string Node, DateTime StartedAt, int? ProcessGroup);
}
