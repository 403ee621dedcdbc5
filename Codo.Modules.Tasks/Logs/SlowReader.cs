using System.Diagnostics;

namespace Codo.Modules.Tasks.Logs;

/// <summary>A client whose connection takes nothing more.</summary>
internal static class SlowReader
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(500), Grace = TimeSpan.FromSeconds(2), MostAnyway = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Waits for a write, but not for one that is stuck: past a megabyte of newer lines, past half a minute in any case, or when the feed has dropped the
    /// client.
    /// </summary>
    /// <returns>False when the client is to be cut off.</returns>
    public static async Task<bool> Takes(Task write, LogFeed feed, CancellationToken dropped)
    {
        var began = Stopwatch.GetTimestamp();
        var bytes = feed.BytesEver;
        while (!write.IsCompleted)
        {
            using var wait = new CancellationTokenSource();
            await Task.WhenAny(write, Task.Delay(Poll, wait.Token));
            await wait.CancelAsync();
            if (write.IsCompleted) break;
            var stuck = Stopwatch.GetElapsedTime(began);
            if (dropped.IsCancellationRequested || stuck > MostAnyway || (stuck > Grace && feed.BytesEver - bytes > LogFeed.MostBytes)) return false;
        }

        await write;
        // One that was dropped meanwhile has missed lines.
        return !dropped.IsCancellationRequested;
    }
}
