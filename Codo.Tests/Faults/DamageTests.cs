using System.Globalization;
using System.Text;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Dapper;
using Npgsql;
using OrderHost = Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Faults;

/// <summary>
/// Damages rows of every table in every way that a column allows, and shows that everything else works on: jobs fire, orders run, alerts are told, lists
/// answer, a host starts. The tables are found in the schema: a new one without a case fails the test.
/// </summary>
public sealed class DamageTests(TestPostgres postgres)
{
    /// <summary>How many victims each table gets: more than it has columns times values.</summary>
    private const int Victims = 120;

    // How a table gets its victims. {0} is their number; v is the victim's. What they start is harmless and short.
    private static readonly Dictionary<string, string> Cases = new(StringComparer.Ordinal)
    {
        ["platform.setting"] = "INSERT INTO platform.setting SELECT 'victim ' || v, 'x' FROM generate_series(1, {0}) v",
        ["platform.node"] =
            "INSERT INTO platform.node (name, incarnation, machine, boot_id, process_id, version, heartbeat_at, fenced, settled) SELECT 'victim ' || v, "
                + "1000000 + v, 'm', 'b', 1, '0', '-infinity', 0, 0 FROM generate_series(1, {0}) v",
        ["platform.audit"] =
            "INSERT INTO platform.audit (user_id, username, nickname, address, request_id, action, kind, object_id, after) SELECT 1, 'v', 'v', '', '', "
                + "'victim', 'order', v, '{{}}' FROM generate_series(1, {0}) v",
        ["platform.outbox"] =
            "INSERT INTO platform.outbox (stream, kind, payload) SELECT 'job:' || 900000 + v, (ARRAY['cron.ended', 'cron.missed', 'cron.skipped', "
                + "'cron.deleted', 'cron.broken', 'orders.situation'])[1 + v % 6], '{{\"job\": 1, \"job_id\": \"v\", \"log_id\": 1, \"list_id\": 1, "
                    + "\"situation\": 4, \"times\": 1, \"zh\": \"\", \"en\": \"\", \"nominal_at\": \"2026-01-01T00:00:00Z\", \"nominal_until\": "
                        + "\"2026-01-01T00:00:00Z\"}}' FROM generate_series(1, {0}) v",
        // Released ones: nothing else would run.
        ["platform.hold"] =
            "INSERT INTO platform.hold (backup_at, released_at, released_by) SELECT now(), '-infinity', 'v' FROM generate_series(1, {0}) v",
        ["accounts.revocation"] = "INSERT INTO accounts.revocation (jti, by_id) SELECT 'victim ' || v, 1 FROM generate_series(1, {0}) v",
        ["accounts.session"] =
            "INSERT INTO accounts.session (user_id, jti, expires_at) SELECT 950000 + v, 'victim ' || v, clock_timestamp() + interval '1 day' "
                + "FROM generate_series(1, {0}) v",
        ["accounts.own_account"] =
            "INSERT INTO accounts.own_account (user_id, name, password_hash) SELECT 950000 + v, 'victim ' || v, 'x' FROM generate_series(1, {0}) v",
        ["accounts.access_token"] =
            "INSERT INTO accounts.access_token (user_id, name, digest, hint, scopes, expires_at) SELECT 950000 + v, 'v', 'victim ' || v, '', '{{see}}', "
                + "now() + interval '1 day' FROM generate_series(1, {0}) v",
        ["accounts.terminal_login"] =
            "INSERT INTO accounts.terminal_login (digest, challenge, user_id, name, scopes, days, expires_at) SELECT 'victim ' || v, '', 950000 + v, 'v', "
                + "'{{see}}', 1, now() + interval '1 day' FROM generate_series(1, {0}) v",
        ["accounts.oidc_identity"] =
            "INSERT INTO accounts.oidc_identity (issuer, subject, user_id) SELECT 'i', 'victim ' || v, 960000 + v FROM generate_series(1, {0}) v",
        ["accounts.data_protection_key"] =
            "INSERT INTO accounts.data_protection_key (name, xml) SELECT 'victim ' || v, '<key/>' FROM generate_series(1, {0}) v",
        ["accounts.person"] =
            "INSERT INTO accounts.person (user_id, username, kind) SELECT 900000 + v, 'victim ' || v, 'own' FROM generate_series(1, {0}) v",
        ["platform.audit_seal"] =
            "INSERT INTO platform.audit_seal (day, rows, digest, previous, seal, master_key) SELECT date '2020-02-01' + CAST(v AS int), 0, '', '', '', 1 FROM "
                + "generate_series(1, {0}) v",
        ["platform.risk_rule"] =
            "INSERT INTO platform.risk_rule (name, pattern, action) SELECT 'victim ' || v, 'no such command ' || v, 'block' FROM generate_series(1, {0}) v",
        ["cron.job"] =
            "INSERT INTO cron.job (job_id, cmd, cron, time_zone, overlap, env, creator_id, creator, updater_id, updater, accounted_to, next_run_at) SELECT "
                + "'victim ' || v, 'true', '*/5 * * * * *', 'UTC', 'allow', NULL, 1, 'v', 1, 'v', now(), now() FROM generate_series(1, {0}) v",
        ["cron.cron_log"] =
            "INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, status, exec_time, task_cmd) SELECT 1, 'victim log ' || v, "
                + "'manual', 'manual', now(), now(), 'faild', now(), 'true' FROM generate_series(1, {0}) v",
        ["cron.active_execution"] =
            "WITH l AS (INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, status, exec_time, task_cmd) SELECT 800000 + v, "
                + "'victim going ' || v, 'manual', 'manual', now(), now(), 'queued', now(), 'true' FROM generate_series(1, {0}) v RETURNING log_id, "
                    + "nominal_at, job, job_id) INSERT INTO cron.active_execution (log_id, nominal_at, job, job_id, not_before, exclusive) SELECT log_id, "
                        + "nominal_at, job, job_id, now() + interval '1 second', true FROM l",
        ["cron.attempt"] =
            "INSERT INTO cron.attempt (log_id, nominal_at, attempt, trigger, run_id, node, incarnation, started_at) SELECT 700000 + v, now(), 1, 'manual', "
                + "'r', 'n', 1, now() FROM generate_series(1, {0}) v",
        ["platform.storage_sample"] =
            "INSERT INTO platform.storage_sample (day, kind, bytes) SELECT CURRENT_DATE, 'victim ' || v, 1 FROM generate_series(1, {0}) v",
        ["cron.summary_delta"] =
            "INSERT INTO cron.summary_delta (job, job_id, log_id, nominal_at, exec_time, ended_at, status, kind, times) SELECT 500000 + v, 'v', v, now(), "
                + "now(), now(), 'success', 'schedule', 1 FROM generate_series(1, {0}) v",
        ["cron.job_day"] = "INSERT INTO cron.job_day (day, job, job_id, success) SELECT CURRENT_DATE, 500000 + v, 'v', 1 FROM generate_series(1, {0}) v",
        ["cron.job_last"] = "INSERT INTO cron.job_last (job, log_id, exec_time, status) SELECT 500000 + v, v, now(), 'success' FROM generate_series(1, {0}) v",
        ["cron.ledger_hour"] =
            "INSERT INTO cron.ledger_hour (hour, rows) SELECT date_trunc('hour', now()) - v * interval '1 hour', 1 FROM generate_series(1, {0}) v",
        ["cron.live_usage"] =
            "INSERT INTO cron.live_usage (log_id, attempt, node, incarnation, at, sample) SELECT 700000 + v, 1, 'n', 1, now(), '{{}}' FROM "
                + "generate_series(1, {0}) v",
        ["cron.dashboard_job"] = "INSERT INTO cron.dashboard_job (log_id, nominal_at, job) SELECT 600000 + v, now(), 1 FROM generate_series(1, {0}) v",
        ["cron.left_unknown"] =
            "INSERT INTO cron.left_unknown (node, log_id, nominal_at, attempt) SELECT 'n', 700000 + v, now(), 1 FROM generate_series(1, {0}) v",
        ["cron.run_key"] = "INSERT INTO cron.run_key (user_id, key, job, log_id) SELECT 1, 'victim ' || v, 1, 1 FROM generate_series(1, {0}) v",
        ["cron.output"] = "INSERT INTO cron.output SELECT 700000 + v, now(), 1, 0, 1, 'x' FROM generate_series(1, {0}) v",
        ["tasks.approval_rule"] = "INSERT INTO tasks.approval_rule (space_id) SELECT 900000 + v FROM generate_series(1, {0}) v",
        ["tasks.order_approval"] =
            "WITH o AS (INSERT INTO tasks.scheduler_task_list (task_name, task_type, hosts, args, creator, schedule, temp_id, start_time, not_before) SELECT "
                + "'victim ' || v, 'x', '{{}}', '{{}}', 'v', 'new', 1, now(), now() FROM generate_series(1, {0}) v RETURNING list_id) INSERT INTO "
                    + "tasks.order_approval (list_id, needed, not_submitter, submitter_id, reason_required, plan_sha256, plan, compared) SELECT list_id, 1, "
                        + "false, 1, false, 'x', '{{}}', true FROM o",
        ["tasks.approval"] =
            "WITH o AS (INSERT INTO tasks.scheduler_task_list (task_name, task_type, hosts, args, creator, schedule, temp_id, start_time, not_before) SELECT "
                + "'victim ' || v, 'x', '{{}}', '{{}}', 'v', 'new', 1, now(), now() FROM generate_series(1, {0}) v RETURNING list_id) INSERT INTO "
                    + "tasks.approval (list_id, user_id, nickname, verdict, plan_sha256) SELECT list_id, 5, 'v', 'approve', 'x' FROM o",
        ["tasks.scheduler_cmd_list"] =
            "INSERT INTO tasks.scheduler_cmd_list (command_name, command) SELECT 'victim ' || v, 'true' FROM generate_series(1, {0}) v",
        ["tasks.scheduler_args_list"] =
            "INSERT INTO tasks.scheduler_args_list (args_name, args_self) SELECT 'victim ' || v, 'V' || v FROM generate_series(1, {0}) v",
        ["tasks.scheduler_temp_list"] = "INSERT INTO tasks.scheduler_temp_list (temp_name) SELECT 'victim ' || v FROM generate_series(1, {0}) v",
        ["tasks.scheduler_temp_details"] =
            "INSERT INTO tasks.scheduler_temp_details (temp_id, command_name, command) SELECT min(t.temp_id), 'victim', 'true' FROM "
                + "tasks.scheduler_temp_list t, generate_series(1, {0}) v GROUP BY v",
        ["tasks.scheduler_temp_user"] =
            "INSERT INTO tasks.scheduler_temp_user (temp_id, user_id) SELECT min(t.temp_id), 900000 + v FROM tasks.scheduler_temp_list t, "
                + "generate_series(1, {0}) v GROUP BY v",
        ["tasks.scheduler_temp_group"] =
            "INSERT INTO tasks.scheduler_temp_group (temp_id, \"group\") SELECT min(t.temp_id), 1000 + v FROM tasks.scheduler_temp_list t, "
                + "generate_series(1, {0}) v GROUP BY v",
        ["tasks.scheduler_execute_user"] =
            "INSERT INTO tasks.scheduler_execute_user (alias_user, user_key) SELECT 'victim ' || v, '\\x00' FROM generate_series(1, {0}) v",
        ["tasks.scheduler_execute_user_right"] =
            "WITH u AS (INSERT INTO tasks.scheduler_execute_user (alias_user, user_key) SELECT 'victim right ' || v, '\\x00' FROM generate_series(1, {0}) v "
                + "RETURNING id) INSERT INTO tasks.scheduler_execute_user_right (exec_user_id, user_id, nickname, place) SELECT id, 900000, 'v', 1 FROM u",
        ["tasks.host_keys"] =
            "INSERT INTO tasks.host_keys (host, port, key_type, fingerprint, key) SELECT '10.9.9.' || v, 22, 'ssh-ed25519', 'f', '\\x00' FROM "
                + "generate_series(1, {0}) v",
        ["tasks.scheduler_task_list"] =
            "INSERT INTO tasks.scheduler_task_list (task_name, task_type, hosts, args, creator, schedule, temp_id, start_time, not_before) SELECT 'victim', "
                + "'victim', '{{}}', '{{}}', 'v', (ARRAY['new', 'ready', 'start'])[1 + v % 3], 1, now(), now() FROM generate_series(1, {0}) v",
        ["tasks.order_group"] =
            "WITH o AS (INSERT INTO tasks.scheduler_task_list (task_name, task_type, hosts, args, creator, schedule, temp_id, start_time, not_before) "
                + "SELECT 'victim group', 'victim', '{{}}', '{{}}', 'v', 'start', 1, now(), now() FROM generate_series(1, {0}) v RETURNING list_id) INSERT "
                    + "INTO tasks.order_group (list_id, task_group, batches, batch_pause, max_failures, confirm, wake_at) SELECT list_id, 1, 1, 0, 0, "
                        + "false, now() FROM o",
        ["tasks.lane"] =
            "WITH o AS (INSERT INTO tasks.scheduler_task_list (task_name, task_type, hosts, args, creator, schedule, temp_id, start_time, not_before) "
                + "SELECT 'victim lane', 'victim', '{{}}', '{{}}', 'v', 'start', 1, now(), now() FROM generate_series(1, {0}) v RETURNING list_id), g AS "
                    + "(INSERT INTO tasks.order_group (list_id, task_group, batches, batch_pause, max_failures, confirm) SELECT list_id, 1, 1, 0, 0, false "
                        + "FROM o) INSERT INTO tasks.lane (list_id, task_group, host, batch) SELECT list_id, 1, '127.0.0.1', 1 FROM o",
        ["tasks.scheduler_task_info"] =
            "WITH o AS (INSERT INTO tasks.scheduler_task_list (task_name, task_type, hosts, args, creator, schedule, temp_id, start_time, not_before) "
                + "SELECT 'victim step', 'victim', '{{}}', '{{}}', 'v', 'start', 1, now(), now() FROM generate_series(1, {0}) v RETURNING list_id), g AS "
                    + "(INSERT INTO tasks.order_group (list_id, task_group, batches, batch_pause, max_failures, confirm) SELECT list_id, 1, 1, 0, 0, false "
                        + "FROM o), l AS (INSERT INTO tasks.lane (list_id, task_group, host, batch) SELECT list_id, 1, '127.0.0.1', 1 FROM o RETURNING "
                            + "lane_id, list_id) INSERT INTO tasks.scheduler_task_info (list_id, lane_id, task_group, task_level, task_name, task_cmd, "
                                + "task_args, trigger, exec_user, force_host, exec_ip, task_status, timeout, retries, on_error) SELECT list_id, lane_id, 1, "
                                    + "1, 'victim', 'true', '', 'order', 'root', '', '127.0.0.1', 1, 60, 0, 'stop' FROM l",
        ["tasks.attempt"] =
            "INSERT INTO tasks.attempt (sched_id, attempt, list_id, lane_id, node, incarnation, run_id, host, exec_user, ended_at, outcome, left_behind) "
                + "SELECT max(i.sched_id), 100 + v, 1, 1, 'n', 1, 'r', '127.0.0.1', 'root', now(), 'interrupted', 'running' FROM tasks.scheduler_task_info "
                    + "i, generate_series(1, {0}) v GROUP BY v",
        ["tasks.dashboard_job"] = "INSERT INTO tasks.dashboard_job (list_id) SELECT 900000 + v FROM generate_series(1, {0}) v",
        ["tasks.advance"] = "INSERT INTO tasks.advance (list_id) SELECT 900000 + v FROM generate_series(1, {0}) v",
        ["tasks.idempotency"] = "INSERT INTO tasks.idempotency (user_id, key, body, list_id) SELECT 1, 'victim ' || v, 'x', 1 FROM generate_series(1, {0}) v",
        ["tasks.log_line"] =
            "INSERT INTO tasks.log_line (log_key, list_id, task_level, sched_id, attempt, line, continues, log_info, exec_time) SELECT 'victim', "
                + "1, 1, 900000, 1, v, false, 'x', now() FROM generate_series(1, {0}) v",
        ["tasks.sealed_log"] =
            "DO $$ BEGIN EXECUTE format('CREATE TABLE tasks.sealed_log_%s PARTITION OF tasks.sealed_log FOR VALUES FROM (%L) TO (%L)', to_char(now() AT TIME "
                + "ZONE 'UTC', 'YYYYMMDD'), (now() AT TIME ZONE 'UTC')::date || ' 00:00+00', (now() AT TIME ZONE 'UTC')::date + 1 || ' 00:00+00'); "
                + "EXECUTE format('ALTER TABLE tasks.sealed_log_%s OWNER TO %I', to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD'), (SELECT "
                + "relowner::regrole::text FROM pg_class WHERE oid = 'tasks.sealed_log'::regclass)); END $$; "
                + "INSERT INTO tasks.sealed_log (log_key, list_id, task_level, sched_id, attempt, first_line, last_line, lines, since, until, written, "
                + "first_id, first_time, first_written, line_steps, id_steps, time_steps, written_steps, continued, content) SELECT 'victim', 1, 1, "
                + "900001, v, 1, 2, 2, now(), now(), now(), v, now(), now(), '{{0,1}}', '{{0,1}}', '{{0,1}}', '{{0,1}}', '{{1}}', 'victim' || E'\\n' || "
                + "'x' FROM generate_series(1, {0}) v",
        ["cron.deleted_job"] =
            "INSERT INTO cron.deleted_job (job, space_id, job_id, version, by_id, by_name, creator_id, creator, create_time, paused, released) SELECT 900000 "
                + "+ v, 1, 'victim deleted ' || v, 1, 1, 'v', 1, 'v', now(), false, '' FROM generate_series(1, {0}) v",
        ["cron.job_version"] =
            "WITH j AS (INSERT INTO cron.job (job_id, cmd, cron, time_zone, version, creator_id, creator, updater_id, updater, accounted_to) SELECT 'victim "
                + "version', 'true', '0 0 0 29 2 *', 'UTC', {0}, 1, 'v', 1, 'v', now() RETURNING id) INSERT INTO cron.job_version (job, version, by_id, "
                + "by_name, content) SELECT id, v, 1, 'v', '{{\"cmd\": \"true\"}}' FROM j, generate_series(1, {0}) v",
        ["tasks.template_version"] =
            "WITH t AS (INSERT INTO tasks.scheduler_temp_list (temp_name, version) VALUES ('victim version', {0}) RETURNING temp_id) INSERT INTO "
                + "tasks.template_version (temp_id, version, by_id, by_name, content) SELECT temp_id, v, 1, 'v', '{{\"steps\": []}}' FROM t, "
                + "generate_series(1, {0}) v",
        ["tasks.deleted_template"] =
            "INSERT INTO tasks.deleted_template (temp_id, temp_name, space_id, version, by_id, by_name, creator, creator_id, editor_id, create_time, "
                + "declared, steps, groups, users, rules) SELECT 900000 + v, 'victim deleted ' || v, 1, 1, 1, 'v', 'v', 1, 1, now(), '{{}}', '[]', '[]', "
                + "'[]', '[]' FROM generate_series(1, {0}) v",
        ["accounts.space"] = "INSERT INTO accounts.space (name) SELECT 'victim-' || v FROM generate_series(1, {0}) v",
        ["accounts.team"] = "INSERT INTO accounts.team (name) SELECT 'victim ' || v FROM generate_series(1, {0}) v",
        ["accounts.team_member"] =
            "WITH t AS (INSERT INTO accounts.team (name) SELECT 'victims ' || v FROM generate_series(1, {0}) v RETURNING team_id) INSERT INTO "
                + "accounts.team_member (team_id, user_id) SELECT team_id, 900000 FROM t",
        ["accounts.role_grant"] =
            "INSERT INTO accounts.role_grant (user_id, role, space_id, by_id, by_name) SELECT 900000 + v, 'viewer', 1, 1, 'v' FROM generate_series(1, {0}) v",
        ["alerts.rule"] =
            "INSERT INTO alerts.rule (name, subject, priority, creator) SELECT 'victim ' || v, 'nothing-' || v, 10, 'v' FROM generate_series(1, {0}) v",
        ["alerts.channel"] =
            "INSERT INTO alerts.channel (name, kind, settings, creator) SELECT 'victim ' || v, 'command', '{{\"command\": \"true\"}}', 'v' FROM "
                + "generate_series(1, {0}) v",
        ["alerts.silence"] =
            "INSERT INTO alerts.silence (subject, starts_at, ends_at, reason, creator_id, creator) SELECT 'nothing-' || v, now(), now() + interval '1 "
                + "hour', 'v', 1, 'v' FROM generate_series(1, {0}) v",
        ["alerts.contact"] = "INSERT INTO alerts.contact (name) SELECT 'victim ' || v FROM generate_series(1, {0}) v",
        ["alerts.task_monitor"] =
            "INSERT INTO alerts.task_monitor (call_info, ctime, source, kind, subject, fingerprint, last_time, title_zh, title_en, escalate_at, rule_id) "
                + "SELECT 'v', now(), 'job', 'failed', 'v', 'victim ' || v, now(), 'v', 'v', now(), 1 FROM generate_series(1, {0}) v",
        ["alerts.delivery"] =
            "INSERT INTO alerts.delivery (channel_id, channel_name, reason, due_at, create_time) SELECT 1, 'v', 'opened', now(), now() FROM "
                + "generate_series(1, {0}) v",
    };

