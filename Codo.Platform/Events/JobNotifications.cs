using Codo.Platform.Localization;
using MediatR;

namespace Codo.Platform.Events;

/// <summary>How an execution ended.</summary>
public enum ExecutionOutcome
{
    Succeeded,

    /// <summary>With another exit status than 0, or it could not be started.</summary>
    Failed,

    /// <summary>It ran past its time limit.</summary>
    TimedOut,

    /// <summary>How the command ended is not known: its node died or was stopped.</summary>
    Interrupted,
}

/// <summary>
/// A job's execution ended in a way that people may want to hear of: it failed, timed out or was interrupted; or it succeeded after something had been told of
/// the job. Published by the outbox, at least once, in the order in which a job's executions ended.
/// </summary>
/// <param name="FailuresInARow">This one included; 0 for a success.</param>
/// <param name="NominalAt">UTC, as all times here.</param>
/// <param name="Node">Where the last attempt ran.</param>
/// <param name="Cause">Why Codo ended it or could not start it; empty when it ended by itself.</param>
/// <param name="Output">The end of what it printed, its secrets masked.</param>
/// <param name="Owners">Names, as the job has them.</param>
/// <param name="Space">The number of the space that the job is in, here and below.</param>
public sealed record ExecutionEnded(
    string JobId,
    long LogId,
    ExecutionOutcome Result,
    int FailuresInARow,
    DateTime NominalAt,
    DateTime StartedAt,
    DateTime EndedAt,
    int? ExitCode,
    string Node,
    Text Cause,
    string Command,
    string Output,
    IReadOnlyList<string> Owners,
    long Space = 1
) : INotification
{
    /// <summary>Whether nothing is wrong with the job any more.</summary>
    public bool Succeeded => Result == ExecutionOutcome.Succeeded;
}

/// <summary>
/// Due times of a job were skipped: several in a row because its previous run had not ended, or because a high-risk rule keeps it from running.
/// </summary>
/// <param name="Times">So far: at least 3, of a rule at least 1.</param>
public sealed record FiresSkipped(string JobId, long LogId, int Times, DateTime Since, DateTime Until, Text Cause, IReadOnlyList<string> Owners, long Space = 1)
    : INotification;

/// <summary>
/// Due times were noticed too late to be run. What was noticed together is told together; one stretch of downtime may be told in several of these.
/// </summary>
public sealed record FiresMissed(IReadOnlyList<MissedJob> Jobs) : INotification;

/// <summary>What one job missed.</summary>
/// <param name="NoticedAt">UTC; when Codo was back, or had time again.</param>
public sealed record MissedJob(string JobId, DateTime From, DateTime Until, int Times, DateTime NoticedAt, IReadOnlyList<string> Owners, long Space = 1);

/// <summary>A job of which something had been told was deleted: it neither fails nor succeeds any more.</summary>
public sealed record JobDeleted(string JobId) : INotification;

/// <summary>Asks for the jobs' executions that are running now, on all nodes.</summary>
public sealed record ListRunningJobs : IRequest<IReadOnlyList<RunningJob>>;

/// <summary>An execution that is running.</summary>
/// <param name="Since">UTC; when its present attempt began.</param>
public sealed record RunningJob(string JobId, long LogId, DateTime Since, string Node, IReadOnlyList<string> Owners, long Space = 1);

/// <summary>A job cannot be read or computed any more, and fires nothing until it is edited or reads again.</summary>
/// <param name="Why">What does not read.</param>
public sealed record JobBroke(string JobId, DateTime At, Text Why, IReadOnlyList<string> Owners, long Space = 1) : INotification;

/// <summary>What <see cref="JobBroke"/> told of is over.</summary>
public sealed record JobMended(string JobId) : INotification;
