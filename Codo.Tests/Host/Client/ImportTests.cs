using System.Text.Json.Nodes;
using Codo.Host.Client;
using Codo.Host.Client.Import;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Codo.Tests.Host.Client;

[Collection<ClientCollection>]
public sealed class ImportTests(ClientHost fixture)
{
    private static readonly TimeZoneInfo Shanghai = TimeZoneInfo.FindSystemTimeZoneById("Asia/Shanghai");

    private static ImportItem CodoCron(string cron) =>
        CodoCronJobs.Read([new JsonObject { ["job_id"] = "x", ["cmd"] = "echo", ["cron"] = cron, ["status"] = "1" }], Shanghai).Single();

    [Theory]
    [InlineData("0 0 3 * * 0", "0 0 3 * * 1")]
    [InlineData("0 0 3 * * 6", "0 0 3 * * 7")]
    [InlineData("0 0 3 * * 0-4", "0 0 3 * * 1-5")]
    [InlineData("0 0 3 * * */2", "0 0 3 * * 1,3,5,7")]
    [InlineData("0 0 3 * * mon-fri", "0 0 3 * * mon-fri")]
    [InlineData("*/10 5/15 3 last jan *", "*/10 5/15 3 L jan *")]
    public void A_weekday_of_codo_cron_is_translated(string there, string here) => CodoCron(there).Job!.Text("cron").ShouldBe(here);

    [Theory]
    [InlineData("0 0 3 * *", "six fields")]
    [InlineData("0 0 3 * * 7", "out of range")]
    [InlineData("0 0 3 last_fri * *", "not read")]
    public void What_codo_cron_took_and_Codo_does_not_is_refused(string cron, string why) => CodoCron(cron).Refused!.ShouldContain(why);

    [Theory]
    [InlineData("0 0 3 * * ?", "0 0 3 * * *")]
    [InlineData("0 0 3 ? * 1", "0 0 3 * * 0")]
    [InlineData("0 0 3 ? * 2-6", "0 0 3 * * 1-5")]
    [InlineData("0 0 3 ? * MON-FRI", "0 0 3 * * 1-5")]
    [InlineData("0 0 3 ? * FRI-MON", "0 0 3 * * 0,1,5,6")]
    [InlineData("0 0 3 ? * SUN,WED", "0 0 3 * * SUN,WED")]
    [InlineData("0 0 3 ? * 6L", "0 0 3 * * 5L")]
    [InlineData("0 0 3 ? * 6#3", "0 0 3 * * 5#3")]
    [InlineData("0 0 3 ? * L", "0 0 3 * * 6")]
    [InlineData("0 0 3 L * ?", "0 0 3 L * *")]
    [InlineData("0 0 3 LW * ?", "0 0 3 LW * *")]
    [InlineData("0 0 3 15W * ?", "0 0 3 15W * *")]
    [InlineData("0 0/5 14,18 * * ? *", "0 0/5 14,18 * * *")]
    [InlineData("0 /20 22-2 * * ?", "0 0,20,40 0-2,22,23 * * *")]
    public async Task A_schedule_of_Quartz_becomes_one_that_fires_at_the_same_times(string there, string here)
    {
        var (cron, schedule, _) = QuartzSchedule.Read(there, Shanghai);
        cron.ShouldBe(here);
        var times = (await fixture.Run("job", "next", "--cron", cron, "--time-zone", Shanghai.Id, "-n", "30", "-o", "name")).Lines;
        var first = DateTimeOffset.Parse(times[0], System.Globalization.CultureInfo.InvariantCulture);
        schedule.After(first.AddTicks(-1), 30).Select(time => time.ToString("yyyy-MM-dd HH:mm:sszzz", System.Globalization.CultureInfo.InvariantCulture))
            .ShouldBe(times);
    }

    [Theory]
    [InlineData("0 0 3 * * ? 2030", "year")]
    [InlineData("0 0 3 * * *", "is ?")]
    [InlineData("0 3 * * ?", "six or seven")]
    [InlineData("0 0 3 ? * 8", "out of range")]
    public void A_schedule_of_Quartz_that_cannot_be_said_is_refused(string text, string why) =>
        Should.Throw<FormatException>(() => QuartzSchedule.Read(text, Shanghai)).Message.ShouldContain(why);

