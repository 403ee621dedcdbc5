namespace Codo.Platform.Data;

/// <summary>Runs maintenance tasks that do not depend on each other.</summary>
public static class IndependentTasks
{
    /// <summary>Runs every task in order, even if an earlier one fails.</summary>
    /// <exception cref="AggregateException">At least one task failed; it holds every failure.</exception>
    public static async Task RunAll(CancellationToken cancellation, params Func<Task>[] tasks)
    {
        var failures = new List<Exception>();
        foreach (var task in tasks)
        {
            cancellation.ThrowIfCancellationRequested();
            try
            {
                await task();
            }
            catch (Exception error) when (!cancellation.IsCancellationRequested)
            {
                failures.Add(error);
            }
        }
        if (failures.Count > 0) throw new AggregateException(failures).Flatten();
    }
}
