using Codo.Modules.Cron.Executions;
using Codo.Tests.Support;
using Dapper;
using Hangfire;
using Hangfire.Common;
using Hangfire.Storage;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Codo.Tests.Modules.Cron.Executions;

public sealed class RecurringJobsTests(TestPostgres postgres)
{
    [Fact]
    public async Task Hangfire_follows_the_table_and_what_drifted_or_was_given_up_is_put_right()
    {
        await using var host = await TestHost.Start(postgres);
        await host.Make(new { job_id = "kept", cmd = "true", cron = CronClient.Never });
        await host.Make(new { job_id = "changed", cmd = "true", cron = CronClient.Never });
        await host.Make(new { job_id = "given up", cmd = "true", cron = CronClient.Never });
        await Eventually.True(() => Recurring(host).Count == 3, "all three are registered");
        await host.Put(
            "/v1/cron/job/",
            new
            {
                job_id = "changed",
                cron = "0 0 1 1 1 *",
                time_zone = "Europe/Berlin",
            }
        );
        await Eventually.True(
            () =>
                Recurring(host)
                    .Any(job =>
                        job.Cron == "0 0 1 1 1 *"
                        && job.TimeZoneId
                            == Codo.Platform.Data.FixedZone.At(TimeZoneInfo.FindSystemTimeZoneById("Europe/Berlin").GetUtcOffset(DateTimeOffset.UtcNow)).Id
                    ),
            "the change is registered"
        );
        await host.Patch("/v1/cron/job/", new { job_id = "kept" });
        await Eventually.True(() => Recurring(host).Count == 2, "a paused job is not registered");
        await host.Patch("/v1/cron/job/", new { job_id = "kept" });
        await Eventually.True(() => Recurring(host).Count == 3, "it is again");

        var jobs = host.Services.GetRequiredService<RecurringJobs>();
        (await jobs.Reconcile(CancellationToken.None)).ShouldBe(0);
        await using var connection = await host.Source.OpenConnectionAsync();
        var ids = (await connection.QueryAsync<string>("SELECT job_id FROM cron.job")).AsList();
        var manager = host.Services.GetRequiredService<IRecurringJobManager>();
        manager.RemoveIfExists("kept");
        manager.AddOrUpdate<FireDueJobs>("orphan", fire => fire.Fire(999999, "orphan", null!, CancellationToken.None), "0 0 0 1 1 *");
        // What Hangfire leaves of a job whose schedule it gave up after MaxRetryAttemptCount.
        await connection.ExecuteAsync(
            "UPDATE hangfire.hash SET value = 'it failed too often' WHERE key = @key AND field = 'Error'",
            new { key = "recurring-job:given up" }
        );
        await connection.ExecuteAsync(
            "INSERT INTO hangfire.hash (key, field, value) VALUES (@key, 'Error', 'it failed too often') ON CONFLICT DO NOTHING",
            new { key = "recurring-job:given up" }
        );
        await connection.ExecuteAsync("UPDATE hangfire.set SET score = -1 WHERE key = 'recurring-jobs' AND value = @value", new { value = "given up" });
        // The host's own reconciler may come first to any of the three.
        await Eventually.True(async () => await jobs.Reconcile(CancellationToken.None) == 0, "nothing is left to put right");
        Recurring(host).Select(job => job.Id).ShouldBe(ids, ignoreOrder: true);
        Recurring(host).ShouldAllBe(job => job.Error == null && job.NextExecution != null);
        await host.Delete("/v1/cron/job/", new { job_id = "kept" });
        await Eventually.True(() => Recurring(host).Count == 2, "a deleted job is gone");
    }

    [Fact]
    public async Task They_are_registered_at_the_offset_in_force_and_anew_when_it_changes()
    {
        await using var host = await TestHost.Start(postgres);
        await host.Make(new { job_id = "dublin", cmd = "true", cron = CronClient.Never, time_zone = "Europe/Dublin" });
        await host.Make(new { job_id = "shanghai", cmd = "true", cron = CronClient.Never });
        await Eventually.True(() => Recurring(host).Count == 2, "both are registered");
        var expected = ("UTC+01:00 UTC+08:00", 1, "UTC+00:00 UTC+08:00");
        var seen = await OverTheChange();
        // Once in 60 s the host's own reconciler registers them at the offset of its clock, which is another one than here.
        if (seen != expected) seen = await OverTheChange();
        seen.ShouldBe(expected);

        async Task<(string Before, int Registered, string After)> OverTheChange()
        {
            var time = new FakeTimeProvider(new DateTimeOffset(2026, 10, 25, 0, 59, 0, TimeSpan.Zero));
            using var jobs = new RecurringJobs(
                host.Source,
                host.Services.GetRequiredService<IRecurringJobManager>(),
                time,
                NullLogger<RecurringJobs>.Instance
            );
            await jobs.Reconcile(CancellationToken.None);
            var before = Zones();
            time.Advance(TimeSpan.FromMinutes(2));
            return (before, await jobs.Reconcile(CancellationToken.None), Zones());
        }

        string Zones() => string.Join(' ', Recurring(host).Select(job => job.TimeZoneId).Order());
    }

