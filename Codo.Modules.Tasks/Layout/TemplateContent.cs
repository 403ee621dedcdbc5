using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>One step as it is stored and as the console gets it, in the order of the answer.</summary>
internal sealed record StepRow
{
    public long Id { get; init; }

    /// <summary>Text, as the original's.</summary>
    public string TempId { get; init; } = "";

    public int Group { get; init; }
    public int Level { get; init; }
    public string CommandName { get; init; } = "";
    public string Command { get; init; } = "";
    public string Args { get; init; } = "";
    public string Trigger { get; init; } = "";
    public string ExecUser { get; init; } = "";
    public string ForceHost { get; init; } = "";

    /// <summary>Seconds.</summary>
    public int Timeout { get; init; }

    public int Retries { get; init; }

    /// <summary>Seconds before the first retry; each further one waits twice as long.</summary>
    public int RetryDelay { get; init; }

    public string OnError { get; init; } = "";
    public string Creator { get; init; } = "";

    /// <summary>The command runs on a terminal of its own.</summary>
    public bool Pty { get; init; }

    /// <summary>What stands for a first line <c>#!</c> of the command; empty for none.</summary>
    public string Interpreter { get; init; } = "";

    /// <summary>The user of the operating system that it runs as on Codo's own machine.</summary>
    public string RunAs { get; init; } = "";

    /// <summary>Which nodes may run it; empty for every one.</summary>
    public string Node { get; init; } = "";
}

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
    private const string StepsSql = $"""
        SELECT id, temp_id::text AS temp_id, {TemplateColumns.StepShown}, creator
        FROM tasks.scheduler_temp_details WHERE temp_id = @TempId ORDER BY "group", level, id
        """;

    private const string GroupsSql = $"""
        SELECT "group", COALESCE(p.batch, '') AS batch, COALESCE(p.batch_pause, 0) AS batch_pause, COALESCE(p.max_failures, 0) AS max_failures,
            COALESCE(p.next, 'auto') AS next
        FROM (SELECT DISTINCT "group" FROM tasks.scheduler_temp_details WHERE temp_id = @TempId) d
        FULL JOIN (SELECT {TemplateColumns.Group} FROM tasks.scheduler_temp_group WHERE temp_id = @TempId) p USING ("group")
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
