using System.Text.Json.Nodes;
using Codo.Platform.Cluster;
using Codo.Platform.Processes;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Tests.Modules.Cron.Jobs;

/// <summary>High-risk rules and the commands of jobs: when they are saved, run now, and at a fire.</summary>
public sealed class JobRisksTests(CronHost fixture) : IClassFixture<CronHost>
{
    private static readonly string Ann = TestTokens.For(7, "ann"), Bob = TestTokens.For(8, "bob");

    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task A_command_that_a_rule_blocks_is_neither_saved_nor_run()
    {
        var word = await Rule("block");
        var (id, other) = (Id(), Id());
        var refused = await Make(id, $"echo {word}");
        (refused.Code(), (string)refused["msg"]!).ShouldBe((-2, $"命令命中高危命令规则「{word}」：不许，已禁止执行"));
        // What its environment puts in counts.
        (await host.Post("/v1/cron/job/", new { job_id = id, cmd = "echo $WHAT", cron = CronClient.Never, env = new { WHAT = word } })).Code().ShouldBe(-2);
        (await Make(other, "true")).Code().ShouldBe(0);
        (await host.Put("/v1/cron/job/", new { job_id = other, cmd = $"sudo echo '{word}'" })).Code().ShouldBe(-2);
        await Sql("UPDATE cron.job SET cmd = 'echo ' || @word WHERE job_id = @other", new { word, other });
        (await host.Post("/v1/cron/job/run/", new { job_id = other })).Code().ShouldBe(-2);
    }

    [Fact]
    public async Task A_command_that_needs_a_second_person_is_saved_paused_until_somebody_else_releases_it()
    {
        var word = await Rule("approve");
        var id = Id();
        var made = await Make(id, $"echo {word}", Ann);
        made.Code().ShouldBe(0);
        ((string)made["warnings"]!.AsArray()[^1]!).ShouldContain("任务已保存并暂停");
        var shown = await Shown(id);
        ((string)shown["status"]!, (string)shown["state"]!).ShouldBe(("1", "paused"));
        ((string)shown["held"]!).ShouldContain(word);
        (await host.Post("/v1/cron/job/run/", new { job_id = id }, Ann)).Code().ShouldBe(-2);
        (await host.Patch("/v1/cron/job/", new { job_id = id }, Ann)).Code().ShouldBe(-2);
        // Another's edit of something else does not make Ann the second person.
        (await host.Put("/v1/cron/job/", new { job_id = id, description = "x" }, Bob)).Code().ShouldBe(0);
        var own = await host.Send(HttpMethod.Patch, "/v1/cron/job/", $"{{\"job_id\":\"{id}\"}}", Ann, "en");
        ((string)own["msg"]!).ShouldContain("not whoever saved it last");
        (await host.Patch("/v1/cron/job/", new { job_id = id }, Bob)).Code().ShouldBe(0);
        ((string)(await Shown(id))["held"]!).ShouldBe("");
        (await host.Post("/v1/cron/job/run/", new { job_id = id }, Ann)).Code().ShouldBe(0);
        (await host.Count($"SELECT count(*) FROM platform.audit WHERE kind = 'job' AND object_id = '{id}' AND action = 'release'")).ShouldBe(1);

        // Released is this command: anything else of the job may change, another command may not.
        (await host.Put("/v1/cron/job/", new { job_id = id, description = "y" }, Ann)).Code().ShouldBe(0);
        ((string)(await Shown(id))["status"]!).ShouldBe("0");
        (await host.Put("/v1/cron/job/", new { job_id = id, cmd = $"echo {word} more" }, Bob)).Code().ShouldBe(0);
        ((string)(await Shown(id))["status"]!).ShouldBe("1");
        (await host.Patch("/v1/cron/job/", new { job_id = id }, Bob)).Code().ShouldBe(-2);
    }

