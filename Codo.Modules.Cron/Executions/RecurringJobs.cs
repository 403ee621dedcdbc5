using System.Threading.Channels;
using Codo.Modules.Cron.Jobs;
using Dapper;
using Hangfire;
using Hangfire.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>Keeps Hangfire's recurring jobs equal to the table by difference: at the start, on a change, and every 60 s, which also revives one that Hangfire has given up.</summary>
internal sealed class RecurringJobs(NpgsqlDataSource source, IRecurringJobManager recurring, JobStorage storage, TimeProvider time, ILogger<RecurringJobs> log) : BackgroundService
{
    private const string Prefix = "cron:";
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(60);

    private const string AllSql = """
        SELECT id, job_id, cron, time_zone FROM cron.job WHERE NOT paused
        """;

    private const string OneSql = """
        SELECT id, job_id, cron, time_zone FROM cron.job WHERE NOT paused AND id = @Id
        """;

    private readonly Channel<long> changed = Channel.CreateUnbounded<long>(new UnboundedChannelOptions { SingleReader = true });

    /// <summary>To be called after the commit that changed the job. When the process dies before it is heard, the next start or another node's minute finds the difference.</summary>
    public void Changed(long id) => changed.Writer.TryWrite(id);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var due = time.GetUtcNow();
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                if (time.GetUtcNow() >= due)
                {
                    due = time.GetUtcNow() + Period;
                    await Reconcile(stoppingToken);
                }
                using var wait = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken);
                wait.CancelAfter(Period);
                await changed.Reader.WaitToReadAsync(wait.Token);
                while (changed.Reader.TryRead(out var id)) await ReconcileOne(id, stoppingToken);
            }
            catch (OperationCanceledException)
            {
                // Either the host stops or the minute is over.
            }
            catch (Exception error)
            {
                log.LogWarning("Hangfire's recurring jobs could not be compared with the table, it is tried again: {Cause}", error.Message);
                await Task.Delay(TimeSpan.FromSeconds(1), CancellationToken.None);
                due = time.GetUtcNow();
            }
        }
    }

    /// <summary>Compares all; returns how many were put right.</summary>
    internal async Task<int> Reconcile(CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        var wanted = (await connection.QueryAsync<Row>(AllSql)).ToDictionary(row => Prefix + row.Id, StringComparer.Ordinal);
        using var hangfire = storage.GetConnection();
        var mended = 0;
        foreach (var have in hangfire.GetRecurringJobs().Where(job => job.Id.StartsWith(Prefix, StringComparison.Ordinal)))
        {
            if (!wanted.Remove(have.Id, out var row))
            {
                recurring.RemoveIfExists(have.Id);
                mended++;
            }
            else if (have.Cron != row.ForCronos || have.TimeZoneId != row.TimeZone || have.Removed || have.Error is not null || have.NextExecution is null || have.LoadException is not null || !row.JobId.Equals(have.Job?.Args[1]))
            {
                // One that Hangfire has disabled after too many errors is enabled by being made anew alone.
                recurring.RemoveIfExists(have.Id);
                Register(row);
                mended++;
            }
        }
        foreach (var row in wanted.Values) Register(row);
        mended += wanted.Count;
        if (mended > 0) log.LogInformation("{Count} of Hangfire's recurring jobs were put right", mended);
        return mended;
    }

    private async Task ReconcileOne(long id, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        if (await connection.QuerySingleOrDefaultAsync<Row>(OneSql, new { Id = id }) is { } row) Register(row);
        else recurring.RemoveIfExists(Prefix + id);
    }

    // Relaxed: after a stall one wake-up is enough, because the ledger accounts for every due time itself.
    private void Register(Row row) => recurring.AddOrUpdate<Wake>(Prefix + row.Id, wake => wake.Fire(row.Id, row.JobId, CancellationToken.None), row.ForCronos, new RecurringJobOptions
    {
        TimeZone = TimeZoneInfo.FindSystemTimeZoneById(row.TimeZone),
        MisfireHandling = MisfireHandlingMode.Relaxed,
    });

    private sealed record Row(long Id, string JobId, string Cron, string TimeZone)
    {
        public string ForCronos { get; } = JobRow.Expression(Cron).ForCronos;
    }
}
