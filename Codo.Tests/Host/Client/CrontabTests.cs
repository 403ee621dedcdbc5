using System.Globalization;
using System.Text.Json.Nodes;
using Codo.Host.Client;
using Codo.Host.Client.Import;
using Codo.Modules.Cron.Schedules;

namespace Codo.Tests.Host.Client;

[Collection<ClientCollection>]
public sealed class CrontabTests(ClientHost fixture)
{
    private static readonly TimeZoneInfo Berlin = TimeZoneInfo.FindSystemTimeZoneById("Europe/Berlin");

    private static List<ImportItem> Read(string text, bool system = false, string? user = null)
    {
        var items = Crontab.Read("tab", text, new CrontabForm(system, user, Berlin, false));
        Crontab.Distinct(items);
        return items;
    }

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
    [InlineData("30 1-5 * * * x", "0 30 1,2,3,4,5 * * *")]
    [InlineData("0-40/20 3 * * * x", "0 0,20,40 3 * * *")]
    [InlineData("0-40/20 * * * * x", "0 0-40/20 * * * *")]
    [InlineData("0-59 0-23 * * * x", "0 0-59 0-23 * * *")]
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
    [InlineData("0 3 * * * x\n-", "hyphen")]
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
        // The second of two backslashes escapes nothing.
        var two = Read(@"0 0 * * * tr x \\%x").ShouldHaveSingleItem();
        two.Job!.Text("cmd").ShouldBe("{ tr x \\\\\n} <<'INPUT'\nx\nINPUT");
        two.Changes[0].ShouldContain("Debian's cron");
    }

    [Fact]
    public void CRON_TZ_is_the_zone_and_that_not_every_cron_reads_it_is_said()
    {
        var items = Read("CRON_TZ=Asia/Tokyo\n0 1 * * * a\nCRON_TZ=Europe/Berlin\n0 2 * * * b\n");
        items.Select(item => (item.Job!.Text("time_zone"), item.Verdict)).ShouldBe([("Asia/Tokyo", "changed"), ("Europe/Berlin", "taken")]);
        items[0].Changes.ShouldHaveSingleItem().ShouldBe("CRON_TZ=Asia/Tokyo is taken as the zone, as cronie does; Debian's cron ignores it.");
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

    [Theory]
    [InlineData("30 1-5 * * *")]
    [InlineData("0-40/20 2 * * *")]
    [InlineData("15,45 0-3 * * *")]
    [InlineData("*/20 1-3 * * *")]
    public void At_a_change_of_the_clock_a_job_fires_when_cron_does(string line)
    {
        var item = Read(line + " x").ShouldHaveSingleItem();
        item.Verdict.ShouldBe("taken");
        CronExpression.TryParse(item.Job!.Text("cron"), out var cron, out _, out _).ShouldBeTrue();
        foreach (var before in new DateTimeOffset[] { new(2026, 3, 28, 22, 0, 0, TimeSpan.Zero), new(2026, 10, 24, 21, 0, 0, TimeSpan.Zero) })
        {
            var after = before.AddHours(9);
            var fires = item.Schedule!.After(before, 40).Where(time => time <= after).Select(time => time.UtcDateTime).ToList();
            fires.Count.ShouldBeGreaterThan(0);
            cron!.Between(before, after, Berlin).Select(time => time.UtcDateTime).ShouldBe(fires);
        }
    }

    [Fact]
    public async Task The_same_command_in_two_files_is_two_jobs_however_often_they_are_read()
    {
        var (folder, word) = (fixture.NewFolder(), ClientHost.NewName("twice"));
        await File.WriteAllTextAsync(Path.Combine(folder, "one"), $"0 3 * * * /opt/{word}\n");
        await File.WriteAllTextAsync(Path.Combine(folder, "two"), $"0 4 * * * /opt/{word}\n");
        Task<ClientRun> Import() => fixture.Run("import", "crontab", folder, "--user", Environment.UserName, "--time-zone", "UTC", "--apply");
        (await Import()).Errors.ShouldContain("2 made, 0 changed, 0 unchanged");
        (await Import()).Errors.ShouldContain("0 made, 0 changed, 2 unchanged");
    }

    [Fact]
    public async Task A_dry_run_tells_each_line_and_the_fires_beside_those_of_cron_and_makes_nothing()
    {
        var word = ClientHost.NewName("dry");
        // With a home in the text none of this machine's is a change.
        var text = $"HOME=/\n# {word}\n0 3 * * * /opt/{word}\n15 4 1 * 5 /opt/{word} b\n@reboot /opt/{word} c\n";
        var run = await fixture.RunWith(text, "import", "crontab", "-", "--user", Environment.UserName, "--time-zone", "Europe/Berlin");
        run.Text.ShouldContain("refused");
        run.Output.ShouldContain("-:4: Day or weekday");
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
        var run = await Apply(text);
        run.Code.ShouldBe(0, run.Errors);
        run.Errors.ShouldContain("3 made, 0 changed, 0 unchanged, 0 refused by the server, 0 refused.");
        run = await Apply(text);
        run.Errors.ShouldContain("0 made, 0 changed, 3 unchanged");
        run = await Apply(text.Replace("0 3 ", "0 5 ", StringComparison.Ordinal));
        run.Errors.ShouldContain("0 made, 1 changed, 2 unchanged");
        (await fixture.Run("job", "list", "-S", word, "-o", "name")).Lines.Length.ShouldBe(3);
    }

    private Task<ClientRun> Apply(string text) =>
        fixture.RunWith(text, "import", "crontab", "-", "--user", Environment.UserName, "--time-zone", "Europe/Berlin", "--apply");

    [Fact]
    public async Task Lines_of_a_user_whom_nothing_names_are_refused_before_anything_is_made()
    {
        var (word, copy) = (ClientHost.NewName("whose"), Path.Combine(fixture.NewFolder(), "copy"));
        await File.WriteAllTextAsync(copy, $"0 3 * * * /opt/{word}\n");
        foreach (var file in (string[])["-", copy])
        {
            var run = await fixture.RunWith($"0 3 * * * /opt/{word}\n", "import", "crontab", file, "--time-zone", "UTC", "--apply");
            run.Code.ShouldBe(ExitCodes.Usage);
            run.Errors.ShouldContain($"{file}: whose crontab it is cannot be told. Say --user NAME");
        }
        (await fixture.Run("job", "list", "-S", word, "-o", "name")).Output.ShouldBe("");
    }

    [Fact]
    public async Task Of_a_line_that_is_no_longer_day_or_weekday_the_second_job_is_told_while_it_fires()
    {
        var word = ClientHost.NewName("halves");
        // The same command twice, so that the second pair has numbers.
        (await Apply($"15 4 1 * 5 /opt/{word}\n15 5 1 * 5 /opt/{word}\n")).Errors.ShouldContain("4 made");
        var mended = $"15 4 1 * * /opt/{word}\n15 5 1 * * /opt/{word}\n";
        var all = (await fixture.Run("job", "list", "-S", word, "-o", "name")).Lines;
        var names = all.Where(name => name.Contains("-weekdays", StringComparison.Ordinal)).ToList();
        names.Count.ShouldBe(2);
        var run = await Apply(mended);
        foreach (var name in names) run.Text.ShouldContain($"{name} of an earlier import fires too: pause or delete it.");
        foreach (var name in names) (await fixture.Run("job", "pause", name)).Code.ShouldBe(0);
        (await Apply(mended)).Text.ShouldNotContain("fires too");
        // While the line has both, both are its own.
        foreach (var name in names) (await fixture.Run("job", "resume", name)).Code.ShouldBe(0);
        (await Apply($"15 4 1 * 5 /opt/{word}\n15 5 1 * 5 /opt/{word}\n")).Text.ShouldNotContain("fires too");
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
        JsonNode.Parse(run.Text)!.AsArray().Select(item => item!["job"]!.AsObject().Text("cmd")).ShouldBe(
            [$"cd / && {scripts}/first", $"cd / && {scripts}/second"]
        );
        var whole = await fixture.Run("import", "crontab", tabs, "--system", "--time-zone", "UTC", "-o", "json");
        JsonNode.Parse(whole.Text)!.AsArray().Single()!["job"]!.AsObject().Text("cmd").ShouldBe($"cd / && run-parts --report {scripts}");
    }

    [Fact]
    public async Task What_stands_beside_run_parts_stays_and_what_is_left_out_is_said()
    {
        var scripts = fixture.NewFolder();
        foreach (var name in (string[])["first", "man-db.cron", "second"])
        {
            await File.WriteAllTextAsync(Path.Combine(scripts, name), "#!/bin/sh\n");
            File.SetUnixFileMode(Path.Combine(scripts, name), UnixFileMode.UserRead | UnixFileMode.UserExecute);
        }
        await File.WriteAllTextAsync(Path.Combine(scripts, "README"), "");
        List<ImportItem> Expanded(string command) => Crontab.Read("tab", $"25 6 * * * {command}\n", new CrontabForm(false, null, Berlin, true));
        (string Before, string After)[] lines =
        [
            ("", ""),
            ("test -x /usr/sbin/anacron || { cd / && ", "; }"),
            ("sleep 9; ", "; touch /run/done"),
            ("sh -c 'nice ", "'"),
        ];
        foreach (var (before, after) in lines)
            foreach (var call in (string[])["run-parts", "/usr/bin/run-parts --report"])
                Expanded($"{before}{call} {scripts}{after}").Select(item => item.Job!.Text("cmd")).ShouldBe(
                    [$"{before}{scripts}/first{after}", $"{before}{scripts}/second{after}"]
                );
        var changes = string.Join('\n', Expanded($"run-parts {scripts}")[0].Changes);
        changes.ShouldContain("as Debian's run-parts does: man-db.cron.");
        changes.ShouldContain("not executable: README.");
        // What would be another thing if each script did it stays as it is.
        string[] wholes = [$"flock -n /run/lock/x run-parts {scripts}", $"run-parts {scripts}; run-parts {scripts}", $"run-parts --regex=db {scripts}"];
        foreach (var line in wholes)
        {
            var whole = Expanded(line).ShouldHaveSingleItem();
            whole.Job!.Text("cmd").ShouldBe(line);
            whole.Changes.ShouldHaveSingleItem().ShouldEndWith("the line stays one job.");
        }
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
        await Make("e", "0 5/15 * * * *", "often");
        await Make("f", "0 0 3 * * fri-sun", "weekend");
        await Make("g", "0 0 3 13 * mon-sun", "day");
        Task<ClientRun> Export(params string[] options) => fixture.Run(["export", "crontab", "--tag", tag, .. options]);
        var text = (await Export("--time-zone", "Europe/Berlin")).Text;
        text.ShouldStartWith("# Times are those of Europe/Berlin.\n");
        text.ShouldNotContain("CRON_TZ");
        text.ShouldContain("\n5 4 * jul wed LANG=C; export LANG; date +\\%F\n");
        text.ShouldContain("no seconds.\n#5 4 * * * seconds");
        text.ShouldContain("knows no L");
        text.ShouldContain("takes day or weekday");
        text.ShouldContain("\n5-59/15 * * * * often\n");
        text.ShouldContain("\n0 3 * * 0,5,6 weekend\n");
        text.ShouldContain("\n0 3 13 * * day\n");
        var items = Read(text);
        var back = items[0].Job!;
        (back.Text("cron"), back.Text("cmd"), back.Text("time_zone")).ShouldBe(("0 5 4 * jul wed", "LANG=C; export LANG; date +%F", "Europe/Berlin"));
        string[] crons = ["0 5 4 * jul wed", "0 5/15 * * * *", "0 0 3 * * fri-sun", "0 0 3 13 * mon-sun"];
        items.Count.ShouldBe(crons.Length);
        foreach (var (item, cron) in items.Zip(crons))
        {
            var times = (await fixture.Run("job", "next", "--cron", cron, "--time-zone", "Europe/Berlin", "-n", "20", "-o", "name")).Lines;
            var first = DateTimeOffset.Parse(times[0], CultureInfo.InvariantCulture);
            item.Schedule!.After(first.AddTicks(-1), 20).Select(time => time.ToString("yyyy-MM-dd HH:mm:sszzz", CultureInfo.InvariantCulture))
                .ShouldBe(times);
        }

        // To another machine, or for another person, none of them is written as if it were the same.
        text = (await Export("--time-zone", "Asia/Tokyo")).Text;
        text.ShouldContain("\n#0 3 * * 0,5,6 weekend\n");
        Read(text).ShouldBeEmpty();
        text = (await Export("--time-zone", "Europe/Berlin", "--user", "somebody-else")).Text;
        text.ShouldContain($"it runs as {Environment.UserName}, and this is the crontab of somebody-else");
        Read(text).ShouldBeEmpty();
        text = (await Export("--cronie")).Text;
        text.ShouldStartWith("# Cron does not keep: overlap skip, of any job here.\nCRON_TZ=Europe/Berlin\n");
        Read(text).Count.ShouldBe(crons.Length);
    }

    private static readonly CrontabTarget Deploy = new(false, "deploy", Berlin);

    private static string Written(CrontabTarget target, params (string Name, string Value)[] fields)
    {
        var job = new JsonObject
        {
            ["job_id"] = "written",
            ["cmd"] = "run",
            ["cron"] = "0 0 3 * * *",
            ["time_zone"] = "Europe/Berlin",
            ["run_as"] = "deploy",
            ["status"] = "0",
            ["state"] = "running",
        };
        foreach (var (name, value) in fields) job[name] = value;
        return CrontabExport.Write([job], target);
    }

    [Fact]
    public void What_would_run_as_another_elsewhere_or_another_thing_is_a_comment()
    {
        Written(Deploy).ShouldEndWith("\n# written\n0 3 * * * run\n");
        // Nothing of a command runs where its directory is missing, also what stands behind a semicolon.
        Written(Deploy, ("working_directory", "/srv/a b"), ("cmd", "one; two")).ShouldEndWith("\n0 3 * * * cd '/srv/a b' || exit; one; two\n");
        Written(Deploy, ("run_as", "root")).ShouldEndWith(
            "it runs as root, and this is the crontab of deploy (--user names another; --system has all).\n#0 3 * * * run\n"
        );
        Written(Deploy with { IsSystem = true }, ("run_as", "root")).ShouldEndWith("\n0 3 * * * root run\n");
        // cron takes the backslash away.
        Written(Deploy, ("cmd", @"grep '\%' x")).ShouldContain("cannot say \\%.\n#0 3");
        Written(Deploy, ("cmd", @"grep '\\' x")).ShouldContain("crons differ");
        Written(Deploy with { Zone = null }, ("cmd", @"grep '\\' x")).ShouldEndWith("\n0 3 * * * grep '\\\\' x\n");
        Written(Deploy, ("time_zone", "Asia/Tokyo")).ShouldContain("those of Asia/Tokyo and cron's those of Europe/Berlin");
        Written(Deploy with { Zone = TimeZoneInfo.Utc }, ("time_zone", "Etc/UTC")).ShouldEndWith("\n0 3 * * * run\n");
        Written(Deploy, ("node", "dc=bj & !canary")).ShouldEndWith("it runs on nodes that fit dc=bj & !canary.\n#0 3 * * * run\n");
        Written(Deploy, ("encoding", "gbk")).ShouldEndWith("it is sent and read in gbk.\n#0 3 * * * run\n");
        Written(Deploy, ("node", ""), ("encoding", "utf-8")).ShouldEndWith("\n# written\n0 3 * * * run\n");
        // Bytes of the command as it stands there: é is two, and so is a percent sign with its backslash.
        foreach (var last in (string[])["xx", "é", "%"])
        {
            var longest = new string('x', 996) + last;
            Written(Deploy, ("cmd", longest)).ShouldContain("\n0 3 * * * xxx");
            Written(Deploy, ("cmd", "x" + longest)).ShouldContain("cron takes 998 bytes of a command (--cronie is for one that takes more).\n#0 3 * * * xxx");
            Written(Deploy with { Zone = null }, ("cmd", "x" + longest)).ShouldContain("\n0 3 * * * xxx");
        }
    }

    [Fact]
    public void What_cron_runs_a_line_without_is_said_above_it_and_describes_no_job()
    {
        var written = Written(Deploy, ("timeout", "600"), ("retries", "2"), ("overlap", "queue"));
        written.ShouldEndWith("\n# written\n# Cron does not keep: timeout 600 s, 2 retries, overlap queue.\n0 3 * * * run\n");
        Read(written).ShouldHaveSingleItem().Job!.Text("description").ShouldBe("written");
        Written(Deploy, ("retries", "1"), ("overlap", "skip")).ShouldBe(
            "# Times are those of Europe/Berlin.\n# Cron does not keep: overlap skip, of any job here.\n"
                + "\n# written\n# Cron does not keep: 1 retry.\n0 3 * * * run\n"
        );
        Written(Deploy, ("timeout", "0"), ("retries", "0"), ("overlap", "allow")).ShouldEndWith("\n# written\n0 3 * * * run\n");
    }

    [Fact]
    public void Every_line_of_a_name_and_of_a_description_is_a_comment()
    {
        var written = Written(
            Deploy with { IsSystem = true },
            ("job_id", "a\n* * * * * root evil\r* * * * * root evil"),
            ("description", "b\r\n* * * * * root evil")
        );
        written.Split(['\n', '\r']).Where(line => line.Length > 0 && line[0] != '#').ShouldBe(["0 3 * * * deploy run"]);
    }

    [Fact]
    public void A_job_that_is_paused_or_broken_is_a_comment()
    {
        Written(Deploy, ("status", "1"), ("state", "paused")).ShouldEndWith("\n# Paused.\n#0 3 * * * run\n");
        Written(Deploy, ("state", "broken"), ("broken", "There is no\nsuch zone")).ShouldEndWith("it is broken: There is no such zone\n#0 3 * * * run\n");
        // Its state says only that it is broken.
        Written(Deploy, ("status", "1"), ("state", "broken"), ("broken", "x")).ShouldEndWith("it is broken: x\n# Paused.\n#0 3 * * * run\n");
    }
}