    // What Codo itself needs to be one installation; damaging it stops the start with a sentence, which other tests show. The generation is one row by
    // constraint, and any number will do.
    private static readonly string[] NotDamaged = ["platform.schema_version", "platform.migration", "accounts.generation", "cron.summary_rebuild"];

    [Fact]
    public async Task Every_table_has_a_case_and_no_damaged_row_stops_more_than_itself()
    {
        await using var host = await TestHost.Start(postgres, null, ("Codo:Cron:MaxParallel", "50"));
        // Damage is not for the host's role: it goes past triggers and constraints.
        await using var connection = new NpgsqlConnection(TestPostgres.AsSuperuser(host.Postgres));
        await connection.OpenAsync();
        var tables = (await connection.QueryAsync<string>("""
            SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname IN ('platform', 'accounts', 'cron', 'tasks', 'alerts') AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1
            """)).Except(NotDamaged).ToList();
        tables.Except(Cases.Keys).ShouldBeEmpty("each table has a case here");
        // The template whose rows are damaged is not the witness's.
        await OrderHost.Template(host, OrderHost.Step("true"));
        var witness = await Witness.Make(host);
        var damaged = 0;
        foreach (var schema in tables.GroupBy(table => table.Split('.')[0]))
        {
            foreach (var table in schema) damaged += await Damage(connection, table);
            await witness.WorksOn(schema.Key);
        }
        damaged.ShouldBeGreaterThan(800, "the walk damages rows");
        await witness.ListsAnswer();

        await using var next = await TestHost.Start(postgres, host.Postgres);
        await (await Witness.Make(next)).WorksOn("a start on all of it");
    }