    [Fact]
    public async Task One_that_is_put_right_keeps_its_last_run()
    {
        await using var host = await TestHost.Start(postgres);
        await host.Make(new { job_id = "kept", cmd = "true", cron = CronClient.Never });
        await Eventually.True(() => Recurring(host).Count == 1, "it is registered");
        host.Services.GetRequiredService<IRecurringJobManager>().Trigger("kept");
        var ran = await Eventually.Get(() => Task.FromResult(Recurring(host).Find(job => job.LastJobId is not null)), _ => true, "it has run");
        await host.Ask<int>("UPDATE hangfire.hash SET value = 'UTC+09:00' WHERE key = 'recurring-job:kept' AND field = 'TimeZoneId' RETURNING 1");
        await host.Services.GetRequiredService<RecurringJobs>().Reconcile(TestContext.Current.CancellationToken);
        var now = Recurring(host).Single();
        (now.TimeZoneId, now.LastJobId, now.LastExecution).ShouldBe(("UTC+08:00", ran.LastJobId, ran.LastExecution));
    }

    [Fact]
    public async Task One_whose_entry_is_locked_keeps_no_other_from_being_registered()
    {
        await using var host = await TestHost.Start(postgres);
        foreach (var name in (string[])["locked", "free"]) await host.Make(new { job_id = name, cmd = "true", cron = CronClient.Never });
        var manager = new OneLocked("locked");
        using var jobs = new RecurringJobs(host.Source, manager, TimeProvider.System, NullLogger<RecurringJobs>.Instance);
        jobs.Changed("locked");
        jobs.Changed("free");
        await jobs.ReconcileChanged(TestContext.Current.CancellationToken);
        manager.Registered.ShouldBe(["free"]);
    }

    [Fact]
    public async Task With_a_real_redis_the_host_is_healthy_and_below_the_least_free_disk_output_is_cut_to_64_kib()
    {
        await using var redis = await TestRedis.StartNew();
        await using (var healthy = await TestHost.Start(postgres, null, ("ConnectionStrings:Redis", redis.Configuration)))
        {
            (
                await healthy.Post(
                    "/v2/alerts/channel/",
                    new
                    {
                        name = "hook",
                        kind = "webhook",
                        settings = new { url = "http://127.0.0.1:9" },
                    }
                )
            ).Code().ShouldBe(0);
            await Eventually.True(async () => (await healthy.Get("/healthz/ready"))["msg"]!.GetValue<string>() == "healthy", "everything is healthy");
            await healthy.Make(new { job_id = "big", cmd = "head -c 300000 /dev/zero | tr '\\0' x", cron = CronClient.Never });
            (await Length(healthy, await healthy.RunNow("big"))).ShouldBe(300_000);
        }
        await using var full = await TestHost.Start(
            postgres,
            null,
            ("Codo:MinFreeDisk", long.MaxValue.ToString(System.Globalization.CultureInfo.InvariantCulture))
        );
        await full.Make(
            new
            {
                job_id = "big",
                cmd = "head -c 300000 /dev/zero | tr '\\0' x",
                cron = CronClient.Never,
            }
        );
        (await Length(full, await full.RunNow("big"))).ShouldBeInRange(60_000, 70_000);
        // So it is where the middle was stored while the command ran.
        using var folder = new TestFolder();
        var wait = $"until test -e {folder.At("go")}; do sleep 0.05; done";
        await full.Make(
            new
            {
                job_id = "slow",
                cmd = $"head -c 50000 /dev/zero | tr '\\0' x; {wait}; head -c 250000 /dev/zero | tr '\\0' x",
                cron = CronClient.Never,
            }
        );
        var slow = await full.RunNow("slow");
        await Eventually.True(
            async () => (await full.Get($"/v1/cron/log/output/?log_id={slow}"))["after"]!.GetValue<long>() == 50_000,
            "what came so far is stored"
        );
        await File.WriteAllTextAsync(folder.At("go"), "", TestContext.Current.CancellationToken);
        (await Length(full, slow)).ShouldBeInRange(60_000, 70_000);
        (await full.Get("/healthz/ready"))["checks"]!["disk"]!["status"]!.GetValue<string>().ShouldBe("degraded");
    }

    private static async Task<int> Length(TestHost host, long logId)
    {
        await host.Ended(logId);
        var text = "";
        for (var (after, ended) = (0L, false); !ended;)
        {
            var part = await host.Get($"/v1/cron/log/output/?log_id={logId}&after={after}");
            text += part["data"]!.GetValue<string>();
            (after, ended) = (part["after"]!.GetValue<long>(), part["ended"]!.GetValue<bool>());
        }
        return text.Length;
    }

    private static List<RecurringJobDto> Recurring(TestHost host)
    {
        using var connection = host.Services.GetRequiredService<JobStorage>().GetConnection();
        return connection.GetRecurringJobs();
    }

    /// <summary>Hangfire where somebody else holds the lock of one entry for longer than it waits.</summary>
    private sealed class OneLocked(string locked) : IRecurringJobManager
    {
        public List<string> Registered { get; } = [];

        public void AddOrUpdate(string recurringJobId, Job job, string cronExpression, RecurringJobOptions options)
        {
            if (recurringJobId == locked) throw new DistributedLockTimeoutException(recurringJobId);
            Registered.Add(recurringJobId);
        }

        public void Trigger(string recurringJobId) => throw new NotSupportedException();

        public void RemoveIfExists(string recurringJobId) => throw new NotSupportedException();
    }
}
