using System.Text.Json;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Processes;

namespace Codo.Modules.Cron.Executions;

/// <summary>One attempt that this node has claimed.</summary>
/// <param name="Person">Who made the job; null when it is gone.</param>
internal sealed record Claimed(
    long LogId,
    DateTime NominalAt,
    long Job,
    string JobId,
    int Attempt,
    string RunId,
    long Incarnation,
    string TaskCmd,
    string Spec,
    byte[]? Env,
    long? Person = null
);

/// <summary>How an attempt ended, as it is recorded.</summary>
/// <param name="Left">Processes that could not be ended; 0 when none, null when nothing was killed.</param>
/// <param name="Usage">What it used; null when nothing was measured.</param>
internal sealed record Ending(ExecutionStatus Status, int? ExitCode, int? Left, Text Cause, DateTime EndedAt, RunUsage? Usage = null);

/// <summary>A command of this node that is under way: its output, and whether somebody asked for its end.</summary>
internal sealed class Run(Claimed claimed, int outputLimit, string outputFolder) : IDisposable
{
    private readonly TaskCompletionSource<Stop> stop = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Claimed Claimed { get; } = claimed;

    public OutputBuffer Output { get; } = new(outputLimit, outputFolder);

    /// <summary>Bytes of output that are kept: half from the beginning, half from the end.</summary>
    public int OutputLimit { get; } = outputLimit;

    /// <summary>Bytes of output that the database has.</summary>
    public long Flushed { get; set; }

    /// <summary>Whether PostgreSQL has refused a piece of its output.</summary>
    public bool IsRefused { get; set; }

    /// <summary>Held while output is written: the last piece must not overtake one under way.</summary>
    public SemaphoreSlim Flushing { get; } = new(1);

    /// <summary>The process group and its start time on their way into the attempt's row.</summary>
    public Task MarkRecorded { get; set; } = Task.CompletedTask;

    /// <summary>What it uses, from the start of its command on.</summary>
    public RunWatch? Watch { get; set; }

    /// <summary>Set when the command has ended; from then on the row may be gone rightly.</summary>
    public bool Over { get; set; }

    /// <summary>Completes when the command is to be ended; the first reason counts.</summary>
    public Task<Stop> Stopped => stop.Task;

    public void Ask(ExecutionStatus status, Text cause) => stop.TrySetResult(new Stop(status, cause));

    public void Dispose()
    {
        Output.Dispose();
        Flushing.Dispose();
    }
}

/// <summary>Why a command is to be ended, and what its row becomes.</summary>
internal sealed record Stop(ExecutionStatus Status, Text Cause);

/// <summary>The part of a job that a running command keeps whatever happens to the job.</summary>
/// <param name="Traceparent">The span of the request that asked for the run (W3C Trace Context).</param>
internal sealed record Spec(
    int? Timeout,
    int Retries,
    int RetryDelay,
    string? WorkingDirectory,
    string? Interpreter,
    string? Encoding,
    string? RunAs,
    string? Traceparent = null
)
{
    /// <summary>In SQL, of a row of <c>cron.job</c>: the spec that its executions keep.</summary>
    public const string OfJob = """
        jsonb_build_object('timeout', timeout, 'retries', retries, 'retry_delay', retry_delay, 'working_directory', working_directory,
            'interpreter', interpreter, 'encoding', encoding, 'run_as', run_as, 'overlap', overlap)
            || CASE WHEN node_selector = '' THEN '{}' ELSE jsonb_build_object('node', node_selector) END
        """;

    /// <summary>The spec of an attempt; null where its row does not read.</summary>
    public static Spec? Of(Claimed claimed)
    {
        try
        {
            return JsonSerializer.Deserialize<Spec>(claimed.Spec, Json.Stored);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
