using System.Globalization;
using Npgsql;

namespace Codo.Bench;

/// <summary>
/// Years of an installation in minutes: fills a migrated database with jobs, their ledger, orders with steps and output, the audit, incidents and deliveries.
/// At scale 1: 10,000 jobs, 10^7 rows of the ledger, 10^5 orders with 10^6 steps and 10^8 lines, 10^7 rows of the audit, 10^5 incidents.
/// </summary>
internal static class HistoryData
{
    /// <summary>Days that the history reaches back.</summary>
    public const int Days = 88;

    /// <summary>The job that has 120 rows whatever the scale, the one that has a tenth of all, and a tag and an owner of one job each.</summary>
    public const string RareJob = "bench-00007", FrequentJob = "bench-00001", RareTag = "rare", FrequentTag = "nightly", RareOwner = "owner-7";

    /// <summary>Texts of the ledger's output: in each row, in one of a thousand, in one row, in none.</summary>
    public const string FrequentText = "rows copied", SeldomText = "deadlock", OneText = "needle-in-the-ledger", NoText = "no-such-text-anywhere";

    private const string PartitionsSql = """
        DO $$
        DECLARE
            month timestamp;
            day timestamp;
            parent text;
        BEGIN
            FOR back IN REVERSE 4..0 LOOP
                month := date_trunc('month', (now() AT TIME ZONE 'UTC')) - make_interval(months => back);
                FOREACH parent IN ARRAY ARRAY['cron_log', 'attempt', 'output'] LOOP
                    EXECUTE format('CREATE TABLE IF NOT EXISTS cron.%I PARTITION OF cron.%I FOR VALUES FROM (%L) TO (%L)',
                        parent || '_' || to_char(month, 'YYYYMM'), parent, month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC');
                    EXECUTE format('ALTER TABLE cron.%I OWNER TO %I', parent || '_' || to_char(month, 'YYYYMM'),
                        (SELECT tableowner FROM pg_tables WHERE schemaname = 'cron' AND tablename = parent));
                END LOOP;
            END LOOP;
        END $$
        """;

    private const string JobsSql = """
        INSERT INTO cron.job (job_id, cmd, cron, time_zone, description, tags, owners, creator_id, creator, updater_id, updater, accounted_to, next_run_at)
        SELECT 'bench-' || lpad(n::text, 5, '0'), '/opt/jobs/run.sh --number ' || n, '0 0 3 29 2 *', 'UTC', 'A job of the benchmark, number ' || n,
            CASE WHEN n = 7 THEN ARRAY['rare'] WHEN n % 10 = 0 THEN ARRAY['nightly', 'team-' || n % 50] ELSE ARRAY['team-' || n % 50] END,
            ARRAY['owner-' || n % 500 + CASE WHEN n <> 7 AND n % 500 = 7 THEN 1 ELSE 0 END], 1, 'bench', 1, 'bench', now(), now() + interval '2 years'
        FROM generate_series(1, {jobs}) n
        """;