    [Fact]
    public async Task A_job_that_a_person_paused_before_there_was_a_rule_is_released_only_by_who_has_seen_it()
    {
        var (id, word) = (Id(), $"w{Guid.NewGuid():N}");
        (await Make(id, $"echo {word}", Ann)).Code().ShouldBe(0);
        (await host.Patch("/v1/cron/job/", new { job_id = id, paused = true }, Ann)).Code().ShouldBe(0);
        (await Page()).ShouldNotContain("Release and resume");
        var rule = new { name = word, kind = "words", pattern = $"echo {word}", action = "approve", reason = "不许", reason_en = "no" };
        (await host.Post("/v2/task/risk/", rule)).Code().ShouldBe(0);
        (await host.Patch("/v1/cron/job/", new { job_id = id, paused = false, without_release = true }, Bob)).Code().ShouldNotBe(0);
        ((string)(await Shown(id))["status"]!).ShouldBe("1");
        var shown = await Page();
        shown.ShouldContain("Release and resume");
        shown.ShouldContain("The command meets");
        (await host.Patch("/v1/cron/job/", new { job_id = id, paused = false, without_release = false }, Bob)).Code().ShouldBe(0);
        (await host.Patch("/v1/cron/job/", new { job_id = id, paused = true }, Bob)).Code().ShouldBe(0);
        (await host.Patch("/v1/cron/job/", new { job_id = id, paused = false, without_release = true }, Bob)).Code().ShouldBe(0, "it was released before");
        await host.Delete("/v1/cron/job/", new { job_id = id });

        async Task<string> Page() => (await host.Page($"/jobs/{id}", Bob, "en")).Html;
    }

    [Fact]
    public async Task A_held_job_whose_command_becomes_harmless_stays_paused_and_says_so()
    {
        var word = await Rule("approve");
        var id = Id();
        (await Make(id, $"echo {word}", Ann)).Code().ShouldBe(0);
        var saved = await host.Put("/v1/cron/job/", new { job_id = id, cmd = "true" }, Ann);
        saved["warnings"]!.AsArray().Select(text => (string)text!).ShouldContain(text => text.Contains("仍处于暂停", StringComparison.Ordinal));
        var shown = await Shown(id);
        ((string)shown["status"]!, (string)shown["held"]!).ShouldBe(("1", ""));
        // Said once: from here on it is paused as by a person.
        saved = await host.Put("/v1/cron/job/", new { job_id = id, description = "x" }, Ann);
        saved["warnings"]!.AsArray().Select(text => (string)text!).ShouldNotContain(text => text.Contains("仍处于暂停", StringComparison.Ordinal));
        (await host.Patch("/v1/cron/job/", new { job_id = id, paused = false }, Ann)).Code().ShouldBe(0);
    }

    [Fact]
    public async Task Released_is_what_the_command_does_and_its_variables_are_part_of_that()
    {
        var word = await Rule("approve");
        var id = Id();
        var job = new
        {
            job_id = id,
            cmd = $"echo {word} $WHAT",
            cron = CronClient.Never,
            env = new { WHAT = "harmless" },
        };
        (await host.Post("/v1/cron/job/", job, Ann)).Code().ShouldBe(0);
        // Bob changes what runs: now Ann may release it and he may not.
        (await host.Put("/v1/cron/job/", new { job_id = id, env = new { WHAT = "other" } }, Bob)).Code().ShouldBe(0);
        (await host.Patch("/v1/cron/job/", new { job_id = id }, Bob)).Code().ShouldBe(-2);
        (await host.Patch("/v1/cron/job/", new { job_id = id }, Ann)).Code().ShouldBe(0);
        ((string)(await Shown(id))["status"]!).ShouldBe("0");
        (await host.Put("/v1/cron/job/", new { job_id = id, env = new { WHAT = "a disaster" } }, Ann)).Code().ShouldBe(0);
        ((string)(await Shown(id))["status"]!).ShouldBe("1");
        (await host.Patch("/v1/cron/job/", new { job_id = id }, Ann)).Code().ShouldBe(-2);
        (await host.Patch("/v1/cron/job/", new { job_id = id }, Bob)).Code().ShouldBe(0);
        // By way of another command it is another release as well.
        (await host.Put("/v1/cron/job/", new { job_id = id, cmd = "true", env = new { WHAT = "a detour" } }, Ann)).Code().ShouldBe(0);
        (await host.Put("/v1/cron/job/", new { job_id = id, job.cmd }, Ann)).Code().ShouldBe(0);
        ((string)(await Shown(id))["status"]!).ShouldBe("1");
    }

