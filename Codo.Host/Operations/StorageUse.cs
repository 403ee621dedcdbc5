using System.ComponentModel.DataAnnotations;
using System.Globalization;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Events;
using Codo.Platform.Localization;
using Dapper;
using MediatR;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Npgsql;

namespace Codo.Host.Operations;

/// <summary>The section <c>Codo:Retention</c>; how long each kind of history is kept stands with its kind.</summary>
internal sealed class RetentionSettings
{
    /// <summary>
    /// Bytes that the database may take; 0 is no limit. Past it the oldest output and lines are dropped, none of the last 7 days, and nothing else.
    /// </summary>
    [Range(0L, long.MaxValue)]
    public long MaxSize { get; set; }
}

/// <summary>Bytes of one kind of data.</summary>
/// <param name="Growth">Bytes a day, over the last week or as long as it has been measured; null on the first day.</param>
internal sealed record KindUse(string Kind, long Bytes, long? Growth);

/// <summary>What the database takes.</summary>
/// <param name="DaysLeft">
/// Until the disk of this node's data directory, or the size budget, is used up at the present growth; null where it does not grow.
/// </param>
internal sealed record Use(long Bytes, long MaxSize, long Free, IReadOnlyList<KindUse> Kinds, long? Growth, double? DaysLeft);

