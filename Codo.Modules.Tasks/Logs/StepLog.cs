using Codo.Modules.Tasks.Execution;
using Codo.Platform.Processes;
using Codo.Platform.Security;

namespace Codo.Modules.Tasks.Logs;

/// <summary>The output of one attempt: secrets masked, cut into lines, each line with its number and time in the spool before the next read.</summary>
internal sealed class StepLog : StepOutput
{
    private readonly Lock gate = new();
    private readonly StepLogs logs;
    private readonly Delivery delivery;
    private readonly Publication publication;
    private readonly SecretMask mask;
    private readonly LineReader reader;
    private readonly TimeProvider time;
    private long latest;
    private bool ended;

    public StepLog(StepLogs logs, Delivery delivery, Publication publication, IReadOnlyCollection<string> secrets, TimeProvider time)
    {
        (this.logs, this.delivery, this.publication, this.time) = (logs, delivery, publication, time);
        mask = new SecretMask(secrets);
        reader = new LineReader(line => delivery.Spool.Add(Now(), line.Continues, line.Text));
    }

    /// <summary>Begins to publish; it ends by itself after the end of the output.</summary>
    public void Start(CancellationToken stopping) => delivery.Publishing = Task.Run(() => publication.Run(stopping), CancellationToken.None);

    public override ValueTask Append(ReadOnlyMemory<byte> bytes)
    {
        lock (gate)
        {
            if (ended) return ValueTask.CompletedTask;
            mask.Append(bytes.Span, reader.Append);
            delivery.Spool.Flush();
        }

        publication.Wake();
        return ValueTask.CompletedTask;
    }

    public override async ValueTask Complete()
    {
        if (End()) await logs.Finish(delivery);
    }

    /// <summary>Without <see cref="Complete"/> nobody waits: what is missing is written in the background.</summary>
    public override ValueTask DisposeAsync()
    {
        if (End()) _ = logs.Finish(delivery);
        return ValueTask.CompletedTask;
    }

    private bool End()
    {
        lock (gate)
        {
            if (ended) return false;
            ended = true;
            mask.Complete(reader.Append);
            reader.Complete();
            delivery.Spool.Seal();
            delivery.Awaited = true;
            delivery.Ended = true;
        }

        publication.Wake();
        return true;
    }

    // A clock that is put back must not put a line before the one it follows: readers go by the number, partitions by the time.
    private long Now() => latest = Math.Max(latest, time.GetUtcNow().ToUnixTimeMilliseconds());
}
