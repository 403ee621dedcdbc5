using System.Globalization;
using System.Security.Cryptography;
using Codo.Modules.Tasks.Hosts;
using Codo.Modules.Tasks.Layout;
using Codo.Modules.Tasks.Risks;
using Codo.Platform.Processes;
using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Execution;

/// <summary>A plan with its text and hash, and what the high-risk rules say to its commands.</summary>
internal sealed record PlannedRun(RunPlan Plan, string Text, string Sha256, IReadOnlyList<StepRisk> Risks)
{
    public bool NeedsSecond => Risks.Any(risk => risk.NeedsSecond);

    public StepRisk? Block => Risks.FirstOrDefault(risk => risk.Blocks);
}

/// <summary>Makes the plan of what is submitted, and of a stored order: both in the same form, so that both have the same hash.</summary>
internal sealed class RunPlans(SecretBox box, OrderArguments arguments, RiskRules rules)
{
    private const string Place = "tasks.order_approval.plan";

    private const string OrderSql = """
        SELECT args, secret_args FROM tasks.scheduler_task_list WHERE list_id = @ListId
        """;

    private const string GroupsSql = """
        SELECT task_group, batches, batch_pause, max_failures, confirm FROM tasks.order_group WHERE list_id = @ListId ORDER BY task_group
        """;

    private const string LanesSql = """
        SELECT task_group, host, batch FROM tasks.lane WHERE list_id = @ListId ORDER BY task_group, lane_id
        """;

    // The columns are those of TemplateStep, in its order; then the hosts. A step that is not the same on every host of its group is two steps here.
    private const string StepsSql = """
        SELECT s.task_group AS "group", s.task_level AS level, s.task_name AS command_name, s.task_cmd AS command, s.task_args AS args, s.trigger, s.exec_user,
            s.force_host, s.timeout, s.retries, s.retry_delay, s.on_error, s.pty, s.interpreter, s.run_as, s.node_selector AS node,
            string_agg(s.host, ',' ORDER BY s.lane_id) AS hosts
        FROM (SELECT i.*, l.host, row_number() OVER (PARTITION BY i.lane_id ORDER BY i.task_level, i.sched_id) AS place
            FROM tasks.scheduler_task_info i JOIN tasks.lane l USING (lane_id) WHERE l.list_id = @ListId) s
        GROUP BY s.task_group, s.place, s.task_level, s.task_name, s.task_cmd, s.task_args, s.trigger, s.exec_user, s.force_host, s.timeout, s.retries,
            s.retry_delay, s.on_error, s.pty, s.interpreter, s.run_as, s.node_selector
        ORDER BY s.task_group, s.place, min(s.lane_id)
        """;

    /// <summary>The plan of what was submitted.</summary>
    public Task<PlannedRun> Of(NpgsqlConnection connection, IReadOnlyList<PlannedGroup> groups, ArgumentValues values) =>
        Make(connection, groups.Select(group => (group, group.Steps.Select(step => (step, (string?)null)))), values, box.Current);

    /// <summary>The plan of a stored order as it is now.</summary>
    /// <param name="key">The number of the master key of the plan that it is compared with; null is the present one.</param>
    /// <exception cref="CommandNotStartedException">A command line cannot be put together.</exception>
    public async Task<PlannedRun> OfOrder(NpgsqlConnection connection, NpgsqlTransaction? transaction, long listId, int? key = null)
    {
        var asked = new { ListId = listId };
        var order = await connection.QuerySingleAsync<(string Args, byte[]? SecretArgs)>(OrderSql, asked, transaction);
        var lanes = (await connection.QueryAsync<(int Group, string Host, int Batch)>(LanesSql, asked, transaction)).ToLookup(lane => lane.Group);
        var steps = (
            await connection.QueryAsync<TemplateStep, string, (TemplateStep Step, string Hosts)>(
                StepsSql,
                (step, hosts) => (step, hosts),
                asked,
                transaction,
                splitOn: "hosts"
            )
        ).ToLookup(row => row.Step.Group);
        var groups = (await connection.QueryAsync<GroupRow>(GroupsSql, asked, transaction)).Select(row =>
        {
            var hosts = lanes[row.TaskGroup].Select(lane => new PlannedLane(lane.Host, lane.Batch)).ToList();
            var all = string.Join(',', hosts.Select(lane => lane.Host));
            var group = new PlannedGroup(row.TaskGroup, hosts, [], row.Batches, row.BatchPause, row.MaxFailures, row.Confirm);
            return (group, steps[row.TaskGroup].Select(step => (step.Step, step.Hosts == all ? null : step.Hosts)));
        });
        return await Make(connection, groups, arguments.Open(order.Args, order.SecretArgs), key is { } number && box.Has(number) ? number : box.Current);
    }

