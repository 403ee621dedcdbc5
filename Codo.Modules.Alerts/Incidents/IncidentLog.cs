using System.Text.Json;
using Codo.Modules.Alerts.Rules;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Dapper;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Alerts.Incidents;

/// <summary>
/// Opens, folds and recovers incidents, each in one transaction with the messages that it causes. Hosts that race are kept in line by a lock on the
/// fingerprint.
/// </summary>
internal sealed class IncidentLog(NpgsqlDataSource source, Notifier notifier, TimeProvider time, ILogger<IncidentLog> log)
{
    private const string LockSql = """
        SELECT pg_advisory_xact_lock(hashtextextended(@Key, 0))
        """;

    private const string OpenSql = """
        SELECT id, rule_id, space_id, ctime, told_at, rounds, call_level, subjects, pending, told_names, held_people AS held, detail_zh, detail_en
        FROM alerts.task_monitor
        WHERE fingerprint = @Fingerprint AND state = ANY(@From) FOR UPDATE
        """;

    private const string ClosedSql = """
        SELECT EXISTS (SELECT FROM alerts.task_monitor WHERE fingerprint = @Fingerprint AND resolved_at > @Since AND state = 'resolved' AND ending = 'person')
        """;

    private const string StretchSql = """
        SELECT fingerprint FROM alerts.task_monitor WHERE kind = 'missed' AND state <> 'resolved'
            AND space_id = @Space AND last_time >= @Since ORDER BY id DESC LIMIT 1
        """;

    private const string InsertSql = """
        INSERT INTO alerts.task_monitor (list_id, call_info, ctime, source, kind, subject, subjects, fingerprint, last_time, title_zh, title_en, detail_zh,
            detail_en, output, pending, rule_id, space_id)
        VALUES (@ListId, @Info, @At, @Source, @Kind, @Subject, @Subjects, @Fingerprint, @Now, @TitleZh, @TitleEn, @DetailZh, @DetailEn, @Output, @Pending,
            @RuleId, @Space)
        RETURNING id
        """;

    private const string FoldSql = """
        UPDATE alerts.task_monitor SET count = count + @More, last_time = @Now, ctime = LEAST(ctime, @At), title_zh = @TitleZh, title_en = @TitleEn,
            detail_zh = @DetailZh, detail_en = @DetailEn,
            output = CASE WHEN @Output = '' THEN output ELSE @Output END, call_info = CASE WHEN @Info LIKE 'ID-0 %' THEN call_info ELSE @Info END,
            subjects = ARRAY(SELECT DISTINCT unnest(subjects || @Subjects) ORDER BY 1), pending = ARRAY(SELECT DISTINCT unnest(pending || @Pending) ORDER BY 1),
            rule_id = COALESCE(@RuleId, rule_id)
        WHERE id = @Id
        """;

    private const string MoveSql = """
        UPDATE alerts.task_monitor SET space_id = @Space, state = 'open', acknowledger_id = NULL, acknowledger = '', acknowledged_at = NULL, rule_id = NULL,
            escalate_at = NULL, call_level = 0, told_at = NULL, call_users = '', told_names = '{}', told_ids = '{}', told_by_name = '{}',
            held_people = '[]'
        WHERE id = @Id;
        UPDATE alerts.delivery SET state = 'failed', ended_at = clock_timestamp(), answer = 'the incident has moved to another space'
        WHERE incident_id = @Id AND state IN ('due', 'held', 'digested')
        """;

    // An incident that nobody has heard of is told once the silence is over.
    private const string SilencedSql = """
        UPDATE alerts.task_monitor SET silence_id = @SilenceId,
            held_people = CASE WHEN told_at IS NULL THEN CAST(@Held AS jsonb) ELSE held_people END,
            escalate_at = CASE WHEN told_at IS NULL AND state = ANY(@From) THEN @LookAt ELSE escalate_at END
        WHERE id = @Id
        """;

    private const string OfJobSql = """
        SELECT id FROM alerts.task_monitor WHERE source = 'job' AND kind <> 'overlong' AND state <> 'resolved'
            AND pending @> ARRAY[CAST(@JobId AS text)] ORDER BY id FOR UPDATE
        """;

    private const string DropPendingSql = """
        UPDATE alerts.task_monitor SET pending = array_remove(pending, @JobId) WHERE id = @Id RETURNING cardinality(pending)
        """;

    private const string OfFingerprintSql = """
        SELECT id FROM alerts.task_monitor WHERE fingerprint = @Fingerprint AND state <> 'resolved' FOR UPDATE
        """;

    private const string RecoverSql = """
        UPDATE alerts.task_monitor SET state = 'resolved', ending = @Ending, resolver = 'Codo', resolved_at = @Now, escalate_at = NULL, pending = '{}'
            WHERE id = @Id AND state = ANY(@From)
        """;

    /// <summary>A stretch of downtime ends when nothing more was missed for this long.</summary>
    private static readonly TimeSpan StretchGap = TimeSpan.FromSeconds(60);

