using Codo.Modules.Tasks.Hosts;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Localization;
using Codo.Platform.Processes;

namespace Codo.Modules.Tasks.Execution;

/// <summary>Steps on other hosts: their commands outlive the connection, so what becomes of one is asked of the host.</summary>
internal sealed class RemoteSteps(HostAccess access, Node node)
{
    // After a kill the reading ends with the last process; what could not be killed may hold the channel for ever.
    private static readonly TimeSpan ReadAfterKill = TimeSpan.FromSeconds(2);

    // Until then a command that is to be killed is given the time to say where it is.
    private static readonly TimeSpan TellTime = TimeSpan.FromSeconds(1);

    public LaneHosts Hosts() => new(access);

    /// <param name="environment">Variables for the command; they reach the host in the script on standard input.</param>
    /// <param name="record">Records how to find the command, once it has begun.</param>
    public async Task<StepEnd> Run(
        RunningAttempt attempt,
        string command,
        CommandForm form,
        IReadOnlyDictionary<string, string>? environment,
        StepOutput output,
        LaneHosts hosts,
        Func<RunMark, Task> record
    )
    {
        SshConnection connection;
        bool isKept;
        try
        {
            (connection, isKept) = await hosts.Connect(attempt.Step.Host, attempt.Step.ExecUser, attempt.Lane.ListId);
        }
        catch (SshFailedException failure)
        {
            return NotRun(failure);
        }
        // Connecting takes a while: before anything was sent a person may have stopped the lane, and the node may have been taken for dead, or be back already
        // under another incarnation.
        if (attempt.Stop.IsCompleted)
            return StepOutcomes.Cut(await attempt.Stop, attempt.Step.Timeout, 0);
        if (!node.HoldsLease || node.Incarnation != attempt.Lane.Incarnation)
            return StepEnd.Interrupted(
                new Text("节点在启动命令之前失去了租约，命令未启动", "The node lost its lease before the command was started; it was not started")
            );
        if (await Run(attempt, connection, isKept, command, form with { Encoding = connection.Encoding }, environment, output, record) is { } end) return end;
        await hosts.Drop(attempt.Step.Host, attempt.Step.ExecUser);
        return await Run(attempt, command, form, environment, output, hosts, record);
    }

    /// <summary>Ends what was left behind; how many of its processes are still there, null when the host cannot be asked.</summary>
    public Task<int?> Kill(OrphanedProcess left) => Ask(left.Host, left.ExecUser, target => SshConnection.KillAsync(target, left.Mark));

    /// <summary>How many processes of what was left behind are there; null when the host cannot be asked.</summary>
    public Task<int?> Alive(OrphanedProcess left) => Ask(left.Host, left.ExecUser, target => SshConnection.ProbeAsync(target, left.Mark));

    private async Task<int?> Ask(string host, string execUser, Func<SshTarget, Task<RunLeft>> ask)
    {
        try
        {
            return (await ask(await access.Target(host, execUser))).Processes;
        }
        catch (CommandNotStartedException)
        {
            // Its execute-user is gone or changed: nobody can look any more.
            return null;
        }
    }

    /// <returns>Null when the connection is a kept one that was dead before anything was sent.</returns>
    private async Task<StepEnd?> Run(
        RunningAttempt attempt,
        SshConnection connection,
        bool isKept,
        string command,
        CommandForm form,
        IReadOnlyDictionary<string, string>? environment,
        StepOutput output,
        Func<RunMark, Task> record
    )
    {
        var mark = new RunMark(attempt.Step.RunId, 0, 0, "");
        var told = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var recording = Task.CompletedTask;
        using var over = new CancellationTokenSource();
        var transcoding = new Transcoding(output.Append, form.Encoding);
        var reading = connection.RunAsync(
            command,
            attempt.Step.RunId,
            environment,
            Started,
            transcoding.Append,
            form,
            over.Token
        );
        try
        {
            var limit = TimeLimit.Of(attempt.Step, over.Token);
            var first = await Task.WhenAny(reading, attempt.Stop, limit);
            if (first == reading) return await Ended(reading, attempt, isKept, mark);
            await Task.WhenAny(told.Task, reading, Task.Delay(TellTime, over.Token));
            // The login shell is still busy with its start files: nothing of the command can be found yet, and it must not begin once they are done.
            if (!told.Task.IsCompleted && !reading.IsCompleted) connection.Cut();
            var left = await connection.KillAsync(mark);
            await Task.WhenAny(reading, Task.Delay(ReadAfterKill, over.Token));
            return StepOutcomes.Cut(first == limit ? null : await attempt.Stop, attempt.Step.Timeout, left.Processes);
        }
        catch (Exception error) when (error is not CommandNotStartedException)
        {
            // Its output can no longer be taken; a command that nobody reads or waits for must not stay.
            var left = await connection.KillAsync(mark);
            var word = left.Processes switch
            {
                null => "unreachable",
                0 => null,
                _ => "running",
            };
            return StepEnd.Failed(
                new Text($"无法读取命令输出，命令已被终止：{error.Message}", $"The command's output could not be read, so it was killed: {error.Message}")
            ) with
            {
                LeftBehind = word,
                IsToldInLog = false,
            };
        }
        finally
        {
            await over.CancelAsync();
            await ((Task)reading).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await recording;
            await transcoding.Complete();
        }

        ValueTask Started(RunMark known)
        {
            // The boot id is the host's word, and is stored.
            known = known with { BootId = OutsideText.Clean(known.BootId, 64) };
            mark = known;
            told.TrySetResult();
            recording = record(known);
            return ValueTask.CompletedTask;
        }
    }

    private async Task<StepEnd?> Ended(Task<CommandEnd> reading, RunningAttempt attempt, bool isKept, RunMark mark)
    {
        try
        {
            return StepOutcomes.Of(await reading);
        }
        catch (SshFailedException failure) when (failure.Kind == SshFailureKind.Lost)
        {
            SshMetrics.Failed(failure.Kind);
            // It may have ended or run on. Nobody repeats it unasked; a restart kills first what is left.
            var alive = await Ask(attempt.Step.Host, attempt.Step.ExecUser, target => SshConnection.ProbeAsync(target, mark));
            return StepEnd.Lost(failure.Text, alive switch { null => "unreachable", 0 => "gone", _ => "running" });
        }
        catch (SshFailedException failure) when (isKept && failure.Kind == SshFailureKind.Unreachable)
        {
            return null;
        }
        catch (SshFailedException failure)
        {
            return NotRun(failure);
        }
    }

    private static StepEnd NotRun(SshFailedException failure)
    {
        SshMetrics.Failed(failure.Kind);
        return failure.Kind is SshFailureKind.Unreachable or SshFailureKind.Refused ? StepEnd.Unreachable(failure.Text) : StepEnd.Failed(failure.Text);
    }
}