    [Fact]
    public async Task An_order_whose_secrets_do_not_open_is_not_approved_and_says_why()
    {
        await using var host = await TestHost.Start(postgres);
        var order = await OrderHost.Order(host, await OrderHost.Template(host, OrderHost.Step("true")), schedule: "new");
        await using (var connection = await host.Source.OpenConnectionAsync())
            await connection.ExecuteAsync("UPDATE tasks.scheduler_task_list SET secret_args = '\\x00' WHERE list_id = @order", new { order });
        var answer = await host.Post("/v2/task/approval/", new { list_id = order, verdict = "approve" });
        ((int)answer["code"]!, (string)answer["msg"]!).ShouldBe((-1, "保密参数无法解密：主密钥与提交时不同"));
        // It is not there for ever: it can be rejected.
        answer = await host.Post("/v2/task/approval/", new { list_id = order, verdict = "reject" });
        ((int)answer["code"]!).ShouldBe(0, answer.ToJsonString());
    }

    /// <summary>Gives the table its victims and damages each in one column; returns how many changes PostgreSQL took.</summary>
    private static async Task<int> Damage(NpgsqlConnection connection, string table)
    {
        await connection.ExecuteAsync("SET session_replication_role = replica");
        var before = (await connection.QueryAsync<string>($"SELECT tableoid || ' ' || ctid FROM {table}")).ToHashSet(StringComparer.Ordinal);
        (await connection.ExecuteAsync(string.Format(CultureInfo.InvariantCulture, Cases[table], Victims))).ShouldBeGreaterThan(0, table);
        var victims = new Queue<string>(
            (await connection.QueryAsync<string>($"SELECT tableoid || ' ' || ctid FROM {table}")).Where(row => !before.Contains(row))
        );
        // A partitioned table's own constraints would be every partition's.
        var isPlain = await connection.ExecuteScalarAsync<bool>("SELECT relkind = 'r' FROM pg_class WHERE oid = CAST(@table AS regclass)", new { table });
        var damaged = 0;
        foreach (
            var (column, type) in await connection.QueryAsync<(string, string)>(
                """
                SELECT quote_ident(attname), format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = CAST(@table AS regclass) AND attnum > 0
                    AND NOT attisdropped AND attgenerated = ''
                """,
                new { table }
            )
        )
        {
            string[] values = isPlain ? [.. Values(type), .. Unreadable(type)] : Values(type);
            foreach (var value in values)
            {
                if (!victims.TryDequeue(out var victim)) break;
                var at = victim.Split(' ');
                try
                {
                    damaged += await connection.ExecuteAsync($"UPDATE {table} SET {column} = {value} WHERE tableoid = {at[0]} AND ctid = '{at[1]}'");
                }
                catch (PostgresException)
                {
                    // A constraint refuses it: then no row can be damaged so.
                    victims.Enqueue(victim);
                }
            }
        }
        await connection.ExecuteAsync("RESET session_replication_role");
        return damaged;
    }

