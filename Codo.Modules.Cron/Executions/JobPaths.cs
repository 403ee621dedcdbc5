namespace Codo.Modules.Cron.Executions;

/// <summary>Where pages of executions lead to their job.</summary>
internal static class JobPaths
{
    public static string Of(string jobId) => "/jobs/" + Uri.EscapeDataString(jobId);
}
