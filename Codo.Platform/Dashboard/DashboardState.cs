using System.Globalization;
using Hangfire.Common;
using Hangfire.States;

namespace Codo.Platform.Dashboard;

/// <summary>
/// What a background job shows of the command or order that it stands for. The names <c>Succeeded</c>, <c>Failed</c> and <c>Deleted</c> are Hangfire's, so that
/// its pages, counters and graphs count commands; <c>Queued</c>, <c>Waiting</c> and <c>Running</c> are Codo's, and no worker holds a job in them.
/// </summary>
public sealed class DashboardState : IState
{
    public const string QueuedName = "Queued", WaitingName = "Waiting", RunningName = "Running";

    private readonly Dictionary<string, string> data;

    private DashboardState(string name, string reason, bool isFinal, Dictionary<string, string> data) =>
        (Name, Reason, IsFinal, this.data) = (name, reason, isFinal, data);

    public string Name { get; }

    public string Reason { get; }

    /// <summary>Whether the job expires. A failure is final here, where Hangfire's own is kept for ever.</summary>
    public bool IsFinal { get; }

    public bool IgnoreJobLoadException => false;

    public Dictionary<string, string> SerializeData() => new(data, StringComparer.Ordinal);

    /// <summary>An execution that has not started yet.</summary>
    public static DashboardState Queued(string link, string reason = "") => new(QueuedName, reason, false, Data(link));

    /// <summary>An order that waits for its approval, its time or a person.</summary>
    public static DashboardState Waiting(string link, string reason) => new(WaitingName, reason, false, Data(link));

    /// <param name="since">UTC.</param>
    public static DashboardState Running(string link, DateTime since, string node, string reason = "") =>
        new(
            RunningName,
            reason,
            false,
            new(Data(link)) { ["Since"] = since.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture) + " UTC", ["Node"] = node }
        );

    public static DashboardState Succeeded(string link, TimeSpan latency, TimeSpan duration, string result, DateTime at) =>
        new(
            SucceededState.StateName,
            "",
            true,
            new(Data(link))
            {
                ["SucceededAt"] = JobHelper.SerializeDateTime(at),
                ["Latency"] = Milliseconds(latency),
                ["PerformanceDuration"] = Milliseconds(duration),
                ["Result"] = result,
            }
        );

    /// <param name="details">The last lines of output; secrets are masked in them.</param>
    public static DashboardState Failed(string link, string kind, string cause, string details, DateTime at) =>
        new(
            FailedState.StateName,
            cause,
            true,
            new(Data(link))
            {
                ["FailedAt"] = JobHelper.SerializeDateTime(at),
                ["ExceptionType"] = kind,
                ["ExceptionMessage"] = cause,
                ["ExceptionDetails"] = details,
            }
        );

    /// <summary>Nothing ran, for the reason given.</summary>
    public static DashboardState Deleted(string reason, DateTime at) =>
        new(DeletedState.StateName, reason, true, new(StringComparer.Ordinal) { ["DeletedAt"] = JobHelper.SerializeDateTime(at) });

    private static Dictionary<string, string> Data(string link) => new(StringComparer.Ordinal) { [DashboardPages.LinkKey] = link };

    private static string Milliseconds(TimeSpan time) => Math.Max(0, (long)time.TotalMilliseconds).ToString(CultureInfo.InvariantCulture);
}