    [Fact]
    public async Task Released_is_what_the_command_does_where_it_runs_and_as_whom()
    {
        await using var host = await fixture.Another(("Codo:AllowRunAs", $"{Environment.UserName},nobody"));
        var word = $"w{Guid.NewGuid():N}";
        var rule = new { name = word, kind = "words", pattern = $"echo {word}", action = "approve", reason = "不许", reason_en = "no" };
        (await host.Post("/v2/task/risk/", rule)).Code().ShouldBe(0);
        object[] users = HostPrivileges.CanSwitchUser ? [new { job_id = "moved", run_as = "nobody" }] : [];
        object[] moves =
        [
            new { job_id = "moved", working_directory = "/var" },
            new { job_id = "moved", encoding = "gbk" },
            new { job_id = "moved", node = "!elsewhere" },
            .. users,
        ];
        var job = new { job_id = "moved", cmd = $"echo {word}", cron = CronClient.Never, working_directory = "/tmp" };
        (await host.Post("/v1/cron/job/", job, Ann)).Code().ShouldBe(0);
        (await host.Patch("/v1/cron/job/", new { job_id = "moved" }, Bob)).Code().ShouldBe(0);
        // A client sends the whole job back.
        var same = new { job_id = "moved", job.working_directory, encoding = "utf-8", node = "", description = "x" };
        (await host.Put("/v1/cron/job/", same, Ann)).Code().ShouldBe(0);
        (await Status()).ShouldBe("0");
        // A job of an old version names nobody, and runs as the default user: an edit that writes the name down moves nothing.
        await using (var connection = await host.Source.OpenConnectionAsync(TestContext.Current.CancellationToken))
            await connection.ExecuteAsync("UPDATE cron.job SET run_as = '' WHERE job_id = 'moved'");
        (await host.Put("/v1/cron/job/", new { job_id = "moved", description = "y" }, Ann)).Code().ShouldBe(0);
        (await Status()).ShouldBe("0");
        foreach (var move in moves)
        {
            var saved = await host.Put("/v1/cron/job/", move, Ann);
            saved.Code().ShouldBe(0, saved.ToJsonString());
            (await Status()).ShouldBe("1", move.ToString());
            (await host.Patch("/v1/cron/job/", new { job_id = "moved" }, Ann)).Code().ShouldBe(-2, move.ToString());
            (await host.Patch("/v1/cron/job/", new { job_id = "moved" }, Bob)).Code().ShouldBe(0, move.ToString());
        }

        // An old version brings its directory back, and that is a move as well.
        var restored = await host.Post("/v1/cron/job/version/", new { job_id = "moved", version = 1 }, Ann);
        restored.Code().ShouldBe(0, restored.ToJsonString());
        (await Status()).ShouldBe("1");

        async Task<string> Status() => (string)(await host.Get("/v1/cron/job/?job_id=moved"))["data"]![0]!["status"]!;
    }

