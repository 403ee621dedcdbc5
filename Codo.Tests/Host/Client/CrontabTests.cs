using System.Text.Json.Nodes;
using Codo.Host.Client;
using Codo.Host.Client.Import;

namespace Codo.Tests.Host.Client;

[Collection<ClientCollection>]
public sealed class CrontabTests(ClientHost fixture)
{
    private static readonly TimeZoneInfo Berlin = TimeZoneInfo.FindSystemTimeZoneById("Europe/Berlin");

    private static List<ImportItem> Read(string text, bool system = false, string? user = null) =>
        Crontab.Read("tab", text, new CrontabForm(system, user, Berlin, false));

    private static JsonObject Job(string text, bool system = false) => Read(text, system).ShouldHaveSingleItem().Job.ShouldNotBeNull();

    [Theory]
    [InlineData("5 4 * * * x", "0 5 4 * * *")]
    [InlineData("*/15 9-17 * * mon-fri x", "0 */15 9-17 * * mon-fri")]
    [InlineData("@daily x", "0 0 0 * * *")]
    [InlineData("@hourly x", "0 0 * * * *")]
    [InlineData("@WEEKLY x", "0 0 0 * * 0")]
    [InlineData("@annually x", "0 0 0 1 1 *")]
    [InlineData("\t0\t0\t*\t*\t7\tx", "0 0 0 * * 7")]
    [InlineData("0 0 */2 * 1 x", "0 0 0 */2 * 1")]
    [InlineData("-0 0 1 jan * x", "0 0 0 1 jan *")]
    public void A_schedule_is_taken(string line, string cron) => Job(line)["cron"]!.GetValue<string>().ShouldBe(cron);

    [Theory]
    [InlineData("@reboot x", "systemd")]
    [InlineData("@fortnightly x", "not known")]
    [InlineData("61 * * * * x", "out of range")]
    [InlineData("* * * * fri-mon x", "out of range")]
    [InlineData("*/0 * * * * x", "zero")]
    [InlineData("5/15 * * * * x", "5-59/15")]
    [InlineData("a * * * * x", "not read")]
    [InlineData("* * * * *", "five fields")]
    [InlineData("CRON_TZ=Mars/Base\n* * * * * x", "no time zone")]
    public void What_cannot_be_taken_is_refused_with_the_reason(string text, string why)
    {
        var refused = Read(text)[^1];
        refused.Verdict.ShouldBe("refused");
        refused.Refused!.ShouldContain(why);
    }

    [Fact]
    public void Day_or_weekday_becomes_two_jobs_that_never_meet()
    {
        var items = Read("30 4 1,15 * 5 report");
        items.Select(item => item.Job!["cron"]!.GetValue<string>()).ShouldBe(["0 30 4 1,15 * *", "0 30 4 2-14,16-31 * 5"]);
        items.Select(item => item.Job!["job_id"]!.GetValue<string>()).Distinct().Count().ShouldBe(2);
        items.ShouldAllBe(item => item.Verdict == "changed");
        var from = new DateTimeOffset(2026, 5, 1, 0, 0, 0, TimeSpan.Zero);
        var days = items.SelectMany(item => item.Schedule!.After(from, 12)).Order().Select(time => time.Day).Take(7);
        // 1 and 15 May 2026 are Fridays: each once.
        days.ShouldBe([1, 8, 15, 22, 29, 1, 5]);
        Read("0 0 1-31 * 5 x").ShouldHaveSingleItem().Job!["cron"]!.GetValue<string>().ShouldBe("0 0 0 * * *");
    }

    [Fact]
    public void Percent_signs_are_input_and_line_ends_unless_they_are_escaped()
    {
        Job(@"0 0 * * * date +\%F").Text("cmd").ShouldBe("date +%F");
        Job("0 0 * * * mail -s hi root%Dear root,%%bye").Text("cmd").ShouldBe("{ mail -s hi root\n} <<'INPUT'\nDear root,\n\nbye\nINPUT");
    }

