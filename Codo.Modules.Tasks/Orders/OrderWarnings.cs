using System.Text.RegularExpressions;
using Codo.Modules.Tasks.Execution;
using Codo.Modules.Tasks.Hosts;
using Codo.Modules.Tasks.Layout;
using Codo.Platform.Cluster;
using Codo.Platform.Localization;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>What is likely to be a mistake in an order, and does not keep it from being accepted.</summary>
internal sealed partial class OrderWarnings(NpgsqlConnection connection, TaskSettings settings)
{
    // As its steps look for them: in default, and in the order's own space.
    private const string UsersSql = """
        SELECT alias FROM unnest(CAST(@Aliases AS text[])) AS alias WHERE NOT EXISTS (SELECT FROM tasks.scheduler_execute_user u
            WHERE u.alias_user = alias AND u.space_id IN (1, @SpaceId)) ORDER BY alias
        """;

    private const string KeysSql = """
        SELECT DISTINCT p.host FROM unnest(CAST(@Paths AS text[]), CAST(@Hosts AS text[]), CAST(@Ports AS int[])) AS p(path, host, port)
        WHERE NOT EXISTS (SELECT FROM tasks.host_keys k WHERE k.path = p.path AND k.host = p.host AND k.port = p.port) ORDER BY p.host
        """;

    private const string WordsSql = """
        SELECT DISTINCT args_self FROM tasks.scheduler_args_list WHERE args_self = ANY(@Words)
        """;

    private const int MostNamed = 10;

    public async Task<IReadOnlyList<Text>> Of(OrderPlan plan, ArgumentValues values, DateTimeOffset? start, IReadOnlyCollection<int> groups)
    {
        var warnings = new List<Text>();
        if (start is not null && !plan.HasTimed)
            warnings.Add(
                new Text(
                    "模板没有定时任务，exec_time 不起作用（整体等待请用 hold）",
                    "No step is timed: exec_time holds nothing up (hold puts off the order as a whole)"
                )
            );
        if (groups.Except(plan.Groups.Select(group => group.Group)).ToList() is { Count: > 0 } extra)
            warnings.Add(
                new Text(
                    $"模板没有这些组，其主机被忽略：{string.Join(", ", extra)}",
                    $"The template has no such group, its hosts are ignored: {string.Join(", ", extra)}"
                )
            );
        await Places(plan, warnings);
        foreach (var selector in plan.Groups.SelectMany(group => group.Steps).Select(step => step.Node).Distinct(StringComparer.Ordinal))
            warnings.AddRange(await FittingNodes.Warnings(connection, NodeRoles.Orders, "node", selector));
        foreach (var (name, _) in values.All.Where(pair => CommandLine.HasBlanks(pair.Value)))
            warnings.Add(new Text($"参数 {name} 的值含有空白，将作为一个参数传递", $"The value of {name} has blanks; it reaches the command as one argument"));
        // Words end at blanks of ASCII alone: one from an input method joins two of them, and neither is replaced.
        foreach (var word in ArgumentWords.Of(plan.Steps.Select(step => step.Args)).Where(word => word.Any(char.IsWhiteSpace)))
            warnings.Add(
                new Text(
                    $"参数 {word} 含有全角空格或不换行空格，请改为普通空格",
                    $"The word {word} holds a full-width or no-break blank; write an ordinary one"
                )
            );
        foreach (var word in await WithoutValue(plan, values)) warnings.Add(new Text($"参数 {word} 没有值", $"The word {word} has no value"));
        return warnings;
    }

    private async Task Places(OrderPlan plan, List<Text> warnings)
    {
        var remote = plan
            .Groups.SelectMany(group =>
                group
                    .Steps.Select(step => (step.ExecUser, step.ForceHost))
                    .Distinct()
                    .SelectMany(step =>
                        step.ForceHost.Length > 0 ? [(step.ExecUser, Host: step.ForceHost)] : group.Lanes.Select(lane => (step.ExecUser, lane.Host))
                    )
            )
            .Where(pair => !StepHost.IsLocal(pair.Host))
            .Distinct()
            .ToList();
        if (remote.Count == 0)
            return;
        var aliases = remote.Select(pair => pair.ExecUser).Distinct().ToArray();
        foreach (var alias in await connection.QueryAsync<string>(UsersSql, new { Aliases = aliases, plan.Template.SpaceId }))
            warnings.Add(
                new Text($"执行用户 {alias} 不存在，或在另一个空间", $"The execute-user {alias} does not exist, or is in another space")
            );
        var ways = await BastionChain.Ways(connection, aliases);
        var places = remote
            .Where(pair => ways.ContainsKey(pair.ExecUser))
            .Select(pair => new BastionChain.KeyPlace(ways[pair.ExecUser].Path, HostKeys.Name(pair.Host), ways[pair.ExecUser].Port))
            .Concat(ways.Values.SelectMany(way => way.Bastions))
            .Distinct()
            .ToList();
        var met = (
            await connection.QueryAsync<string>(
                KeysSql,
                new
                {
                    Paths = places.Select(place => place.Path).ToArray(),
                    Hosts = places.Select(place => place.Host).ToArray(),
                    Ports = places.Select(place => place.Port).ToArray(),
                }
            )
        ).AsList();
        if (met.Count == 0)
            return;
        var named = string.Join(", ", met.Take(MostNamed)) + (met.Count > MostNamed ? $" … ({met.Count})" : "");
        warnings.Add(
            settings.HostKeys == HostKeyPolicy.Strict
                ? new Text(
                    $"这些主机的密钥尚未登记，连接会被拒绝（Codo:Tasks:HostKeys = strict）：{named}",
                    $"No key of these hosts is known, so that they are refused (Codo:Tasks:HostKeys = strict): {named}"
                )
                : new Text(
                    $"这些主机的密钥尚未记录，将在首次连接时记录：{named}",
                    $"No key of these hosts is pinned yet, the first connection pins it: {named}"
                )
        );
    }

    // A word of small letters is the command's own; one of capitals, or one that the library names, was meant to be replaced.
    private async Task<IEnumerable<string>> WithoutValue(OrderPlan plan, ArgumentValues values)
    {
        var words = ArgumentWords.Of(plan.Steps.Select(step => step.Args)).Where(word => CommandLine.HasNoValue(word, values.All)).ToArray();
        if (words.Length == 0) return [];
        var known = (await connection.QueryAsync<string>(WordsSql, new { Words = words })).ToHashSet(StringComparer.Ordinal);
        return words.Where(word => known.Contains(word) || Capitals().IsMatch(word));
    }

    [GeneratedRegex("^[A-Z][A-Z0-9_]+$")]
    private static partial Regex Capitals();
}
