using System.Runtime.CompilerServices;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Npgsql;

namespace Codo.Platform.Ui;

/// <summary>Something that pages follow: <c>jobs</c>, <c>order:17</c>.</summary>
public interface ILiveTopic
{
    /// <summary>What stands before the colon.</summary>
    string Name { get; }

    /// <summary>Where it stands now; null for a topic whose first event brings the state.</summary>
    /// <exception cref="Refusal">The caller may not see it.</exception>
    Task<string?> Version(string argument, Access access, CancellationToken cancellation);

    /// <summary>What changes after <paramref name="known"/>, for as long as somebody reads.</summary>
    /// <param name="known">The version that the reader has; null for none.</param>
    /// <exception cref="Refusal">The caller may not see it.</exception>
    IAsyncEnumerable<LiveChange> Follow(string argument, Access access, string? known, CancellationToken cancellation);

    /// <summary>A request to this node may have changed it: who follows is told as soon as that is read.</summary>
    void Changed()
    {
    }
}

/// <param name="Version">The version that the reader has with it.</param>
/// <param name="Data">What changed; null where the reader reads it again.</param>
public sealed record LiveChange(string Version, object? Data = null);

/// <summary>
/// A topic whose version is one cheap statement. While somebody follows, the statement runs again and again, once for all followers of this node, with a pause
/// of many times what it took, which a request to this node cuts short. The version says what was read and not when, so any node and the next start of this
/// one can go on from it.
/// </summary>
public abstract class PolledTopic(NpgsqlDataSource source, TimeProvider time) : ILiveTopic
{
    private const int PauseOfReads = 20;

    private static readonly TimeSpan LeastPause = TimeSpan.FromMilliseconds(100), Again = TimeSpan.FromSeconds(2);

    private readonly Lock gate = new();
    private readonly Dictionary<string, Shared> polls = new(StringComparer.Ordinal);

    /// <inheritdoc/>
    public abstract string Name { get; }

    /// <summary>Reads the version.</summary>
    /// <param name="argument">What stands behind the colon, or an empty text.</param>
    protected abstract Task<string> Read(NpgsqlConnection connection, string argument, CancellationToken cancellation);

    /// <summary>Whether there is such a one; each that is followed costs a statement some times a second.</summary>
    protected virtual bool Takes(string argument) => argument.Length == 0;

    /// <summary>Refuses whoever may not see what stands behind the colon. Topics without anything there are for everybody.</summary>
    /// <exception cref="Refusal">The caller may not see it, or there is none.</exception>
    protected virtual Task Demand(NpgsqlConnection connection, string argument, Access access) => Task.CompletedTask;