    [Fact]
    public void Environment_lines_hold_from_where_they_stand_and_the_user_column_is_run_as()
    {
        var items = Read(
            """
            SHELL=/bin/bash
            PATH = "/opt/bin:/usr/bin"
            MAILTO=ops@example.com
            HOME=/srv
            CRON_TZ=Asia/Tokyo

            # Rotates
            # the logs
            0 1 * * *  www-data  rotate

            0 2 * * * root next
            """,
            system: true
        );
        items[0].Refused!.ShouldContain("alert rules");
        var job = items[1].Job!;
        job.Text("run_as").ShouldBe("www-data");
        job.Text("interpreter").ShouldBe("/bin/bash");
        job.Text("working_directory").ShouldBe("/srv");
        job.Text("time_zone").ShouldBe("Asia/Tokyo");
        job.Text("description").ShouldBe("Rotates\nthe logs");
        job["env"]!.AsObject().Select(pair => $"{pair.Key}={pair.Value}").ShouldBe(["PATH=/opt/bin:/usr/bin", "HOME=/srv"]);
        items[2].Job!.Text("description").ShouldBe("");
    }

    [Fact]
    public void The_same_text_gives_the_same_names_and_a_command_twice_gives_two()
    {
        var text = "0 1 * * * /opt/app/bin/sync --all\n0 2 * * * /opt/app/bin/sync --all\n";
        var names = Read(text).Select(item => item.Job!.Text("job_id")).ToList();
        names[0].ShouldStartWith("sync-");
        names[1].ShouldBe(names[0] + "-2");
        // Another time is the same job.
        Read(text.Replace("0 1", "5 1", StringComparison.Ordinal)).Select(item => item.Job!.Text("job_id")).ShouldBe(names);
    }

    [Fact]
    public void A_time_that_a_change_of_the_clock_skips_or_repeats_comes_once()
    {
        List<DateTimeOffset> Fires(string line, DateTimeOffset from, int count) => Read(line)[0].Schedule!.After(from, count);
        // 29 March and 25 October 2026.
        Fires("30 2 * * * x", new(2026, 3, 28, 12, 0, 0, TimeSpan.Zero), 2).Select(time => time.UtcDateTime).ShouldBe(
            [new DateTime(2026, 3, 29, 1, 0, 0), new DateTime(2026, 3, 30, 0, 30, 0)]
        );
        Fires("30 2 * * * x", new(2026, 10, 24, 12, 0, 0, TimeSpan.Zero), 2).Select(time => time.UtcDateTime).ShouldBe(
            [new DateTime(2026, 10, 25, 0, 30, 0), new DateTime(2026, 10, 26, 1, 30, 0)]
        );
        Fires("30 * * * * x", new(2026, 10, 24, 23, 50, 0, TimeSpan.Zero), 3).Select(time => time.UtcDateTime.Hour).ShouldBe([0, 1, 2]);
    }

    [Fact]
    public async Task A_dry_run_tells_each_line_and_the_fires_beside_those_of_cron_and_makes_nothing()
    {
        var word = ClientHost.NewName("dry");
        var text = $"# {word}\n0 3 * * * /opt/{word}\n15 4 1 * 5 /opt/{word} b\n@reboot /opt/{word} c\n";
        var run = await fixture.RunWith(text, "import", "crontab", "-", "--time-zone", "Europe/Berlin");
        run.Text.ShouldContain("refused");
        run.Output.ShouldContain("-:3: Day or weekday");
        run.Output.ShouldContain("CODO   CRON");
        run.Output.ShouldNotContain("Fires differ");
        System.Text.RegularExpressions.Regex.Count(run.Output, @"fires +fires").ShouldBe(20);
        run.Errors.ShouldContain("3 jobs, 2 of them changed; 1 refused");
        (await fixture.Run("job", "list", "-S", word, "-o", "name")).Output.ShouldBe("");
    }

    [Fact]
    public async Task An_import_is_applied_and_repeated_and_follows_the_file()
    {
        var word = ClientHost.NewName("apply");
        var text = $"TOKEN=secret-{word}\n0 3 * * * /opt/{word} a\n15 4 1 * 5 /opt/{word} b\n";
        var run = await fixture.RunWith(text, "import", "crontab", "-", "--time-zone", "Europe/Berlin", "--apply");
        run.Code.ShouldBe(0, run.Errors);
        run.Errors.ShouldContain("3 made, 0 changed, 0 unchanged, 0 refused by the server, 0 refused.");
        run = await fixture.RunWith(text, "import", "crontab", "-", "--time-zone", "Europe/Berlin", "--apply");
        run.Errors.ShouldContain("0 made, 0 changed, 3 unchanged");
        run = await fixture.RunWith(
            text.Replace("0 3 ", "0 5 ", StringComparison.Ordinal),
            "import",
            "crontab",
            "-",
            "--time-zone",
            "Europe/Berlin",
            "--apply"
        );
        run.Errors.ShouldContain("0 made, 1 changed, 2 unchanged");
        (await fixture.Run("job", "list", "-S", word, "-o", "name")).Lines.Length.ShouldBe(3);
    }

