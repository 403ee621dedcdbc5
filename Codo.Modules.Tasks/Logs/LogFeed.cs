using Codo.Platform.Cluster;
using Microsoft.Extensions.Logging;

namespace Codo.Modules.Tasks.Logs;

/// <summary>Somebody who follows a log line by line.</summary>
internal sealed class Follower : IDisposable
{
    private readonly CancellationTokenSource dropped = new();

    /// <summary>Lines of the log that it has; null while it reads older ones from the database at its own pace.</summary>
    public long? Has { get; set; }

    /// <summary>It does not read, and more than <see cref="LogFeed.MostBytes"/> wait for it.</summary>
    public CancellationToken Dropped => dropped.Token;

    public void Drop() => dropped.Cancel();

    public void Dispose() => dropped.Dispose();
}

/// <summary>
/// The end of one log in memory, for all who follow it on this node: the database is read once for each change, however many they are. It is read no further
/// than the slowest of them can follow; one who takes nothing for two seconds while a megabyte waits is dropped.
/// </summary>
internal sealed class LogFeed(LogKey key, LogReader reader, LogBacklog backlog, ILogger log) : IDisposable
{
    /// <summary>Bytes that are kept for followers.</summary>
    public const int MostBytes = 1 << 20;

    /// <summary>Lines that a WebSocket's window shows at most.</summary>
    public const int WindowLines = 1000;

    private const int MostLines = 20_000, PageLines = 2000;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2), Again = TimeSpan.FromSeconds(1);

    private readonly Lock gate = new();
    private readonly List<LogRow> window = [];
    private readonly HashSet<Follower> followers = [];
    private readonly WakeSignal signal = new(), taken = new();
    private readonly CancellationTokenSource ended = new();
    private TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private LogCursor head = LogCursor.Start;
    private Task reading = Task.CompletedTask;
    private long before;
    private long bytes;
    private long bytesEver;
    private long changes;
    private bool begun;
    private bool held;
    private volatile bool ask = true;
    private volatile LaggingNode? elsewhere;

    public LogKey Key => key;

    /// <summary>Whether a cursor has to name its step.</summary>
    public bool SeveralSteps { get; private set; }

    /// <summary>What a node that is away has of it, in words for a reader; null where nothing is missing.</summary>
    public LaggingNode? Missing => elsewhere is { Alive: false } away ? away : null;

    /// <summary>Bytes that came since the feed began.</summary>
    public long BytesEver => Interlocked.Read(ref bytesEver);

    /// <summary>How many share it; changed under the lock of <see cref="LogFeeds"/>.</summary>
    public int Sharers { get; set; }

    public void Begin() => reading = Task.Run(Read);

    /// <summary>There may be more.</summary>
    /// <param name="attempts">And it may be otherwise with what other nodes have.</param>
    public void Poll(bool attempts)
    {
        if (attempts) ask = true;
        signal.Set();
    }

    public void Dispose()
    {
        ended.Cancel();
        ended.Dispose();
    }

    /// <summary>The last lines, how many there are in all, and what to ask <see cref="Beyond"/> with; null while the first read is under way.</summary>
    public (List<LogRow> Rows, long Total, long Change)? Window()
    {
        lock (gate) return begun ? (window.Skip(Math.Max(0, window.Count - WindowLines)).ToList(), before + window.Count, changes) : null;
    }

    /// <summary>Completes when lines come after this was asked for.</summary>
    public Task NextChange
    {
        get
        {
            lock (gate) return changed.Task;
        }
    }

    /// <summary>Completes when something has come, or become otherwise, since a change.</summary>
    public Task Beyond(long change)
    {
        lock (gate) return changes > change ? Task.CompletedTask : changed.Task;
    }

    public void Join(Follower follower)
    {
        lock (gate) followers.Add(follower);
    }

    public void Leave(Follower follower)
    {
        lock (gate) followers.Remove(follower);
        taken.Set();
    }

    /// <summary>Lets a follower on who has read up to a line, when what follows it is in memory.</summary>
    public bool Attach(Follower follower, LogCursor after)
    {
        lock (gate)
        {
            if (!begun) return false;
            if (after == LogCursor.Start && before == 0) follower.Has = 0;
            else if (after == head) follower.Has = before + window.Count;
            else if (window.FindLastIndex(row => row.Cursor == after) is >= 0 and var place) follower.Has = before + place + 1;
            return follower.Has is not null;
        }
    }

    /// <summary>What follows the lines that the reader has. It has them when it asks again.</summary>
    public List<LogRow> Take(Follower follower)
    {
        lock (gate)
        {
            var rows = window.Skip((int)(follower.Has!.Value - before)).Take(PageLines).ToList();
            return rows;
        }
    }

    /// <summary>They have gone out.</summary>
    public void Took(Follower follower, int count)
    {
        lock (gate) follower.Has += count;
        taken.Set();
    }

    private async Task Read()
    {
        var token = ended.Token;
        while (!token.IsCancellationRequested)
        {
            try
            {
                var had = changes;
                if (!begun) await ReadEnd(token);
                while (await ReadMore(token))
                {
                }

                if (ask) await AskForBacklog(token);
                // Whoever follows one attempt or one step may have lines to read that this feed cannot reach yet.
                if (changes == had) Pulse();
                await (held ? signal.Wait(Again, token) : signal.Wait(token));
            }
            catch (OperationCanceledException) when (token.IsCancellationRequested)
            {
                return;
            }
            catch (Exception error)
            {
                log.LogWarning(error, "Followers of {LogKey} wait", key.Text);
                await Task.Delay(Again, CancellationToken.None);
            }
        }
    }

    private async Task ReadEnd(CancellationToken cancellation)
    {
        var end = await reader.End(key, WindowLines, cancellation);
        lock (gate)
        {
            (before, head, SeveralSteps, begun) = (end.Before, end.After, end.SeveralSteps, true);
            window.AddRange(end.Rows);
            bytes = end.Rows.Sum(row => (long)row.Weight);
        }

        Pulse();
    }

    private async Task<bool> ReadMore(CancellationToken cancellation)
    {
        var part = await reader.Next(key, head, PageLines, cancellation);
        held = part.Held;
        if (part.Rows.Count == 0) return false;
        var size = part.Rows.Sum(row => (long)row.Weight);
        await MakeRoom(size, part.Rows.Count, cancellation);
        lock (gate)
        {
            window.AddRange(part.Rows);
            (head, SeveralSteps) = (part.After, part.SeveralSteps);
            bytes += size;
        }

        Interlocked.Add(ref bytesEver, size);
        Pulse();
        return part.More;
    }

    private async Task AskForBacklog(CancellationToken cancellation)
    {
        ask = false;
        var before = Missing;
        try
        {
            elsewhere = await backlog.Elsewhere(key, cancellation);
        }
        catch
        {
            ask = true;
            throw;
        }

        if (Missing != before) Pulse();
    }

    private async Task MakeRoom(long size, int count, CancellationToken cancellation)
    {
        while (true)
        {
            lock (gate)
            {
                // The oldest lines go, as far as everybody has them.
                var free = followers
                    .Where(follower => follower.Has is not null)
                    .Select(follower => follower.Has!.Value - before)
                    .DefaultIfEmpty(long.MaxValue)
                    .Min();
                var go = 0;
                while (go < window.Count && go < free && (bytes + size > MostBytes || window.Count - go + count > MostLines)) bytes -= window[go++].Weight;
                window.RemoveRange(0, go);
                before += go;
                if (window.Count == 0 || (bytes + size <= MostBytes && window.Count + count <= MostLines)) return;
            }

            if (await taken.Wait(Patience, cancellation)) continue;
            lock (gate)
            {
                foreach (var slow in followers.Where(follower => follower.Has == before).ToList())
                {
                    log.LogInformation("A follower of {LogKey} does not read, and is dropped", key.Text);
                    followers.Remove(slow);
                    slow.Drop();
                }
            }
        }
    }

    private void Pulse()
    {
        TaskCompletionSource waited;
        lock (gate)
        {
            changes++;
            waited = changed;
            changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        waited.SetResult();
    }
}