    // Times that PostgreSQL has and the host has not.
    private static string[] Unreadable(string type) => type is "timestamp with time zone" or "date" ? ["'20260-01-01'", "'0044-03-15 BC'"] : [];

    private static string[] Values(string type) => type switch
    {
        "text" or "character varying" => ["''", "E'\\x01\\x1b[31m\\U0001F4A5'", "repeat('x', 100000)", "'{\"no'", "'../../etc/passwd'", "NULL"],
        "integer" or "bigint" or "smallint" => ["0", "-1", type == "smallint" ? "32767" : type == "integer" ? "2147483647" : "9223372036854775807", "NULL"],
        "boolean" => ["true", "NULL"],
        "timestamp with time zone" => ["'infinity'", "'-infinity'", "'0002-01-01'", "'9998-01-01'", "NULL"],
        "date" => ["'infinity'", "'0002-01-01'", "'9998-01-01'", "NULL"],
        "interval" => ["'-100 years'", "NULL"],
        "bytea" => ["''", "'\\x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff'", "NULL"],
        "jsonb" => ["'null'", "'[]'", "'\"x\"'", "'{\"timeout\": \"soon\"}'"],
        "text[]" => ["'{}'", "'{NULL}'"],
        "bigint[]" or "integer[]" => ["'{}'", "'{NULL}'"],
        "double precision" => ["-1", "'NaN'", "NULL"],
        _ => throw new NotSupportedException($"No damage is known for a column of type {type}."),
    };