    // Evenly over the days up to now, newest last. The frequent job has a tenth of all rows; the rare one 120, the last of them a month old or so.
    private const string LedgerSql = """
        INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, status, exec_time, ended_at, exit_code, task_cmd, spec, task_log,
            cause_zh, cause_en)
        SELECT j.id, j.job_id, CASE WHEN n % 50 = 3 THEN 'manual' ELSE 'schedule' END, CASE WHEN n % 50 = 3 THEN 'manual' ELSE 'schedule' END,
            r.at - interval '40 milliseconds', r.at - interval '40 milliseconds', r.status, r.at,
            CASE WHEN r.status NOT IN ('skipped', 'missed') THEN r.at + make_interval(secs => 0.2 + (n * 7919 % 1000) / 100.0) END,
            CASE r.status WHEN 'success' THEN 0 WHEN 'faild' THEN 1 END, j.cmd,
            '{"timeout": null, "retries": 0, "retry_delay": 10, "working_directory": "", "interpreter": "", "encoding": "utf-8", "overlap": "skip"}',
            CASE WHEN r.status IN ('skipped', 'missed') THEN '' ELSE 'step 1 of ' || n % 7 || E' begins\n' || n * 7919 % 100000 || ' rows copied in '
                || n % 977 || E' ms\n' || CASE WHEN n % 1000 = 17 THEN E'ERROR: deadlock detected\n' ELSE '' END
                || CASE WHEN n = {ledger} / 2 THEN E'needle-in-the-ledger\n' ELSE '' END END,
            CASE WHEN r.status = 'skipped' THEN '上一次执行尚未结束' ELSE '' END, CASE WHEN r.status = 'skipped' THEN 'The previous run has not ended' ELSE '' END
        FROM generate_series(CAST({from} AS bigint), {until}) n
        CROSS JOIN LATERAL (SELECT now() - ({ledger} - n) * (interval '{days} days' / {ledger}) AS at,
            CASE WHEN n % 33 = 5 THEN 'faild' WHEN n % 100 = 9 THEN 'skipped' WHEN n % 1000 = 11 THEN 'timeout' WHEN n % 1000 = 13 THEN 'missed'
                WHEN n % 10000 = 19 THEN 'killed' ELSE 'success' END AS status,
            CASE WHEN n % 10 = 0 THEN 1 WHEN n % greatest({ledger} / 120, 1) = 1 AND n < {ledger} * 2 / 3 THEN 7
                ELSE 8 + n * 7919 % ({jobs} - 8) END AS number) r
        JOIN cron.job j ON j.job_id = 'bench-' || lpad(r.number::text, 5, '0')
        """;

    private const string AttemptsSql = """
        INSERT INTO cron.attempt (log_id, nominal_at, attempt, trigger, run_id, node, incarnation, process_group, start_ticks, boot_id, started_at, ended_at,
            status, exit_code)
        SELECT log_id, nominal_at, 1, trigger, 'run-' || log_id, 'bench', 1, 4711, 4711, 'boot', exec_time, ended_at, status, exit_code FROM cron.cron_log
        WHERE status NOT IN ('skipped', 'missed') AND job_id LIKE 'bench-%'
        """;

    private const string OutputSql = """
        INSERT INTO cron.output (log_id, nominal_at, attempt, from_byte, next_byte, text)
        SELECT log_id, nominal_at, 1, 0, octet_length(task_log), task_log FROM cron.cron_log WHERE task_log <> '' AND job_id LIKE 'bench-%'
        """;

    private const string OrdersSql = """
        INSERT INTO tasks.scheduler_task_list (list_id, task_name, task_type, hosts, args, details, creator, creator_id, executor, executor_id, approver_ids,
            status, schedule, temp_id, create_time, start_time, not_before, ended_at)
        SELECT 1000000 + n, 'deploy service ' || n % 900, 'template ' || n % 200, '{"1": "10.0.0.' || n % 250 || '"}', '{"VERSION": "v' || n || '"}', '',
            'user-' || n % 300, 5000 + n % 300, 'user-' || n % 17, 5000 + n % 17, ARRAY[5000 + n % 17, 5000 + n % 31],
            CASE WHEN n % 20 = 3 THEN 4 ELSE 3 END, CASE WHEN n > {orders} - 200 THEN 'new' ELSE 'OK' END, 1 + n % 200, r.at, r.at, r.at,
            CASE WHEN n > {orders} - 200 THEN NULL ELSE r.at + make_interval(secs => 30 + n % 600) END
        FROM generate_series(1, {orders}) n
        CROSS JOIN LATERAL (SELECT now() - ({orders} - n) * (interval '{days} days' / {orders}) AS at) r
        """;

    private const string LanesSql = """
        INSERT INTO tasks.lane (lane_id, list_id, task_group, host, batch, state, since)
        SELECT (o.list_id - 1000000) * 2 + h + 1000000, o.list_id, 1, '10.0.' || h || '.' || o.list_id % 250, 1,
            CASE WHEN o.schedule = 'new' THEN 'waiting' ELSE 'done' END, coalesce(o.ended_at, o.create_time)
        FROM tasks.scheduler_task_list o CROSS JOIN generate_series(0, 1) h WHERE o.list_id > 1000000
        """;

