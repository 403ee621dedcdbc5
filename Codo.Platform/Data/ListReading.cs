using System.Globalization;
using System.Text.Json;
using Dapper;
using Npgsql;

namespace Codo.Platform.Data;

/// <summary>How many rows a list has.</summary>
/// <param name="IsEstimate">More than <see cref="ListReading.MostCounted"/>, of which no more were counted.</param>
public readonly record struct ListCount(long Rows, bool IsEstimate);

/// <summary>
/// Reads lists whose conditions differ from request to request. Each statement is planned with its values, and along an index: a plan made for other values, or
/// statistics that are not there yet, would read a table of years for a page of ten rows.
/// </summary>
public static class ListReading
{
    /// <summary>Rows that are counted one by one; more are estimated.</summary>
    public const int MostCounted = 10_000;

    private const string PlanSql = """
        SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('enable_seqscan', 'off', true),
            set_config('enable_bitmapscan', CASE WHEN @Bitmaps THEN 'on' ELSE 'off' END, true), set_config('statement_timeout', @Milliseconds, true)
        """;

    /// <summary>Begins a transaction for one list.</summary>
    /// <param name="mostTime">After this a statement ends with <see cref="PostgresErrorCodes.QueryCanceled"/>; null leaves the usual limit.</param>
    /// <param name="withBitmaps">Whether indexes may be combined, or read whose order is not the list's.</param>
    public static async Task<NpgsqlTransaction> Begin(
        NpgsqlConnection connection,
        CancellationToken cancellation,
        TimeSpan? mostTime = null,
        bool withBitmaps = false
    )
    {
        var transaction = await connection.BeginTransactionAsync(cancellation);
        var milliseconds = mostTime is { } time ? Math.Max(1, (int)time.TotalMilliseconds) : 0;
        await connection.ExecuteAsync(
            PlanSql,
            new { Bitmaps = withBitmaps, Milliseconds = milliseconds.ToString(CultureInfo.InvariantCulture) },
            transaction
        );
        return transaction;
    }

    /// <summary>Counts the rows of a statement up to <see cref="MostCounted"/>; of more PostgreSQL's planner says how many it expects.</summary>
    /// <param name="rowsSql">The rows without a limit.</param>
    public static Task<ListCount> Count(NpgsqlConnection connection, NpgsqlTransaction transaction, string rowsSql, object parameters) =>
        Count(connection, transaction, $"SELECT count(*) FROM ({rowsSql} LIMIT {MostCounted + 1}) counted", rowsSql, parameters);

    /// <summary>The same, where the rows are counted by a statement of their own.</summary>
    /// <param name="countSql">Counts at most <see cref="MostCounted"/> + 1 rows.</param>
    /// <param name="rowsSql">The same rows without a limit; it is planned, not run.</param>
    public static async Task<ListCount> Count(NpgsqlConnection connection, NpgsqlTransaction transaction, string countSql, string rowsSql, object parameters)
    {
        var counted = await connection.ExecuteScalarAsync<long>(countSql, parameters, transaction);
        return counted <= MostCounted ? new ListCount(counted, false) : new ListCount(await Expected(connection, transaction, rowsSql, parameters), true);
    }

    private static async Task<long> Expected(NpgsqlConnection connection, NpgsqlTransaction transaction, string rowsSql, object parameters)
    {
        var plan = await connection.ExecuteScalarAsync<string>("EXPLAIN (FORMAT JSON) " + rowsSql, parameters, transaction);
        using var json = JsonDocument.Parse(plan!);
        return Math.Max(MostCounted + 1, json.RootElement[0].GetProperty("Plan").GetProperty("Plan Rows").GetInt64());
    }
}
