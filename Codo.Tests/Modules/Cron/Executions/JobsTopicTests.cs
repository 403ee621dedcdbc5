using Codo.Platform.Ui;
using Codo.Tests.Modules.Cron.Jobs;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Tests.Modules.Cron.Executions;

/// <summary>The version by which pages know that jobs have changed.</summary>
public sealed class JobsTopicTests(CronHost fixture) : IClassFixture<CronHost>
{
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task A_version_does_not_come_back_when_a_job_is_made_and_deleted_or_deleted_and_brought_back()
    {
        await host.Make(new { job_id = "kept", cmd = "true", cron = CronClient.Never });
        var seen = new List<string?> { await Version() };
        await host.Make(new { job_id = "short", cmd = "true", cron = CronClient.Never });
        seen.Add(await Version());
        await host.Delete("/v1/cron/job/", new { job_id = "short" });
        seen.Add(await Version());
        await host.Delete("/v1/cron/job/", new { job_id = "kept" });
        seen.Add(await Version());
        var deleted = (long)(await host.Get("/v1/cron/job/deleted/"))["data"]![0]!["deleted_id"]!;
        (await host.Post("/v1/cron/job/deleted/", new { deleted_id = deleted })).Code().ShouldBe(0);
        seen.Add(await Version());
        seen.ShouldBeUnique();
    }

    [Fact]
    public async Task A_change_that_is_committed_after_a_later_one_is_seen()
    {
        foreach (var name in new[] { "first", "second" }) await host.Make(new { job_id = name, cmd = "true", cron = CronClient.Never });
        await using var connection = await host.Source.OpenConnectionAsync(TestContext.Current.CancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(TestContext.Current.CancellationToken);
        const string EditSql = "UPDATE cron.job SET description = 'x', update_time = clock_timestamp() WHERE job_id = 'first'";
        await connection.ExecuteAsync(EditSql, transaction: transaction);
        (await host.Patch("/v1/cron/job/", new { job_id = "second", paused = true })).Code().ShouldBe(0);
        var before = await Version();
        await transaction.CommitAsync(TestContext.Current.CancellationToken);
        (await Version()).ShouldNotBe(before);
    }

    private Task<string?> Version() =>
        host.Services.GetServices<ILiveTopic>().Single(topic => topic.Name == "jobs").Version("", null!, TestContext.Current.CancellationToken);
}
