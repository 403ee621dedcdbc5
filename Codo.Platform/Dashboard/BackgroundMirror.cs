using System.Globalization;
using Hangfire;
using Hangfire.States;

namespace Codo.Platform.Dashboard;

/// <summary>Moves background jobs to the state of what they stand for.</summary>
public sealed class BackgroundMirror(IBackgroundJobClient jobs, JobStorage storage)
{
    /// <summary>What became of a change.</summary>
    public enum Outcome
    {
        /// <summary>The job shows the state.</summary>
        Shown,

        /// <summary>A worker is about to have it, and shows the state then.</summary>
        Later,

        /// <summary>Hangfire has forgotten the job.</summary>
        Gone,
    }

    /// <summary>Moves a job that no worker has.</summary>
    public Outcome Show(string jobId, DashboardState state)
    {
        // Hangfire's ids are numbers. A damaged row that names another thing names no job, and holds up no other row.
        if (!long.TryParse(jobId, NumberStyles.None, CultureInfo.InvariantCulture, out _)) return Outcome.Gone;
        using var connection = storage.GetConnection();
        var now = connection.GetStateData(jobId)?.Name;
        if (now is null) return Outcome.Gone;
        if (now == EnqueuedState.StateName || now == ProcessingState.StateName) return Outcome.Later;
        // After a crash between the change and its note in the table.
        if (now == state.Name && state.IsFinal) return Outcome.Shown;
        return jobs.ChangeState(jobId, state, now) ? Outcome.Shown : Outcome.Later;
    }

    /// <summary>
    /// Moves a job out of the hands of the worker that calls this from within it: that worker then leaves the state as it is. False when somebody else has
    /// moved it.
    /// </summary>
    public bool ShowFromWorker(string jobId, DashboardState state) => jobs.ChangeState(jobId, state, ProcessingState.StateName);
}
