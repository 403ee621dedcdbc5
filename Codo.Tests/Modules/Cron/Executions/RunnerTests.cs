using System.Diagnostics;
using System.Text.Json.Nodes;
using Codo.Modules.Cron.Executions;
using Codo.Platform.Cluster;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;

namespace Codo.Tests.Modules.Cron.Executions;

/// <summary>What a command meets, and what its row says afterwards.</summary>
public sealed class RunnerTests(TestPostgres postgres) : IAsyncLifetime
{
    private TestHost host = null!;

    public async ValueTask InitializeAsync() => host = await TestHost.Start(postgres, null, ("Codo:Cron:OutputLimit", "100000"));

    public ValueTask DisposeAsync() => host.DisposeAsync();

    [Fact]
    public async Task A_command_knows_what_it_is_and_nothing_of_codos_settings()
    {
        await host.Make(
            new
            {
                job_id = "env",
                cmd = "env; pwd; read x; echo read:$?",
                cron = CronClient.Never,
                working_directory = "/",
                env = new { MY = "own" },
            }
        );
        var logId = await host.RunNow("env");
        var log = await host.Ended(logId);
        var output = log["task_log"]!.GetValue<string>();
        output.ShouldContain("CODO_JOB_ID=env\n");
        output.ShouldContain($"CODO_LOG_ID={logId}\n");
        output.ShouldContain("CODO_ATTEMPT=1\n");
        output.ShouldContain("CODO_RUN_ID=");
        output.ShouldContain("CODO_NOMINAL_TIME=2");
        output.ShouldContain("MY=own\n");
        output.ShouldContain("\n/\nread:1\n");
        output.ShouldNotContain("ConnectionStrings__", Case.Insensitive);
        output.ShouldNotContain("Codo__", Case.Insensitive);
    }

    [Fact]
    public async Task A_time_limit_ends_the_whole_tree_also_what_ignores_TERM()
    {
        var job = Unique("slow");
        await host.Make(
            new
            {
                job_id = job,
                cmd = "trap '' TERM; (trap '' TERM; setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done') & echo started; while :; do sleep 1; done",
                cron = CronClient.Never,
                timeout = 5,
            }
        );
        var log = await host.Ended(await host.RunNow(job));
        log.Status().ShouldBe("timeout");
        log["task_log"]!.GetValue<string>().ShouldBe("started\n超过时限 5 秒，命令被终止，进程已全部结束");
        log["attempts"]![0]!["left_alive"]!.GetValue<int>().ShouldBe(0);
        await NothingIsLeftOf(job);
    }

    [Fact]
    public async Task A_kill_ends_the_whole_tree_within_its_grace_and_says_by_whom()
    {
        var job = Unique("kill");
        await host.Make(new { job_id = job, cmd = "sleep 1000 & sleep 1000", cron = CronClient.Never });
        var logId = await host.RunNow(job);
        await host.Running(logId);
        (await host.Post("/v1/cron/job/kill/", new { log_id = logId })).Code().ShouldBe(0);
        var log = await host.Ended(logId);
        log.Status().ShouldBe("killed");
        log["task_log"]!.GetValue<string>().ShouldStartWith("被 admin 终止");
        await NothingIsLeftOf(job);
        (await host.Post("/v1/cron/job/kill/", new { log_id = logId })).Code().ShouldBe(-1);
        (await host.Post("/v1/cron/job/kill/", new { log_id = 999_999 })).Code().ShouldBe(-1);
        (await host.Post("/v1/cron/job/kill/", new { })).Code().ShouldBe(-1);
    }

