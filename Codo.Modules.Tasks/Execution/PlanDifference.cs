using Codo.Platform.Data;
using Codo.Platform.Localization;

namespace Codo.Modules.Tasks.Execution;

/// <summary>One thing that makes a plan another.</summary>
/// <param name="Before">The command line that gave way to <paramref name="Now"/>; null where the words are all there is.</param>
internal sealed record PlanChange(Text Words, string? Before = null, string? Now = null)
{
    public static implicit operator PlanChange(Text words) => new(words);
}

/// <summary>Says in words what makes one plan another.</summary>
internal static class PlanDifference
{
    private const int Most = 10;

    /// <summary>A sentence for each difference, at most <see cref="Most"/> and a number.</summary>
    public static IReadOnlyList<Text> Between(RunPlan before, RunPlan now)
    {
        var found = All(before, now);
        if (found.Count <= Most) return [.. found.Select(change => change.Words)];
        var more = found.Count - Most;
        return [.. found.Take(Most).Select(change => change.Words), new Text($"…… 另有 {more} 处不同", $"… and {more} more differences")];
    }

    /// <summary>Every difference.</summary>
    public static IReadOnlyList<PlanChange> All(RunPlan before, RunPlan now)
    {
        var found = new List<PlanChange>();
        Users(before, now, found);
        Files(before, now, found);
        foreach (var number in before.Groups.Select(group => group.Group).Union(now.Groups.Select(group => group.Group)))
        {
            var (old, own) = (before.Groups.FirstOrDefault(group => group.Group == number), now.Groups.FirstOrDefault(group => group.Group == number));
            if (old is null) found.Add(new Text($"新增组 {number}", $"group {number} is new"));
            else if (own is null) found.Add(new Text($"组 {number} 已不存在", $"group {number} is gone"));
            else Group(old, own, found);
        }

        if (found.Count == 0) found.Add(new Text("执行内容与审批时不同", "what would run is not what was approved"));
        return found;
    }

    /// <summary>The sentences as one text.</summary>
    public static Text Joined(IReadOnlyList<Text> differences) =>
        new(string.Join('；', differences.Select(one => one.Zh)), string.Join("; ", differences.Select(one => one.En)));

    private static void Users(RunPlan before, RunPlan now, List<PlanChange> found)
    {
        foreach (var alias in before.Users.Keys.Union(now.Users.Keys))
        {
            var (old, own) = (before.Users.GetValueOrDefault(alias), now.Users.GetValueOrDefault(alias));
            if (old is null || own is null)
                found.Add(
                    old is null
                        ? new Text($"执行用户 {alias} 是新增的", $"the execute-user {alias} is new")
                        : new Text($"执行用户 {alias} 已不存在", $"the execute-user {alias} is gone")
                );
            else if (Is(old) != Is(own))
                found.Add(new Text($"执行用户 {alias} 由 {Is(old)} 改为 {Is(own)}", $"the execute-user {alias} was {Is(old)} and is {Is(own)}"));
            else if (old.Key != own.Key) found.Add(new Text($"执行用户 {alias} 的密钥已更换", $"the execute-user {alias} has another key"));
            else if (!Same(old.Way, own.Way)) found.Add(new Text($"执行用户 {alias} 的跳板机已改变", $"the bastions of the execute-user {alias} are others"));
        }

        static string Is(PlanUser user) => $"{user.Login}:{user.Port}{(user.Encoding is "" or "utf-8" ? "" : " " + user.Encoding)}";
    }

    private static void Files(RunPlan before, RunPlan now, List<PlanChange> found)
    {
        foreach (var path in before.Files.Keys.Union(now.Files.Keys))
        {
            var (old, own) = (before.Files.GetValueOrDefault(path), now.Files.GetValueOrDefault(path));
            if (old == own) continue;
            found.Add(
                old is null ? new Text($"文件 {path} 是新增的", $"the file {path} is new")
                : own is null ? new Text($"文件 {path} 已不存在", $"the file {path} is gone")
                : new Text($"文件 {path} 已被修改", $"the file {path} was changed")
            );
        }
    }