/// <summary>The logs that are followed on this node.</summary>
internal sealed class LogFeeds(LogReader reader, LogBacklog backlog, LogChanges changes, ILogger<LogFeeds> log) : IDisposable
{
    private readonly Lock gate = new();
    private readonly Dictionary<string, LogFeed> feeds = new(StringComparer.Ordinal);
    private bool listening;

    /// <summary>How many logs are followed.</summary>
    public int Count
    {
        get
        {
            lock (gate) return feeds.Count;
        }
    }

    /// <summary>To be given back with <see cref="Return"/>.</summary>
    public LogFeed Share(LogKey key)
    {
        lock (gate)
        {
            if (!listening) changes.Heard += Hear;
            listening = true;
            if (!feeds.TryGetValue(key.Text, out var feed))
            {
                feeds[key.Text] = feed = new LogFeed(key, reader, backlog, log);
                feed.Begin();
            }

            feed.Sharers++;
            return feed;
        }
    }

    public void Return(LogFeed feed)
    {
        lock (gate)
        {
            if (--feed.Sharers > 0) return;
            feeds.Remove(feed.Key.Text);
            feed.Dispose();
        }
    }

    public void Dispose()
    {
        changes.Heard -= Hear;
        lock (gate)
            foreach (var feed in feeds.Values)
                feed.Dispose();
    }

    private void Hear(LogChange? change)
    {
        lock (gate)
        {
            if (change is null)
                foreach (var feed in feeds.Values)
                    feed.Poll(attempts: true);
            else if (feeds.TryGetValue(change.LogKey, out var feed)) feed.Poll(attempts: change.Line == 0);
        }
    }
}