    [Fact]
    public async Task A_failed_attempt_is_repeated_and_each_attempt_is_told()
    {
        var flag = Path.GetTempFileName();
        File.Delete(flag);
        await host.Make(
            new
            {
                job_id = "retry",
                cmd = $"echo try $CODO_ATTEMPT; test -e {flag} && exit 0; touch {flag}; exit 7",
                cron = CronClient.Never,
                retries = 2,
                retry_delay = 1,
            }
        );
        var log = await host.Ended(await host.RunNow("retry"));
        log.Status().ShouldBe("success");
        log["task_log"]!.GetValue<string>().ShouldBe("try 2\n");
        var attempts = log["attempts"]!.AsArray();
        attempts.Select(attempt => (string?)attempt!["trigger"]).ShouldBe(["manual", "retry"]);
        attempts[0]!["exit_code"]!.GetValue<int>().ShouldBe(7);
        var first = await host.Get($"/v1/cron/log/output/?log_id={log["log_id"]}&attempt=1");
        first["data"]!.GetValue<string>().ShouldBe("try 1\n");
        File.Delete(flag);

        // A search finds what an earlier attempt said, and says whose it is.
        foreach (var attempt in new[] { 1, 2 })
        {
            var found = await Eventually.Get(
                async () => (JsonObject?)await host.Get($"/v1/cron/log/search/?q=try%20{attempt}"),
                answer => answer["data"]!.AsArray().Count == 1,
                $"attempt {attempt} is found"
            );
            var row = found["data"]![0]!;
            ((int)row["attempt"]!, (string)row["lines"]![0]!["log_info"]!).ShouldBe((attempt, $"try {attempt}"));
            ((int?)row["lines"]![0]!["line"]).ShouldBe(attempt == 2 ? 1 : (int?)null);
        }
        using var page = await host.Http.SendAsync(TestHost.Request(HttpMethod.Get, $"/runs/{log["log_id"]}?attempt=1", null, TestTokens.Admin));
        (await page.Content.ReadAsStringAsync()).ShouldContain("data-attempt=\"1\"");
    }

    [Theory]
    [InlineData(0, "queued")]
    [InlineData(2, "timeout")]
    public async Task An_attempt_of_which_processes_are_left_is_not_repeated_beside_them(int left, string status)
    {
        await host.Make(new { job_id = "clings", cmd = "exec sleep 1000", cron = CronClient.Never, retries = 1, retry_delay = 3600 });
        var logId = await host.RunNow("clings");
        var runner = host.Services.GetRequiredService<Runner>();
        var run = await Eventually.Get<Run>(() => Task.FromResult(runner.Find(logId)), _ => true, "it is claimed");
        // As its time limit does, but for what no kill ends.
        var at = await host.Ask<DateTime>("SELECT clock_timestamp()");
        var ending = new Ending(ExecutionStatus.Timeout, null, left, new Text("超过时限", "Ran past its limit"), at);
        await host.Services.GetRequiredService<RunRecorder>().End(run, ending);
        var log = await host.Log(logId);
        log.Status().ShouldBe(status);
        log["task_log"]!.GetValue<string>().EndsWith("超过时限；不再重试：仍有进程在运行", StringComparison.Ordinal).ShouldBe(left > 0);
        (await host.Count($"SELECT count(*) FROM cron.active_execution WHERE log_id = {logId}")).ShouldBe(left > 0 ? 0 : 1);
    }

    [Fact]
    public async Task Output_has_ended_when_the_execution_has_and_not_between_two_attempts()
    {
        await host.Make(new { job_id = "pausing", cmd = "echo no; exit 1", cron = CronClient.Never, retries = 1, retry_delay = 3600 });
        var logId = await host.RunNow("pausing");
        await Eventually.True(
            async () => await host.Count($"SELECT count(*) FROM cron.attempt WHERE log_id = {logId} AND ended_at IS NOT NULL") == 1,
            "the first attempt has ended"
        );
        (await Read("")).ShouldBe(("queued", "no\n", false));
        (await Read("&attempt=1")).ShouldBe(("queued", "no\n", true));
        (await host.Post("/v1/cron/job/kill/", new { log_id = logId })).Code().ShouldBe(0);
        (await Read("")).ShouldBe(("faild", "no\n", true));

        // What was taken from the queue has no attempt, and ends all the same.
        await host.Make(new { job_id = "unplaced", cmd = "true", cron = CronClient.Never, node = "nowhere" });
        logId = await host.RunNow("unplaced");
        (await Read("")).ShouldBe(("queued", "", false));
        (await host.Post("/v1/cron/job/kill/", new { log_id = logId })).Code().ShouldBe(0);
        (await Read("")).ShouldBe(("killed", "", true));

        async Task<(string Status, string Data, bool Ended)> Read(string query)
        {
            var part = await host.Get($"/v1/cron/log/output/?log_id={logId}{query}");
            return (part["status"]!.GetValue<string>(), part["data"]!.GetValue<string>(), part["ended"]!.GetValue<bool>());
        }
    }

