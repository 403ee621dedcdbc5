namespace Codo.Modules.Tasks.Execution;

/// <summary>Where a step runs.</summary>
internal static class Place
{
    /// <summary>The one host that means Codo's own machine; localhost and ::1 are reached over SSH like any other.</summary>
    public const string Local = "127.0.0.1";

    public static bool IsLocal(string host) => host == Local;

    /// <summary>The user that a step runs as on that host: on Codo's own machine Codo's own, whatever the template names.</summary>
    public static string User(string host, string execUser) => !IsLocal(host) ? execUser : Environment.UserName is { Length: > 0 } own ? own : "codo";
}
