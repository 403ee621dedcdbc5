using System.Buffers;
using System.Globalization;
using System.IO.Pipelines;
using System.Text;
using Codo.Platform.Processes;

namespace Codo.Modules.Tasks.Hosts;

/// <summary>
/// Where the connection's own thread puts what a host sends. The line that tells the process group and the mark at the command's end are taken out; the rest
/// waits, bounded, for whoever reads it. When it is full the thread waits, and so, over TCP, does the command.
/// </summary>
internal sealed class RemoteOutput : Stream
{
    // A login shell's start files may write before the command's own line comes, and nobody reads until it has. This much is kept; in what is more than that
    // only the line is looked for.
    private const int MostBeforeMark = 64 * 1024;
    // Of that line: a path that a system takes has 4 KiB.
    private const int MostMark = 8 * 1024;
    // The answer of a script without a mark is its last line.
    private const int MostAnswer = 16 * 1024;
    private const int MostWaiting = 256 * 1024;
    // Of what background processes write after the command's end.
    private const int MostAfterEnd = 1024 * 1024;
    // A boot id has 36 characters.
    private const int MostBootId = 64;

    private readonly Pipe pipe = new(
        new PipeOptions(pauseWriterThreshold: MostWaiting, resumeWriterThreshold: MostWaiting / 2, useSynchronizationContext: false)
    );
    private readonly TaskCompletionSource<RunMark?> mark = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource end = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock gate = new();
    private readonly byte[] markStart;
    private readonly string runId;
    private readonly EndMark? endMark;
    // What may be the beginning of the line that tells the process group; of a script without a mark its last words. Null when the line has come.
    private byte[]? held = [];
    private int beforeMark;
    private long leftOut;
    private bool complete;
    private long received;
    private int afterEnd;

    /// <param name="endMark">What ends the command's output; null where the end of the channel does.</param>
    public RemoteOutput(string runId, EndMark? endMark = null)
    {
        this.runId = runId;
        this.endMark = endMark;
        markStart = Encoding.UTF8.GetBytes($"{RemoteScripts.MarkPrefix}{runId} ");
    }

    /// <summary>
    /// The run's processes, as soon as the host has told; null when the output ended without. Its group is 0 when the end of the command came and that line
    /// did not.
    /// </summary>
    public Task<RunMark?> Mark => mark.Task;

    /// <summary>Completes when the command's end mark has come, and all of its output with it. The status is then <see cref="EndMark.Status"/>.</summary>
    public Task End => end.Task;

    /// <summary>The login shell that runs no commands for Codo; null for any other.</summary>
    public string? RefusedShell { get; private set; }

    /// <summary>What came in the place of the line that tells the process group, and makes no sense; null when nothing did.</summary>
    public string? Nonsense { get; private set; }

    /// <summary>Bytes that have come so far.</summary>
    public long Received => Interlocked.Read(ref received);

    /// <summary>The connection's thread waits for the reader.</summary>
    public bool IsFull { get; private set; }