    private async Task<PlannedRun> Make(
        NpgsqlConnection connection,
        IEnumerable<(PlannedGroup Group, IEnumerable<(TemplateStep Step, string? Hosts)> Steps)> groups,
        ArgumentValues values,
        int key
    )
    {
        var set = await rules.Read(connection);
        var (planned, aliases, files, risks) = (new List<PlanGroup>(), new SortedSet<string>(StringComparer.Ordinal), new SortedDictionary<string, string>(
            StringComparer.Ordinal), new List<StepRisk>());
        foreach (var (group, steps) in groups)
        {
            var own = new List<PlanStep>();
            foreach (var (step, hosts) in steps)
            {
                var line = values.Line(CommandForm.With(step.Interpreter, step.Command), CommandForm.Clean(step.Args), null);
                risks.AddRange(set.Check(line.Line).Select(hit => StepRisk.Of(hit, group.Group, step.CommandName, line.Shown)));
                var isForced = step.ForceHost.Length > 0;
                var isLocal = isForced ? StepHost.IsLocal(step.ForceHost) : group.Lanes.Any(lane => StepHost.IsLocal(lane.Host));
                var isRemote = isForced ? !isLocal : group.Lanes.Any(lane => !StepHost.IsLocal(lane.Host));
                if (isRemote) aliases.Add(step.ExecUser);
                if (isLocal) AddFiles(files, line.Line);
                own.Add(
                    new PlanStep(
                        step.Level,
                        step.CommandName,
                        line.Shown,
                        line.Line == line.Shown ? null : box.DigestUnder(key, line.Line, Place),
                        step.Trigger,
                        isRemote ? step.ExecUser : null,
                        isForced ? step.ForceHost : null,
                        isLocal ? step.RunAs : null,
                        step.Timeout,
                        step.Retries,
                        step.RetryDelay,
                        step.OnError,
                        step.Pty,
                        hosts?.Split(','),
                        step.Node.Length > 0 ? step.Node : null
                    )
                );
            }

            planned.Add(
                new PlanGroup(
                    group.Group,
                    group.Batches,
                    group.BatchPause,
                    group.MaxFailures,
                    group.Confirm,
                    [.. group.Lanes.Select(lane => new PlanHost(lane.Host, lane.Batch))],
                    own
                )
            );
        }

        var users = new SortedDictionary<string, PlanUser>(StringComparer.Ordinal);
        foreach (var alias in aliases)
            if (await User(connection, alias, key) is { } user)
                users[alias] = user;
        var plan = new RunPlan(key, planned, users, files);
        var text = plan.Write();
        return new PlannedRun(plan, text, RunPlan.HashOf(text), risks);
    }

    private async Task<PlanUser?> User(NpgsqlConnection connection, string alias, int key)
    {
        try
        {
            var chain = await ExecuteUser.FindChain(connection, box, alias);
            if (chain.Count == 0) return null;
            var way = chain.Skip(1).Select(hop => $"{hop.Login}@{hop.SshHost}:{hop.Port.ToString(CultureInfo.InvariantCulture)} {Digest(hop)}").ToList();
            return new PlanUser(chain[0].Login, chain[0].Port, chain[0].Encoding, Digest(chain[0]), way.Count == 0 ? null : way);
        }
        catch (CryptographicException)
        {
            // Its steps fail for that, and say so.
            return new PlanUser("?", 0, "", "?", null);
        }

        string Digest(ExecuteUser user) => box.DigestUnder(key, $"{user.PrivateKey}\0{user.Passphrase}", Place);
    }

    private static void AddFiles(SortedDictionary<string, string> files, string line)
    {
        foreach (var path in SimpleCommands.Scripts(line))
            if (!files.ContainsKey(path) && FileDigest.Of(path) is { } digest)
                files[path] = digest;
    }

    private sealed record GroupRow(int TaskGroup, int Batches, int BatchPause, int MaxFailures, bool Confirm);
}
