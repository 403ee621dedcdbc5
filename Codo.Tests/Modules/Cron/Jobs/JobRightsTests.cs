using Codo.Tests.Support;

namespace Codo.Tests.Modules.Cron.Jobs;

public sealed class JobRightsTests(TestPostgres postgres)
{
    [Fact]
    public async Task Reading_needs_a_token_and_changing_needs_an_operator_or_a_superuser()
    {
        await using var host = await TestHost.Start(postgres, null, ("Codo:Cron:Operators:0", "olga"));
        var (olga, rita) = (TestTokens.For(7, "olga"), TestTokens.For(8, "rita"));
        (await host.Post("/v1/cron/job/", new { job_id = "a", cmd = "true", cron = CronClient.Never }, rita)).Code().ShouldBe(-2);
        (await host.Post("/v1/cron/job/", new { job_id = "a", cmd = "true", cron = CronClient.Never }, olga)).Code().ShouldBe(0);
        foreach (var refused in new[]
        {
            await host.Put("/v1/cron/job/", new { job_id = "a", cmd = "false" }, rita),
            await host.Patch("/v1/cron/job/", new { job_id = "a" }, rita),
            await host.Delete("/v1/cron/job/", new { job_id = "a" }, rita),
            await host.Post("/v1/cron/job/run/", new { job_id = "a" }, rita),
            await host.Post("/v1/cron/job/kill/", new { log_id = 1 }, rita),
        })
            refused.Code().ShouldBe(-2);
        (await host.Get("/v1/cron/job/", rita))["count"]!.GetValue<int>().ShouldBe(1);
        (await host.Get("/v1/cron/log/", rita)).Code().ShouldBe(0);
        (await host.Delete("/v1/cron/job/", new { job_id = "a" })).Code().ShouldBe(0);
    }
}