    /// <summary>People who were told this short a while ago are not reminded.</summary>
    private static readonly TimeSpan ReminderGap = TimeSpan.FromMinutes(20);

    private static readonly string[] MayFold = IncidentStates.From(IncidentAction.Fold);
    private static readonly string[] MayRecover = IncidentStates.From(IncidentAction.Recover);

    /// <summary>
    /// Something went wrong: opens an incident or adds to the open one, and tells whom the rule names, unless they were told a short while ago or a silence is
    /// in force.
    /// </summary>
    /// <param name="merge">The trouble as it reads together with the incident that is open; null when the newest says it all.</param>
    public async Task Raise(AlertEvent trouble, DateTime? at = null, Func<OpenIncident, AlertEvent>? merge = null)
    {
        await using var connection = await source.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        await connection.ExecuteAsync(LockSql, new { Key = trouble.Fingerprint }, transaction);
        var now = time.GetUtcNow().UtcDateTime;
        var fingerprint = trouble.Kind == "missed" ? await Stretch(connection, transaction, trouble, now) : trouble.Fingerprint;
        var open = await connection.QuerySingleOrDefaultAsync<OpenIncident>(OpenSql, new { Fingerprint = fingerprint, From = MayFold }, transaction);
        if (open is null && trouble.Lasted > TimeSpan.Zero && await IsClosed(connection, transaction, trouble, now)) return;
        var rules = (await connection.QueryAsync<Rule>(Rule.InOrderSql, transaction: transaction)).AsList();
        // Whoever was told of it where its job or template was may not read what runs in another space, where nobody has heard of it yet.
        if (open is not null && open.SpaceId != trouble.Space)
        {
            await connection.ExecuteAsync(MoveSql, new { open.Id, trouble.Space }, transaction);
            open = open with { ToldAt = null, ToldNames = [], Held = "[]", CallLevel = 0 };
        }

        // An open incident stays with its rule; where that is deleted, turned off or another space's, or means only a part of the downtime by now, it goes to
        // the one that would open it now.
        var whole = open is null ? trouble : trouble with { Subjects = [.. open.Subjects.Union(trouble.Subjects)] };
        var rule = rules.Find(rule =>
                rule.RuleId == open?.RuleId && (rule.SpaceId == 1 || rule.SpaceId == trouble.Space) && (trouble.Kind != "missed" || rule.MeansAll(whole))
            )
            ?? (Rule.For(whole, rules) is { } next && next.IsReached(whole) ? next : null);
        if (open is null && rule is null) return;
        if (open is not null && merge is not null) trouble = merge(open);
        var row = new
        {
            Id = open?.Id ?? 0,
            trouble.ListId,
            trouble.Info,
            At = at ?? now,
            trouble.Source,
            trouble.Space,
            trouble.Kind,
            Subject = trouble.Subjects.Count > 0 ? trouble.Subjects[0] : "",
            Subjects = trouble.Subjects.ToArray(),
            Fingerprint = fingerprint,
            Now = now,
            TitleZh = OutsideText.Storable(trouble.Title.Zh),
            TitleEn = OutsideText.Storable(trouble.Title.En),
            DetailZh = OutsideText.Storable(trouble.Detail.Zh),
            DetailEn = OutsideText.Storable(trouble.Detail.En),
            Output = OutsideText.Storable(trouble.Output),
            Pending = trouble.Pending.ToArray(),
            rule?.RuleId,
            More = trouble.Continues ? 0 : 1,
        };
        if (open is not null) await connection.ExecuteAsync(FoldSql, row, transaction);
        var id = open?.Id ?? await connection.ExecuteScalarAsync<long>(InsertSql, row, transaction);
        if (open is null)
            log.LogWarning("Incident {Id}: {Title}", id, trouble.Title.En);
        var silences = await connection.QueryAsync<Silence>(Silence.InForceSql, new { Now = now }, transaction);
        if (Silence.For(trouble.Source, trouble.Kind, trouble.Subjects, trouble.Space, silences) is { } silence)
            await connection.ExecuteAsync(
                SilencedSql,
                new
                {
                    Id = id,
                    silence.SilenceId,
                    Held = JsonSerializer.Serialize<List<Person>>([.. (rule is null ? [] : Heard(rule, trouble)).Union(HeldPeople(open))]),
                    From = IncidentStates.From(IncidentAction.Escalate),
                    LookAt = silence.NextLook(now),
                },
                transaction
            );
        else if (rule is not null)
            await Tell(connection, transaction, id, open, rule, trouble, now);
        await transaction.CommitAsync();
        notifier.Written.Set();
    }

    /// <summary>A job succeeded, or was deleted: what waited for it is over, and an incident of several jobs once nothing of it is left.</summary>
    public async Task RecoverJob(string jobId, bool deleted = false)
    {
        await using var connection = await source.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        foreach (var id in (await connection.QueryAsync<long>(OfJobSql, new { JobId = jobId }, transaction)).AsList())
            if (await connection.ExecuteScalarAsync<int>(DropPendingSql, new { Id = id, JobId = jobId }, transaction) == 0)
                await Recover(connection, transaction, id, deleted ? "deleted" : "recovered");
        await transaction.CommitAsync();
        notifier.Written.Set();
    }