    [Fact]
    public async Task Fifty_megabytes_keep_head_and_tail_and_say_what_is_missing()
    {
        await host.Make(new { job_id = "big", cmd = "echo head; head -c 50000000 /dev/zero | tr '\\0' x; echo; echo tail", cron = CronClient.Never });
        var logId = await host.RunNow("big");
        await host.Ended(logId, 60);
        var text = "";
        for (var (after, ended) = (0L, false); !ended;)
        {
            var part = await host.Get($"/v1/cron/log/output/?log_id={logId}&after={after}");
            text += part["data"]!.GetValue<string>();
            (after, ended) = (part["after"]!.GetValue<long>(), part["ended"]!.GetValue<bool>());
        }
        text.ShouldStartWith("head\nxxx");
        text.ShouldEndWith("xxx\ntail\n");
        text.ShouldContain("bytes missing");
        text.Length.ShouldBeInRange(90_000, 400_000);
        await using var connection = await host.Source.OpenConnectionAsync();
        (await connection.QuerySingleAsync<long>("SELECT sum(length(text)) FROM cron.output WHERE log_id = @logId", new { logId })).ShouldBeLessThan(400_000);
    }

    [Fact]
    public async Task Output_in_many_small_pieces_is_answered_at_once()
    {
        await host.Make(new { job_id = "slowly", cmd = "true", cron = CronClient.Never });
        var logId = await host.RunNow("slowly");
        await host.Ended(logId);
        await Sql(
            $"""
            INSERT INTO cron.output (log_id, nominal_at, attempt, from_byte, next_byte, text)
            SELECT log_id, nominal_at, 1, (n - 1) * 10, n * 10, 'line ' || lpad(CAST(n AS text), 4, '0') || chr(10)
            FROM cron.cron_log, generate_series(1, 300) n WHERE log_id = {logId}
            """
        );
        var part = await host.Get($"/v1/cron/log/output/?log_id={logId}");
        var text = part["data"]!.GetValue<string>();
        (text.Length, text.EndsWith("line 0300\n", StringComparison.Ordinal), (bool)part["ended"]!).ShouldBe((3000, true, true));
    }

    [Fact]
    public async Task Output_that_is_no_utf8_four_byte_characters_and_nul_are_kept_readably()
    {
        await host.Make(new { job_id = "bytes", cmd = """printf 'ok \360\237\230\200 \377\376 \000 end'""", cron = CronClient.Never });
        (await host.Ended(await host.RunNow("bytes")))["task_log"]!.GetValue<string>().ShouldBe("ok 😀 \uFFFD\uFFFD ␀ end");
    }

