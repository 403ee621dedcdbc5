using Dapper;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>How a job's newest rows are read: in order from their index, and no more of them than are wanted.</summary>
internal static class NewestRows
{
    // PostgreSQL takes a job for one of equals, and its id for another condition than its name: of one that has a million rows it would read and sort all.
    private const string PlanSql = """
        SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off
        """;

    /// <summary>Plans what the transaction reads from here on so.</summary>
    public static Task Plan(NpgsqlConnection connection, NpgsqlTransaction transaction) => connection.ExecuteAsync(PlanSql, transaction: transaction);
}
