using Codo.Modules.Tasks.Hosts;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Processes;
using Dapper;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Tasks.Execution;

/// <summary>A command whose attempt is over, or about to be, without anybody having seen it end.</summary>
/// <param name="Machine">Where its node ran.</param>
/// <param name="NodeBootId">Of that machine, when its node last started: another machine may have the same name.</param>
/// <param name="StartedAt">By PostgreSQL's clock.</param>
/// <param name="IsNodesMachine">As in <see cref="RunPlace"/>.</param>
/// <param name="Unwanted">A person has stopped it, or ended its order.</param>
internal sealed record OrphanedProcess(
    long SchedId,
    int Attempt,
    long ListId,
    long LaneId,
    string RunId,
    string Host,
    string ExecUser,
    int? ProcessGroup,
    long? StartTicks,
    string? BootId,
    string Machine,
    string NodeBootId,
    DateTime StartedAt,
    bool IsNodesMachine,
    bool Unwanted
)
{
    /// <summary>The columns but <c>unwanted</c>, with the attempt as <c>a</c> and its node as <c>n</c>.</summary>
    public const string Columns = """
        a.sched_id, a.attempt, a.list_id, a.lane_id, a.run_id, a.host, a.exec_user, a.process_group, a.start_ticks, a.boot_id,
            COALESCE(n.machine, '') AS machine, COALESCE(n.boot_id, '') AS node_boot_id, a.started_at,
            COALESCE(a.incarnation >= n.machine_since, false) AS is_nodes_machine
        """;

    /// <summary>What is known of its processes.</summary>
    public RunMark Mark => new(RunId, ProcessGroup ?? 0, StartTicks ?? 0, BootId ?? "");

    /// <summary>Whether they are, or were, on the machine that asks.</summary>
    /// <param name="now">PostgreSQL's time.</param>
    public bool IsHere(DateTime now) => StepHost.IsLocal(Host) && new RunPlace(Machine, NodeBootId, IsNodesMachine, BootId, StartedAt).IsHere(now);
}

/// <summary>Looks for commands that were left behind, and ends them. The answers are the words of <c>left_behind</c>.</summary>
internal sealed class OrphanedProcesses(NpgsqlDataSource source, RemoteSteps remote, TimeProvider time, ILogger<OrphanedProcesses> log)
{
    private const string OfNodeSql = $"""
        SELECT {OrphanedProcess.Columns}, a.stop_requested IS NOT NULL AS unwanted
        FROM tasks.attempt a JOIN platform.node n ON n.name = a.node
        WHERE a.node = @Node AND a.ended_at IS NOT NULL AND a.left_behind IN ('running', 'unreachable') AND a.host = '127.0.0.1'
        """;

    private const string OfOrderSql = $"""
        SELECT {OrphanedProcess.Columns}, true AS unwanted
        FROM tasks.attempt a LEFT JOIN platform.node n ON n.name = a.node
        WHERE a.list_id = @ListId AND (CAST(@LaneId AS bigint) IS NULL OR a.lane_id = @LaneId) AND a.ended_at IS NOT NULL AND a.left_behind IN ('running',
            'unreachable')
        """;

    private const string SaySql = """
        UPDATE tasks.attempt SET left_behind = @LeftBehind WHERE sched_id = @SchedId AND attempt = @Attempt AND left_behind IS DISTINCT FROM @LeftBehind
        """;

    // Settling has seconds in all, and the steps of a dead node may be many.
    private static readonly TimeSpan ShortGrace = TimeSpan.FromSeconds(1);

    /// <summary>What a node finds when it is back: commands of its own that were settled in its absence. They are killed, and that is recorded.</summary>
    public async Task EndLocal(string node)
    {
        List<OrphanedProcess> found;
        await using (var connection = await source.OpenConnectionAsync())
            found = (await connection.QueryAsync<OrphanedProcess>(OfNodeSql, new { Node = node })).AsList();
        foreach (var left in found.Where(IsHere))
        {
            try
            {
                await Say(left, await End(left));
            }
            catch (Exception error) when (!DatabaseErrors.IsTransient(error))
            {
                log.LogError(error, "What is left of step {Step} attempt {Attempt} could not be ended", left.SchedId, left.Attempt);
            }
        }
    }

    /// <summary>
    /// Ends what lost links and dead nodes left of an order that a person has ended, or of a lane that they have stopped. Never throws: what they asked for is
    /// committed.
    /// </summary>
    /// <param name="laneId">Null for the whole order.</param>
    public async Task EndAll(long listId, long? laneId)
    {
        try
        {
            List<OrphanedProcess> found;
            await using (var connection = await source.OpenConnectionAsync())
                found = (await connection.QueryAsync<OrphanedProcess>(OfOrderSql, new { ListId = listId, LaneId = laneId })).AsList();
            await Task.WhenAll(found.Select(async left => await Say(left, await End(left))));
        }
        catch (Exception error)
        {
            log.LogWarning(error, "What is left of order {Order} could not be ended", listId);
        }
    }

    /// <summary>Ends a command with everything that belongs to it.</summary>
    public async Task<string> End(OrphanedProcess left, bool quickly = false)
    {
        if (StepHost.IsLocal(left.Host))
        {
            if (!IsHere(left)) return "unreachable";
            return await ProcessTree.KillAsync(left.Mark, quickly ? ShortGrace : null) == 0 ? "gone" : "running";
        }
        return Word(await remote.Kill(left), left);
    }

    /// <summary>Looks without touching it, except on this machine, where what the node left is its own to end, and where a person wants it to end.</summary>
    public async Task<string> Probe(OrphanedProcess left) =>
        left.Unwanted || StepHost.IsLocal(left.Host) ? await End(left, quickly: true) : Word(await remote.Alive(left), left);

    /// <summary>Records what became known.</summary>
    public async Task Say(OrphanedProcess left, string word)
    {
        await using var connection = await source.OpenConnectionAsync();
        await connection.ExecuteAsync(SaySql, new { left.SchedId, left.Attempt, LeftBehind = word });
    }

    private bool IsHere(OrphanedProcess left) => left.IsHere(time.GetUtcNow().UtcDateTime);

    private string Word(int? alive, OrphanedProcess left)
    {
        if (alive is null)
            log.LogWarning("Whether the command of step {Step} still runs on {Host} is not known: the host cannot be reached", left.SchedId, left.Host);
        return alive switch
        {
            null => "unreachable",
            0 => "gone",
            _ => "running",
        };
    }
}