    /// <summary>Passes everything on that comes until <see cref="Complete"/>.</summary>
    public async Task CopyToAsync(Func<ReadOnlyMemory<byte>, ValueTask> onOutput, CancellationToken cancellation)
    {
        while (true)
        {
            var read = await pipe.Reader.ReadAsync(cancellation);
            foreach (var piece in read.Buffer) await onOutput(piece);
            pipe.Reader.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted) return;
        }
    }

    /// <summary>Nobody reads any more: from here on the connection's thread throws away what comes, instead of waiting for ever.</summary>
    public void StopReading() => pipe.Reader.Complete();

    /// <summary>Nothing more is taken; the reader gets what is there and then its end.</summary>
    public void Complete()
    {
        lock (gate)
        {
            if (complete) return;
            complete = true;
            if (held is { } kept)
            {
                TakeBeforeMark(kept);
                SayLeftOut();
            }

            endMark?.Complete(TakeOutput);
            held = null;
            pipe.Writer.Complete();
        }

        // The launcher that has told the end has run the command, also where something else was written into its first line.
        mark.TrySetResult(endMark is { IsFound: true } ? new RunMark(runId, 0, 0, "") : null);
    }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        Interlocked.Add(ref received, buffer.Length);
        ValueTask<FlushResult> flush;
        lock (gate)
        {
            if (complete) return;
            if (held is null) Take(buffer, TakeOutput);
            else if (endMark is null) KeepAnswer(buffer);
            else LookForMark(buffer);
            flush = pipe.Writer.FlushAsync();
        }

        if (flush.IsCompleted) return;
        IsFull = true;
        flush.AsTask().GetAwaiter().GetResult();
        IsFull = false;
    }

    private void LookForMark(ReadOnlySpan<byte> bytes)
    {
        if (held!.Length > 0) bytes = (byte[])[.. held, .. bytes];
        var start = bytes.IndexOf(markStart);
        var length = start < 0 ? -1 : bytes[start..].IndexOf((byte)'\n');
        if (length >= 0)
        {
            TakeBeforeMark(bytes[..start]);
            held = null;
            SayLeftOut();
            Read(bytes.Slice(start + markStart.Length, length - markStart.Length));
            Take(bytes[(start + length + 1)..], TakeOutput);
            return;
        }

        var kept = start < 0 || bytes.Length - start > MostMark ? BeginningAtEnd(bytes) : bytes.Length - start;
        TakeBeforeMark(bytes[..^kept]);
        held = bytes[^kept..].ToArray();
    }

    private int BeginningAtEnd(ReadOnlySpan<byte> bytes)
    {
        var length = Math.Min(bytes.Length, markStart.Length - 1);
        while (!markStart.AsSpan().StartsWith(bytes[^length..])) length--;
        return length;
    }

    private void KeepAnswer(ReadOnlySpan<byte> bytes)
    {
        bytes = (byte[])[.. held!, .. bytes];
        held = bytes[^Math.Min(bytes.Length, MostAnswer)..].ToArray();
    }

    // Whoever answers may be no Codo script at all: nothing of it is believed that does not look as it should.
    private void Read(ReadOnlySpan<byte> told)
    {
        var text = OutputText.Decode(told);
        var fields = text.Split(' ');
        if (fields is [RemoteScripts.RefusedShell, var shell])
            RefusedShell = shell;
        else if (fields is [var group, var ticks, var boot]
            && int.TryParse(group, NumberStyles.None, CultureInfo.InvariantCulture, out var processGroup)
            && long.TryParse(ticks, NumberStyles.None, CultureInfo.InvariantCulture, out var startTicks)
            && boot.Length <= MostBootId && boot.All(letter => char.IsAsciiLetterOrDigit(letter) || letter == '-'))
            mark.TrySetResult(new RunMark(runId, processGroup, startTicks, boot == "-" ? "" : boot));
        else
            Nonsense = text;
    }

    private void TakeBeforeMark(ReadOnlySpan<byte> bytes) => Take(bytes, Keep);

    private void Take(ReadOnlySpan<byte> bytes, Action<ReadOnlySpan<byte>> take)
    {
        if (endMark is null)
        {
            take(bytes);
            return;
        }

        endMark.Append(bytes, take);
        if (endMark.IsFound) end.TrySetResult();
    }

    private void Keep(ReadOnlySpan<byte> bytes)
    {
        var kept = Math.Min(bytes.Length, MostBeforeMark - beforeMark);
        pipe.Writer.Write(bytes[..kept]);
        beforeMark += kept;
        leftOut += bytes.Length - kept;
    }

    // ASCII, which the host's encoding leaves as it is.
    private void SayLeftOut()
    {
        if (leftOut > 0)
            pipe.Writer.Write(Encoding.ASCII.GetBytes($"\n[Codo]: {leftOut} more bytes, which came before the command began, are left out\n"));
    }

    private void TakeOutput(ReadOnlySpan<byte> bytes)
    {
        if (endMark is { IsFound: true } && end.Task.IsCompleted)
        {
            if (afterEnd > MostAfterEnd) return;
            afterEnd += bytes.Length;
        }

        pipe.Writer.Write(bytes);
    }

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Flush()
    {
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        // SSH.NET disposes the stream when the channel is closed.
        if (disposing) Complete();
        base.Dispose(disposing);
    }
}
