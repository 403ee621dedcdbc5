using System.Diagnostics;
using System.Globalization;
using Npgsql;

namespace Codo.Bench;

/// <summary>
/// How long each migration takes on an installation of version 0.1.0 with a history: its dump, a million rows of the ledger and of output, 100,000 orders, then
/// <c>codo migrate</c> of this version. A migration stands in the journal once it is applied: the time between two entries is the later one's.
/// </summary>
internal static class UpgradeBench
{
    private const int Rows = 1_000_000, Orders = 100_000;

    private const string FillSql = """
        INSERT INTO cron.cron_log (job, job_id, kind, trigger, nominal_at, nominal_until, status, exec_time, ended_at, exit_code, task_cmd, task_log)
        SELECT j.id, j.job_id, 'manual', 'manual', t, t, CASE WHEN n % 33 = 5 THEN 'faild' ELSE 'success' END, t, t + interval '1 second', n % 33, j.cmd,
            n || E' rows copied\n'
        FROM generate_series(1, {rows}) n CROSS JOIN LATERAL (SELECT now() - n * interval '2 seconds' AS t) at
        JOIN (SELECT *, row_number() OVER (ORDER BY id) AS place, count(*) OVER () AS jobs FROM cron.job) j ON j.place = 1 + n % j.jobs;
        INSERT INTO cron.attempt (log_id, nominal_at, attempt, trigger, run_id, node, incarnation, started_at, ended_at, status, exit_code)
        SELECT log_id, nominal_at, 1, trigger, 'run-' || log_id, 'bench', 1, exec_time, ended_at, status, exit_code
        FROM cron.cron_log WHERE task_log LIKE '%copied%';
        INSERT INTO cron.output (log_id, nominal_at, attempt, from_byte, next_byte, text)
        SELECT log_id, nominal_at, 1, 0, octet_length(task_log), task_log FROM cron.cron_log WHERE task_log LIKE '%copied%';
        INSERT INTO tasks.scheduler_task_list (task_name, task_type, hosts, args, creator, schedule, status, temp_id, start_time, not_before,
            ended_at)
        SELECT 'deploy ' || n % 900, 'template ' || n % 200, '{}', '{}', 'user', 'OK', 3, 1, now(), now(), now() FROM generate_series(1, {orders}) n;
        INSERT INTO tasks.scheduler_task_log (log_key, list_id, task_level, sched_id, attempt, line, continues, log_info, exec_time)
        SELECT a || '_1_1_h', a, 1, a, 1, n, false, 'line ' || n, now() - (a % 40) * interval '1 hour' + n * interval '1 millisecond'
        FROM generate_series(1, {rows} / 100) a, generate_series(1, 100) n;
        INSERT INTO platform.audit (user_id, username, nickname, address, request_id, action, kind, object_id)
        SELECT 1, 'bench', 'bench', '127.0.0.1', 'request-' || n, 'edit', 'job', 'job-' || n % 1000 FROM generate_series(1, {rows}) n
        """;

    private const string JournalSql = """
        SELECT scriptname, applied FROM platform.schema_version ORDER BY schemaversionsid
        """;

    /// <param name="postgres">A superuser's connection string; the database <c>codo_upgrade</c> of that server is made anew.</param>
    /// <param name="dump">Of version 0.1.0, <c>Codo.Tests/Upgrades/0.1.0.sql</c>.</param>
    /// <param name="codo">The binary that migrates.</param>
    public static async Task Run(string postgres, string dump, string codo)
    {
        await using (var server = new NpgsqlConnection(postgres))
        {
            await server.OpenAsync();
            await Execute(server, "DROP DATABASE IF EXISTS codo_upgrade");
            await Execute(server, "CREATE DATABASE codo_upgrade");
        }
        var database = new NpgsqlConnectionStringBuilder(postgres) { Database = "codo_upgrade", CommandTimeout = 0 }.ConnectionString;
        var known = new HashSet<string>();
        await using (var connection = new NpgsqlConnection(database))
        {
            await connection.OpenAsync();
            await Execute(connection, await File.ReadAllTextAsync(dump));
            // The dump sets a search path of its own.
            await Execute(connection, "RESET ALL");
            var fill = FillSql.Replace("{rows}", Text(Rows), StringComparison.Ordinal).Replace("{orders}", Text(Orders), StringComparison.Ordinal);
            foreach (var statement in fill.Split(";\n")) await Execute(connection, statement);
            await Execute(connection, "VACUUM (ANALYZE)");
            foreach (var (script, _) in await Journal(connection)) known.Add(script);
        }
        var began = DateTime.UtcNow;
        using var migrate = Process.Start(
            new ProcessStartInfo(codo, ["migrate"])
            {
                Environment =
                {
                    ["ConnectionStrings__Postgres"] = database,
                    ["Codo__Auth__TokenSecret"] = new string('s', 48),
                    ["Codo__MasterKey"] = new string('k', 48),
                },
            }
        )!;
        await migrate.WaitForExitAsync();
        if (migrate.ExitCode != 0) throw new InvalidOperationException($"codo migrate ended with {migrate.ExitCode}.");
        var whole = DateTime.UtcNow - began;
        Table.Head("migration", "took", "goal");
        await using var migrated = new NpgsqlConnection(database);
        await migrated.OpenAsync();
        DateTime? before = null;
        foreach (var (script, applied) in (await Journal(migrated)).Where(entry => !known.Contains(entry.Script)))
        {
            // The first has the start of the program in it.
            var took = applied - (before ?? began);
            Table.Row(script.Replace(".Migrations.", " ", StringComparison.Ordinal), Table.Ms(took.TotalMilliseconds), "≤ 60 s");
            before = applied;
        }
        Table.Row("all, with the start of the program", Table.Ms(whole.TotalMilliseconds), "");
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private static async Task Execute(NpgsqlConnection connection, string sql)
    {
        await using var command = new NpgsqlCommand(sql, connection) { CommandTimeout = 0 };
        await command.ExecuteNonQueryAsync();
    }

    private static async Task<List<(string Script, DateTime Applied)>> Journal(NpgsqlConnection connection)
    {
        await using var command = new NpgsqlCommand(JournalSql, connection);
        await using var reader = await command.ExecuteReaderAsync();
        var entries = new List<(string, DateTime)>();
        while (await reader.ReadAsync()) entries.Add((reader.GetString(0), reader.GetDateTime(1)));
        return entries;
    }
}
