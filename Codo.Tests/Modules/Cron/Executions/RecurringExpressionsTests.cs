using Codo.Tests.Support;
using Hangfire;
using Hangfire.Storage;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Tests.Modules.Cron.Executions;

public sealed class RecurringExpressionsTests(TestPostgres postgres) : IAsyncLifetime
{
    private TestHost host = null!;

    public async ValueTask InitializeAsync() => host = await TestHost.Start(postgres);

    public ValueTask DisposeAsync() => host.DisposeAsync();

    [Fact]
    public async Task Every_expression_that_is_taken_reaches_Hangfire_also_what_Cronos_would_not_take_as_it_is_written()
    {
        string[] expressions = ["0 0 3 last * *", "0 7,* 3 * * *", "0 0 3 * * fri-sun", "0 0 3 L-1W * *", "0 0 3 * * 7#2"];
        for (var i = 0; i < expressions.Length; i++)
            (await host.Post("/v1/cron/job/", new { job_id = $"job-{i}", cmd = "true", cron = expressions[i] })).ToJsonString().ShouldContain("\"code\":0");

        using var hangfire = host.Services.GetRequiredService<JobStorage>().GetConnection();
        await Eventually.True(() => hangfire.GetRecurringJobs().Count(job => job.NextExecution is not null && job.Error is null)
            == expressions.Length, "all jobs are in Hangfire");
    }
}
