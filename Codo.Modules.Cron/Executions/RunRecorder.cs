using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Microsoft.Extensions.Logging;

namespace Codo.Modules.Cron.Executions;

/// <summary>Records what this node's runs do: their processes, their output, their end. What PostgreSQL does not answer for is tried until it does.</summary>
internal sealed class RunRecorder(ExecutionStore store, ResultSpool spool, Node node, ExecutionMirror mirror, ILogger<RunRecorder> log)
{
    /// <summary>
    /// Bytes of output that one statement stores: .NET keeps a text of more than 42,000 characters among its large objects, which it seldom gives back.
    /// </summary>
    private const int Piece = 40_000;

    private volatile bool hasGivenUp;

    /// <summary>The host ends: what is not recorded by now stays in its file for the next start.</summary>
    public void GiveUp() => hasGivenUp = true;

    /// <summary>
    /// Stores what finds the processes again. Until then a later incarnation has the run id alone, so this is retried and never given up while the command
    /// runs.
    /// </summary>
    public async Task Mark(Run run, RunMark mark)
    {
        while (!run.Over)
        {
            try
            {
                var stop = await store.RecordMark(run, mark);
                // It runs: a retry is shown as queued until now.
                mirror.Wake.Set();
                if (stop is { } why) run.Ask(ExecutionStatus.Killed, why);
                return;
            }
            catch (Exception error) when (DatabaseErrors.IsTransient(error))
            {
                if (hasGivenUp) return;
                await Task.Delay(TimeSpan.FromSeconds(1));
            }
        }
    }

    /// <summary>Records how an attempt ended, once PostgreSQL answers; meanwhile the result waits in a file, so that it outlives this process.</summary>
    public async Task End(Run run, Ending ending)
    {
        var spec = Spec.Of(run.Claimed);
        var mayRetry = spec is not null && ending.Status is ExecutionStatus.Faild or ExecutionStatus.Timeout && run.Claimed.Attempt <= spec!.Retries;
        // What a kill has left would run beside its own repetition.
        var retry = mayRetry && ending.Left is not > 0;
        var result = new ExecutionResult(
            run.Claimed,
            node.Name,
            ending,
            retry ? spec!.RetryDelay : null,
            run.Output.Beginning(ExecutionStore.ListLimit),
            run.Output.Total
        );
        if (mayRetry && !retry) result = result.WithoutRetry(new Text("不再重试：仍有进程在运行", "not tried again: processes of it still run"));
        var (spooled, refused) = (false, false);
        while (true)
        {
            try
            {
                if (!refused) await FlushOne(run, ended: true);
                if (await store.RecordEnd(result))
                {
                    if (!retry) CronMetrics.Over(ending.Status);
                }
                else
                    log.LogWarning(
                        "Execution {LogId} of job {JobId} ended as {Status}, but was settled before: the ledger keeps what it says",
                        run.Claimed.LogId,
                        run.Claimed.JobId,
                        ending.Status.Word()
                    );
                if (spooled)
                    spool.Forget(result);
                mirror.Wake.Set();
                return;
            }
            catch (Exception error) when (DatabaseErrors.IsTransient(error))
            {
                if (!spooled) spooled = spool.Keep(result);
                if (hasGivenUp) return;
                await Task.Delay(TimeSpan.FromSeconds(1));
            }
            catch (Exception error) when (!refused && DatabaseErrors.IsPermanent(error))
            {
                // What PostgreSQL does not take would be refused again: the end is recorded without it, with the reason.
                log.LogError(error, "The output of execution {LogId} is not stored: PostgreSQL does not take it", run.Claimed.LogId);
                refused = true;
                var why = OutsideText.Clean(error.Message);
                var cause = new Text(
                    $"{result.Ending.Cause.Zh}；输出无法保存：{why}".TrimStart('；'),
                    $"{result.Ending.Cause.En}; its output could not be stored: {why}".TrimStart(';', ' ')
                );
                result = result with { Output = "", Ending = result.Ending with { Cause = cause } };
            }
        }
    }

    /// <summary>Stores what runs have said since the last time.</summary>
    public async Task Flush(List<Run> runs, CancellationToken cancellation)
    {
        foreach (var run in runs.Where(run => run.Output.Total > run.Flushed && !run.IsRefused))
        {
            cancellation.ThrowIfCancellationRequested();
            try
            {
                await FlushOne(run, ended: false);
            }
            catch (Exception error) when (DatabaseErrors.IsPermanent(error))
            {
                // Not tried again each second; its end is recorded with the reason.
                run.IsRefused = true;
                log.LogError(error, "Output of execution {LogId} is not stored: PostgreSQL does not take it", run.Claimed.LogId);
            }
        }
    }

    private async Task FlushOne(Run run, bool ended)
    {
        await run.Flushing.WaitAsync();
        try
        {
            var dropped = false;
            while (run.Output.Since(run.Flushed, ended, PieceOf(run)) is { Text.Length: > 0 } part)
            {
                dropped |= part.Missing > 0 || run.Output.Total > run.OutputLimit;
                await store.AppendOutput(run.Claimed, run.Flushed + part.Missing, part);
                run.Flushed = part.Next;
            }
            if (dropped) await store.DropMiddle(run.Claimed, run.OutputLimit, run.Flushed);
        }
        finally
        {
            run.Flushing.Release();
        }
    }

    // Pieces are dropped whole: small beside the limit, and none reaches beyond the half that is kept of the beginning.
    private static int PieceOf(Run run)
    {
        var piece = Math.Min(Piece, Math.Max(run.OutputLimit / 16, 1));
        var head = run.OutputLimit / 2 - run.Flushed;
        return head > 0 ? (int)Math.Min(piece, head) : piece;
    }
}