    [Fact]
    public async Task A_script_is_run_by_its_interpreter_and_in_its_encoding()
    {
        await host.Make(new { job_id = "pasted", cmd = "#!/bin/bash\r\nwords=(one two)\r\necho ${words[1]} $CODO_JOB_ID\r\n", cron = CronClient.Never });
        (await host.Ended(await host.RunNow("pasted")))["task_log"]!.GetValue<string>().ShouldBe("two pasted\n");
        await host.Make(new { job_id = "set", cmd = "print 6 * 7, qq(\\n)", cron = CronClient.Never, interpreter = "/usr/bin/perl -w" });
        (await host.Ended(await host.RunNow("set")))["task_log"]!.GetValue<string>().ShouldBe("42\n");
        await host.Put("/v1/cron/job/", new { job_id = "set", cmd = "printf '中文' | od -An -tx1; printf '好\\n'", interpreter = "", encoding = "gbk" });
        (await host.Ended(await host.RunNow("set")))["task_log"]!.GetValue<string>().ShouldBe(" d6 d0 ce c4\n好\n");
        await host.Put("/v1/cron/job/", new { job_id = "set", cmd = "printf '好' | head -c 1" });
        (await host.Ended(await host.RunNow("set")))["task_log"]!.GetValue<string>().ShouldBe("\uFFFD");
        var job = (await host.Get("/v1/cron/job/?job_id=set"))["data"]![0]!;
        ((string)job["interpreter"]!, (string)job["encoding"]!).ShouldBe(("", "gbk"));
        (await host.Put("/v1/cron/job/", new { job_id = "set", encoding = "utf-16" })).Msg().ShouldContain("encoding");
        (await host.Put("/v1/cron/job/", new { job_id = "set", interpreter = "a\nb" })).Msg().ShouldContain("interpreter");
    }

    [Fact]
    public async Task Output_can_be_followed_while_it_comes()
    {
        var gate = Path.Combine(Path.GetTempPath(), "codo-gate-" + Guid.NewGuid().ToString("N"));
        await host.Make(new { job_id = "follow", cmd = $"echo one; while ! test -e {gate}; do sleep 0.05; done; echo two", cron = CronClient.Never });
        var logId = await host.RunNow("follow");
        var first = await Eventually.Get(
            async () => await host.Get($"/v1/cron/log/output/?log_id={logId}"),
            part => part["data"]!.GetValue<string>() == "one\n",
            "the first line is there while the command runs"
        );
        first["ended"]!.GetValue<bool>().ShouldBeFalse();
        (await host.Log(logId))["task_log"]!.GetValue<string>().ShouldBe("one\n");
        await File.WriteAllTextAsync(gate, "");
        await host.Ended(logId);
        var rest = await host.Get($"/v1/cron/log/output/?log_id={logId}&after={first["after"]}");
        (rest["data"]!.GetValue<string>(), rest["ended"]!.GetValue<bool>()).ShouldBe(("two\n", true));
        File.Delete(gate);
    }

    [Fact]
    public async Task Output_is_read_from_any_byte_on_and_nothing_after_it_is_left_out()
    {
        await host.Make(new { job_id = "middle", cmd = "printf 'one 中文 two\\nthree\\n'", cron = CronClient.Never });
        await host.Make(new { job_id = "binary", cmd = "printf 'one \\377 two\\n'", cron = CronClient.Never });
        async Task<(long, string, long)> From(long logId, long after)
        {
            var part = await host.Get($"/v1/cron/log/output/?log_id={logId}&after={after}");
            return (part["from"]!.GetValue<long>(), part["data"]!.GetValue<string>(), part["after"]!.GetValue<long>());
        }

        var text = await host.RunNow("middle");
        await host.Ended(text);
        (await From(text, 0)).ShouldBe((0, "one 中文 two\nthree\n", 21));
        (await From(text, 2)).ShouldBe((2, "e 中文 two\nthree\n", 21));
        // In the middle of a character.
        (await From(text, 5)).ShouldBe((4, "中文 two\nthree\n", 21));
        (await From(text, 20)).ShouldBe((20, "\n", 21));
        (await From(text, 21)).ShouldBe((21, "", 21));
        (await From(text, 900)).ShouldBe((900, "", 900));

        var binary = await host.RunNow("binary");
        await host.Ended(binary);
        // One byte became three: where the asked one is now cannot be known.
        (await From(binary, 7)).ShouldBe((0, "one \uFFFD two\n", 10));
        (await From(binary, 10)).ShouldBe((10, "", 10));
    }

    [Fact]
    public async Task A_command_that_cannot_start_says_why()
    {
        await host.Make(new { job_id = "nowhere", cmd = "true", cron = CronClient.Never, working_directory = "/no/such/folder" });
        var log = await host.Ended(await host.RunNow("nowhere"));
        log.Status().ShouldBe("faild");
        log["task_log"]!.GetValue<string>().ShouldContain("/no/such/folder");
    }

