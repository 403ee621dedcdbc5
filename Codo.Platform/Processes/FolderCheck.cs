using Microsoft.Extensions.Logging;

namespace Codo.Platform.Processes;

/// <summary>
/// Whether the file systems of folders answer, asked on threads of their own: one of another machine that is away (a hard NFS mount) keeps the thread that asks
/// it for as long as that lasts.
/// </summary>
public sealed class FolderCheck(TimeProvider time, ILogger<FolderCheck> log)
{
    /// <summary>How long an answer is waited for.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly Lock gate = new();

    // Questions without an answer yet. A folder that hangs keeps one thread, however many ask for it; whoever asks after the 5 s hears at once that it hangs.
    private readonly Dictionary<string, Task<bool?>> asked = new(StringComparer.Ordinal);

    /// <summary>How a folder is asked for, and the clock by which it is waited for; a test has its own.</summary>
    internal Func<string, bool> Exists { get; set; } = Directory.Exists;

    internal TimeProvider Time { get; set; } = time;

    /// <summary>Whether a folder is there; null where nothing is said of it in time. One that could not be asked for is taken to be there.</summary>
    public Task<bool?> Find(string folder)
    {
        lock (gate)
        {
            if (asked.TryGetValue(folder, out var known)) return known;
            // Those who wait go on side by side, and not one by one on the thread that asks.
            var answers = new TaskCompletionSource<bool?>(TaskCreationOptions.RunContinuationsAsynchronously);
            asked[folder] = answers.Task;
            var look = new Task<bool>(() => Exists(folder), TaskCreationOptions.LongRunning);
            _ = Settle(folder, look, answers);
            try
            {
                look.Start(TaskScheduler.Default);
            }
            catch (TaskSchedulerException error)
            {
                // There are no more threads. The look has failed with that, and is settled.
                log.LogWarning(error, "Folder {Folder} could not be asked for", folder);
            }
            return answers.Task;
        }
    }

    private async Task Settle(string folder, Task<bool> look, TaskCompletionSource<bool?> answers)
    {
        // What is waited for is that it is over: how, is asked afterwards.
        Task over = look;
        await over.WaitAsync(Patience, Time).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        answers.SetResult(look.IsCompleted ? !look.IsCompletedSuccessfully || await look : null);
        // It has answered at last: whoever comes next asks anew.
        await over.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        lock (gate) asked.Remove(folder);
    }
}
