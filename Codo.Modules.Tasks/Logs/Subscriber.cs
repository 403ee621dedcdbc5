using System.Diagnostics;
using System.Threading.Channels;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;
using Polly;
using StackExchange.Redis;

namespace Codo.Modules.Tasks.Logs;

/// <summary>
/// Writes what is published on <c>task_log</c>. One node at a time does, the one whose session holds an advisory lock; the others ask for it every second. A
/// database that is away does not end the turn: lines are collected until it is back, or until another node is found to have the lock.
/// </summary>
internal sealed class Subscriber(TaskLogChannel channel, LogTable table, ClusterSettings cluster, Node node, TimeProvider time, ILogger<Subscriber> log)
    : IHostedService
{
    // Any constant does, as long as every version of Codo takes the same one.
    private const long Lock = 0x0C0D0_0104;
    private const int MostLines = 50_000, MostWeight = 16 << 20;

    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(1),
        Collect = TimeSpan.FromMilliseconds(50),
        CollectFirst = TimeSpan.FromMilliseconds(4),
        Quiet = TimeSpan.FromSeconds(5),
        LastMessages = TimeSpan.FromSeconds(1),
        LastWrites = TimeSpan.FromSeconds(5);

    private readonly Channel<LogLine> lines = Channel.CreateBounded<LogLine>(new BoundedChannelOptions(MostLines) { SingleReader = true });
    private readonly ResiliencePipeline untilAnswered = DatabaseErrors.UntilAnswered(log, "The log subscriber");

    // What is being written, and after the end of the loop what it has not written.
    private readonly List<LogLine> gathered = [];

    private ChannelMessageQueue? queue;
    private Queue<long> numbers = new();
    private long weight;

    /// <summary>Whether this node has the turn.</summary>
    public bool Subscribed => queue is not null;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>Writes what was taken and is not written yet: the loops have ended before this, in the reverse order of their registration.</summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        var subscribed = queue;
        await Unsubscribe();
        if (cancellationToken.IsCancellationRequested)
        {
            // Then nobody has waited for the loops, and what is gathered may still be theirs.
            log.LogWarning("The stop has taken too long: up to {Count} lines that were published are not written", lines.Reader.Count + gathered.Count);
            return;
        }
        using var most = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        most.CancelAfter(LastWrites);
        try
        {
            // The client hands the last messages over on a thread of its own.
            if (subscribed is not null) await Task.WhenAny(subscribed.Completion, Task.Delay(LastMessages, time, most.Token));
            for (TakeMore(gathered.Sum(line => line.Weight)); gathered.Count > 0; TakeMore(0)) await WriteGathered(most.Token);
        }
        catch (Exception error)
        {
            // The others are written by their executor's comparison.
            var lost = gathered.Count(line => line.SchedId == 0);
            while (lines.Reader.TryRead(out var line))
                if (line.SchedId == 0) lost++;
            if (lost > 0)
                log.LogWarning(error, "{Count} lines from other publishers are lost: PostgreSQL has not taken them before the end of the host", lost);
        }
    }

    /// <summary>
    /// Asks for the turn each second, and holds it. Returns by an exception (PostgreSQL or Redis cannot be reached, or the host ends), and at once where the
    /// node does not have the role.
    /// </summary>
    public async Task HoldOrAsk(LoopState state, CancellationToken stopping)
    {
        // What runs here reaches the database by its own executor's comparison where no other node writes either.
        if (!node.Has(NodeRoles.Logs)) return;
        var text = new NpgsqlConnectionStringBuilder(cluster.PostgresConnectionString)
        {
            Pooling = false,
            Timeout = 3,
            CommandTimeout = 3,
            ApplicationName = "codo log subscriber",
        }.ConnectionString;
        await using var connection = new NpgsqlConnection(text);
        await connection.OpenAsync(stopping);
        // A host that hangs, or whose network is gone, loses its session, and with it the lock, without having to say so.
        await using (var limit = new NpgsqlCommand("SET idle_session_timeout = '3500ms'", connection)) await limit.ExecuteNonQueryAsync(stopping);
        await using var ask = new NpgsqlCommand($"SELECT pg_try_advisory_lock({Lock})", connection);
        await using var hold = new NpgsqlCommand("SELECT 1", connection);
        using var timer = new PeriodicTimer(Poll);
        var held = false;
        do
        {
            if (held) await hold.ExecuteNonQueryAsync(stopping);
            else held = (bool)(await ask.ExecuteScalarAsync(stopping))!;
            if (held) await Subscribe(stopping);
            else await Unsubscribe();
            state.Succeeded();
        }
        while (await timer.WaitForNextTickAsync(stopping));
    }

    private async Task Subscribe(CancellationToken stopping)
    {
        if (queue is not null) return;
        var subscribed = await channel.Subscribe(stopping);
        subscribed.OnMessage(message => Take(message.Message));
        queue = subscribed;
        log.LogInformation("This node writes the log lines that are published on {Channel}", TaskLogChannel.Name);
    }

    private async Task Unsubscribe()
    {
        if (queue is not { } subscribed) return;
        queue = null;
        await subscribed.UnsubscribeAsync(CommandFlags.FireAndForget);
        log.LogInformation("Another node writes the log lines now, or this one stops");
    }

    // Must not wait: what Redis sends piles up without a bound. A numbered line that is dropped here is written by its executor's comparison.
    private void Take(RedisValue message)
    {
        if (TaskLogMessage.Parse(message, time) is not { } line) return;
        if (Interlocked.Add(ref weight, line.Weight) <= MostWeight && lines.Writer.TryWrite(line)) return;
        Interlocked.Add(ref weight, -line.Weight);
        if (line.SchedId == 0)
            log.LogWarning("A line of {LogKey} from another publisher is lost: the database takes lines more slowly than they come", line.Key.Text);
    }

    /// <summary>Writes what is taken. Returns only by an exception.</summary>
    public async Task WriteAll(LoopState state, CancellationToken stopping)
    {
        var flushed = 0L;
        while (true)
        {
            state.Succeeded();
            if (!await HasLines(stopping)) continue;
            // The first line after a pause is not kept waiting; in a stream of lines there are at most twenty statements a second that are not full.
            var rest = Collect - Stopwatch.GetElapsedTime(flushed);
            await Gather(rest > CollectFirst && flushed != 0 ? rest : CollectFirst, stopping);
            flushed = Stopwatch.GetTimestamp();
            try
            {
                await WriteGathered(stopping);
            }
            catch (Exception) when (!stopping.IsCancellationRequested)
            {
                // What PostgreSQL refuses once it refuses again.
                gathered.Clear();
                throw;
            }
        }
    }

    // Wakes up now and then without a line, so that the loop is seen to live.
    private async Task<bool> HasLines(CancellationToken stopping)
    {
        using var quiet = CancellationTokenSource.CreateLinkedTokenSource(stopping);
        quiet.CancelAfter(Quiet);
        try
        {
            return await lines.Reader.WaitToReadAsync(quiet.Token);
        }
        catch (OperationCanceledException) when (!stopping.IsCancellationRequested)
        {
            return false;
        }
    }

    private async Task Gather(TimeSpan most, CancellationToken stopping)
    {
        var size = 0;
        var began = Stopwatch.GetTimestamp();
        while (true)
        {
            size = TakeMore(size);
            var rest = most - Stopwatch.GetElapsedTime(began);
            if (rest <= TimeSpan.Zero || gathered.Count >= LogTable.BatchLines || size >= LogTable.BatchWeight) return;
            await Task.Delay(rest < TimeSpan.FromMilliseconds(10) ? rest : TimeSpan.FromMilliseconds(10), stopping);
        }
    }

    // As much as one statement may still take; answers what all of it weighs.
    private int TakeMore(int size)
    {
        while (gathered.Count < LogTable.BatchLines && size < LogTable.BatchWeight && lines.Reader.TryRead(out var line))
        {
            gathered.Add(line);
            size += line.Weight;
            Interlocked.Add(ref weight, -line.Weight);
        }

        return size;
    }

    private async Task WriteGathered(CancellationToken stopping)
    {
        await untilAnswered.ExecuteAsync(async token => await Write(gathered, token), stopping);
        gathered.Clear();
    }

    private async Task Write(List<LogLine> batch, CancellationToken stopping)
    {
        await Number(batch, stopping);
        await table.Write(batch, stopping);
        LogMetrics.Stored(batch.Count);
    }

    // Once, before the first try: written again, a line must be the same.
    private async Task Number(List<LogLine> batch, CancellationToken stopping)
    {
        for (var place = 0; place < batch.Count; place++)
        {
            if (batch[place].Line != 0) continue;
            if (numbers.Count == 0) numbers = await table.Reserve(LogTable.BatchLines, stopping);
            batch[place] = batch[place] with { Line = numbers.Dequeue() };
        }
    }
}