    /// <inheritdoc/>
    public async Task<string?> Version(string argument, Access access, CancellationToken cancellation)
    {
        if (!Takes(argument)) return null;
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await Demand(connection, argument, access);
        return await Read(connection, argument, cancellation);
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<LiveChange> Follow(string argument, Access access, string? known, [EnumeratorCancellation] CancellationToken cancellation)
    {
        if (!Takes(argument)) throw Refusal.NotFound($"没有主题 {Name}:{argument}", $"There is no topic {Name}:{argument}");
        if (argument.Length > 0)
        {
            await using var connection = await source.OpenConnectionAsync(cancellation);
            await Demand(connection, argument, access);
        }
        var poll = Join(argument);
        try
        {
            while (true)
            {
                var (version, next) = poll.Now;
                if (version is not null && version != known) yield return new LiveChange(known = version);
                await next.WaitAsync(cancellation);
            }
        }
        finally
        {
            Leave(argument, poll);
        }
    }

    /// <inheritdoc/>
    public void Changed()
    {
        lock (gate)
            foreach (var poll in polls.Values)
                poll.Changed();
    }

    private Shared Join(string argument)
    {
        lock (gate)
        {
            if (!polls.TryGetValue(argument, out var poll))
            {
                polls[argument] = poll = new Shared();
                _ = Task.Run(() => Poll(argument, poll), CancellationToken.None);
            }
            poll.Followers++;
            return poll;
        }
    }

    private void Leave(string argument, Shared poll)
    {
        lock (gate)
        {
            if (--poll.Followers > 0) return;
            polls.Remove(argument);
            poll.Dispose();
        }
    }

    private async Task Poll(string argument, Shared poll)
    {
        var wasCut = false;
        while (!poll.Ended.IsCancellationRequested)
        {
            var (pause, asked) = (Again, poll.Asked());
            try
            {
                var began = time.GetTimestamp();
                await using (var connection = await source.OpenConnectionAsync(poll.Ended)) poll.Set(await Read(connection, argument, poll.Ended));
                pause = TimeSpan.FromTicks(Math.Max(LeastPause.Ticks, time.GetElapsedTime(began).Ticks * PauseOfReads));
            }
            catch (Exception)
            {
                // The database is away, or the last follower has gone. Followers wait; the pages themselves say what is wrong.
            }
            // Never two in a row are cut short: many requests do not become as many reads.
            var paused = Task.Delay(pause, time, poll.Ended);
            await (wasCut ? paused : Task.WhenAny(paused, asked)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            wasCut = !paused.IsCompleted;
        }
    }

    private sealed class Shared : IDisposable
    {
        private readonly Lock gate = new();
        private readonly CancellationTokenSource ended = new();
        private TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private TaskCompletionSource asked = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private string? version;

        public Shared() => Ended = ended.Token;

        public int Followers { get; set; }

        public CancellationToken Ended { get; }

        public (string? Version, Task Next) Now
        {
            get
            {
                lock (gate) return (version, changed.Task);
            }
        }

        public void Set(string read)
        {
            TaskCompletionSource told;
            lock (gate)
            {
                if (version == read) return;
                version = read;
                (told, changed) = (changed, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
            }
            told.SetResult();
        }

        /// <summary>Ends once <see cref="Changed"/> is called from now on: what was changed before is in what is read next.</summary>
        public Task Asked()
        {
            lock (gate)
            {
                if (asked.Task.IsCompleted) asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                return asked.Task;
            }
        }

        public void Changed()
        {
            lock (gate) asked.TrySetResult();
        }

        public void Dispose()
        {
            ended.Cancel();
            ended.Dispose();
        }
    }
}

/// <summary>All topics of the modules, by name.</summary>
public sealed class LiveTopics(IEnumerable<ILiveTopic> topics)
{
    private readonly Dictionary<string, ILiveTopic> byName = topics.ToDictionary(topic => topic.Name, StringComparer.Ordinal);

    /// <summary>A request to this node may have changed something.</summary>
    public void Changed()
    {
        foreach (var topic in byName.Values) topic.Changed();
    }

    /// <summary>The topic that a text names, and what stands behind the colon; null for none.</summary>
    public (ILiveTopic Topic, string Argument)? Find(string text)
    {
        var parts = text.Split(':', 2);
        return byName.TryGetValue(parts[0], out var topic) ? (topic, parts.ElementAtOrDefault(1) ?? "") : null;
    }

    /// <summary>Each topic with its version, <c>{topic}={version}</c>; without one where the first event brings the state, or the topic is refused.</summary>
    public async Task<IReadOnlyList<string>> Versions(IEnumerable<string> names, Access access, CancellationToken cancellation)
    {
        var versions = new List<string>();
        foreach (var name in names)
            if (Find(name) is var (topic, argument))
                versions.Add(await Seen(topic, argument, access, cancellation) is { } version ? $"{name}={version}" : name);
        return versions;
    }

    // A page whose object is not to be seen says so itself.
    private static async Task<string?> Seen(ILiveTopic topic, string argument, Access access, CancellationToken cancellation)
    {
        try
        {
            return await topic.Version(argument, access, cancellation);
        }
        catch (Refusal)
        {
            return null;
        }
    }
}