    [Fact]
    public async Task What_waits_to_run_was_released_for_where_it_was_to_run_and_stays_there()
    {
        var (id, word) = (Id(), $"w{Guid.NewGuid():N}");
        await Rule("approve", word);
        var job = new { job_id = id, cmd = $"echo {word}; exec sleep 1000", cron = CronClient.Never, overlap = "queue" };
        (await host.Post("/v1/cron/job/", job, Ann)).Code().ShouldBe(0);
        (await host.Patch("/v1/cron/job/", new { job_id = id }, Bob)).Code().ShouldBe(0);
        var running = await host.RunNow(id);
        await host.Running(running);
        var queued = await host.RunNow(id);
        (await host.Put("/v1/cron/job/", new { job_id = id, node = "!elsewhere" }, Ann)).Code().ShouldBe(0);
        (await host.Ask<string>("SELECT node_selector FROM cron.active_execution WHERE log_id = @queued AND state = 'queued'", new { queued })).ShouldBe("");
        foreach (var log in (long[])[queued, running]) (await host.Post("/v1/cron/job/kill/", new { log_id = log })).Code().ShouldBe(0);
    }

    [Fact]
    public async Task Whoever_pauses_or_describes_a_job_is_not_its_writer()
    {
        var id = Id();
        var word = $"w{Guid.NewGuid():N}";
        (await Make(id, $"echo {word}", Ann)).Code().ShouldBe(0);
        (await host.Put("/v1/cron/job/", new { job_id = id, tags = new[] { "shop" } }, Bob)).Code().ShouldBe(0);
        (await host.Patch("/v1/cron/job/", new { job_id = id }, Bob)).Code().ShouldBe(0);
        await Rule("approve", word);
        (await host.Patch("/v1/cron/job/", new { job_id = id }, Ann)).Code().ShouldBe(-2, "it is her command");
        (await host.Patch("/v1/cron/job/", new { job_id = id }, Bob)).Code().ShouldBe(0);
    }

    [Fact]
    public async Task A_fire_under_a_rule_that_was_made_later_is_skipped_with_the_rule_as_its_cause()
    {
        var (blocked, held) = (Id(), Id());
        var (word, second) = ($"w{Guid.NewGuid():N}", $"w{Guid.NewGuid():N}");
        (await host.Post("/v1/cron/job/", new { job_id = blocked, cmd = $"echo {word}", cron = "* * * * * *" }, Ann)).Code().ShouldBe(0);
        (await host.Post("/v1/cron/job/", new { job_id = held, cmd = $"echo {second}", cron = "* * * * * *" }, Ann)).Code().ShouldBe(0);
        await Rule("block", word);
        await Rule("approve", second);
        foreach (var (id, rule) in new[] { (blocked, word), (held, second) })
        {
            await Eventually.True(
                async () =>
                    await host.Count($"SELECT count(*) FROM cron.cron_log WHERE job_id = '{id}' AND status = 'skipped' AND cause_zh LIKE '%{rule}%'") > 0,
                "skipped"
            );
        }

        ((string)(await Shown(blocked))["status"]!).ShouldBe("0");
        ((string)(await Shown(held))["status"]!).ShouldBe("1");
        (await host.Patch("/v1/cron/job/", new { job_id = held }, Ann)).Code().ShouldBe(-2);
        (await host.Patch("/v1/cron/job/", new { job_id = held }, Bob)).Code().ShouldBe(0);
        await Eventually.True(
            async () => await host.Count($"SELECT count(*) FROM cron.cron_log WHERE job_id = '{held}' AND status = 'success'") > 0,
            "released, it runs"
        );
        foreach (var id in new[] { blocked, held }) await host.Delete("/v1/cron/job/", new { job_id = id });
    }

