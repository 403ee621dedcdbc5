using System.Text.RegularExpressions;
using Codo.Modules.Tasks.Hosts;
using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Processes;

namespace Codo.Modules.Tasks.Layout;

/// <summary>What a step and a group must be like. A refusal names the field with its place, <c>new_temp_data[2].level</c>.</summary>
internal static partial class StepRules
{
    public const int MostSteps = 1000;

    // Constants, for the attributes of ReplaceSteps.Command: the number cannot be put into such a text.
    public const string TooManyStepsZh = "一个模板最多 1000 个步骤", TooManySteps = "A template has at most 1000 steps";
    public const string TooManyGroupsZh = "一个模板最多 1000 个组", TooManyGroups = "A template has at most 1000 groups";

    /// <summary>The longest time limit of a step, 30 days in seconds.</summary>
    private const int MostTimeout = 30 * 24 * 3600;

    private const int MostRetries = 100;

    /// <summary>The longest pause before a retry, a day in seconds.</summary>
    public const int MostRetryDelay = 24 * 3600;

    private static readonly string[] Triggers = ["order", "timed", "hand"], OnErrors = ["stop", "continue"], Nexts = ["auto", "confirm"];

    /// <summary>What is wrong with the steps; null when nothing is.</summary>
    public static Refusal? Wrong(IReadOnlyList<ReplaceSteps.Step?>? steps)
    {
        if (steps is null) return null;
        if (steps.Count > MostSteps) return Refusal.Invalid(TooManyStepsZh, TooManySteps);
        return steps.Select((step, place) => Wrong(step, $"new_temp_data[{place}]")).FirstOrDefault(wrong => wrong is not null);
    }

    /// <summary>What is wrong with the groups' properties; null when nothing is.</summary>
    public static Refusal? Wrong(IReadOnlyList<ReplaceSteps.GroupProperties?>? groups)
    {
        if (groups is null) return null;
        if (groups.Count > MostSteps) return Refusal.Invalid(TooManyGroupsZh, TooManyGroups);
        var wrong = groups.Select((group, place) => Wrong(group, $"groups[{place}]")).FirstOrDefault(wrong => wrong is not null);
        if (wrong is not null)
            return wrong;
        return groups.Select(group => group!.Group).Distinct().Count() == groups.Count
            ? null
            : Refusal.Invalid("groups 中有重复的 group", "groups names a group twice");
    }

    private static Refusal? Wrong(ReplaceSteps.Step? step, string at)
    {
        if (step is null) return Refusal.Invalid($"{at} 不能为空", $"{at} is missing");
        return Missing(step.CommandName, $"{at}.command_name") ?? Missing(step.Command, $"{at}.command")
            ?? TooLong(step.CommandName, LibraryRules.MostName, $"{at}.command_name") ?? TooLong(step.Command, LibraryRules.MostText, $"{at}.command")
            ?? TooLong(step.Args, LibraryRules.MostText, $"{at}.args") ?? TooLong(step.ExecUser, LibraryRules.MostName, $"{at}.exec_user")
            ?? NoWord(step.Trigger, Triggers, $"{at}.trigger") ?? NoWord(step.OnError, OnErrors, $"{at}.on_error")
            ?? Outside(step.Group, 0, int.MaxValue, $"{at}.group") ?? Outside(step.Level, 0, int.MaxValue, $"{at}.level")
            ?? Outside(step.Timeout, 1, MostTimeout, $"{at}.timeout") ?? Outside(step.Retries, 0, MostRetries, $"{at}.retries")
            ?? Outside(step.RetryDelay, 0, MostRetryDelay, $"{at}.retry_delay")
            ?? TooLong(step.Interpreter, CommandForm.MostInterpreter, $"{at}.interpreter") ?? NoLine(step.Interpreter, $"{at}.interpreter")
            ?? TooLong(step.RunAs, SystemUser.MostName, $"{at}.run_as")
            ?? NodeSelector.Refused($"{at}.node", step.Node)
            ?? NoHost(step.ForceHost, $"{at}.force_host");
    }

    private static Refusal? Wrong(ReplaceSteps.GroupProperties? group, string at)
    {
        if (group?.Group is null)
            return Refusal.Invalid($"{at}.group 不能为空", $"{at}.group is missing");
        if (group.Batch is { Length: > 0 } batch && !Batch().IsMatch(batch))
            return Refusal.Invalid($"{at}.batch 应为主机数量或 1% 到 100%", $"{at}.batch must be a number of hosts, or 1% to 100%");
        return Outside(group.Group, 0, int.MaxValue, $"{at}.group")
            ?? Outside(group.BatchPause, 0, 24 * 3600, $"{at}.batch_pause")
            ?? Outside(group.MaxFailures, 0, int.MaxValue, $"{at}.max_failures")
            ?? NoWord(group.Next, Nexts, $"{at}.next");
    }

    private static Refusal? Missing(string? text, string field) =>
        string.IsNullOrWhiteSpace(text) ? Refusal.Invalid($"{field} 不能为空", $"{field} is missing") : null;

    private static Refusal? TooLong(string? text, int most, string field) =>
        text is null || text.IsWithin(most) ? null : Refusal.Invalid($"{field} 不能超过 {most} 个字符", $"{field} is longer than {most} characters");

    private static Refusal? NoWord(string? word, string[] words, string field) =>
        word is null || words.Contains(word, StringComparer.Ordinal)
            ? null
            : Refusal.Invalid($"{field} 只能是 {string.Join(" | ", words)}", $"{field} must be one of {string.Join(" | ", words)}");

    private static Refusal? Outside(int? number, int least, int most, string field) =>
        number is null || (number >= least && number <= most)
            ? null
            : Refusal.Invalid($"{field} 必须在 {least} 到 {most} 之间", $"{field} must be between {least} and {most}");

    private static Refusal? NoLine(string? text, string field) =>
        text?.Contains('\n', StringComparison.Ordinal) == true ? Refusal.Invalid($"{field} 只能是一行", $"{field} must be one line") : null;

    private static Refusal? NoHost(string? host, string field) =>
        string.IsNullOrWhiteSpace(host) || HostList.TryHost(host.Trim(), out _)
            ? null
            : Refusal.Invalid($"{field} 不是 IP 地址或主机名", $"{field} is no IP address and no host name");

    // The table's own CHECK says the same.
    [GeneratedRegex(@"^([1-9][0-9]{0,5}|([1-9]|[1-9][0-9]|100)%)\z", RegexOptions.CultureInvariant)]
    private static partial Regex Batch();
}