    /// <summary>What must work on beside every damage.</summary>
    private sealed class Witness(TestHost host, long template, string name)
    {
        public static async Task<Witness> Make(TestHost host)
        {
            var name = $"witness-{Guid.NewGuid():N}";
            await host.Make(new { job_id = name, cmd = "true", cron = "* * * * * *", overlap = "allow" });
            await host.Make(new { job_id = name + "-fails", cmd = "exit 1", cron = CronClient.Never });
            return new Witness(host, await OrderHost.Template(host, OrderHost.Step("true")), name);
        }

        public async Task WorksOn(string after)
        {
            var since = await host.Ask<DateTime>("SELECT clock_timestamp()");
            await Eventually.True(
                async () =>
                    await host.Ask<long>(
                        "SELECT count(*) FROM cron.cron_log WHERE job_id = @name AND status = 'success' AND nominal_at > @since",
                        new { name, since }
                    ) >= 3,
                $"after damage in {after}, jobs fire",
                60
            );
            await Eventually.True(
                async () => await host.Ask<long>("SELECT count(*) FROM cron.cron_log WHERE job_id = @name AND status = 'missed'", new { name }) == 0,
                "none is missed",
                1
            );
            (await OrderHost.Ended(host, await OrderHost.Order(host, template), 180)).ShouldBe("3", $"after damage in {after}, orders run");
            var fails = name + "-fails";
            var logId = await host.RunNow(fails);
            await Eventually.True(async () => (await host.Log(logId)).Status() == "faild", $"after damage in {after}, a failure is recorded", 60);
            await Eventually.True(
                async () =>
                    await host.Ask<long>(
                        "SELECT coalesce(max(count), 0) FROM alerts.task_monitor WHERE fingerprint = 'job:' || @fails || ':failed' AND last_time > @since",
                        new { fails, since }
                    ) >= 1,
                $"after damage in {after}, a failure is told",
                60
            );
        }