    [Fact]
    public async Task A_job_that_a_rule_holds_in_the_request_that_pauses_it_stays_held()
    {
        await using var host = await fixture.Another();
        (string Job, string Body)[] requests =
        [
            ("paused", """{"job_id":"paused","paused":true}"""),
            ("turned over", """{"job_id":"turned over"}"""),
            ("resumed", """{"job_id":"resumed","paused":false}"""),
        ];
        foreach (var (job, _) in requests) await host.Make(new { job_id = job, cmd = "echo risky", cron = CronClient.Never });
        var rule = new { name = "risky", kind = "words", pattern = "echo risky", action = "approve", reason = "不许", reason_en = "no" };
        (await host.Post("/v2/task/risk/", rule)).Code().ShouldBe(0);
        // Drained, the node leaves what is due to the request.
        var node = host.Services.GetRequiredService<Node>();
        (await host.Post("/v2/nodes/drain/", new { name = node.Name })).Code().ShouldBe(0);
        await Eventually.True(() => node.IsDrained, "the node has heard of it");
        await using var connection = await host.Source.OpenConnectionAsync(TestContext.Current.CancellationToken);
        await connection.ExecuteAsync(
            """
            UPDATE cron.job SET cron = '* * * * * *', create_time = '2000-01-01', accounted_to = date_trunc('second', now()) - interval '3 seconds',
                next_run_at = date_trunc('second', now()) - interval '2 seconds'
            """
        );
        foreach (var (job, body) in requests)
        {
            var answer = await host.Send(HttpMethod.Patch, "/v1/cron/job/", body);
            answer.Code().ShouldBe(0, answer.ToJsonString());
            var shown = (await host.Get($"/v1/cron/job/?job_id={Uri.EscapeDataString(job)}"))["data"]![0]!;
            ((string)shown["status"]!).ShouldBe("1", job);
            ((string)shown["held"]!).ShouldContain("risky", customMessage: job);
            // Who has asked for the pause is said as anywhere else.
            (await host.Count($"SELECT count(*) FROM platform.audit WHERE kind = 'job' AND action = 'pause' AND object_id = '{job}'")).ShouldBe(
                job == "resumed" ? 0 : 1,
                job
            );
        }
    }

    [Fact]
    public async Task A_warning_is_only_that_and_is_kept_with_the_job()
    {
        var id = Id();
        var made = await Make(id, "sudo rm -rf  /");
        made.Code().ShouldBe(0);
        ((string)made["warnings"]!.AsArray()[^1]!).ShouldContain("rm-root");
        (await host.Ask<string>("SELECT CAST(risks AS text) FROM cron.job WHERE job_id = @id", new { id })).ShouldContain("rm-root");
        ((string)(await Shown(id))["status"]!).ShouldBe("0");
    }

    [Fact]
    public async Task The_name_of_a_rule_has_no_blanks_around_it_when_it_is_made_and_when_it_is_changed()
    {
        var name = Id();
        var rule = new { name = $" {name}", kind = "words", pattern = name, action = "warn", reason = "x" };
        var id = (long)(await host.Post("/v2/task/risk/", rule))["rule_id"]!;
        (await host.Put("/v2/task/risk/", new { rule_id = id, name = $"{name}-2 " })).Code().ShouldBe(0);
        (await host.Ask<string>("SELECT name FROM platform.risk_rule WHERE rule_id = @id", new { id })).ShouldBe($"{name}-2");
        (await host.Delete("/v2/task/risk/", new { rule_id = id })).Code().ShouldBe(0);
    }

    private static string Id() => $"risk-{Guid.NewGuid():N}";

    private Task<JsonObject> Make(string id, string cmd, string? token = null) =>
        host.Post("/v1/cron/job/", new { job_id = id, cmd, cron = CronClient.Never }, token);

    private async Task<JsonObject> Shown(string id) => (await host.Get($"/v1/cron/job/?job_id={id}"))["data"]![0]!.AsObject();

    private async Task<string> Rule(string action, string? word = null)
    {
        word ??= $"w{Guid.NewGuid():N}";
        var rule = new { name = word, kind = "words", pattern = $"echo {word}", action, reason = "不许", reason_en = "no" };
        (await host.Post("/v2/task/risk/", rule)).Code().ShouldBe(0);
        return word;
    }

    private async Task Sql(string sql, object parameters)
    {
        await using var connection = await host.Source.OpenConnectionAsync(TestContext.Current.CancellationToken);
        await connection.ExecuteAsync(sql, parameters);
    }
}
