using Codo.Modules.Tasks.Execution;
using Codo.Platform.Cluster;
using Dapper;
using Hangfire;
using Hangfire.States;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>
/// How a change of an order is acted on: a row in the change's own transaction, which a crash does not lose, and a background job after it, which is quick.
/// </summary>
internal sealed class AdvanceOrder(IBackgroundJobClient jobs, ILogger<AdvanceOrder> log)
{
    private const string NoteSql = """
        INSERT INTO tasks.advance (list_id) VALUES (@ListId)
        """;

    // Locked, so that the mirror does not make another background job meanwhile.
    private const string FindSql = """
        SELECT background_job FROM tasks.dashboard_job WHERE list_id = @ListId FOR UPDATE
        """;

    private const string MadeSql = """
        UPDATE tasks.dashboard_job SET background_job = @Id WHERE list_id = @ListId
        """;

    // Whatever becomes of the job that is queued, the mirror shows the order again.
    private const string QueuedSql = """
        UPDATE tasks.dashboard_job SET state = '' WHERE list_id = @ListId
        """;

    /// <summary>In the transaction of the change.</summary>
    public static async Task Note(NpgsqlConnection connection, NpgsqlTransaction transaction, long listId)
    {
        await connection.ExecuteAsync(NoteSql, new { ListId = listId }, transaction);
        // Nodes without orders poll seldom.
        await Control.Notify(connection, transaction, "");
    }

    /// <summary>After the commit, on the same connection: a hundred requests that each wait for a second one would wait for each other.</summary>
    public async Task Enqueue(NpgsqlConnection connection, long listId)
    {
        try
        {
            await using var transaction = await connection.BeginTransactionAsync();
            // No row: the order has ended and is shown as such already, or it is no longer shown. The notification of the change reaches a node by itself.
            if (await connection.QuerySingleOrDefaultAsync<ShownRow>(FindSql, new { ListId = listId }, transaction) is not { } shown) return;
            // The order's one background job is queued again; only an order without one gets it here.
            if (shown.BackgroundJob is { } known && jobs.ChangeState(known, new EnqueuedState("orders")))
                await connection.ExecuteAsync(QueuedSql, new { ListId = listId }, transaction);
            else
            {
                var made = jobs.Enqueue<Advancing>("orders", advancing => advancing.Advance(listId, null!));
                await connection.ExecuteAsync(MadeSql, new { ListId = listId, Id = made }, transaction);
            }
            await transaction.CommitAsync();
        }
        catch (Exception error)
        {
            // Whatever it is: the change is committed and must be answered as such. The next poll finds its row.
            log.LogWarning(error, "The job for order {Order} could not be queued; the next poll finds its row", listId);
        }
    }

    private sealed record ShownRow(string? BackgroundJob);
}