    private const string StepsSql = """
        INSERT INTO tasks.scheduler_task_info (sched_id, list_id, lane_id, task_group, task_level, task_name, task_cmd, task_args, trigger, exec_user,
            force_host, exec_ip, task_status, timeout, retries, on_error, outcome, attempts, tries)
        SELECT l.lane_id * 5 + s, l.list_id, l.lane_id, 1, s + 1, 'step ' || s + 1, '/opt/deploy/step.sh', 'VERSION', 'order', 'deploy', '', l.host,
            CASE WHEN l.state = 'waiting' THEN 1 ELSE 3 END, 1800, 0, 'stop', CASE WHEN l.state = 'waiting' THEN NULL ELSE 'done' END,
            CASE WHEN l.state = 'waiting' THEN 0 ELSE 1 END, CASE WHEN l.state = 'waiting' THEN 0 ELSE 1 END
        FROM tasks.lane l CROSS JOIN generate_series(0, 4) s WHERE l.list_id > 1000000
        """;

    private const string StepAttemptsSql = """
        INSERT INTO tasks.attempt (sched_id, attempt, list_id, lane_id, node, incarnation, run_id, host, exec_user, started_at, ended_at, exit_code, outcome,
            log_whole)
        SELECT s.sched_id, 1, s.list_id, s.lane_id, 'bench', 1, 'run-' || s.sched_id, s.exec_ip, 'deploy', o.start_time + make_interval(secs => s.task_level),
            o.start_time + make_interval(secs => s.task_level + 1), 0, 'done', true
        FROM tasks.scheduler_task_info s JOIN tasks.scheduler_task_list o USING (list_id) WHERE s.list_id > 1000000 AND s.outcome = 'done'
        """;

    // The partition of a day, as the host's own: it drops it once it is sealed.
    private const string DaySql = """
        DO $$
        DECLARE
            day timestamp := date_trunc('day', now() AT TIME ZONE 'UTC') - make_interval(days => {back});
            name text := 'log_line_' || to_char(day, 'YYYYMMDD');
        BEGIN
            IF to_regclass('tasks.' || name) IS NULL THEN
                EXECUTE format('CREATE TABLE tasks.%I PARTITION OF tasks.log_line FOR VALUES FROM (%L) TO (%L)', name, day AT TIME ZONE 'UTC',
                    (day + interval '1 day') AT TIME ZONE 'UTC');
                EXECUTE format('ALTER TABLE tasks.%I OWNER TO %I', name, (SELECT tableowner FROM pg_tables
                    WHERE schemaname = 'tasks' AND tablename = 'log_line'));
            END IF;
        END $$
        """;

    // In a statement of its own: the one that makes a partition locks the table, which the host seals meanwhile. No attempt of a day's last second, whose lines
    // would stand in the next day, which has no partition yet.
    private const string LinesSql = """
        INSERT INTO tasks.log_line (log_key, list_id, task_level, sched_id, attempt, line, continues, log_info, exec_time, log_time)
        SELECT a.list_id || '_1_' || i.task_level || '_' || a.host, a.list_id, i.task_level, a.sched_id, 1, n, false,
            CASE n WHEN 1 THEN '[CMD]: /opt/deploy/step.sh v' || a.list_id ELSE 'unpacking artefact ' || (a.sched_id * 31 + n * 7919) % 100000 || ' of service '
                || a.list_id % 900 || CASE WHEN n % 100 = 50 AND a.sched_id % 10 = 0 THEN ': WARNING slow disk' ELSE ': done' END END,
            a.started_at + n * interval '8 milliseconds', a.started_at + n * interval '9 milliseconds'
        FROM tasks.attempt a JOIN tasks.scheduler_task_info i USING (sched_id) CROSS JOIN generate_series(1, 100) n
        WHERE a.node = 'bench' AND a.started_at >= CAST(now() AT TIME ZONE 'UTC' AS date) - {back}
            AND a.started_at < CAST(now() AT TIME ZONE 'UTC' AS date) - {back} + 1 - interval '1 second'
        """;

