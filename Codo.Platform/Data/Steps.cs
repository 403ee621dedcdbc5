namespace Codo.Platform.Data;

/// <summary>Steps of an upkeep that have nothing to do with each other.</summary>
public static class Steps
{
    /// <summary>Runs each, also where one before it fails.</summary>
    /// <exception cref="AggregateException">Some failed.</exception>
    public static async Task All(CancellationToken cancellation, params Func<Task>[] steps)
    {
        var failures = new List<Exception>();
        foreach (var step in steps)
        {
            cancellation.ThrowIfCancellationRequested();
            try
            {
                await step();
            }
            catch (Exception error) when (!cancellation.IsCancellationRequested)
            {
                failures.Add(error);
            }
        }
        if (failures.Count > 0) throw new AggregateException(failures).Flatten();
    }
}