    /// <summary>What the fingerprint names is over.</summary>
    /// <param name="ending"><c>recovered</c>, or <c>ended</c> with its order.</param>
    public async Task Recover(string fingerprint, string ending = "recovered")
    {
        await using var connection = await source.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        foreach (var id in (await connection.QueryAsync<long>(OfFingerprintSql, new { Fingerprint = fingerprint }, transaction)).AsList())
            await Recover(connection, transaction, id, ending);
        await transaction.CommitAsync();
        notifier.Written.Set();
    }

    private async Task Recover(NpgsqlConnection connection, NpgsqlTransaction transaction, long id, string ending)
    {
        if (
            await connection.ExecuteAsync(
                RecoverSql,
                new
                {
                    Id = id,
                    Ending = ending,
                    Now = time.GetUtcNow().UtcDateTime,
                    From = MayRecover,
                },
                transaction
            ) == 0
        )
            return;
        await notifier.TellRecovery(connection, transaction, id);
        log.LogInformation("Incident {Id} is over", id);
    }

    // All that is missed within one stretch is one incident, however many transactions and nodes notice it.
    private static async Task<string> Stretch(NpgsqlConnection connection, NpgsqlTransaction transaction, AlertEvent trouble, DateTime now) =>
        await connection.ExecuteScalarAsync<string?>(StretchSql, new { Since = now - StretchGap, trouble.Space }, transaction)
        ?? $"{trouble.Fingerprint}:{now:yyyyMMddHHmmss}";

    // Whoever closed what waits or runs too long knows that it still does; what begins later is another trouble. The watch leaves out what was closed before
    // it looked: this is for what is closed meanwhile.
    private static Task<bool> IsClosed(NpgsqlConnection connection, NpgsqlTransaction transaction, AlertEvent trouble, DateTime now) =>
        connection.ExecuteScalarAsync<bool>(ClosedSql, new { trouble.Fingerprint, Since = now - trouble.Lasted }, transaction);

    private async Task Tell(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        long id,
        OpenIncident? open,
        Rule rule,
        AlertEvent trouble,
        DateTime now
    )
    {
        List<Person> people = [.. Heard(rule, trouble).Union(HeldPeople(open))];
        // A downtime has grown beyond the rule that it began with: those whom the other rule names have heard nothing of it.
        var isTakenOver = trouble.Kind == "missed" && open is not null && open.RuleId != rule.RuleId;
        var reason = open?.ToldAt is null || isTakenOver ? "opened" : "repeated";
        // A time in the future is from before PostgreSQL's clock was put back: waiting for it would keep people from hearing of it for as long.
        var last = open?.ToldAt > now + DatabaseClock.MaxSkew ? null : open?.ToldAt;
        // What is published twice, because a host died in between, is told once: a reminder soon after another, and what reads as it did.
        var isAgain = trouble.Again && (trouble.Continues ? !(last > now - ReminderGap) : OutsideText.Storable(trouble.Detail.En) != open?.DetailEn);
        if (open is not null && now - last < TimeSpan.FromSeconds(rule.RepeatAfter) && !isAgain && !isTakenOver)
        {
            // A stretch of downtime goes on to jobs of other people, who have heard nothing of it yet.
            people = trouble.Kind == "missed" ? people.FindAll(person => !open.ToldNames.Contains(person.Name, StringComparer.Ordinal)) : [];
            if (people.Count == 0) return;
            reason = "opened";
        }
        // Another rule's steps begin at its first.
        var level = open?.RuleId == rule.RuleId ? open.CallLevel : 0;
        await notifier.Tell(connection, transaction, new Round(id, (open?.Rounds ?? 0) + 1, reason, level, people), rule);
    }

    // Owners of jobs and approvers whom a silence kept from hearing of it.
    private static List<Person> HeldPeople(OpenIncident? open) => open is null ? [] : JsonSerializer.Deserialize<List<Person>>(open.Held) ?? [];

    private static List<Person> Heard(Rule rule, AlertEvent trouble)
    {
        List<Person> involved = rule.Involved ? [.. trouble.People] : [];
        return involved.Count > 0 && !trouble.Orphaned ? involved : [.. involved, .. rule.People.Select(name => new Person(name))];
    }
}

/// <summary>The incident that a trouble adds to.</summary>
internal sealed record OpenIncident
{
    public long Id { get; init; }
    public long? RuleId { get; init; }
    public long SpaceId { get; init; }
    public DateTime Ctime { get; init; }
    public DateTime? ToldAt { get; init; }
    public int Rounds { get; init; }
    public int CallLevel { get; init; }
    public string[] Subjects { get; init; } = [];
    public string[] Pending { get; init; } = [];
    public string[] ToldNames { get; init; } = [];
    public string Held { get; init; } = "[]";
    public string DetailZh { get; init; } = "";
    public string DetailEn { get; init; } = "";
}