    private const string DaySizeSql = """
        SELECT pg_total_relation_size(CAST('tasks.log_line_' || to_char(date_trunc('day', now() AT TIME ZONE 'UTC') - make_interval(days => {back}), 'YYYYMMDD')
            AS regclass))
        """;

    private const string AuditSql = """
        INSERT INTO platform.audit (at, user_id, username, nickname, address, request_id, action, kind, object_id, after)
        SELECT now() - ({audit} - n) * (interval '{days} days' / {audit}), 5000 + n % 300, 'user-' || n % 300, 'User ' || n % 300, '10.1.0.' || n % 250,
            'request-' || n, (ARRAY['edit', 'create', 'run', 'pause', 'approve'])[1 + n % 5], (ARRAY['job', 'order', 'template'])[1 + n % 3],
            'bench-' || lpad((n * 7919 % {jobs})::text, 5, '0'), jsonb_build_object('cmd', '/opt/jobs/run.sh --number ' || n)
        FROM generate_series(CAST({from} AS bigint), {until}) n
        """;

    private const string IncidentsSql = """
        INSERT INTO alerts.task_monitor (call_info, ctime, source, kind, subject, fingerprint, state, count, last_time, title_zh, title_en, subjects,
            told_names, ending, resolved_at)
        SELECT 'Job failed', r.at, CASE WHEN n % 5 = 0 THEN 'order' ELSE 'job' END, CASE WHEN n % 7 = 0 THEN 'missed' ELSE 'failed' END,
            'bench-' || lpad((n % {jobs})::text, 5, '0'), 'bench:' || n, CASE WHEN n > {incidents} - 20 THEN 'open' ELSE 'resolved' END, 1, r.at,
            '任务失败', 'A job failed', ARRAY['bench-' || lpad((n % {jobs})::text, 5, '0')], ARRAY['user-' || n % 300],
            CASE WHEN n > {incidents} - 20 THEN '' ELSE 'recovered' END,
            CASE WHEN n > {incidents} - 20 THEN NULL ELSE r.at + interval '10 minutes' END
        FROM generate_series(1, {incidents}) n
        CROSS JOIN LATERAL (SELECT now() - ({incidents} - n) * (interval '{days} days' / {incidents}) AS at) r
        """;

    private const string DeliveriesSql = """
        INSERT INTO alerts.delivery (incident_id, round, channel_id, channel_name, reason, people, state, attempts, due_at, create_time, started_at, ended_at)
        SELECT m.id, 1, 1 + c, 'channel ' || c, CASE c WHEN 2 THEN 'recovered' ELSE 'opened' END, m.told_names, CASE WHEN m.id % 500 = 0 THEN 'failed'
            ELSE 'sent' END, 1, m.ctime, m.ctime, m.ctime, m.ctime + interval '1 second'
        FROM alerts.task_monitor m CROSS JOIN generate_series(0, 2) c WHERE m.fingerprint LIKE 'bench:%'
        """;

    private const string DeadLettersSql = """
        INSERT INTO platform.outbox (stream, kind, attempts, dead_at, cause) SELECT 'bench:' || n, 'bench.letter', 20, now(), 'A dead letter'
        FROM generate_series(1, 1000) n
        """;

    private const string IndexesSql = """
        SELECT n.nspname || '.' || c.relname AS name, pg_get_indexdef(i.indexrelid) AS definition
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE i.indrelid = ANY(CAST(@Tables AS regclass[])) AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
        """;