/// <summary>
/// Measures what the database takes, kind by kind, and keeps it within the size budget: output and lines are dropped from the oldest on, by whole partitions,
/// under the same guard as every retention, and a person is told.
/// </summary>
internal sealed class StorageUse(
    NpgsqlDataSource source,
    RetentionSettings settings,
    NodeSettings node,
    Disk disk,
    RetentionGuard guard,
    IServiceScopeFactory scopes,
    ILogger<StorageUse> log
) : IHealthCheck
{
    /// <summary>The key of the incident that the budget opens.</summary>
    public const string Problem = "size";

    private static readonly (string Table, PartitionSpan Span)[] Droppable =
    [
        ("cron.output", PartitionSpan.Month),
        ("tasks.log_line", PartitionSpan.Day),
        ("tasks.sealed_log", PartitionSpan.Day),
    ];

    private static readonly TimeSpan Untouched = TimeSpan.FromDays(7);

    private const string SizesSql = """
        SELECT CASE WHEN n.nspname = 'cron' AND c.relname ~ '^output' THEN 'output' WHEN n.nspname = 'cron' AND c.relname ~ '^(cron_log|attempt)' THEN 'ledger'
                WHEN n.nspname = 'cron' THEN 'jobs' WHEN n.nspname = 'tasks' AND c.relname ~ '^(log_line|sealed_log)' THEN 'lines'
                WHEN n.nspname = 'tasks' THEN 'orders' WHEN n.nspname = 'platform' AND c.relname ~ '^audit' THEN 'audit'
                WHEN n.nspname IN ('alerts', 'hangfire') THEN n.nspname ELSE 'other' END AS kind,
            CAST(sum(coalesce(pg_total_relation_size(c.oid), 0)) AS bigint) AS bytes
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'r' AND n.nspname IN ('platform', 'accounts', 'cron', 'tasks', 'alerts', 'hangfire') GROUP BY 1 ORDER BY 2 DESC
        """;

    private const string SampleSql = """
        INSERT INTO platform.storage_sample (day, kind, bytes)
        SELECT CAST(clock_timestamp() AT TIME ZONE 'UTC' AS date), * FROM unnest(CAST(@Kinds AS text[]), CAST(@Bytes AS bigint[]))
        ON CONFLICT (day, kind) DO UPDATE SET bytes = EXCLUDED.bytes
        """;

    private const string GrowthSql = """
        SELECT DISTINCT ON (kind) kind, bytes, CAST(clock_timestamp() AT TIME ZONE 'UTC' AS date) - day AS days FROM platform.storage_sample
        WHERE day BETWEEN CAST(clock_timestamp() AT TIME ZONE 'UTC' AS date) - 7 AND CAST(clock_timestamp() AT TIME ZONE 'UTC' AS date) ORDER BY kind, day
        """;

    private const string ForgetSql = """
        DELETE FROM platform.storage_sample WHERE day < CAST(@Now AS date) - 400
        """;

    private const string DeadLettersSql = """
        DELETE FROM platform.outbox WHERE message_id IN (SELECT message_id FROM platform.outbox WHERE dead_at < @Before ORDER BY message_id LIMIT 1000)
        """;

    private volatile Use? last;
    // Null after a start: an earlier one may have told of it.
    private bool? isTold;

    /// <summary>What the database takes now.</summary>
    public async Task<Use> Measure(CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        var sizes = (await connection.QueryAsync<(string Kind, long Bytes)>(new CommandDefinition(SizesSql, cancellationToken: cancellation))).AsList();
        var before = (
            await connection.QueryAsync<(string Kind, long Bytes, int Days)>(new CommandDefinition(GrowthSql, cancellationToken: cancellation))
        ).ToDictionary(row => row.Kind);
        var kinds = sizes.ConvertAll(size => new KindUse(
            size.Kind,
            size.Bytes,
            before.TryGetValue(size.Kind, out var first) && first.Days > 0 ? (size.Bytes - first.Bytes) / first.Days : null
        ));
        var bytes = sizes.Sum(size => size.Bytes);
        var growth = kinds.Exists(kind => kind.Growth is not null) ? kinds.Sum(kind => kind.Growth ?? 0) : (long?)null;
        var room = settings.MaxSize > 0 ? Math.Min(disk.Free, Math.Max(0, settings.MaxSize - bytes)) : disk.Free;
        return last = new Use(bytes, settings.MaxSize, disk.Free, kinds, growth, growth > 0 ? Math.Round((double)room / growth.Value, 1) : null);
    }

    /// <summary>The hourly run: a sample of today, the size budget, dead letters past their retention.</summary>
    public async Task Maintain(CancellationToken cancellation)
    {
        var use = await Measure(cancellation);
        await using (var connection = await source.OpenConnectionAsync(cancellation))
            await connection.ExecuteAsync(
                SampleSql,
                new { Kinds = use.Kinds.Select(kind => kind.Kind).ToArray(), Bytes = use.Kinds.Select(kind => kind.Bytes).ToArray() }
            );
        if (await guard.Allows(cancellation) is not { } now) return;
        await Forget(now, cancellation);
        await KeepBudget(use, now, cancellation);
    }

    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        var use = last ?? await Measure(cancellationToken);
        var text = string.Create(
            CultureInfo.InvariantCulture,
            $"{Megabytes(use.Bytes)} MB ({string.Join(", ", use.Kinds.Select(kind => $"{kind.Kind} {Megabytes(kind.Bytes)}"))}), {(use.Growth is { } growth
                ? $"{Megabytes(growth)} MB a day" : "growth not known yet")}{(use.DaysLeft is { } days ? $", {days:0} days left" : "")}"
        );
        return IsOver(use) ? HealthCheckResult.Degraded(text + ": above Codo:Retention:MaxSize") : HealthCheckResult.Healthy(text);
    }

    private bool IsOver(Use use) => settings.MaxSize > 0 && use.Bytes > settings.MaxSize;

    private static long Megabytes(long bytes) => bytes >> 20;

    // Dead letters are few: a thousand at a time.
    private async Task Forget(DateTime now, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await connection.ExecuteAsync(ForgetSql, new { Now = now });
        while (await connection.ExecuteAsync(DeadLettersSql, new { Before = now.AddDays(-node.DeadLetterRetentionDays) }) == 1000)
            cancellation.ThrowIfCancellationRequested();
    }

    private async Task KeepBudget(Use use, DateTime now, CancellationToken cancellation)
    {
        var dropped = new List<string>();
        var tried = new Dictionary<string, DateTime>(StringComparer.Ordinal);
        AggregateException? refused = null;
        while (IsOver(use) && await Oldest(now - Untouched, tried) is var (table, span, start))
        {
            tried[table] = start;
            try
            {
                // Somebody reads it: it is left to the next run, and so is what is younger.
                if (await Partitions.Drop(source, table, span, Partitions.EndOf(start, span)) == 0) break;
            }
            catch (AggregateException error)
            {
                // One that PostgreSQL refuses to drop, this or one before it, keeps none of those that follow, and nobody from being told.
                refused = error;
            }
            if (await Partitions.Oldest(source, table, span, start.AddTicks(-1)) != start)
                dropped.Add(string.Create(CultureInfo.InvariantCulture, $"{table} {start:yyyy-MM-dd}"));
            use = await Measure(cancellation);
        }
        if (dropped.Count > 0) log.LogWarning("The database is above Codo:Retention:MaxSize; dropped: {Partitions}", string.Join(", ", dropped));
        await Tell(use, dropped);
        if (refused is not null) throw refused;
    }

    /// <summary>The oldest part of output or lines that ended before a time.</summary>
    /// <param name="tried">The newest of each table that was tried already.</param>
    private async Task<(string Table, PartitionSpan Span, DateTime Start)?> Oldest(DateTime before, Dictionary<string, DateTime> tried)
    {
        (string, PartitionSpan, DateTime)? oldest = null;
        foreach (var (table, span) in Droppable)
            if (
                await Partitions.Oldest(source, table, span, tried.TryGetValue(table, out var newest) ? newest : null) is { } start
                && Partitions.EndOf(start, span) <= before
                && (oldest is null || start < oldest.Value.Item3)
            )
                oldest = (table, span, start);
        return oldest;
    }

    private async Task Tell(Use use, List<string> dropped)
    {
        var isWrong = IsOver(use) || dropped.Count > 0;
        if (!isWrong && isTold == false) return;
        await using var scope = scopes.CreateAsyncScope();
        var mediator = scope.ServiceProvider.GetRequiredService<IMediator>();
        if (!isWrong)
        {
            await mediator.Publish(new SystemTroubleOver(Problem));
            isTold = false;
            return;
        }
        var (size, most) = (Megabytes(use.Bytes), Megabytes(settings.MaxSize));
        await mediator.Publish(
            new SystemTroubleFound(
                Problem,
                new Text("数据库超过容量上限", "The database is above its size budget"),
                new Text(
                    $"数据库占用 {size} MB，上限 Codo:Retention:MaxSize 为 {most} MB。最旧的输出和日志被删除，最近 7 天的除外；删除了哪些见主机日志",
                    ($"The database takes {size} MB, Codo:Retention:MaxSize is {most} MB. The oldest output and lines are dropped, none of the last 7 "
                        + $"days; the host's log says which")
                )
            )
        );
        isTold = true;
    }
}