    private const string Dump = """
        -- MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)
        /*!40101 SET NAMES utf8mb4 */;
        DROP TABLE IF EXISTS `xxl_job_info`;
        CREATE TABLE `xxl_job_info` (
          `id` int NOT NULL AUTO_INCREMENT,
          `job_group` int NOT NULL,
          `job_desc` varchar(255) NOT NULL,
          `author` varchar(64) DEFAULT NULL,
          `alarm_email` varchar(255) DEFAULT NULL,
          `schedule_type` varchar(50) NOT NULL DEFAULT 'NONE',
          `schedule_conf` varchar(128) DEFAULT NULL,
          `misfire_strategy` varchar(50) NOT NULL DEFAULT 'DO_NOTHING',
          `executor_route_strategy` varchar(50) DEFAULT NULL,
          `executor_handler` varchar(255) DEFAULT NULL,
          `executor_param` varchar(512) DEFAULT NULL,
          `executor_block_strategy` varchar(50) DEFAULT NULL,
          `executor_timeout` int NOT NULL DEFAULT '0',
          `executor_fail_retry_count` int NOT NULL DEFAULT '0',
          `glue_type` varchar(50) NOT NULL,
          `glue_source` mediumtext,
          `child_jobid` varchar(255) DEFAULT NULL,
          `trigger_status` tinyint NOT NULL DEFAULT '0',
          PRIMARY KEY (`id`)
        ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
        INSERT INTO `xxl_job_info` VALUES (11,1,'夜间备份','li','ops@example.com',
        'CRON','0 30 2 ? * 2-6','FIRE_ONCE_NOW','FIRST','','a b','COVER_EARLY',600,2,'GLUE_SHELL',
        '#!/bin/bash\necho \"it\'s $1\" ''quoted'';\nexit 0\n','12',1),
        (12,1,'handler','li',NULL,'CRON','0 0 1 * * ?','DO_NOTHING','ROUND','demoHandler','','SERIAL_EXECUTION',0,0,'BEAN','',NULL,1);
        INSERT INTO `xxl_job_info` (
            `id`,
            `job_group`,
            `job_desc`,
            `author`,
            `alarm_email`,
            `schedule_type`,
            `schedule_conf`,
            `misfire_strategy`,
            `executor_route_strategy`,
            `executor_handler`,
            `executor_param`,
            `executor_block_strategy`,
            `executor_timeout`,
            `executor_fail_retry_count`,
            `glue_type`,
            `glue_source`,
            `child_jobid`,
            `trigger_status`
        ) VALUES
        (13,1,'every 5 minutes','wang',NULL,'FIX_RATE','300','DO_NOTHING','FIRST','','','DISCARD_LATER',0,0,'GLUE_PYTHON','print(1)\n',NULL,0),
        (14,1,'odd','wang',NULL,'FIX_RATE','7','DO_NOTHING','FIRST','','','SERIAL_EXECUTION',0,0,'GLUE_SHELL','true',NULL,0),
        (15,1,'by hand','wang',NULL,'NONE','','DO_NOTHING','FIRST','','','SERIAL_EXECUTION',0,0,'GLUE_SHELL','true',NULL,0);
        """;

    [Fact]
    public void A_dump_of_xxl_job_gives_jobs_with_their_strategies_and_lists_what_is_bound_to_code()
    {
        var items = XxlJobs.Read(Dump, Shanghai);
        items.Select(item => item.Verdict).ShouldBe(["changed", "refused", "changed", "refused", "refused"]);
        items[1].Refused!.ShouldContain("demoHandler");
        items[3].Refused!.ShouldContain("7 seconds");
        var job = items[0].Job!;
        job.Text("cmd").ShouldBe("set -- 'a b' 0 1\necho \"it's $1\" 'quoted';\nexit 0\n");
        (job.Text("cron"), job.Text("overlap"), job.Text("misfire"), job.Text("timeout"), job.Text("retries")).ShouldBe(
            ("0 30 2 * * 1-5", "replace", "once", "600", "2")
        );
        job.Text("description").ShouldBe("夜间备份\nAuthor: li");
        // There a missed time is made up for however late it is.
        job.Text("misfire_window").ShouldBe("604800");
        items[0].Changes.ShouldContain(change => change.Contains("within 7 days", StringComparison.Ordinal));
        items[0].Changes.ShouldContain(change => change.Contains("12", StringComparison.Ordinal));
        (items[2].Job!.Text("cron"), items[2].Job!.Text("interpreter"), items[2].Job!.Text("overlap"), items[2].IsPaused).ShouldBe(
            ("0 */5 * * * *", "/usr/bin/env python3", "skip", true)
        );
        job = XxlJobs.Read(
            Dump.Replace("COVER_EARLY", "SERIAL_EXECUTION", StringComparison.Ordinal).Replace("FIRE_ONCE_NOW", "DO_NOTHING", StringComparison.Ordinal),
            Shanghai
        )[0].Job!;
        (job.Text("overlap"), job.Text("misfire"), job.Text("misfire_window")).ShouldBe(("queue", "skip", ""));
    }