        /// <summary>No list and no single object is a 5xx because of a row in it.</summary>
        public async Task ListsAnswer()
        {
            var wrong = new StringBuilder();
            foreach (
                var path in new[]
                {
                    "/v1/cron/job/?limit=1000",
                    "/v1/cron/job/deleted/?limit=1000",
                    "/v1/cron/job/versions/?job_id=victim%20version&limit=200",
                    "/v2/task_layout/temp/deleted/?limit=1000",
                    "/v1/cron/log/?limit=1000&start_date=0002-01-01&end_date=9998-12-30",
                    "/v2/task_layout/command/?limit=1000",
                    "/v2/task_layout/args/?limit=1000",
                    "/v2/task_layout/temp/",
                    "/v2/task_layout/user/",
                    "/v2/task/list/?limit=1000",
                    "/v2/task/check_history/?limit=1000",
                    "/v2/task/statement/",
                    "/v2/task/host_key/",
                    "/v2/task/log/?log_key=victim",
                    "/v2/task/log/search/?q=victim",
                    "/v2/alerts/incident/?limit=1000",
                    "/v2/alerts/rule/",
                    "/v2/alerts/silence/",
                    "/v2/alerts/contact/",
                    "/v2/alerts/channel/",
                    "/v2/alerts/delivery/?limit=1000",
                    "/v2/outbox/?limit=1000",
                    "/v2/accounts/space/",
                    "/v2/accounts/team/",
                    "/v2/accounts/grant/?limit=1000",
                    "/v2/outbox/?dead=false&limit=1000",
                    "/hangfire/running",
                    "/v2/accounts/person/?limit=1000",
                }
            )
                await Ask(path, wrong);
            foreach (var id in await Ids("SELECT list_id FROM tasks.scheduler_task_list WHERE list_id > 0 ORDER BY random() LIMIT 150"))
                await Ask($"/v2/task/check/?list_id={id}", wrong);
            foreach (var id in await Ids("SELECT temp_id FROM tasks.scheduler_temp_list ORDER BY random() LIMIT 60"))
                await Ask($"/v2/task_layout/details/?temp_id={id}", wrong);
            foreach (var id in await Ids("SELECT temp_id FROM tasks.scheduler_temp_list WHERE temp_name = 'victim version'"))
                await Ask($"/v2/task_layout/temp/versions/?temp_id={id}&limit=200", wrong);
            foreach (var id in await Ids("SELECT log_id FROM cron.cron_log WHERE log_id > 0 ORDER BY random() LIMIT 100"))
                await Ask($"/v1/cron/log/output/?log_id={id}", wrong);
            wrong.ToString().ShouldBeEmpty();
        }

        private async Task<List<long>> Ids(string sql)
        {
            await using var connection = await host.Source.OpenConnectionAsync();
            return (await connection.QueryAsync<long>(sql)).AsList();
        }

        private async Task Ask(string path, StringBuilder wrong)
        {
            using var response = await host.Http.SendAsync(TestHost.Request(HttpMethod.Get, path, null, TestTokens.Admin));
            var text = await response.Content.ReadAsStringAsync();
            if ((int)response.StatusCode >= 500)
                wrong.AppendLine(CultureInfo.InvariantCulture, $"{path}: {(int)response.StatusCode} {text[..Math.Min(200, text.Length)]}");
        }
    }
}