    [Fact]
    public async Task What_the_server_refuses_is_told_and_the_rest_is_made()
    {
        var word = ClientHost.NewName("user");
        var run = await fixture.RunWith(
            $"0 3 * * * nobody-at-all /opt/{word}\n0 4 * * * {Environment.UserName} /opt/{word} b\n",
            "import",
            "crontab",
            "-",
            "--system",
            "--time-zone",
            "UTC",
            "--apply"
        );
        run.Code.ShouldBe(ExitCodes.Failed);
        run.Errors.ShouldContain("1 made, 0 changed, 0 unchanged, 1 refused by the server");
    }

    [Fact]
    public async Task A_directory_is_read_as_cron_reads_it_and_run_parts_becomes_a_job_for_each_script()
    {
        var folder = fixture.NewFolder();
        var scripts = Directory.CreateDirectory(Path.Combine(folder, "scripts")).FullName;
        foreach (var name in (string[])["first", "second", "third.disabled"])
        {
            await File.WriteAllTextAsync(Path.Combine(scripts, name), "#!/bin/sh\n");
            File.SetUnixFileMode(Path.Combine(scripts, name), UnixFileMode.UserRead | UnixFileMode.UserExecute);
        }
        var tabs = Directory.CreateDirectory(Path.Combine(folder, "tabs")).FullName;
        await File.WriteAllTextAsync(Path.Combine(tabs, "daily"), $"25 6 * * * root cd / && run-parts --report {scripts}\n");
        await File.WriteAllTextAsync(Path.Combine(tabs, "daily.bak"), "* * * * * root never\n");
        var run = await fixture.Run("import", "crontab", tabs, "--system", "--expand-run-parts", "--time-zone", "UTC", "-o", "json");
        JsonNode.Parse(run.Text)!.AsArray().Select(item => item!["job"]!.AsObject().Text("cmd")).ShouldBe([$"{scripts}/first", $"{scripts}/second"]);
        var whole = await fixture.Run("import", "crontab", tabs, "--system", "--time-zone", "UTC", "-o", "json");
        JsonNode.Parse(whole.Text)!.AsArray().Single()!["job"]!.AsObject().Text("cmd").ShouldBe($"cd / && run-parts --report {scripts}");
    }

    [Fact]
    public async Task Jobs_are_written_as_a_crontab_that_reads_as_the_same_jobs()
    {
        var tag = ClientHost.NewName("tag");
        async Task Make(string name, string cron, string cmd, object? env = null) =>
            (
                await fixture.Host.Post("/v1/cron/job/", new { job_id = $"{name}-{tag}", cron, cmd, tags = new[] { tag }, time_zone = "Europe/Berlin", env })
            )["code"]!
                .GetValue<int>()
                .ShouldBe(0);
        await Make("a", "0 5 4 * jul wed", "date +%F", new { LANG = "C" });
        await Make("b", "30 5 4 * * *", "seconds");
        await Make("c", "0 5 4 L * *", "last");
        await Make("d", "0 5 4 13 * 5", "friday");
        var text = (await fixture.Run("export", "crontab", "--tag", tag)).Text;
        text.ShouldContain("CRON_TZ=Europe/Berlin\n");
        text.ShouldContain("\n5 4 * jul wed LANG=C; export LANG; date +\\%F\n");
        text.ShouldContain("no seconds.\n#5 4 * * * seconds");
        text.ShouldContain("knows no L");
        text.ShouldContain("takes day or weekday");
        var back = Read(text).ShouldHaveSingleItem().Job!;
        (back.Text("cron"), back.Text("cmd"), back.Text("time_zone")).ShouldBe(("0 5 4 * jul wed", "LANG=C; export LANG; date +%F", "Europe/Berlin"));
    }
}