    /// <summary>Fills the database.</summary>
    /// <param name="say">Is told what is made, and how long it took.</param>
    /// <param name="withLines">
    /// Whether steps get their output, 100 lines each: at scale 1 that takes 25 GB, less what the host seals meanwhile. They are made first, so that it does.
    /// </param>
    /// <returns>The bytes that the lines of days that are over took as rows, with their indexes.</returns>
    public static async Task<long> Fill(NpgsqlConnection connection, double scale, Action<string> say, bool withLines = false)
    {
        var (jobs, ledger) = (Rows(10_000, scale, 600), Rows(10_000_000, scale, 2000));
        var (orders, audit) = (Rows(100_000, scale, 3000), Rows(10_000_000, scale, 2000));
        string Of(string sql, long from = 0, long until = 0) =>
            new System.Text.StringBuilder(sql)
                .Replace("{jobs}", Text(jobs))
                .Replace("{ledger}", Text(ledger))
                .Replace("{orders}", Text(orders))
                .Replace("{audit}", Text(audit))
                .Replace("{incidents}", Text(Rows(100_000, scale, 3000)))
                .Replace("{days}", Text(Days))
                .Replace("{from}", Text(from))
                .Replace("{until}", Text(until))
                .ToString();

        async Task Step(string name, string sql)
        {
            var began = System.Diagnostics.Stopwatch.GetTimestamp();
            await Execute(connection, sql);
            say(string.Create(CultureInfo.InvariantCulture, $"{name}: {System.Diagnostics.Stopwatch.GetElapsedTime(began).TotalSeconds:0.0} s"));
        }

        async Task Parts(string name, string sql, long rows)
        {
            const long most = 1_000_000;
            for (var from = 1L; from <= rows; from += most)
            {
                var until = Math.Min(rows, from + most - 1);
                await Step($"{name} up to {until}", Of(sql, from, until));
            }
        }

        await Step("partitions", PartitionsSql);
        await Step("jobs", Of(JobsSql));
        await Execute(connection, "SET maintenance_work_mem = '1GB'; SET synchronous_commit = off; SET work_mem = '256MB'");
        await Step("orders", Of(OrdersSql));
        await Step("lanes", LanesSql);
        await Step("steps", StepsSql);
        await Step("attempts of steps", StepAttemptsSql);
        await Step("statistics of orders", "ANALYZE tasks.scheduler_task_info, tasks.attempt");
        var bytes = 0L;
        for (var back = Days; withLines && back >= 0; back--)
        {
            await Execute(connection, DaySql.Replace("{back}", Text(back)));
            await Step($"lines of {back} days ago", LinesSql.Replace("{back}", Text(back)));
            if (back > 0) bytes += await Number(connection, DaySizeSql.Replace("{back}", Text(back)));
        }
        // A bulk load without secondary indexes, which are made afterwards: a fifth of the time.
        var indexes = scale >= 0.1 ? await Indexes(connection, "cron.cron_log", "platform.audit") : [];
        foreach (var (index, _) in indexes) await Execute(connection, $"DROP INDEX {index}");
        await Parts("ledger", LedgerSql, ledger);
        await Step("attempts", AttemptsSql);
        await Step("output", OutputSql);
        await Parts("audit", AuditSql, audit);
        foreach (var (index, definition) in indexes) await Step(index, definition.Replace(" ON ONLY ", " ON ", StringComparison.Ordinal));
        await Step("incidents", Of(IncidentsSql));
        await Step("deliveries", DeliveriesSql);
        await Step("dead letters", DeadLettersSql);
        await Step("vacuum", "VACUUM (ANALYZE)");
        return bytes;
    }

    private static long Rows(long atOne, double scale, long least) => Math.Max(least, (long)(atOne * scale));

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);

    private static async Task Execute(NpgsqlConnection connection, string sql)
    {
        await using var command = new NpgsqlCommand(sql, connection) { CommandTimeout = 0 };
        await command.ExecuteNonQueryAsync();
    }

    private static async Task<long> Number(NpgsqlConnection connection, string sql)
    {
        await using var command = new NpgsqlCommand(sql, connection) { CommandTimeout = 0 };
        return (long)(await command.ExecuteScalarAsync())!;
    }

    private static async Task<List<(string Name, string Definition)>> Indexes(NpgsqlConnection connection, params string[] tables)
    {
        await using var command = new NpgsqlCommand(IndexesSql, connection) { Parameters = { new("Tables", tables) } };
        await using var reader = await command.ExecuteReaderAsync();
        var found = new List<(string, string)>();
        while (await reader.ReadAsync()) found.Add((reader.GetString(0), reader.GetString(1)));
        return found;
    }
}
