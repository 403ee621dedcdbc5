using Codo.Platform.Dashboard;
using Hangfire;
using Hangfire.Server;

namespace Codo.Modules.Cron.Executions;

/// <summary>
/// What a Hangfire recurring job calls: a wake-up, nothing more. Hangfire does not tell the due time and merges fires in a stall, so the ledger works out what
/// is due.
/// </summary>
internal sealed class FireDueJobs(Ledger ledger, Runner runner, ExecutionMirror mirror)
{
    /// <summary>
    /// Accounts for everything that is due, this job's fire among it, and starts what there is room for. The name is stored in Hangfire: renaming it orphans
    /// every recurring job.
    /// </summary>
    /// <param name="id">The job's surrogate id.</param>
    /// <param name="jobId">For the dashboard.</param>
    /// <param name="context">Given by Hangfire: the background job, which then stands for the execution.</param>
    [Queue("cron")]
    [JobDisplayName("{1}")]
    [KeepsFailures]
    // A failed wake-up says nothing about the job, and the next one does its work. Deleted, it expires after a day; Hangfire keeps failed ones for ever.
    [AutomaticRetry(Attempts = 0, OnAttemptsExceeded = AttemptsExceededAction.Delete)]
    public async Task Fire(long id, string jobId, PerformContext context, CancellationToken cancellation)
    {
        await Account(cancellation);
        await mirror.Bind(context.BackgroundJob.Id, id, cancellation);
    }

    /// <summary>The same without a background job, which is how fires go on when there are too many for the dashboard.</summary>
    public async Task Account(CancellationToken cancellation)
    {
        // Asked again after the pause: a timer may fire a millisecond early, and what is not due yet is not accounted for.
        while (await ledger.DueIn(TriggerDueJobs.Lead * 2, cancellation) is { } rest) await Task.Delay(rest, cancellation);
        // A burst is accounted for by its first wake-up; for the others this is one look at an index.
        if (await ledger.AccountDue(cancellation) > 0) await runner.StartQueued(cancellation);
    }
}
