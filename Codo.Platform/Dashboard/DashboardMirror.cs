using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Dapper;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Platform.Dashboard;

/// <summary>
/// The rounds of a mirror: what is behind is moved a few at a time, with a pause between rounds that bounds what the mirror costs, and what a crash left
/// unsettled is swept. The tables are the truth; nothing waits for a mirror.
/// </summary>
/// <typeparam name="TRow">A row of the mirror's table that is behind.</typeparam>
public abstract class DashboardMirror<TRow>(NpgsqlDataSource source, BackgroundMirror mirror, Node node, TimeProvider time, ILogger log)
{
    /// <summary>Rows that one round looks at.</summary>
    protected const int Batch = 10;

    /// <summary>
    /// The savepoint around one row. Show sets it again after it has stored the id of a new background job, so that a later failure does not roll that id back.
    /// </summary>
    protected const string OneRow = "one";

    private static readonly TimeSpan Rest = TimeSpan.FromMilliseconds(200), SweepAfter = TimeSpan.FromMinutes(5);

    private long sweptAt = time.GetTimestamp();

    /// <summary>Starts the next round before its time.</summary>
    public WakeSignal Wake { get; } = new();

    protected NpgsqlDataSource Source => source;

    protected BackgroundMirror Mirror => mirror;

    protected DateTime Now => time.GetUtcNow().UtcDateTime;

    /// <summary>Selects at most <c>@Batch</c> rows that are behind, locked, those first that were looked at longest ago.</summary>
    protected abstract string Outdated { get; }

    /// <summary>Notes of a row that it was looked at, so that it goes to the end.</summary>
    protected abstract string LookedAt { get; }

    /// <summary>Selects ids of background jobs that no row of the mirror's table knows: the process died between the two.</summary>
    protected abstract string Lost { get; }

    /// <summary>Shows what the row stands for as it is now.</summary>
    protected abstract Task Show(NpgsqlConnection connection, NpgsqlTransaction transaction, TRow row);

    /// <summary>Whether a row waits for its time, so that the next round follows at once.</summary>
    protected virtual Task<bool> HasMore(NpgsqlConnection connection) => Task.FromResult(false);

    /// <summary>One round: makes what has no background job yet, and moves those whose truth has gone on.</summary>
    public async Task Round(CancellationToken cancellation)
    {
        if (!node.HoldsLease) return;
        await Task.Delay(Rest, time, cancellation);
        await using var connection = await source.OpenConnectionAsync(cancellation);
        var (isWhole, isFull) = (true, false);
        await using (var transaction = await connection.BeginTransactionAsync(cancellation))
        {
            // A row that somebody holds is left to a later round.
            await LockWait.Limit(connection, transaction, TimeSpan.FromSeconds(1));
            var behind = (await connection.QueryAsync<TRow>(Outdated, new { Batch }, transaction)).AsList();
            foreach (var row in behind)
            {
                if (await Apart(transaction, () => Show(connection, transaction, row))) continue;
                isWhole = false;
                await Apart(transaction, () => connection.ExecuteAsync(LookedAt, row, transaction));
            }
            await transaction.CommitAsync(cancellation);
            isFull = behind.Count == Batch;
        }
        // What failed is tried again after a whole rest.
        if (isWhole && (isFull || await HasMore(connection))) Wake.Set();
        if (time.GetElapsedTime(sweptAt) < SweepAfter) return;
        sweptAt = time.GetTimestamp();
        foreach (var lost in await connection.QueryAsync<string>(Lost))
            mirror.Show(lost, DashboardState.Deleted("what it stood for is shown by another background job, or gone", Now));
    }

    // One row that cannot be shown undoes nothing of the others: background jobs that were made for them would be made again.
    private async Task<bool> Apart(NpgsqlTransaction transaction, Func<Task> work)
    {
        await transaction.SaveAsync(OneRow);
        try
        {
            await work();
            return true;
        }
        catch (Exception error) when (!DatabaseErrors.IsTransient(error) || DatabaseErrors.IsLockTimeout(error))
        {
            log.LogWarning(error, "The dashboard does not show one row of {Mirror}; the others go on", GetType().Name);
            await transaction.RollbackAsync(OneRow);
            return false;
        }
    }

    /// <summary>Moves a background job, and notes what became of that in the mirror's table.</summary>
    protected async Task Move(string backgroundJob, DashboardState state, string what, Func<Task> shown, Func<Task> later, Func<Task> forget)
    {
        switch (mirror.Show(backgroundJob, state))
        {
            case BackgroundMirror.Outcome.Shown:
                await shown();
                break;
            case BackgroundMirror.Outcome.Later:
                await later();
                break;
            default:
                log.LogInformation("The dashboard has no background job {Id} any more; {What} is not shown there", backgroundJob, what);
                await forget();
                break;
        }
    }
}
