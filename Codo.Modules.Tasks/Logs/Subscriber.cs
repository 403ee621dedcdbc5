using System.Diagnostics;
using System.Threading.Channels;
using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;
using StackExchange.Redis;

namespace Codo.Modules.Tasks.Logs;

/// <summary>
/// Writes what is published on <c>task_log</c>. One node at a time does, the one whose session holds an advisory lock; the others ask for it every second. A database
/// that is away does not end the turn: lines are collected until it is back, or until another node is found to have the lock.
/// </summary>
internal sealed class Subscriber(TaskLogChannel channel, LogTable table, ClusterSettings cluster, ILogger<Subscriber> log) : BackgroundService
{
    // Any constant does, as long as every version of Codo takes the same one.
    private const long Lock = 0x0C0D0_0104;
    private const int MostLines = 50_000, MostWeight = 16 << 20;

    private static readonly TimeSpan Look = TimeSpan.FromSeconds(1), Collect = TimeSpan.FromMilliseconds(50), CollectFirst = TimeSpan.FromMilliseconds(4), MostWait = TimeSpan.FromSeconds(2);

    private readonly Channel<LogLine> lines = Channel.CreateBounded<LogLine>(new BoundedChannelOptions(MostLines) { SingleReader = true });
    private ChannelMessageQueue? queue;
    private Queue<long> numbers = new();
    private long weight;
    private bool wasAway;

    /// <summary>Whether this node has the turn.</summary>
    public bool Subscribed => queue is not null;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var writing = WriteAll(stoppingToken);
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await HoldOrAsk(stoppingToken);
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                break;
            }
            catch (Exception error)
            {
                if (!wasAway) log.LogWarning("The log subscriber cannot reach PostgreSQL or Redis, it is tried again every second: {Cause}", error.Message);
                wasAway = true;
                await Task.Delay(Look / 2, CancellationToken.None);
            }
        }

        await Unsubscribe();
        await writing;
    }

    private async Task HoldOrAsk(CancellationToken stopping)
    {
        var text = new NpgsqlConnectionStringBuilder(cluster.PostgresConnectionString) { Pooling = false, Timeout = 3, CommandTimeout = 3, ApplicationName = "codo log subscriber" }.ConnectionString;
        await using var connection = new NpgsqlConnection(text);
        await connection.OpenAsync(stopping);
        // A host that hangs, or whose network is gone, loses its session, and with it the lock, without having to say so.
        await using (var limit = new NpgsqlCommand("SET idle_session_timeout = '3500ms'", connection)) await limit.ExecuteNonQueryAsync(stopping);
        await using var ask = new NpgsqlCommand($"SELECT pg_try_advisory_lock({Lock})", connection);
        await using var hold = new NpgsqlCommand("SELECT 1", connection);
        using var timer = new PeriodicTimer(Look);
        var held = false;
        do
        {
            if (held) await hold.ExecuteNonQueryAsync(stopping);
            else held = (bool)(await ask.ExecuteScalarAsync(stopping))!;
            if (held) await Subscribe(stopping);
            else await Unsubscribe();
            wasAway = false;
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
        if (TaskLogMessage.Parse(message) is not { } line) return;
        if (Interlocked.Add(ref weight, line.Weight) <= MostWeight && lines.Writer.TryWrite(line)) return;
        Interlocked.Add(ref weight, -line.Weight);
        if (line.SchedId == 0) log.LogWarning("A line of {LogKey} from another publisher is lost: the database takes lines more slowly than they come", line.Key.Text);
    }

    private async Task WriteAll(CancellationToken stopping)
    {
        var flushed = 0L;
        try
        {
            while (await lines.Reader.WaitToReadAsync(stopping))
            {
                // The first line after a pause is not kept waiting; in a stream of lines there are at most twenty statements a second that are not full.
                var rest = Collect - Stopwatch.GetElapsedTime(flushed);
                var batch = await Gather(rest > CollectFirst && flushed != 0 ? rest : CollectFirst, stopping);
                flushed = Stopwatch.GetTimestamp();
                await Write(batch, stopping);
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            log.LogDebug("The log subscriber ends with the host");
        }
    }

    private async Task<List<LogLine>> Gather(TimeSpan most, CancellationToken stopping)
    {
        var batch = new List<LogLine>();
        var size = 0;
        var began = Stopwatch.GetTimestamp();
        while (true)
        {
            while (batch.Count < LogTable.BatchLines && size < LogTable.BatchWeight && lines.Reader.TryRead(out var line))
            {
                batch.Add(line);
                size += line.Weight;
                Interlocked.Add(ref weight, -line.Weight);
            }

            var rest = most - Stopwatch.GetElapsedTime(began);
            if (rest <= TimeSpan.Zero || batch.Count >= LogTable.BatchLines || size >= LogTable.BatchWeight) return batch;
            await Task.Delay(rest < TimeSpan.FromMilliseconds(10) ? rest : TimeSpan.FromMilliseconds(10), stopping);
        }
    }

    private async Task Write(List<LogLine> batch, CancellationToken stopping)
    {
        var wait = TimeSpan.FromMilliseconds(100);
        while (true)
        {
            try
            {
                await Number(batch, stopping);
                await table.Write(batch, stopping);
                return;
            }
            catch (PostgresException error) when (!Failures.IsDatabaseAway(error))
            {
                // One line that the database does not take must not take the others along, nor stop the log for good.
                if (batch.Count == 1) log.LogError(error, "A line of {LogKey} is not stored: PostgreSQL does not take it", batch[0].Key.Text);
                else
                    foreach (var line in batch)
                        await Write([line], stopping);
                return;
            }
            catch (Exception error) when (Failures.IsDatabaseAway(error))
            {
                log.LogWarning("{Count} log lines wait for PostgreSQL: {Cause}", batch.Count, error.Message);
                await Task.Delay(wait, stopping);
                wait = wait * 2 < MostWait ? wait * 2 : MostWait;
            }
        }
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
