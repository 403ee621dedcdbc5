namespace Codo.Modules.Tasks.Execution;

/// <summary>Where a step runs.</summary>
internal static class Place
{
    /// <summary>The one host that means Codo's own machine; localhost and ::1 are reached over SSH like any other.</summary>
    public const string Local = "127.0.0.1";

    public static bool IsLocal(string host) => host == Local;
}
