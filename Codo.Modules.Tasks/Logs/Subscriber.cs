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
        Quiet = TimeSpan.FromSeconds(5);

    private readonly Channel<LogLine> lines = Channel.CreateBounded<LogLine>(new BoundedChannelOptions(MostLines) { SingleReader = true });
    private readonly ResiliencePipeline untilAnswered = DatabaseErrors.UntilAnswered(log, "The log subscriber");
    private ChannelMessageQueue? queue;
    private Queue<long> numbers = new();
    private long weight;

    /// <summary>Whether this node has the turn.</summary>
    public bool Subscribed => queue is not null;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Unsubscribe();

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
            var batch = await Gather(rest > CollectFirst && flushed != 0 ? rest : CollectFirst, stopping);
            flushed = Stopwatch.GetTimestamp();
            await untilAnswered.ExecuteAsync(async token => await Write(batch, token), stopping);
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
