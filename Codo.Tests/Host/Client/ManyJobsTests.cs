using Codo.Host.Client;
using Codo.Tests.Support;
using Dapper;

namespace Codo.Tests.Host.Client;

/// <summary>More jobs than a page holds, which fire while the pages are read.</summary>
[Collection<ClientCollection>]
public sealed class ManyJobsTests(ClientHost fixture)
{
    private const int Jobs = 600;

    [Fact]
    public async Task A_job_that_fires_between_two_pages_leaves_no_other_out()
    {
        await using var host = await fixture.Another();
        await using var connection = await host.Source.OpenConnectionAsync(TestContext.Current.CancellationToken);
        await connection.ExecuteAsync(
            """
            INSERT INTO cron.job (job_id, cmd, cron, time_zone, paused, creator_id, creator, updater_id, updater, accounted_to, next_run_at)
            SELECT 'many-' || n, 'true', '0 ' || n % 60 || ' ' || n / 60 || ' 1 1 *', 'UTC', n = 300, 1, 'x', 1, 'x', clock_timestamp(),
                date_trunc('year', clock_timestamp(), 'UTC') + interval '1 year' + n * interval '1 minute'
            FROM generate_series(1, @Jobs) n
            """,
            new { Jobs }
        );
        await using var proxy = await TestProxy.Start(host.Http.BaseAddress!);
        var lists = 0;
        proxy.Answer = async request =>
        {
            // Before each second page the job fires that is due first.
            if (request.Path == "/v1/cron/job/" && Interlocked.Increment(ref lists) % 2 == 0)
                await host.Ask<int>(
                    """
                    UPDATE cron.job SET next_run_at = next_run_at + interval '1 year' WHERE id = (SELECT id FROM cron.job WHERE NOT paused
                        ORDER BY next_run_at LIMIT 1) RETURNING 1
                    """
                );
            return null;
        };
        (await Names()).Distinct().Count().ShouldBe(Jobs);
        var folder = fixture.NewFolder();
        (await Run("export", folder, "--kind", "job")).Errors.ShouldContain($"{Jobs} written, 0 removed");
        (await Run("export", folder, "--kind", "job")).Errors.ShouldContain("0 written, 0 removed");
        (await Run("export", "crontab")).Text.Split('\n').Count(line => line.EndsWith(" 1 1 * true", StringComparison.Ordinal)).ShouldBe(Jobs);

        // The next to run first and what is paused last, as on one page.
        proxy.Answer = _ => Task.FromResult<(int Status, string Type, string Body)?>(null);
        await connection.ExecuteAsync(
            """
            UPDATE cron.job SET next_run_at = next_run_at - interval '1 year'
            WHERE next_run_at > (SELECT min(next_run_at) FROM cron.job) + interval '6 months'
            """
        );
        var inOrder = await connection.QueryAsync<string>("SELECT job_id FROM cron.job ORDER BY paused, next_run_at NULLS LAST, job_id");
        (await Names()).ShouldBe(inOrder);

        async Task<string[]> Names() => (await Run("job", "list", "-L", "2000", "-o", "name")).Lines;

        Task<ClientRun> Run(params string[] arguments) =>
            ClientHost.RunIn("", [(Logins.UrlVariable, proxy.Url), (Logins.TokenVariable, TestTokens.Admin)], arguments);
    }
}
