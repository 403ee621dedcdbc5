namespace Codo.Modules.Cron.Jobs;

/// <summary>
/// The columns of <c>cron.job</c> that are a job's content, without its environment, for every statement that makes one, shows it or brings it back. A
/// migration that adds one adds it here and to <c>cron.job_content</c>.
/// </summary>
internal static class JobColumns
{
    private const string ContentWithoutNode = """
        cmd, cron, time_zone, timeout, overlap, misfire, misfire_window, retries, retry_delay, working_directory, interpreter, encoding, run_as, description,
            tags, owners
        """;

    public const string Content = $"{ContentWithoutNode}, node_selector";

    /// <summary>The same by the names of the API.</summary>
    public const string ContentShown = $"{ContentWithoutNode}, node_selector AS node";
}
