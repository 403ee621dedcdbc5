using Hangfire.Common;
using Hangfire.States;
using Hangfire.Storage;

namespace Codo.Platform.Dashboard;

/// <summary>Keeps a background job that failed for a week in the dashboard; what succeeded or never ran is kept for Hangfire's day.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class KeepsFailuresAttribute : JobFilterAttribute, IApplyStateFilter
{
    private static readonly TimeSpan Kept = TimeSpan.FromDays(7);

    public void OnStateApplied(ApplyStateContext context, IWriteOnlyTransaction transaction)
    {
        if (context.NewState is DashboardState && context.NewState.Name == FailedState.StateName) context.JobExpirationTimeout = Kept;
    }

    public void OnStateUnapplied(ApplyStateContext context, IWriteOnlyTransaction transaction)
    {
        // What a job was before says nothing about how long it is kept.
    }
}