    [Fact]
    public async Task A_folder_on_a_file_system_that_does_not_answer_fails_its_runs_and_holds_up_no_others()
    {
        // For more than may start at once.
        await using var host = await TestHost.Start(postgres, null, ("Codo:Cron:MaxParallel", "2000"), ("Codo:Quotas:Runs", "0"));
        var (time, asked) = (new FakeTimeProvider(), 0);
        using var back = new ManualResetEventSlim();
        await host.Make(new { job_id = "hung", cmd = "true", cron = CronClient.Never, working_directory = "/no/such/mount", overlap = "allow" });
        await host.Make(new { job_id = "other", cmd = "true", cron = CronClient.Never });
        var folders = host.Services.GetRequiredService<FolderCheck>();
        folders.Time = time;
        folders.Exists = folder =>
        {
            Interlocked.Increment(ref asked);
            back.Wait();
            return Directory.Exists(folder);
        };
        var hung = new List<long>();
        for (var i = 0; i <= Runner.MostStarting; i++) hung.Add(await host.RunNow("hung"));
        await Eventually.True(() => Volatile.Read(ref asked) > 0, "the folder is asked for");
        (await host.Ended(await host.RunNow("other"))).Status().ShouldBe("success");

        time.Advance(FolderCheck.Patience);
        // The next one does not wait: the question is still open.
        foreach (var logId in hung.Append(await host.RunNow("hung")))
        {
            var log = await host.Ended(logId);
            (log.Status(), log["task_log"]!.GetValue<string>()).ShouldBe(("faild", "working_directory /no/such/mount 在 5 秒内没有回应"));
        }
        asked.ShouldBe(1);

        // Once it answers, it is asked anew.
        back.Set();
        await Eventually.True(
            async () => (await host.Ended(await host.RunNow("hung")))["task_log"]!.GetValue<string>() == "工作目录 /no/such/mount 不存在",
            "it answers again"
        );
    }

    [Fact]
    public async Task What_waits_is_claimed_many_at_a_time_and_all_of_it()
    {
        // For more than may start at once: neither the node's limit nor a person's quota cuts a claim.
        await using var host = await TestHost.Start(postgres, null, ("Codo:Cron:MaxParallel", "2000"), ("Codo:Quotas:Runs", "0"));
        await host.Make(new { job_id = "backlog", cmd = "true", cron = CronClient.Never, overlap = "allow" });
        var node = host.Services.GetRequiredService<Node>();
        (await host.Post("/v2/nodes/drain/", new { name = node.Name })).Code().ShouldBe(0);
        await Eventually.True(() => node.IsDrained, "the node has heard of it");
        var all = new List<long>();
        for (var i = 0; i < Runner.MostStarting * 4; i++) all.Add(await host.RunNow("backlog"));
        (await host.Post("/v2/nodes/undrain/", new { name = node.Name })).Code().ShouldBe(0);
        foreach (var logId in all) (await host.Ended(logId)).Status().ShouldBe("success");
        // The last claim, which finds the queue empty, may take fewer.
        const string ClaimsSql = "SELECT count(DISTINCT split_part(run_id, '-', 1)) FROM cron.attempt WHERE log_id = ANY(@all)";
        (await host.Ask<long>(ClaimsSql, new { all = all.ToArray() })).ShouldBeInRange(1, (all.Count / (Runner.MostStarting / 2)) + 1);
    }

