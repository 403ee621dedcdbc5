using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Codo.Platform.Security;
using Codo.Platform.Telemetry;
using Microsoft.Extensions.Logging;

namespace Codo.Modules.Cron.Executions;

/// <summary>
/// This node's runner: claims what is queued, runs it, ends it when asked, and records how it ended. Nothing here waits in a worker or holds a thread.
/// </summary>
internal sealed class Runner(
    ExecutionStore store,
    ResultSpool spool,
    RunRecorder recorder,
    Ledger ledger,
    Recovery recovery,
    JobEnvironment environments,
    FolderCheck folders,
    RunAsRule runAs,
    CronSettings settings,
    Quotas quotas,
    WakeSources sources,
    UsageSampler sampler,
    LiveUsage liveUsage,
    Node node,
    Disk disk,
    TimeProvider time,
    ILogger<Runner> log
) : INodeWork, IDisposable
{
    /// <summary>What is kept of a run's output while the disk is nearly full.</summary>
    private const int OutputWhenDiskIsLow = 64 << 10;

    /// <summary>
    /// Commands that are claimed and have not started yet. A start is work of a processor: more at once only take it from each other, and from what ends.
    /// </summary>
    internal static readonly int MostStarting = Environment.ProcessorCount * 8;

    private const int MostUnanswered = 100;

    private readonly ConcurrentDictionary<(long LogId, int Attempt), Run> running = new();
    private readonly SemaphoreSlim claiming = new(1), spawning = new(Environment.ProcessorCount);

    // Commands between their claim and their start; whether somebody asked for a claim; whether something may be queued that the last one left.
    private int starting;
    private volatile bool isAsked, isMore;

    // Claims that failed and may be committed all the same, guarded by claiming. The oldest beyond the limit is forgotten: what it took is interrupted then.
    private readonly List<string> unanswered = [];

    /// <summary>The work's name in the cluster.</summary>
    public const string WorkName = "cron";

    public string Name => WorkName;

    /// <summary>
    /// Claims and starts what is queued, in its order. While more than half of the places for starting commands are taken it claims nothing: the start that
    /// frees the half claims the next. What waits stays queued, where every node and the operator see it.
    /// Calls that meet are one: whoever claims looks again for those that came meanwhile.
    /// </summary>
    public async Task StartQueued(CancellationToken cancellation)
    {
        isAsked = true;
        while (isAsked && claiming.Wait(0, CancellationToken.None))
        {
            try
            {
                isAsked = false;
                await ClaimAll(cancellation);
            }
            finally
            {
                claiming.Release();
            }
        }
    }

    /// <summary>
    /// The same for a request whose row is committed: it must be answered as such, or it would be sent again. Where the claim fails, the next poll finds the
    /// row.
    /// </summary>
    public async Task StartCommitted()
    {
        try
        {
            await StartQueued(CancellationToken.None);
        }
        catch (Exception error)
        {
            log.LogWarning(error, "What is queued could not be claimed; the next poll does");
            Wake.Set();
        }
    }

    private async Task ClaimAll(CancellationToken cancellation)
    {
        var quota = await quotas.Runs();
        // Set before `starting` is read: a start that ends after the read sees it and claims the next (NotStarting). Cleared by a claim that found less than
        // its room.
        isMore = true;
        // At least half of the places at a time: a claim for each place that becomes free would be a commit for each command.
        while (
            node.MayStart(WorkName)
            && MostStarting - Volatile.Read(ref starting) is var places
            && places >= MostStarting / 2
            && Math.Min(settings.MaxParallel - running.Count, places) is > 0 and var free
        )
        {
            var (room, full) = Share(quota, free);
            var claimed = await Claim(room, full, cancellation);
            foreach (var one in claimed) Begin(one);
            if (claimed.Count < room)
            {
                isMore = false;
                return;
            }
        }
    }

    private async Task<List<Claimed>> Claim(int room, long[] full, CancellationToken cancellation)
    {
        var claim = Guid.NewGuid().ToString("N");
        try
        {
            return await store.Claim(claim, node.Name, node.Incarnation, room, full, cancellation);
        }
        catch
        {
            if (unanswered.Count == MostUnanswered) unanswered.RemoveAt(0);
            unanswered.Add(claim);
            throw;
        }
    }

    private void Begin(Claimed one)
    {
        var run = new Run(one, disk.IsLow ? Math.Min(OutputWhenDiskIsLow, settings.OutputLimit) : settings.OutputLimit, spool.Folder);
        running[(one.LogId, one.Attempt)] = run;
        Interlocked.Increment(ref starting);
        _ = Task.Run(() => Carry(run), CancellationToken.None);
    }

    /// <summary>
    /// Takes up what runs here by its rows alone. A claim whose answer was lost was committed before anything started: its commands start now. The end of any
    /// other was not stored, or the database has lost it: that execution is interrupted, since its command has run.
    /// </summary>
    private async Task TakeUp(CancellationToken cancellation)
    {
        List<LeftRow> strays;
        // No claim is on its way meanwhile, and a run is forgotten only after its row.
        await claiming.WaitAsync(cancellation);
        try
        {
            // A host that ends keeps what it could not record in files, which its next start reads.
            if (!node.HoldsLease || node.Draining) return;
            foreach (var one in await store.Unanswered([.. unanswered], node.Name, node.Incarnation, cancellation))
            {
                // All that a claim has taken is there at once.
                unanswered.RemoveAll(claim => one.RunId.StartsWith(claim, StringComparison.Ordinal));
                log.LogWarning("Execution {LogId} of job {JobId} was claimed although the claim got no answer: it starts now", one.LogId, one.JobId);
                Begin(one);
            }
            strays = await recovery.Strays([.. running.Keys], cancellation);
        }
        finally
        {
            claiming.Release();
        }
        await recovery.RecoverStrays(strays);
        // Whoever asked for a claim meanwhile has left it to this.
        await StartQueued(cancellation);
    }

    // Whose quota is full, and how many more may be claimed at once so that nobody else's can be passed by them.
    private (int Room, long[] Full) Share(int quota, int free)
    {
        if (quota == 0)
            return (free, []);
        if (running.Count < quota)
            return (Math.Min(free, quota - running.Count), []);
        var counts = running
            .Values.Where(run => run.Claimed.Person is not null)
            .GroupBy(run => run.Claimed.Person!.Value)
            .Select(person => (person.Key, Count: person.Count()))
            .ToList();
        var most = counts.Where(person => person.Count < quota).Select(person => person.Count).DefaultIfEmpty(0).Max();
        return (Math.Min(free, quota - most), [.. counts.Where(person => person.Count >= quota).Select(person => person.Key)]);
    }

    public WakeSignal Wake { get; } = new();

    public async Task<bool> Poll(CancellationToken cancellation)
    {
        // Before the rows are read: what ends meanwhile is no stranger.
        var known = running.Keys.ToHashSet();
        var mine = running.Values.Where(run => !run.Over).ToList();
        var rows = (await store.Mine(node.Name, cancellation)).ToDictionary(row => (row.LogId, row.Attempt));
        foreach (var run in mine)
        {
            // Another incarnation's rows were settled, or are about to be.
            if (
                run.Claimed.Incarnation != node.Incarnation
                || !rows.TryGetValue((run.Claimed.LogId, run.Claimed.Attempt), out var row)
                || row.Incarnation != run.Claimed.Incarnation
            )
                run.Ask(
                    ExecutionStatus.Interrupted,
                    new Text(
                        "节点曾失去租约，此执行已由其他节点结算，命令被终止",
                        "This node had lost its lease and the execution was settled meanwhile; the command was ended"
                    )
                );
            else if (row.StopZh is not null)
                run.Ask(ExecutionStatus.Killed, new Text(row.StopZh, row.StopEn ?? row.StopZh));
        }
        if (rows.Any(row => row.Value.Incarnation == node.Incarnation && !known.Contains(row.Key) && !running.ContainsKey(row.Key)))
            await TakeUp(cancellation);
        var asked = BootTime.Now;
        var work = await store.HasWork(cancellation);
        ledger.Polled(work.Now, asked);
        // Fallback for lost wake-ups: account for jobs that are due.
        if (work.Due && sources.Poll) await ledger.AccountDue(cancellation);
        if (work.Queued || (work.Due && sources.Poll)) await StartQueued(cancellation);
        await recorder.Flush(mine, cancellation);
        await liveUsage.Store(mine, cancellation);
        return work.Any || mine.Count > 0;
    }

    /// <summary>An attempt that this node has under way; null for any other.</summary>
    public Run? Find(long logId, int attempt) => running.GetValueOrDefault((logId, attempt));

    /// <summary>The newest attempt of an execution that this node has under way.</summary>
    public Run? Find(long logId) => running.Values.Where(run => run.Claimed.LogId == logId).MaxBy(run => run.Claimed.Attempt);

    public Task Recover(string deadNode, long incarnation, CancellationToken cancellation) => recovery.Recover(deadNode, incarnation, cancellation);

    public Task<IReadOnlyList<RunningWork>> Running(CancellationToken cancellation) => store.AllRunning(cancellation);

    public async Task Drain(CancellationToken graceOver)
    {
        await claiming.WaitAsync(CancellationToken.None);
        claiming.Release();
        try
        {
            while (!running.IsEmpty) await Task.Delay(TimeSpan.FromMilliseconds(50), graceOver);
        }
        catch (OperationCanceledException)
        {
            log.LogWarning("The grace is over: {Count} commands are ended", running.Count);
        }
        foreach (var run in running.Values)
            run.Ask(ExecutionStatus.Interrupted, new Text("Codo 正在停止，宽限期已过，命令被终止", "Codo was being stopped and the grace was over; the command was ended"));
        // TERM, 5 s, KILL, and the row; with the database away the result goes to the spool.
        for (var waited = 0; !running.IsEmpty && waited < 160; waited++)
        {
            if (waited == 100) recorder.GiveUp();
            await Task.Delay(TimeSpan.FromMilliseconds(100), CancellationToken.None);
        }
    }

    public void Dispose()
    {
        claiming.Dispose();
        spawning.Dispose();
    }

    private async Task Carry(Run run)
    {
        var key = (run.Claimed.LogId, run.Claimed.Attempt);
        try
        {
            var ending = await RunOrFail(run);
            run.Over = true;
            await recorder.End(run, ending);
            await run.MarkRecorded;
        }
        catch (Exception error)
        {
            log.LogError(
                error,
                "Execution {LogId} of job {JobId} could not be carried through; the next poll makes it interrupted",
                run.Claimed.LogId,
                run.Claimed.JobId
            );
        }
        finally
        {
            running.TryRemove(key, out _);
            run.Output.Dispose();
        }
        // The place that has become free, and what waited for this one's end.
        await ClaimNext(run.Claimed);
    }

    private async Task ClaimNext(Claimed after)
    {
        try
        {
            if (node.MayStart(WorkName)) await StartQueued(CancellationToken.None);
        }
        catch (Exception error)
        {
            log.LogWarning(error, "After execution {LogId} nothing more could be claimed; the next poll tries again", after.LogId);
        }
    }

    // Whatever keeps a command from being run (a row that does not read, an environment under another key) is this execution's failure, and nothing of it is
    // left behind.
    private async Task<Ending> RunOrFail(Run run)
    {
        try
        {
            return await RunToEnd(run);
        }
        catch (Exception error)
        {
            log.LogError(error, "Execution {LogId} of job {JobId} could not be run", run.Claimed.LogId, run.Claimed.JobId);
            var left = await ProcessTree.KillAsync(new RunMark(run.Claimed.RunId, 0, 0, RunMark.CurrentBootId));
            var why = OutsideText.Clean(error.Message);
            return Over(ExecutionStatus.Faild, null, left, new Text($"无法执行：{why}", $"It could not be run: {why}"));
        }
    }

    private async Task<Ending> RunToEnd(Run run)
    {
        var claimed = run.Claimed;
        // Before there is a permit that it would keep from the others.
        var silent = await SilentFolder(claimed);
        await spawning.WaitAsync();
        using var span = CodoTelemetry.Source.StartActivity("cron run", ActivityKind.Internal, Spec.Of(claimed)?.Traceparent);
        span?.SetTag("codo.job_id", claimed.JobId).SetTag("codo.log_id", claimed.LogId).SetTag("codo.attempt", claimed.Attempt);
        LocalCommand command;
        Spec spec;
        Encoding? encoding;
        try
        {
            spec = Spec.Of(claimed) ?? throw new InvalidOperationException("its spec in cron.cron_log does not read");
            encoding = CommandForm.EncodingOf(spec.Encoding);
            // Between the claim and here this node may have stood still: a lease that ran out means that somebody settles, and perhaps repeats, this row. So
            // does another incarnation, under which the lease is held again.
            if (!node.HoldsLease || node.Incarnation != claimed.Incarnation)
                return Over(
                    ExecutionStatus.Interrupted,
                    null,
                    null,
                    new Text("节点失去租约，命令未启动", "The node lost its lease; the command was not started")
                );
            if (silent is not null)
                throw new CommandNotStartedException(
                    new Text(
                        $"working_directory {silent} 在 {FolderCheck.Patience.TotalSeconds:0} 秒内没有回应",
                        $"working_directory {silent} does not answer within {FolderCheck.Patience.TotalSeconds:0} s"
                    )
                );
            command = LocalCommand.Start(
                CommandForm.With(spec.Interpreter, claimed.TaskCmd),
                claimed.RunId,
                environments.Open(claimed.Env).Values.Concat(Facts(claimed, span?.Id)).ToDictionary(StringComparer.Ordinal),
                spec.WorkingDirectory is { Length: > 0 } folder ? folder : null,
                new CommandForm(Encoding: encoding),
                runAs.Start(spec.RunAs)
            );
        }
        catch (CommandNotStartedException error)
        {
            return Over(ExecutionStatus.Faild, null, null, error.Text);
        }
        finally
        {
            spawning.Release();
            NotStarting(claimed);
        }
        var started = time.GetTimestamp();
        if (claimed.Attempt == 1) CronMetrics.Started(time.GetUtcNow().UtcDateTime - claimed.NominalAt);
        run.MarkRecorded = recorder.Mark(run, command.Mark);
        using var watch = run.Watch = sampler.Watch(command.Mark, () => environments.Secrets(claimed.Env));
        using var limit = new CancellationTokenSource();
        if (spec.Timeout is { } seconds) _ = AskAfter(run, TimeSpan.FromSeconds(seconds), limit.Token);
        // Before anything of it is stored: the ledger is open to everybody with a token.
        var mask = new SecretMask(environments.Secrets(claimed.Env));
        var transcoding = new Transcoding(
            bytes =>
            {
                mask.Append(bytes.Span, run.Output.Append);
                return ValueTask.CompletedTask;
            },
            encoding
        );
        var ended = command.ReadToEndAsync(transcoding.Append);
        int? left = null;
        if (await Task.WhenAny(ended, run.Stopped) == run.Stopped)
        {
            // Of what is killed together with its parent nobody is told what it used.
            await sampler.Sample(TimeSpan.FromMilliseconds(100));
            left = await ProcessTree.KillAsync(command.Mark);
        }
        // What cannot be killed would hold the row for ever; it is reported as left instead.
        var end = left > 0 ? await Within(ended, TimeSpan.FromSeconds(1)) : await ended;
        if (ended.IsCompleted)
        {
            await transcoding.Complete();
            mask.Complete(run.Output.Append);
        }
        CronMetrics.Ended(time.GetElapsedTime(started));
        span?.SetTag("codo.exit_code", end?.ExitCode);
        await limit.CancelAsync();
        var usage = watch.Ended(command.Used);
        if (!run.Stopped.IsCompleted || left is null)
        {
            var code = end!.Value.ExitCode;
            return Over(code == 0 ? ExecutionStatus.Success : ExecutionStatus.Faild, code, null, end.Value.HeldText ?? default, usage);
        }
        var stop = await run.Stopped;
        var rest = left == 0 ? new Text("，进程已全部结束", "; no process is left") : new Text($"，仍有 {left} 个进程无法结束", $"; {left} processes could not be ended");
        return Over(stop.Status, end?.ExitCode, left, new Text(stop.Cause.Zh + rest.Zh, stop.Cause.En + rest.En), usage);
    }

    /// <summary>The folder of a command where its file system does not answer; null where the start itself will say what is wrong, if anything is.</summary>
    private async Task<string?> SilentFolder(Claimed claimed)
    {
        try
        {
            return
                Spec.Of(claimed) is { WorkingDirectory: { Length: > 0 } folder } spec
                && CommandUser.TryFind(string.IsNullOrEmpty(spec.RunAs) ? runAs.Default : spec.RunAs, out var user, out _)
                && user.IsSeenThrough
                && await Asked(folder, claimed) is null
                ? folder
                : null;
        }
        catch (Exception error)
        {
            log.LogWarning(error, "Whether the folder of execution {LogId} answers could not be found out", claimed.LogId);
            return null;
        }
    }

    private async Task<bool?> Asked(string folder, Claimed claimed)
    {
        var found = folders.Find(folder);
        if (found.IsCompleted) return await found;
        // Not about to start meanwhile: those that wait for a folder that hangs would hold up everybody's claims.
        NotStarting(claimed);
        try
        {
            return await found;
        }
        finally
        {
            Interlocked.Increment(ref starting);
        }
    }

    private void NotStarting(Claimed claimed)
    {
        // ClaimAll leaves the queue alone until half of the places are free.
        if (Interlocked.Decrement(ref starting) <= MostStarting / 2 && isMore) _ = ClaimNext(claimed);
    }

    private Ending Over(ExecutionStatus status, int? exitCode, int? left, Text cause, RunUsage? usage = null) =>
        new(status, exitCode, left, cause, time.GetUtcNow().UtcDateTime, usage);

    private static async Task<CommandEnd?> Within(Task<CommandEnd> ended, TimeSpan time)
    {
        await Task.WhenAny(ended, Task.Delay(time));
        return ended.IsCompleted ? await ended : null;
    }

    private async Task AskAfter(Run run, TimeSpan limit, CancellationToken cancellation)
    {
        await Task.Delay(limit, time, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (cancellation.IsCancellationRequested) return;
        var seconds = limit.TotalSeconds.ToString("0", CultureInfo.InvariantCulture);
        run.Ask(ExecutionStatus.Timeout, new Text($"超过时限 {seconds} 秒，命令被终止", $"Ran past its limit of {seconds} s and was ended"));
    }

    private static IEnumerable<KeyValuePair<string, string>> Facts(Claimed claimed, string? span) =>
    [
        .. span is null ? Array.Empty<KeyValuePair<string, string>>() : [new(CodoTelemetry.TraceParent, span)],
        new("CODO_JOB_ID", claimed.JobId),
        new("CODO_LOG_ID", claimed.LogId.ToString(CultureInfo.InvariantCulture)),
        new("CODO_NOMINAL_TIME", claimed.NominalAt.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture)),
        new("CODO_ATTEMPT", claimed.Attempt.ToString(CultureInfo.InvariantCulture)),
    ];
}
