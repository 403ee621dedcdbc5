using System.Text.Json;
using Codo.Modules.Alerts.Rules;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Events;
using Codo.Platform.Localization;
using Dapper;
using MediatR;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Alerts.Incidents;

/// <summary>
/// What time alone brings: the first people of an incident whose silence is over, the next ones of one that nobody acknowledged, what waits or runs too long,
/// and the end of the retention. Every node does it; each step does no harm when done twice.
/// </summary>
internal sealed class Watch(
    NpgsqlDataSource source,
    IncidentLog incidents,
    Notifier notifier,
    IServiceScopeFactory scopes,
    AlertSettings settings,
    Node node,
    RetentionGuard guard,
    Zone zone,
    TimeProvider time,
    ILogger<Watch> log
)
{
    private const string OneIncident = "one";

    // Rows that are dropped at once.
    private const int Batch = 1000;

    private static readonly TimeSpan Again = TimeSpan.FromSeconds(60);

    // A time in the future is from before PostgreSQL's clock was put back, and is not waited for. An incident that nobody has heard of has no told_at: its
    // escalate_at is at most a minute after it was written (Silence.NextLook).
    private const string DueSql = """
        SELECT id, rounds, call_level, rule_id, source, kind, fingerprint, subjects, space_id, told_at IS NULL AS is_untold, held_people AS held
        FROM alerts.task_monitor WHERE state = ANY(@From) AND escalate_at IS NOT NULL
            AND (escalate_at <= @Now OR COALESCE(told_at, escalate_at - interval '1 minute') > @Latest)
            ORDER BY id LIMIT 50 FOR UPDATE SKIP LOCKED
        """;

    private const string RuleSql = $"""
        SELECT {Rule.Columns}
        FROM alerts.rule WHERE rule_id = @RuleId AND enabled AND (space_id = 1 OR space_id = @SpaceId)
        """;

    private const string TakeOverSql = """
        UPDATE alerts.task_monitor SET rule_id = @RuleId WHERE id = @Id
        """;

    private const string PutOffSql = """
        UPDATE alerts.task_monitor SET escalate_at = @At, told_at = CASE WHEN told_at > @Now THEN @Now ELSE told_at END WHERE id = @Id
        """;

    private const string LongRulesSql = """
        SELECT rule_id, source, kinds, subject, waits_after, runs_after, repeat_after, space_id FROM alerts.rule
        WHERE enabled AND (waits_after IS NOT NULL OR runs_after IS NOT NULL) ORDER BY priority DESC, rule_id DESC
        """;

    private const string LongOpenSql = """
        SELECT fingerprint, last_time FROM alerts.task_monitor WHERE kind IN ('waiting', 'overlong') AND state <> 'resolved'
        """;

    private const string LongClosedSql = """
        SELECT fingerprint, max(resolved_at) FROM alerts.task_monitor
        WHERE fingerprint = ANY(@Fingerprints) AND state = 'resolved' AND ending = 'person' GROUP BY fingerprint
        """;

    private const string DropOldSql = """
        DELETE FROM alerts.task_monitor WHERE state = 'resolved' AND resolved_at < @Before
            AND id IN (SELECT id FROM alerts.task_monitor WHERE state = 'resolved' AND resolved_at < @Before ORDER BY resolved_at LIMIT @Batch)
        """;

    // Digests and tests belong to no incident.
    private const string DropLooseSql = """
        DELETE FROM alerts.delivery WHERE delivery_id IN (
            SELECT delivery_id FROM alerts.delivery WHERE incident_id IS NULL AND create_time < @Before LIMIT @Batch)
        """;

    private const string DropSilencesSql = """
        DELETE FROM alerts.silence WHERE ends_at < @Before
            AND silence_id IN (SELECT silence_id FROM alerts.silence WHERE ends_at < @Before ORDER BY ends_at LIMIT @Batch)
        """;

    /// <summary>
    /// Tells the next people of each incident that nobody acknowledged in time, and the first of one that opened in a silence; a silence puts it off.
    /// </summary>
    internal async Task<bool> Escalate()
    {
        await using var connection = await source.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        var now = time.GetUtcNow().UtcDateTime;
        var asked = new { Now = now, Latest = now + DatabaseClock.MaxSkew, From = IncidentStates.From(IncidentAction.Escalate) };
        var due = (await connection.QueryAsync<DueRow>(DueSql, asked, transaction)).AsList();
        if (due.Count == 0) return false;
        var silences = (await connection.QueryAsync<Silence>(Silence.InForceSql, new { Now = now }, transaction)).AsList();
        foreach (var incident in due)
        {
            // One that cannot be escalated is put off for a minute, and the rest goes on.
            await transaction.SaveAsync(OneIncident);
            try
            {
                await EscalateOne(connection, transaction, incident, silences, now);
            }
            catch (Exception error) when (!DatabaseErrors.IsTransient(error))
            {
                log.LogError(error, "Incident {Id} could not be escalated; it is tried again in a minute", incident.Id);
                await transaction.RollbackAsync(OneIncident);
                await connection.ExecuteAsync(PutOffSql, new { incident.Id, At = (DateTime?)(now + Again), Now = now }, transaction);
            }
        }
        await transaction.CommitAsync();
        notifier.Written.Set();
        return true;
    }

    private async Task EscalateOne(NpgsqlConnection connection, NpgsqlTransaction transaction, DueRow incident, List<Silence> silences, DateTime now)
    {
        var rule = await connection.QuerySingleOrDefaultAsync<Rule>(RuleSql, new { incident.RuleId, incident.SpaceId }, transaction);
        if (Silence.For(incident.Source, incident.Kind, incident.Subjects, incident.SpaceId, silences) is { } silence)
        {
            // What nobody has heard of is told at the end, whatever becomes of its rule until then.
            var isHeld = incident.IsUntold || incident.CallLevel < rule?.Steps.Length;
            await connection.ExecuteAsync(PutOffSql, new { incident.Id, At = isHeld ? silence.NextLook(now) : (DateTime?)null, Now = now }, transaction);
        }
        else if (incident.IsUntold && (rule ?? await TakeOver(connection, transaction, incident)) is { } first)
        {
            var held = JsonSerializer.Deserialize<List<Person>>(incident.Held) ?? [];
            // The people of the rule that took it over, as where it opens an incident.
            if (rule is null && (held.Count == 0 || !first.Involved)) held = [.. held.Union(first.People.Select(name => new Person(name)))];
            await notifier.Tell(connection, transaction, new Round(incident.Id, incident.Rounds + 1, "opened", 0, held), first);
        }
        else if (rule is null || incident.CallLevel >= rule.Steps.Length)
            await connection.ExecuteAsync(PutOffSql, new { incident.Id, At = (DateTime?)null, Now = now }, transaction);
        else
            await notifier.Tell(
                connection,
                transaction,
                new Round(
                    incident.Id,
                    incident.Rounds + 1,
                    "escalated",
                    incident.CallLevel + 1,
                    [.. rule.Steps[incident.CallLevel].Select(name => new Person(name))]
                ),
                rule
            );
    }

    // The rule of an incident of which nobody has heard is deleted, turned off or another space's: the next one that fits tells of it, also where it would not
    // have opened it yet (its failures and times are not asked again).
    private static async Task<Rule?> TakeOver(NpgsqlConnection connection, NpgsqlTransaction transaction, DueRow incident)
    {
        var trouble = new AlertEvent(incident.Source, incident.Kind, incident.Fingerprint, "", Text.Same(""), Text.Same(""))
        {
            Subjects = incident.Subjects,
            Space = incident.SpaceId,
            AsksNow = OrderAlerts.AsksNow(incident.Fingerprint),
        };
        var rule = Rule.For(trouble, (await connection.QueryAsync<Rule>(Rule.InOrderSql, transaction: transaction)).AsList());
        if (rule is not null) await connection.ExecuteAsync(TakeOverSql, new { incident.Id, rule.RuleId }, transaction);
        return rule;
    }

    /// <summary>Raises what waits or runs longer than its rule allows, and recovers what no longer does.</summary>
    internal async Task<bool> FindLong()
    {
        List<Rule> rules;
        Dictionary<string, DateTime> open;
        await using (var connection = await source.OpenConnectionAsync())
        {
            rules = (await connection.QueryAsync<Rule>(LongRulesSql)).AsList();
            // What asks somebody to act at once is not a matter of time: the order's own messages open and end it.
            open = (await connection.QueryAsync<(string Fingerprint, DateTime LastTime)>(LongOpenSql))
                .Where(row => !OrderAlerts.AsksNow(row.Fingerprint))
                .ToDictionary(row => row.Fingerprint, row => row.LastTime);
        }
        if (rules.Count == 0 && open.Count == 0) return false;
        await using var scope = scopes.CreateAsyncScope();
        var mediator = scope.ServiceProvider.GetRequiredService<IMediator>();
        var jobs = await mediator.Send(new ListRunningJobs());
        var orders = await mediator.Send(new ListRunningOrders());
        List<Lasting> found =
        [
            .. jobs.Select(job => new Lasting(Fingerprint(job), job.Since, () => Overlong(job))),
            .. orders.Select(order => new Lasting(Fingerprint(order), order.Since, () => Long(order))),
        ];
        var groups = found.GroupBy(one => one.Fingerprint).Where(group => IsTooLong(Oldest(group))).ToList();
        var closed = await Closed([.. groups.Select(group => group.Key)]);
        foreach (var group in groups)
        {
            // Whoever closed it knows of what had begun until then: what began later speaks for itself.
            var closing = closed.GetValueOrDefault(group.Key);
            if (group.Where(one => one.Since > closing).ToList() is not { Count: > 0 } left) continue;
            var trouble = Oldest(left);
            if (!IsTooLong(trouble)) continue;
            var known = open.Remove(trouble.Fingerprint, out var noted);
            // Either way: a time in the future was noted before PostgreSQL's clock was put back.
            if (known && (time.GetUtcNow().UtcDateTime - noted).Duration() < Again) continue;
            try
            {
                await incidents.Raise(trouble);
            }
            catch (Exception error) when (!DatabaseErrors.IsTransient(error))
            {
                log.LogError(error, "No incident could be opened for {Fingerprint}", trouble.Fingerprint);
            }
        }
        foreach (var fingerprint in open.Keys)
        {
            try
            {
                await incidents.Recover(fingerprint);
            }
            catch (Exception error) when (!DatabaseErrors.IsTransient(error))
            {
                log.LogError(error, "The incident of {Fingerprint} could not be ended", fingerprint);
            }
        }
        return true;

        // Without its rule what is open stays so until it is over.
        bool IsTooLong(AlertEvent trouble) => Rule.For(trouble, rules)?.IsReached(trouble) ?? open.ContainsKey(trouble.Fingerprint);
    }

    // Of an order the oldest of each kind speaks for all its hosts.
    private static AlertEvent Oldest(IEnumerable<Lasting> group) => group.MinBy(one => one.Since)!.Event();

    // When a person last closed what goes on.
    private async Task<Dictionary<string, DateTime>> Closed(string[] fingerprints)
    {
        if (fingerprints.Length == 0) return [];
        await using var connection = await source.OpenConnectionAsync();
        var rows = await connection.QueryAsync<(string Fingerprint, DateTime At)>(LongClosedSql, new { Fingerprints = fingerprints });
        return rows.ToDictionary(row => row.Fingerprint, row => row.At);
    }

    /// <summary>Drops resolved incidents past their retention, with their deliveries, and silences that are over for as long.</summary>
    internal async Task DropOld(DateTime now, CancellationToken cancellation = default)
    {
        var before = now.AddDays(-settings.RetentionDays);
        await using var connection = await source.OpenConnectionAsync(cancellation);
        if (await Drop(connection, DropOldSql, before, cancellation) is > 0 and var count)
            log.LogInformation("{Count} resolved incidents are past their retention and were dropped", count);
        await Drop(connection, DropLooseSql, before, cancellation);
        if (await Drop(connection, DropSilencesSql, before, cancellation) is > 0 and var silences)
            log.LogInformation("{Count} silences are past their retention and were dropped", silences);
    }

    private static async Task<int> Drop(NpgsqlConnection connection, string sql, DateTime before, CancellationToken cancellation)
    {
        var dropped = 0;
        while (true)
        {
            cancellation.ThrowIfCancellationRequested();
            var count = await connection.ExecuteAsync(sql, new { Before = before, Batch });
            dropped += count;
            if (count < Batch) return dropped;
        }
    }

    /// <summary>A run of <see cref="Escalate"/> or <see cref="FindLong"/>, on a node that may be believed.</summary>
    public Task<bool> Run(Func<Task<bool>> look) =>
        node.HoldsLease && !node.IsHeld && node.Has(NodeRoles.Alerts) ? look() : Task.FromResult(false);

    /// <summary>The hourly run: the end of the retention.</summary>
    public async Task Retain(CancellationToken cancellation)
    {
        if (await guard.Allows(cancellation) is { } now) await DropOld(now, cancellation);
    }

    private AlertEvent Overlong(RunningJob run) => new(
        "job", "overlong", Fingerprint(run), $"ID-{run.LogId} 任务-{run.JobId} 类型-cron",
        new Text($"任务 {run.JobId} 运行过久", $"Job {run.JobId} has been running too long"),
        new Text($"节点 {run.Node}，自 {zone.Text(run.Since)} 起", $"On node {run.Node}, since {zone.Text(run.Since)}"))
    {
        Subjects = [run.JobId],
        Lasted = time.GetUtcNow().UtcDateTime - run.Since,
        People = [.. run.Owners.Select(name => new Person(name))],
        Space = run.Space,
        Continues = true,
    };

    private AlertEvent Long(RunningOrder order)
    {
        var (kind, what) = order.Situation switch
        {
            OrderSituation.AwaitsApproval => ("waiting", new Text("等待审批过久", "has been waiting for its approval too long")),
            OrderSituation.AwaitsPerson => ("waiting", new Text("等待人工确认过久", "has been waiting for a person too long")),
            _ => ("overlong", new Text("有步骤运行过久", "has a step that has been running too long")),
        };
        var place = order.Step.Length == 0 ? new Text("", "") : Text.Same($"{order.Host}: {order.Step}\n");
        var since = zone.Text(order.Since);
        return OrderAlerts.About(order.ListId, order.TaskName, order.TaskType, order.Space, kind, Fingerprint(order), what,
            new Text($"{place.Zh}自 {since} 起", $"{place.En}Since {since}"), order.Approvers, order.Associated) with
        {
            Lasted = time.GetUtcNow().UtcDateTime - order.Since,
            Continues = true,
        };
    }

    private static string Fingerprint(RunningJob run) => $"job:{run.JobId}:{run.LogId}:overlong";

    private static string Fingerprint(RunningOrder order) => $"order:{order.ListId}:{order.Situation}";

    /// <summary>What runs or waits; its texts are put together only where it speaks for the others.</summary>
    private sealed record Lasting(string Fingerprint, DateTime Since, Func<AlertEvent> Event);

    private sealed record DueRow
    {
        public long Id { get; init; }
        public int Rounds { get; init; }
        public int CallLevel { get; init; }
        public long? RuleId { get; init; }
        public string Source { get; init; } = "";
        public string Kind { get; init; } = "";
        public string Fingerprint { get; init; } = "";
        public string[] Subjects { get; init; } = [];
        public long SpaceId { get; init; }
        public bool IsUntold { get; init; }
        public string Held { get; init; } = "";
    }
}