    [Theory]
    // However a script reads its parameter; one that reads none has nothing before it where there is none.
    [InlineData("-d7", "while getopts d: o; do echo $OPTARG; done", "set -- '-d7' 0 1\nwhile getopts")]
    [InlineData("a", "for x do echo; done", "set -- 'a' 0 1\nfor x do")]
    [InlineData("", "echo $#; shift", "set -- '' 0 1\necho")]
    [InlineData("", "for x do echo; done", "for x do")]
    public void A_script_of_xxl_job_gets_its_parameter_however_it_reads_it(string parameter, string script, string begins)
    {
        var dump = "INSERT INTO `xxl_job_info` (`id`, `schedule_type`, `schedule_conf`, `glue_type`, `executor_param`, `glue_source`) VALUES "
            + $"(1, 'CRON', '0 0 3 * * ?', 'GLUE_SHELL', '{parameter}', '{script}');";
        XxlJobs.Read(dump, Shanghai)[0].Job!.Text("cmd").ShouldStartWith(begins);
    }

    [Fact]
    public async Task Jobs_of_xxl_job_are_made_once_and_one_that_was_stopped_is_paused()
    {
        // Numbers that no other test has.
        var (first, second) = (Random.Shared.Next(1_000_000, 2_000_000), Random.Shared.Next(2_000_000, 3_000_000));
        var dump = Dump.Replace("(11,", $"({first},", StringComparison.Ordinal).Replace("(13,", $"({second},", StringComparison.Ordinal);
        var run = await fixture.RunWith(dump, "import", "xxl-job", "-", "--time-zone", "Asia/Shanghai", "--apply");
        run.Code.ShouldBe(0, run.Errors);
        run.Errors.ShouldContain("2 made, 0 changed, 0 unchanged, 0 refused by the server, 3 refused.");
        run.Output.ShouldNotContain("Fires differ");
        (
            await fixture.RunWith(dump, "import", "xxl-job", "-", "--time-zone", "Asia/Shanghai", "--apply")
        ).Errors.ShouldContain("0 made, 0 changed, 2 unchanged");
        (await fixture.RunWith(dump, "import", "xxl-job", "-", "--time-zone", "Asia/Shanghai", "-o", "name")).Text.ShouldBe(
            $"xxl-job-{first}\nxxl-job-{second}\n"
        );
        (await fixture.Run("job", "show", $"xxl-job-{second}", "-o", "json")).Text.ShouldContain("\"paused\"");
        (await fixture.Run("job", "run", $"xxl-job-{first}", "-f")).Text.ShouldBe("it's a b quoted\n");
    }

    [Theory]
    [InlineData("en_US.UTF-8", "2 jobs fire here now; stop them at the source.\n")]
    [InlineData("zh_CN.UTF-8", "现在有 2 个任务在这里触发：请在来源处停用它们。\n")]
    public async Task An_import_that_is_applied_says_how_many_jobs_fire_in_two_places(string language, string sentence)
    {
        var word = ClientHost.NewName("live");
        (await Import("3")).Errors.ShouldEndWith(sentence);
        (await Import("3")).Errors.ShouldNotContain(sentence);
        // What is paused here fires nothing, also where the import changes it.
        foreach (var name in (await fixture.Run("job", "list", "-S", word, "-o", "name")).Lines) (await fixture.Run("job", "pause", name)).Code.ShouldBe(0);
        var run = await Import("4");
        run.Errors.ShouldContain("0 made, 2 changed");
        run.Errors.ShouldNotContain(sentence);

        Task<ClientRun> Import(string hour) => ClientHost.RunIn(
            $"0 {hour} * * * /opt/{word} a\n30 {hour} * * * /opt/{word} b\n",
            [(Logins.UrlVariable, fixture.Url), (Logins.TokenVariable, Codo.Tests.Support.TestTokens.Admin), ("LANG", language)],
            "import",
            "crontab",
            "-",
            "--user",
            Environment.UserName,
            "--time-zone",
            "UTC",
            "--apply"
        );
    }