    [Fact]
    public async Task Skip_refuses_a_second_run_queue_lets_one_wait_and_replace_ends_the_first()
    {
        foreach (var overlap in new[] { "skip", "queue", "replace", "allow" })
            await host.Make(
                new
                {
                    job_id = overlap,
                    cmd = "sleep 1000",
                    cron = CronClient.Never,
                    overlap,
                }
            );
        await host.Running(await host.RunNow("skip"));
        var refused = await host.Post("/v1/cron/job/run/", new { job_id = "skip" });
        (refused.Code(), refused.Msg()).ShouldSatisfyAllConditions(answer => answer.Item1.ShouldBe(-1), answer => answer.Item2.ShouldContain("overlap=skip"));

        var running = await host.RunNow("queue");
        await host.Running(running);
        var waiting = await host.RunNow("queue");
        (await host.Log(waiting)).Status().ShouldBe("queued");
        (await host.Post("/v1/cron/job/run/", new { job_id = "queue" })).Code().ShouldBe(-1);
        await host.Post("/v1/cron/job/kill/", new { log_id = running });
        await host.Running(waiting);

        var first = await host.RunNow("replace");
        await host.Running(first);
        var second = await host.RunNow("replace");
        await host.Running(second);
        (await host.Ended(first)).Status().ShouldBe("killed");

        await host.Running(await host.RunNow("allow"));
        await host.Running(await host.RunNow("allow"));
    }

    [Fact]
    public async Task A_queued_execution_is_killed_before_it_starts_and_a_deleted_job_lets_what_runs_end()
    {
        var gate = Path.Combine(Path.GetTempPath(), "codo-gate-" + Guid.NewGuid().ToString("N"));
        await host.Make(new { job_id = "doomed", cmd = $"while ! test -e {gate}; do sleep 0.05; done; echo old", cron = CronClient.Never, overlap = "queue" });
        var running = await host.RunNow("doomed");
        await host.Running(running);
        var waiting = await host.RunNow("doomed");
        (await host.Post("/v1/cron/job/kill/", new { log_id = waiting })).Code().ShouldBe(0);
        (await host.Ended(waiting)).Status().ShouldBe("killed");
        await host.Put("/v1/cron/job/", new { job_id = "doomed", cmd = "echo new" });
        await host.Delete("/v1/cron/job/", new { job_id = "doomed" });
        await host.Make(new { job_id = "doomed", cmd = "echo reborn", cron = CronClient.Never });
        (await host.Ended(await host.RunNow("doomed")))["task_log"]!.GetValue<string>().ShouldBe("reborn\n");
        await File.WriteAllTextAsync(gate, "");
        var log = await host.Ended(running);
        (log.Status(), log["task_log"]!.GetValue<string>()).ShouldBe(("success", "old\n"));
        File.Delete(gate);
    }

    [Fact]
    public async Task A_failure_is_not_tried_again_when_its_job_was_deleted_or_it_was_stopped_meanwhile()
    {
        foreach (var way in new[] { "deleted", "stopped" })
        {
            var gate = Path.Combine(Path.GetTempPath(), "codo-gate-" + Guid.NewGuid().ToString("N"));
            var cmd = $"while ! test -e {gate}; do sleep 0.01; done; exit 3";
            await host.Make(new { job_id = way, cmd, cron = CronClient.Never, retries = 100, retry_delay = 1 });
            var running = await host.RunNow(way);
            await host.Running(running);
            if (way == "deleted") await host.Delete("/v1/cron/job/", new { job_id = way });
            else
                // As a kill does, but nobody is notified: the command fails by itself before the node has looked.
                await Sql($"UPDATE cron.active_execution SET stop_zh = '被 bob 终止', stop_en = 'Ended by bob' WHERE log_id = {running}");
            await File.WriteAllTextAsync(gate, "");
            var log = await host.Ended(running);
            log["attempts"]!.AsArray().Count.ShouldBe(1, way);
            log["task_log"]!.GetValue<string>().ShouldContain(way == "deleted" ? "任务已删除，不再重试" : "被 bob 终止");
            (await host.Count($"SELECT count(*) FROM cron.active_execution WHERE log_id = {running}")).ShouldBe(0);
            File.Delete(gate);
        }
    }

