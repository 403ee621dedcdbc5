using System.Diagnostics;
using System.Text;
using Codo.Modules.Tasks.Hosts;
using Codo.Platform.Cluster;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Codo.Platform.Security;
using Codo.Platform.Telemetry;
using Dapper;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Tasks.Execution;

/// <summary>Runs the command of one claimed attempt, here or on a host, and says how it ended. It never throws.</summary>
internal sealed class StepRun(
    NpgsqlDataSource source,
    Node node,
    TaskSettings settings,
    RunAsRule runAs,
    OrderArguments arguments,
    OpenOutput open,
    RunningAttempts running,
    RemoteSteps remote,
    DatabaseThrottle throttle,
    UsageSampler sampler,
    ILogger<StepRun> log
)
{
    private const string MarkSql = """
        UPDATE tasks.attempt SET process_group = @ProcessGroup, start_ticks = @StartTicks, boot_id = @BootId
        WHERE sched_id = @SchedId AND attempt = @Attempt AND ended_at IS NULL RETURNING COALESCE(stop_requested, '')
        """;

    private const string KilledSql = """
        UPDATE tasks.attempt SET left_behind = @LeftBehind WHERE sched_id = @SchedId AND attempt = @Attempt AND left_behind IS DISTINCT FROM @LeftBehind
        """;

    private static readonly TimeSpan SampleBeforeKill = TimeSpan.FromMilliseconds(100);

    // After a kill the reading ends with the last process; what could not be killed may hold the pipe for ever.
    private static readonly TimeSpan ReadAfterKill = TimeSpan.FromSeconds(2);

    /// <summary>The connections that the steps of one lane share.</summary>
    public LaneHosts Hosts() => remote.Hosts();

    public async Task<StepEnd> Run(OwnedLane lane, ClaimedStep step, LaneHosts hosts)
    {
        using var span = CodoTelemetry.Source.StartActivity("order step", ActivityKind.Internal, step.Traceparent);
        span?.SetTag("codo.list_id", lane.ListId).SetTag("codo.sched_id", step.SchedId)
            .SetTag("codo.attempt", step.Attempt).SetTag("server.address", step.Host);
        var end = await RunInSpan(lane, step, hosts);
        // Without the cause: it may quote what the command was given.
        span?.SetTag("codo.outcome", end.Outcome).SetStatus(end.Outcome == StepEnd.Done.Outcome ? ActivityStatusCode.Ok : ActivityStatusCode.Error);
        return end;
    }

    private async Task<StepEnd> RunInSpan(OwnedLane lane, ClaimedStep step, LaneHosts hosts)
    {
        var attempt = running.Add(lane, step);
        var began = Stopwatch.GetTimestamp();
        try
        {
            var values = arguments.Open(step.Args, step.SecretArgs);
            var line = values.Line(CommandForm.With(step.Interpreter, step.TaskCmd), CommandForm.Clean(step.TaskArgs), lane.ListId);
            await using var output = open(new OutputPlace(lane.ListId, lane.TaskGroup, step.TaskLevel, lane.Host, step.SchedId, step.Attempt), values.Secrets);
            await output.Append(Encoding.UTF8.GetBytes($"[CMD]: {line.Shown}\n"));
            var end = await Run(attempt, line.Line, new CommandForm(Private: line.Line != line.Shown, Pty: step.Pty), output, hosts, values.Secrets);
            if (attempt.Stop.IsCompleted && await attempt.Stop == StopReason.Settled) await SayKilled(step, end.LeftBehind ?? "gone");
            // What the command did not say itself is said where its reader looks.
            if (end.IsToldInLog && end.Cause.Length > 0) await output.Append(Encoding.UTF8.GetBytes($"[Codo]: {Causes.Shown(end.Cause)}\n"));
            await output.Complete();
            StepMetrics.Ended(end, Stopwatch.GetElapsedTime(began));
            return end;
        }
        catch (CommandNotStartedException notStarted)
        {
            return StepEnd.Failed(notStarted.Text);
        }
        catch (Exception error)
        {
            log.LogError(error, "Step {Step} attempt {Attempt} of order {Order} could not be run", step.SchedId, step.Attempt, lane.ListId);
            return StepEnd.Failed(new Text($"步骤无法执行：{error.Message}", $"The step could not be run: {error.Message}"));
        }
        finally
        {
            running.Remove(attempt);
        }
    }

    private async Task<StepEnd> Run(
        RunningAttempt attempt,
        string command,
        CommandForm form,
        StepOutput output,
        LaneHosts hosts,
        IReadOnlyCollection<string> secrets
    )
    {
        // The last look before anything is spawned: a node that may have been declared dead must not begin what another may be settling.
        if (!node.HoldsLease || node.Incarnation != attempt.Lane.Incarnation)
            return StepEnd.Interrupted(new Text("节点在启动命令之前失去了租约，命令未启动", "The node lost its lease before the command was started; it was not started"));
        try
        {
            return StepHost.IsLocal(attempt.Step.Host)
                ? await Local(attempt, command, form, output, secrets)
                : await remote.Run(attempt, command, form, TraceContext, output, hosts, mark => Record(attempt, mark));
        }
        catch (CommandNotStartedException notStarted)
        {
            return StepEnd.Failed(notStarted.Text);
        }
    }

    // The command continues the span of its step.
    private static Dictionary<string, string>? TraceContext =>
        Activity.Current is { } span && span.Source.Name == CodoTelemetry.Name ? new() { [CodoTelemetry.TraceParent] = span.Id! } : null;

    private async Task<StepEnd> Local(
        RunningAttempt attempt,
        string command,
        CommandForm form,
        StepOutput output,
        IReadOnlyCollection<string> secrets
    )
    {
        if (!settings.AllowLocal)
            return StepEnd.Failed(
                new Text("不允许在 Codo 所在机器上执行（Codo:Tasks:AllowLocal）", "Running on Codo's own machine is not allowed (Codo:Tasks:AllowLocal)")
            );
        var started = LocalCommand.Start(command, attempt.Step.RunId, TraceContext, form: form, user: runAs.Start(attempt.Step.RunAs));
        using var watch = attempt.Watch = sampler.Watch(started.Mark, () => secrets);
        var recording = Record(attempt, started.Mark);
        using var over = new CancellationTokenSource();
        var reading = started.ReadToEndAsync(output.Append, over.Token);
        try
        {
            var limit = TimeLimit.Of(attempt.Step, over.Token);
            var first = await Task.WhenAny(reading, attempt.Stop, limit);
            if (first == reading) return StepOutcomes.Of(await reading) with { Usage = watch.Ended(started.Used) };
            // Of what is killed together with its parent nobody is told what it used.
            await sampler.Sample(SampleBeforeKill);
            var alive = await ProcessTree.KillAsync(started.Mark);
            await Task.WhenAny(reading, Task.Delay(ReadAfterKill, over.Token));
            return StepOutcomes.Cut(first == limit ? null : await attempt.Stop, attempt.Step.Timeout, alive) with { Usage = watch.Ended(started.Used) };
        }
        catch (Exception error) when (error is not CommandNotStartedException)
        {
            // Its output can no longer be taken; a command that nobody reads or waits for must not stay.
            var alive = await ProcessTree.KillAsync(started.Mark);
            return StepEnd.Failed(
                new Text($"无法读取命令输出，命令已被终止：{error.Message}", $"The command's output could not be read, so it was killed: {error.Message}")
            ) with
            {
                LeftBehind = alive > 0 ? "running" : null,
                IsToldInLog = false,
            };
        }
        finally
        {
            await over.CancelAsync();
            await ((Task)reading).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await recording;
        }
    }

    // Recorded as soon as it is known, and the flag read again: a stop that came before it could find no process to kill.
    private async Task Record(RunningAttempt attempt, RunMark mark)
    {
        try
        {
            var asked = await throttle.Once(async () =>
            {
                await using var connection = await source.OpenConnectionAsync();
                return await connection.QuerySingleOrDefaultAsync<string?>(
                    MarkSql,
                    new
                    {
                        attempt.Step.SchedId,
                        attempt.Step.Attempt,
                        mark.ProcessGroup,
                        mark.StartTicks,
                        mark.BootId,
                    }
                );
            });
            if (asked is null) attempt.Ask(StopReason.Settled);
            else if (asked.Length > 0) attempt.Ask(asked);
        }
        catch (Exception error)
        {
            // The command can still be found by its run id, and its flag is read every second.
            log.LogWarning(error, "The process of step {Step} could not be recorded", attempt.Step.SchedId);
        }
    }

    // Its row was settled in this node's absence; what became of the command after that is added to it.
    private async Task SayKilled(ClaimedStep step, string word)
    {
        try
        {
            await using var connection = await source.OpenConnectionAsync();
            await connection.ExecuteAsync(KilledSql, new { step.SchedId, step.Attempt, LeftBehind = word });
        }
        catch (Exception error)
        {
            log.LogWarning(error, "That the command of step {Step} was killed could not be recorded", step.SchedId);
        }
    }
}