    [Fact]
    public async Task A_script_of_xxl_job_runs_by_what_ran_it_there_whatever_its_first_line_says()
    {
        // xxl-job runs `bash FILE`; by /bin/sh, which is dash here, it fails.
        var id = Random.Shared.Next(3_000_000, 4_000_000);
        var dump = "INSERT INTO `xxl_job_info` (`id`, `schedule_type`, `schedule_conf`, `glue_type`, `glue_source`, `trigger_status`) VALUES "
            + $"({id}, 'CRON', '0 0 3 * * ?', 'GLUE_SHELL', '#!/bin/sh\\n[[ a == a ]] && echo yes', 1);";
        var run = await fixture.RunWith(dump, "import", "xxl-job", "-", "--time-zone", "Asia/Shanghai", "--apply");
        run.Errors.ShouldContain("1 made, 0 changed, 0 unchanged, 0 refused by the server, 0 refused.");
        (await fixture.Run("job", "run", $"xxl-job-{id}", "-f")).Text.ShouldBe("yes\n");
        // For all languages alike.
        XxlJobs.Read(dump.Replace("SHELL", "PYTHON", StringComparison.Ordinal), Shanghai)[0].Job!.Text("cmd").ShouldBe("[[ a == a ]] && echo yes");
    }

    [Fact]
    public async Task Jobs_come_from_a_codo_cron_by_its_own_API()
    {
        // Codo answers as codo-cron does; that its jobs are there already, under the same names, shows a repetition.
        var name = ClientHost.NewName("old");
        await fixture.Host.Post("/v1/cron/job/", new { job_id = name, cmd = "true", cron = "0 0 3 * * 1-5", time_zone = "Asia/Shanghai" });
        (string, string)[] environment =
        [
            (Logins.UrlVariable, fixture.Url),
            (Logins.TokenVariable, Codo.Tests.Support.TestTokens.Admin),
            ("CODO_SOURCE_TOKEN", Codo.Tests.Support.TestTokens.Admin),
        ];
        var items = JsonNode.Parse((await ClientHost.RunIn("", environment, "import", "codo-cron", fixture.Url + "/api/cron/", "-o", "json")).Text)!.AsArray();
        var item = items.Single(item => item!["job"]?["job_id"]?.GetValue<string>() == name)!;
        item["job"]!["cron"]!.GetValue<string>().ShouldBe("0 0 3 * * 2-6");
        item["changes"]!.AsArray().Single()!.GetValue<string>().ShouldBe("The weekday 1-5 counts from Monday = 0 there and is 2-6 here.");
    }

    [Fact]
    public async Task Jobs_of_a_codo_cron_are_made_once_and_one_that_was_paused_comes_paused()
    {
        var word = ClientHost.NewName("cron");
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        await using var original = builder.Build();
        object[] jobs =
        [
            new { job_id = $"{word}-a", cmd = "true", cron = "0 0 3 * * 0", status = "0" },
            new { job_id = $"{word}-b", cmd = "echo b", cron = "*/10 * * last * *", status = "1" },
            new { job_id = $"{word}-c", cmd = "true", cron = "0 0 3 last_fri * *", status = "0" },
        ];
        original.MapGet("/v1/cron/job/", (HttpContext context) => context.Request.Cookies["auth_key"] == "of-the-old-one"
            ? Results.Json(new { code = 0, msg = "获取成功", count = jobs.Length, data = jobs })
            : Results.Json(new { code = 401, msg = "你没有登录" }, statusCode: 401));
        await original.StartAsync(TestContext.Current.CancellationToken);

        var run = await Import();
        run.Text.ShouldContain("refused");
        run.Output.ShouldNotContain("Fires differ");
        run.Errors.ShouldContain("2 jobs, 2 of them changed; 1 refused");
        (await fixture.Run("job", "list", "-S", word, "-o", "name")).Output.ShouldBe("");
        run = await Import("--apply");
        run.Errors.ShouldContain("2 made, 0 changed, 0 unchanged, 0 refused by the server, 1 refused.");
        run.Errors.ShouldContain("\n1 job fires here now; stop it at the source.\n");
        run = await Import("--apply");
        run.Errors.ShouldContain("0 made, 0 changed, 2 unchanged");
        run.Errors.ShouldNotContain("at the source");
        (await fixture.Run("job", "list", "-S", word, "--status", "paused", "-o", "name")).Lines.ShouldBe([$"{word}-b"]);
        (await fixture.Host.Count($"SELECT count(*) FROM platform.audit WHERE object_id = '{word}-b' AND action = 'pause'"))
            .ShouldBe(0, "it never was live: it is made paused");
        var made = (await fixture.Host.Get($"/v1/cron/job/?job_id={word}-a"))["data"]![0]!;
        (made["cron"]!.GetValue<string>(), made["time_zone"]!.GetValue<string>()).ShouldBe(("0 0 3 * * 1", "Asia/Shanghai"));

        Task<ClientRun> Import(params string[] options) => ClientHost.RunIn(
            "",
            [(Logins.UrlVariable, fixture.Url), (Logins.TokenVariable, Codo.Tests.Support.TestTokens.Admin), ("CODO_SOURCE_TOKEN", "of-the-old-one")],
            ["import", "codo-cron", original.Urls.First(), .. options]
        );
    }
}