    [Fact]
    public async Task A_failure_waits_for_a_stop_that_is_about_to_commit()
    {
        var gate = Path.Combine(Path.GetTempPath(), "codo-gate-" + Guid.NewGuid().ToString("N"));
        var cmd = $"while ! test -e {gate}; do sleep 0.01; done; exit 3";
        await host.Make(new { job_id = "stopping", cmd, cron = CronClient.Never, retries = 100, retry_delay = 1 });
        var running = await host.RunNow("stopping");
        await host.Running(running);
        await using (var connection = await host.Source.OpenConnectionAsync(TestContext.Current.CancellationToken))
        await using (var transaction = await connection.BeginTransactionAsync(TestContext.Current.CancellationToken))
        {
            await connection.ExecuteAsync(
                "UPDATE cron.active_execution SET stop_zh = '被 bob 终止', stop_en = 'Ended by bob' WHERE log_id = @running",
                new { running },
                transaction
            );
            await File.WriteAllTextAsync(gate, "");
            await Eventually.True(
                () => host.Ask<bool>("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"),
                "the end waits for the stop"
            );
            await transaction.CommitAsync(TestContext.Current.CancellationToken);
        }
        var log = await host.Ended(running);
        log["attempts"]!.AsArray().Count.ShouldBe(1);
        log["task_log"]!.GetValue<string>().ShouldContain("被 bob 终止");
        File.Delete(gate);
    }

    [Fact]
    public async Task A_run_cannot_tell_the_ids_of_others_from_its_own()
    {
        await host.Make(new { job_id = "ids", cmd = "true", cron = CronClient.Never, overlap = "allow" });
        var ids = new List<string>();
        for (var i = 0; i < 2; i++)
        {
            var logId = await host.RunNow("ids");
            await host.Ended(logId);
            ids.Add(await host.Ask<string>("SELECT run_id FROM cron.attempt WHERE log_id = @logId", new { logId }));
        }

        var random = ids.Select(id => id.Split('-')[^1]).ToList();
        random.ShouldAllBe(part => part.Length == 32);
        random.Distinct().Count().ShouldBe(2);
    }

    [Fact]
    public async Task An_execution_that_was_queued_again_by_hand_is_interrupted_and_keeps_nobody_waiting()
    {
        await host.Make(new { job_id = "again", cmd = "echo ran", cron = CronClient.Never });
        var first = await host.RunNow("again");
        await host.Ended(first);
        await Sql(
            $"""
            WITH back AS (UPDATE cron.cron_log SET status = 'queued', ended_at = NULL WHERE log_id = {first} RETURNING log_id, nominal_at, job, job_id)
            INSERT INTO cron.active_execution (log_id, nominal_at, job, job_id, not_before, exclusive)
            SELECT log_id, nominal_at, job, job_id, clock_timestamp() - interval '1 hour', true FROM back
            """
        );
        await host.Make(new { job_id = "other", cmd = "echo ran", cron = CronClient.Never });
        (await host.Ended(await host.RunNow("other"))).Status().ShouldBe("success");
        var log = await host.Ended(first);
        (log.Status(), log["task_log"]!.GetValue<string>().Contains("排队记录已损坏", StringComparison.Ordinal)).ShouldBe(("interrupted", true));
        (await host.Ended(await host.RunNow("again"))).Status().ShouldBe("success");
    }

    private async Task Sql(string sql)
    {
        await using var connection = await host.Source.OpenConnectionAsync(TestContext.Current.CancellationToken);
        await connection.ExecuteAsync(sql);
    }

    /// <summary>Other databases of this run number their executions from 1 too, and their commands run on the same machine.</summary>
    private static string Unique(string name) => name + "-" + Guid.NewGuid().ToString("N");

    private static async Task NothingIsLeftOf(string job)
    {
        using var grep = Process.Start(
            new ProcessStartInfo(
                "/bin/sh",
                [
                    "-c",
                    $"grep -lsz '^CODO_JOB_ID={job}$' /proc/[0-9]*/environ | while read f; do p=${{f#/proc/}}; p=${{p%/environ}}; grep -qs zombie "
                        + $"/proc/$p/status || cat /proc/$p/cmdline; done",
                ]
            )
            {
                RedirectStandardOutput = true,
            }
        )!;
        (await grep.StandardOutput.ReadToEndAsync()).ShouldBeEmpty();
    }
}
