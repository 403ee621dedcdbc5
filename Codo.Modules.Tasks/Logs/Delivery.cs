using Codo.Modules.Tasks.Execution;
using Codo.Platform.Cluster;

namespace Codo.Modules.Tasks.Logs;

/// <summary>Sees to it that the database gets every line of one spool: it compares, and writes what pub/sub did not bring there.</summary>
internal sealed class Delivery : IDisposable
{
    // As long as lines arrive over pub/sub, the end of a step leaves them to it.
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(150);

    // Steps by the hundred end at once; the pool is the requests' as well.
    private static readonly SemaphoreSlim Writers = new(6);

    private readonly LogTable table;
    private readonly LogKey key;
    private readonly SemaphoreSlim gate = new(1);
    private readonly WakeSignal signal = new();
    private long stored;
    private long heard;
    private long linesAtLastPoll;

    public Delivery(Spool spool, LogTable table)
    {
        (Spool, this.table, key) = (spool, table, LogKey.Of(spool.Place));
    }

    public Spool Spool { get; }

    public OutputPlace Place => Spool.Place;

    /// <summary>No line comes any more: the spool is sealed.</summary>
    public bool Ended { get; set; }

    /// <summary>Whoever ended it waits for its lines: nobody else sees to them.</summary>
    public bool Awaited { get; set; }

    /// <summary>Reads the spool until it is over.</summary>
    public Task Publishing { get; set; } = Task.CompletedTask;

    /// <summary>Every line up to this one is in the database for certain.</summary>
    public long Stored => Interlocked.Read(ref stored);

    /// <summary>The furthest line that is known to have been written, though some before it may be missing.</summary>
    public long Heard => Math.Max(Interlocked.Read(ref heard), Stored);

    /// <summary>Ended, and all is in the database.</summary>
    public bool Done => Ended && Stored == Spool.Lines;

    /// <summary>Called when <see cref="Heard"/> has moved.</summary>
    public Action? Moved { get; set; }

    public void Hear(long line)
    {
        if (line <= Interlocked.Read(ref heard)) return;
        Interlocked.Exchange(ref heard, line);
        signal.Set();
        Moved?.Invoke();
    }

    /// <summary>Writes what is missing of the lines that were there at the last look, 5 s ago: younger ones are on their way.</summary>
    public async Task Poll(CancellationToken cancellation)
    {
        var upto = Interlocked.Exchange(ref linesAtLastPoll, Spool.Lines);
        if (upto <= Stored) return;
        await gate.WaitAsync(cancellation);
        try
        {
            await WriteMissing(upto, cancellation);
        }
        finally
        {
            gate.Release();
        }
    }

    /// <summary>Returns when the database has every line of the ended spool.</summary>
    /// <param name="underWay">Lines may still be on their way over pub/sub.</param>
    public async Task Finish(bool underWay, CancellationToken cancellation)
    {
        var all = Spool.Lines;
        await gate.WaitAsync(cancellation);
        try
        {
            if (underWay && all - Stored > LogTable.BatchLines) await LetArrive(all, cancellation);
            if (all - Stored <= LogTable.BatchLines && Heard <= Stored) await Write(new LineRange(Stored + 1, all), cancellation);
            else await WriteMissing(all, cancellation);
            Advance(all);
        }
        finally
        {
            gate.Release();
        }
    }

    /// <summary>Only when nobody can be looking any more.</summary>
    public void Dispose() => gate.Dispose();

    private async Task LetArrive(long all, CancellationToken cancellation)
    {
        while (Heard < all)
        {
            var before = Heard;
            if (!await signal.Wait(Patience, cancellation) && Heard == before) return;
        }
    }

    private async Task WriteMissing(long upto, CancellationToken cancellation)
    {
        while (Stored < upto)
        {
            var missing = await table.Missing(Place.SchedId, Place.Attempt, Stored, upto, Time(Spool.FirstMilliseconds ?? 0), cancellation);
            foreach (var range in missing) await Write(range, cancellation);
            // What was written is there; only ranges past the limit of one question are still unknown.
            if (missing.Count < 10_000) Advance(upto);
            else Advance(missing[^1].Last);
        }
    }

    private async Task Write(LineRange range, CancellationToken cancellation)
    {
        if (range.Last < range.First) return;
        var at = Spool.Find(range.First);
        var batch = new List<LogLine>();
        var weight = 0;
        while (at.Lines < range.Last)
        {
            var read = Spool.Next(ref at, (int)Math.Min(range.Last - at.Lines, LogTable.BatchLines - batch.Count));
            if (read.Count == 0) throw new InvalidOperationException($"The spool of {Place.LogKey} ends before line {range.Last}");
            foreach (var line in read)
            {
                batch.Add(Line(line));
                weight += batch[^1].Weight;
            }

            if (batch.Count < LogTable.BatchLines && weight < LogTable.BatchWeight && at.Lines < range.Last) continue;
            await Writers.WaitAsync(cancellation);
            try
            {
                await table.Write(batch, cancellation);
                LogMetrics.Replayed(batch.Count);
            }
            finally
            {
                Writers.Release();
            }

            batch.Clear();
            weight = 0;
        }
    }

    private void Advance(long line)
    {
        Interlocked.Exchange(ref stored, Math.Max(line, Stored));
        Spool.Stored(line);
        Moved?.Invoke();
    }

    private LogLine Line(in SpooledLine line) =>
        new(
            key,
            Place.SchedId,
            Place.Attempt,
            line.Line,
            line.Marks.HasFlag(LineMarks.Continues),
            System.Text.Encoding.UTF8.GetString(line.Utf8.Span),
            Time(line.Milliseconds)
        );

    private static DateTime Time(long milliseconds) => DateTime.UnixEpoch.AddMilliseconds(milliseconds);
}
