using Codo.Platform.Processes;

namespace Codo.Modules.Tasks.Hosts;

/// <summary>Where a step runs.</summary>
internal static class StepHost
{
    /// <summary>The one host that means Codo's own machine; localhost and ::1 are reached over SSH like any other.</summary>
    public const string Local = "127.0.0.1";

    public static bool IsLocal(string host) => host == Local;

    /// <summary>
    /// The user that a step runs as on that host: on Codo's own machine the one that its <c>run_as</c> names, and in orders that ended before there was one the
    /// host's.
    /// </summary>
    public static string User(string host, string execUser, string runAs) => !IsLocal(host) ? execUser : runAs.Length > 0 ? runAs : SystemUser.Own.Name;
}
