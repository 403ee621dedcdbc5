using System.Collections.Concurrent;
using Codo.Modules.Tasks.Execution;
using Codo.Platform.Cluster;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Codo.Modules.Tasks.Logs;

/// <summary>
/// Opens the output of attempts, and follows every spool of this node until the database has all of it: while its step runs, at its end, and those that an
/// earlier process left.
/// </summary>
internal sealed class StepLogs(
    SpoolFolder folder,
    LogTable table,
    TaskLogChannel channel,
    LogChanges changes,
    LogBacklog backlog,
    TimeProvider time,
    ILogger<StepLogs> log
) : IHostedService, IDisposable
{
    // A database that hangs must not hold up the step's end for longer than its other statements do.
    private static readonly TimeSpan MostAtEnd = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan MostToPublish = TimeSpan.FromSeconds(5);
    // From the last line of an attempt until its end is recorded.
    private static readonly TimeSpan ToBeRecorded = TimeSpan.FromMilliseconds(250);

    private readonly ConcurrentDictionary<(long SchedId, int Attempt), Delivery> deliveries = new();
    private readonly CancellationTokenSource stopping = new();
    // Attempts with a damaged spool from an earlier process, and the line that reports it once made. A repeated write has the same number, so the line
    // appears once.
    private readonly Dictionary<(long SchedId, int Attempt), LogLine?> damaged = [];
    // Attempts whose spool can neither be read nor set aside. The next start tries again.
    private readonly HashSet<(long SchedId, int Attempt)> stuck = [];
    // The spool folder could not be read, so attempts with a spool are unknown.
    private bool isUnread;

    /// <summary>Set when a delivery has become whole.</summary>
    public WakeSignal Finished { get; } = new();

    /// <summary>How many ended attempts have lines that are not in the database yet.</summary>
    public int CatchingUp => deliveries.Values.Count(delivery => delivery.Ended && !delivery.Done);

    /// <summary>Whether lines of this log lie on this node that are not in the database although their step has ended.</summary>
    public bool IsCatchingUp(string logKey) => deliveries.Values.Any(delivery => delivery.Ended && !delivery.Done && delivery.Place.LogKey == logKey);

    /// <summary>The same of one attempt.</summary>
    public bool IsCatchingUp(long schedId, int attempt) =>
        deliveries.TryGetValue((schedId, attempt), out var delivery) && delivery.Ended && !delivery.Done;

    /// <summary>Takes the output of an attempt. Whatever is away, it takes it.</summary>
    /// <param name="secrets">Texts that are masked before anything else is done with a line.</param>
    public StepOutput Open(OutputPlace place, IReadOnlyCollection<string> secrets)
    {
        var spool = Spool.Create(folder, place);
        if (spool.Failure is { } why) log.LogError("The output of {LogKey} cannot be spooled, its log may be incomplete: {Cause}", place.LogKey, why);
        var delivery = new Delivery(spool, table);
        deliveries[(place.SchedId, place.Attempt)] = delivery;
        var opened = new StepLog(this, delivery, new Publication(delivery, channel, log), secrets, time);
        opened.Start(stopping.Token);
        return opened;
    }

    /// <summary>Returns when the database has every line, or when it does not answer: then the rest is written when it does.</summary>
    public async Task Finish(Delivery delivery)
    {
        if (delivery.Spool.Failure is { } why) log.LogError("The log of {LogKey} may be incomplete: {Cause}", delivery.Place.LogKey, why);
        await TryFinish(delivery, underWay: true);
        delivery.Awaited = false;
        Finished.Set();
        // The spool is still read for what is to be published; nobody waits for that.
        _ = Retire(delivery);
    }

    public Task StartAsync(CancellationToken cancellationToken)
    {
        changes.Heard += Hear;
        // Before any step can open a spool of its own.
        try
        {
            foreach (var path in folder.Left()) TakeUp(path);
            // Also those of an earlier process, which may have ended before it said so. Of a log that is whole nothing is said again.
            foreach (var path in folder.Aside())
                if (SpoolFolder.AttemptOf(path) is { } attempt) damaged.TryAdd(attempt, null);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            isUnread = true;
            log.LogError(error, "The folder of spools cannot be read, lines of an earlier process may be missing");
        }
        return Task.CompletedTask;
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        changes.Heard -= Hear;
        await stopping.CancelAsync();
        foreach (var delivery in deliveries.Values)
        {
            delivery.Spool.Leave();
            delivery.Dispose();
        }
    }

    public void Dispose() => stopping.Dispose();

    /// <summary>Compares every spool with the database, and retires those of which the database has all.</summary>
    public async Task Compare(CancellationToken cancellation)
    {
        foreach (var delivery in deliveries.Values) await Poll(delivery, cancellation);
    }

    /// <summary>Says of ended attempts that the database has all of their lines, many at once.</summary>
    public async Task SayWhole(CancellationToken cancellation)
    {
        await Task.Delay(ToBeRecorded, cancellation);
        var open = deliveries.Where(pair => !pair.Value.Done).Select(pair => pair.Key);
        await backlog.SayWhole([.. open, .. damaged.Keys, .. stuck], ofThisProcess: isUnread, cancellation);
        // Behind what another spool of the same attempt still brings.
        foreach (var one in damaged.Keys.Where(one => !deliveries.ContainsKey(one)).ToList()) await SayLost(one, cancellation);
    }

    private async Task SayLost((long SchedId, int Attempt) one, CancellationToken cancellation)
    {
        if (damaged[one] is null)
        {
            var end = await backlog.End(one.SchedId, one.Attempt, cancellation);
            if (end is { Ended: false }) return;
            if (end is not null)
            {
                const string Text = "[Codo]: 暂存文件已损坏，其中尚未入库的输出已丢失 / A spool file is damaged: output in it that had not been stored is lost";
                var at = DateTime.UnixEpoch.AddMilliseconds(folder.Now);
                damaged[one] = new LogLine(LogKey.Parse(end.LogKey), one.SchedId, one.Attempt, end.LastLine + 1, false, Text, at);
            }
        }

        if (damaged[one] is { } line) await table.Write([line], cancellation);
        damaged.Remove(one);
        Finished.Set();
    }

    // One that a power loss has damaged must not keep the others, or the host, from going on.
    private void TakeUp(string path)
    {
        try
        {
            var spool = Spool.Reopen(folder, path);
            var attempt = (spool.Place.SchedId, spool.Place.Attempt);
            deliveries[attempt] = new Delivery(spool, table) { Ended = true };
            if (spool.IsDamaged)
            {
                log.LogError("The spool {File} is damaged, and read as far as it can be", Path.GetFileName(path));
                damaged.TryAdd(attempt, null);
            }

            log.LogInformation(
                "An earlier process left {Lines} lines of {LogKey}; what the database lacks of them is written",
                spool.Lines,
                spool.Place.LogKey
            );
        }
        catch (Exception error)
        {
            log.LogError(error, "The spool {File} does not read", Path.GetFileName(path));
            if (!folder.TrySetAsideAll(path) && SpoolFolder.AttemptOf(path) is { } attempt) stuck.Add(attempt);
        }
    }

    private async Task Poll(Delivery delivery, CancellationToken cancellation)
    {
        try
        {
            if (!delivery.Ended) await delivery.Poll(cancellation);
            else if (!delivery.Awaited && (delivery.Done || await TryFinish(delivery, underWay: false)))
            {
                Finished.Set();
                await Retire(delivery);
            }
        }
        catch (Exception error) when (error is not OperationCanceledException)
        {
            log.LogWarning(error, "Lines of {LogKey} could not be compared with the database; it is tried again", delivery.Place.LogKey);
        }
    }

    private async Task<bool> TryFinish(Delivery delivery, bool underWay)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(stopping.Token);
        // What an earlier process left may be any amount.
        if (underWay) limit.CancelAfter(MostAtEnd + TimeSpan.FromMilliseconds(delivery.Spool.Lines / 10d));
        try
        {
            await delivery.Finish(underWay, limit.Token);
            return true;
        }
        catch (Exception error)
        {
            log.LogWarning(error, "The log of {LogKey} is still catching up, its lines wait in the spool", delivery.Place.LogKey);
            return false;
        }
    }

    private async Task Retire(Delivery delivery)
    {
        try
        {
            await delivery.Publishing.WaitAsync(MostToPublish, stopping.Token);
        }
        catch (Exception error) when (error is TimeoutException or OperationCanceledException)
        {
            log.LogDebug("The last lines of {LogKey} were not published", delivery.Place.LogKey);
        }

        if (!delivery.Done || !deliveries.TryRemove(new((delivery.Place.SchedId, delivery.Place.Attempt), delivery))) return;
        delivery.Spool.Delete();
    }

    private void Hear(LogChange? change)
    {
        if (change is not null && deliveries.TryGetValue((change.SchedId, change.Attempt), out var delivery)) delivery.Hear(change.Line);
    }
}
