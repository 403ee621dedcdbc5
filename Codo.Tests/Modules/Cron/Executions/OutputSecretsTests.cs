using Codo.Tests.Support;
using Dapper;

namespace Codo.Tests.Modules.Cron.Executions;

public sealed class OutputSecretsHost(TestPostgres postgres) : HostFixture(postgres);

/// <summary>A secret of a job's environment, printed by the job.</summary>
public sealed class OutputSecretsTests(OutputSecretsHost fixture) : IClassFixture<OutputSecretsHost>
{
    private readonly TestHost host = fixture.Host;

    [Theory]
    [InlineData("DB_PASSWORD")]
    [InlineData("DB_PWD")]
    [InlineData("SMTP_PASS")]
    [InlineData("GIT_CREDENTIALS")]
    [InlineData("SENTRY_DSN")]
    [InlineData("DATABASE_URL")]
    public async Task Is_neither_stored_nor_shown(string name)
    {
        var (job, secret) = ($"prints-{name}", $"geheim-{Guid.NewGuid():N}");
        await host.Make(
            new
            {
                job_id = job,
                cmd = $"set -x; echo value ${name} | tee /dev/stderr",
                cron = CronClient.Never,
                env = new Dictionary<string, string> { [name] = secret, ["PLAIN"] = "open-as-day" },
            }
        );
        var log = await host.Ended(await host.RunNow(job));
        log["task_log"]!.GetValue<string>().ShouldContain("value ******");
        await IsNowhere(secret, job);
    }

    [Fact]
    public async Task The_password_of_a_url_is_one_whatever_the_names()
    {
        var (secret, other) = ($"p{Guid.NewGuid():N}", $"p{Guid.NewGuid():N}");
        await host.Make(
            new
            {
                job_id = "url",
                cmd = "echo $UPSTREAM $MAIL; echo ${UPSTREAM##*:}",
                cron = CronClient.Never,
                env = new Dictionary<string, string>
                {
                    ["UPSTREAM"] = $"amqp://rabbit:{secret}@mq.example.test/vhost",
                    ["MAIL"] = $"smtp://bot@corp.example.test:{other}@smtp.example.test:587",
                },
            }
        );
        await host.Ended(await host.RunNow("url"));
        await IsNowhere(secret, "url");
        await IsNowhere(other, "url");
    }

    [Fact]
    public async Task The_owner_marks_any_variable()
    {
        var secret = $"s{Guid.NewGuid():N}";
        await host.Make(
            new
            {
                job_id = "marked",
                cmd = "echo it is $COLOUR",
                cron = CronClient.Never,
                env = new Dictionary<string, string> { ["COLOUR"] = secret, ["SHAPE"] = "round-and-round" },
                secret_env = new[] { "COLOUR" },
            }
        );
        (await host.Ended(await host.RunNow("marked")))["task_log"]!.GetValue<string>().ShouldBe("it is ******\n");
        await IsNowhere(secret, "marked");
        var shown = (await host.Get("/v1/cron/job/?job_id=marked"))["data"]![0]!;
        shown["secret_env"]!.ToJsonString().ShouldBe("""["COLOUR"]""");
        shown["env"]!["SHAPE"]!.GetValue<string>().ShouldBe("round-and-round");

        // The mask sent back leaves the value and its mark.
        (await host.Put("/v1/cron/job/", new { job_id = "marked", env = new { COLOUR = "******", SHAPE = "flat-and-flat" } })).Code().ShouldBe(0);
        (await host.Ended(await host.RunNow("marked")))["task_log"]!.GetValue<string>().ShouldBe("it is ******\n");
        // Without its mark the value would be shown to whoever takes the mark away: it is given anew.
        (await host.Put("/v1/cron/job/", new { job_id = "marked", secret_env = Array.Empty<string>() }))
            .Code()
            .ShouldBe(-1);
        (
            await host.Put(
                "/v1/cron/job/",
                new
                {
                    job_id = "marked",
                    secret_env = Array.Empty<string>(),
                    env = new { COLOUR = "blue-and-blue" },
                }
            )
        ).Code().ShouldBe(0);
        (await host.Ended(await host.RunNow("marked")))["task_log"]!.GetValue<string>().ShouldBe("it is blue-and-blue\n");
        (await host.Put("/v1/cron/job/", new { job_id = "marked", secret_env = new[] { "UNKNOWN" } })).Code().ShouldBe(-1);
    }

    private async Task IsNowhere(string secret, string job)
    {
        (await host.Get($"/v1/cron/job/?job_id={job}")).ToJsonString().ShouldNotContain(secret);
        var logs = await host.Get($"/v1/cron/log/?key=job_id&value={job}");
        logs.ToJsonString().ShouldNotContain(secret);
        (await host.Get($"/v1/cron/log/output/?log_id={logs["data"]![0]!["log_id"]}")).ToJsonString().ShouldNotContain(secret);
        await using var connection = await host.Source.OpenConnectionAsync();
        (
            await connection.QueryAsync<string>(
                ("SELECT text FROM cron.output UNION ALL SELECT task_log FROM cron.cron_log UNION ALL SELECT before::text FROM platform.audit UNION ALL "
                    + "SELECT after::text FROM platform.audit")
            )
        )
            .Where(text => text is not null)
            .ShouldAllBe(text => !text.Contains(secret));
    }
}