    private static void Group(PlanGroup old, PlanGroup own, List<PlanChange> found)
    {
        if (!old.Hosts.SequenceEqual(own.Hosts))
            found.Add(
                new Text(
                    $"组 {own.Group} 的主机由 {Names(old)} 改为 {Names(own)}",
                    $"the hosts of group {own.Group} were {Names(old)} and are {Names(own)}"
                )
            );
        if ((old.Batches, old.BatchPause, old.MaxFailures, old.Confirm) != (own.Batches, own.BatchPause, own.MaxFailures, own.Confirm))
            found.Add(new Text($"组 {own.Group} 的分批方式已改变", $"group {own.Group} goes over its hosts otherwise"));
        for (var place = 0; place < Math.Max(old.Steps.Count, own.Steps.Count); place++)
        {
            if (place >= own.Steps.Count)
                found.Add(new Text($"任务 {old.Steps[place].Name} 已不存在", $"step {old.Steps[place].Name} is gone"));
            else if (place >= old.Steps.Count)
                found.Add(new Text($"新增任务 {own.Steps[place].Name}", $"step {own.Steps[place].Name} is new"));
            else Step(old.Steps[place], own.Steps[place], found);
        }
    }

    private static void Step(PlanStep old, PlanStep own, List<PlanChange> found)
    {
        if (old.Name != own.Name || old.Level != own.Level)
            found.Add(new Text($"任务 {old.Name} 换成了 {own.Name}", $"step {old.Name} gave way to {own.Name}"));
        if (old.Line != own.Line)
            found.Add(
                new PlanChange(
                    new Text(
                        $"任务 {own.Name} 的命令由「{Short(old.Line)}」改为「{Short(own.Line)}」",
                        $"step {own.Name} ran “{Short(old.Line)}” and runs “{Short(own.Line)}”"
                    ),
                    old.Line,
                    own.Line
                )
            );
        else if (old.Secrets != own.Secrets) found.Add(new Text($"任务 {own.Name} 的保密参数已改变", $"a secret value of step {own.Name} is another"));
        if (old.RunAs != own.RunAs)
            found.Add(
                new Text(
                    $"任务 {own.Name} 的 run_as 由 {Or(old.RunAs)} 改为 {Or(own.RunAs)}",
                    $"run_as of step {own.Name} was {Or(old.RunAs)} and is {Or(own.RunAs)}"
                )
            );
        if (old.Node != own.Node)
            found.Add(
                new Text(
                    $"任务 {own.Name} 的节点由 {Or(old.Node)} 改为 {Or(own.Node)}",
                    $"the node of step {own.Name} was {Or(old.Node)} and is {Or(own.Node)}"
                )
            );
        if (old.ExecUser != own.ExecUser)
            found.Add(
                new Text(
                    $"任务 {own.Name} 的执行用户由 {Or(old.ExecUser)} 改为 {Or(own.ExecUser)}",
                    $"the execute-user of step {own.Name} was {Or(old.ExecUser)} and is {Or(own.ExecUser)}"
                )
            );
        if (old.ForceHost != own.ForceHost || !Same(old.Hosts, own.Hosts))
            found.Add(new Text($"任务 {own.Name} 的执行主机已改变", $"step {own.Name} runs on other hosts"));
        if (
            (old.Trigger, old.Timeout, old.Retries, old.RetryDelay, old.OnError, old.Pty)
            != (own.Trigger, own.Timeout, own.Retries, own.RetryDelay, own.OnError, own.Pty)
        )
            found.Add(new Text($"任务 {own.Name} 的触发、超时、重试或终端设置已改变", $"trigger, time limit, retries or terminal of step {own.Name} are others"));
    }

    private static string Names(PlanGroup group) =>
        string.Join(',', group.Hosts.Take(5).Select(host => host.Host)) + (group.Hosts.Count > 5 ? $"…({group.Hosts.Count})" : "");

    private static string Short(string line) => OutsideText.Cut(line, 80);

    private static string Or(string? name) => string.IsNullOrEmpty(name) ? "-" : name;

    private static bool Same(IReadOnlyList<string>? one, IReadOnlyList<string>? other) => (one ?? []).SequenceEqual(other ?? []);
}
