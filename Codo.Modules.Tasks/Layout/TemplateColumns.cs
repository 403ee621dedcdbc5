namespace Codo.Modules.Tasks.Layout;

/// <summary>
/// The columns of a template's steps and groups, for every statement that reads, saves or brings back all of them. A migration that adds one adds it here.
/// </summary>
internal static class TemplateColumns
{
    private const string StepWithoutNode = """
        "group", level, command_name, command, args, trigger, exec_user, force_host, timeout, retries, retry_delay, on_error, pty, interpreter, run_as
        """;

    /// <summary>What a step is, in <c>tasks.scheduler_temp_details</c>.</summary>
    public const string Step = $"{StepWithoutNode}, node_selector";

    /// <summary>The same by the names of the API, in the order of <see cref="Execution.TemplateStep"/>.</summary>
    public const string StepShown = $"{StepWithoutNode}, node_selector AS node";

    /// <summary>How a group goes over its hosts, in <c>tasks.scheduler_temp_group</c>.</summary>
    public const string Group = """
        "group", batch, batch_pause, max_failures, next
        """;
}
