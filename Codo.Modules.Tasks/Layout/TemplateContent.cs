using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>One step as it is stored and as the console gets it.</summary>
/// <param name="TempId">Text, as the original's.</param>
/// <param name="Timeout">Seconds.</param>
/// <param name="RetryDelay">Seconds before the first retry; each further one waits twice as long.</param>
/// <param name="Pty">The command runs on a terminal of its own.</param>
/// <param name="Interpreter">What stands for a first line <c>#!</c> of the command; empty for none.</param>
/// <param name="RunAs">The user of the operating system that it runs as on Codo's own machine.</param>
/// <param name="Node">Which nodes may run it; empty for every one.</param>
internal sealed record StepRow(
    long Id, string TempId, int Group, int Level, string CommandName, string Command, string Args, string Trigger, string ExecUser, string ForceHost,
    int Timeout, int Retries, int RetryDelay, string OnError, string Creator, bool Pty, string Interpreter, string RunAs,
    string Node);

/// <summary>How a group goes over its hosts.</summary>
/// <param name="Batch">A number of hosts, a percentage of them, or nothing for all at once.</param>
/// <param name="BatchPause">Seconds between two batches.</param>
/// <param name="MaxFailures">With more failed hosts than this no further batch starts.</param>
/// <param name="Next"><c>auto</c>, or <c>confirm</c> to wait for a person after each batch.</param>
internal sealed record GroupRow(int Group, string Batch, int BatchPause, int MaxFailures, string Next);

/// <summary>All that hangs on a template.</summary>
/// <param name="Groups">Every group that a step is in or that has properties, with the defaults where it has none.</param>
/// <param name="Users"><c>{user_id},,,{nickname}</c>, the console's own form.</param>
/// <param name="Declared">Words that orders may replace, beside those of the library.</param>
internal sealed record TemplateContent(
    IReadOnlyList<StepRow> Steps,
    IReadOnlyList<GroupRow> Groups,
    IReadOnlyList<string> Users,
    IReadOnlyList<string> Declared
)
{
    private const string StepsSql = """
        SELECT id, temp_id::text AS temp_id, "group", level, command_name, command, args, trigger, exec_user, force_host, timeout, retries, retry_delay,
            on_error, creator, pty, interpreter, run_as, node_selector AS node
        FROM tasks.scheduler_temp_details WHERE temp_id = @TempId ORDER BY "group", level, id
        """;

    private const string GroupsSql = """
        SELECT "group", COALESCE(p.batch, '') AS batch, COALESCE(p.batch_pause, 0) AS batch_pause, COALESCE(p.max_failures, 0) AS max_failures,
            COALESCE(p.next, 'auto') AS next
        FROM (SELECT DISTINCT "group" FROM tasks.scheduler_temp_details WHERE temp_id = @TempId) d
        FULL JOIN (SELECT "group", batch, batch_pause, max_failures, next FROM tasks.scheduler_temp_group WHERE temp_id = @TempId) p USING ("group")
        ORDER BY "group"
        """;

    private const string UsersSql = """
        SELECT user_id || ',,,' || nickname FROM tasks.scheduler_temp_user WHERE temp_id = @TempId ORDER BY id
        """;

    private const string DeclaredSql = """
        SELECT unnest(declared) FROM tasks.scheduler_temp_list WHERE temp_id = @TempId
        """;

    public static async Task<TemplateContent> Read(NpgsqlConnection connection, NpgsqlTransaction? transaction, long tempId)
    {
        var template = new { TempId = tempId };
        return new TemplateContent(
            (await connection.QueryAsync<StepRow>(StepsSql, template, transaction)).AsList(),
            (await connection.QueryAsync<GroupRow>(GroupsSql, template, transaction)).AsList(),
            (await connection.QueryAsync<string>(UsersSql, template, transaction)).AsList(),
            (await connection.QueryAsync<string>(DeclaredSql, template, transaction)).AsList());
    }
}
