namespace Codo.Platform.Data;

/// <summary>
/// Writes what many tasks bring at once in one statement. One batch is written at a time, and what comes meanwhile is the next one: a hundred cost one
/// commit. After a batch of several the next one may be gathered for a moment, or it would be of the few that came while the last one was written; after a
/// single item nothing waits. When PostgreSQL refuses a batch, or somebody holds a row of it, each item of it is written alone, so that one that it does not
/// take fails for itself.
/// </summary>
/// <param name="write">Writes a batch and answers one result for each item, in their order.</param>
/// <param name="most">Items of a batch.</param>
/// <param name="gather">How long the next batch is gathered after one of several items.</param>
/// <param name="time">Measures that; null is the system's clock.</param>
public sealed class BatchWriter<TItem, TResult>(
    Func<IReadOnlyList<TItem>, Task<IReadOnlyList<TResult>>> write,
    int most,
    TimeSpan gather = default,
    TimeProvider? time = null
)
{
    private readonly Queue<(TItem Item, TaskCompletionSource<TResult> Result)> waiting = new();
    private bool isWriting;

    /// <summary>Completes when the item is committed; throws what PostgreSQL said of it.</summary>
    public Task<TResult> Write(TItem item)
    {
        var result = new TaskCompletionSource<TResult>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (waiting)
        {
            waiting.Enqueue((item, result));
            if (isWriting) return result.Task;
            isWriting = true;
        }
        _ = Task.Run(WriteAll);
        return result.Task;
    }

    private async Task WriteAll()
    {
        while (Next() is { Count: > 0 } batch)
        {
            try
            {
                await WriteBatch(batch);
            }
            catch (Exception error) when (batch.Count > 1 && (DatabaseErrors.IsPermanent(error) || DatabaseErrors.IsLockTimeout(error)))
            {
                foreach (var one in batch) await WriteAlone(one);
            }
            catch (Exception error)
            {
                foreach (var (_, result) in batch) result.TrySetException(error);
            }
            // After a full batch more is waiting already.
            if (batch.Count > 1 && batch.Count < most && gather > TimeSpan.Zero) await Task.Delay(gather, time ?? TimeProvider.System);
        }
    }

    private List<(TItem Item, TaskCompletionSource<TResult> Result)> Next()
    {
        lock (waiting)
        {
            var batch = new List<(TItem, TaskCompletionSource<TResult>)>();
            while (batch.Count < most && waiting.TryDequeue(out var next)) batch.Add(next);
            if (batch.Count == 0) isWriting = false;
            return batch;
        }
    }

    private async Task WriteBatch(IReadOnlyList<(TItem Item, TaskCompletionSource<TResult> Result)> batch)
    {
        var results = await write([.. batch.Select(one => one.Item)]);
        foreach (var (one, result) in batch.Zip(results)) one.Result.SetResult(result);
    }

    private async Task WriteAlone((TItem Item, TaskCompletionSource<TResult> Result) one)
    {
        try
        {
            await WriteBatch([one]);
        }
        catch (Exception error)
        {
            one.Result.TrySetException(error);
        }
    }
}
