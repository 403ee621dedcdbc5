using Codo.Modules.Alerts.Incidents;
using Codo.Modules.Alerts.Rules;
using Codo.Platform.Events;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Codo.Platform.Ui;
using Codo.Tests.Support;

namespace Codo.Tests.Modules.Alerts.Incidents;

/// <summary>What becomes of trouble over time: folded, told, acknowledged, escalated, silenced, recovered. The clock is the test's.</summary>
public sealed class IncidentLogTests(TestPostgres postgres) : IAsyncLifetime
{
    private AlertBench bench = null!;
    private HttpStub stub = null!;

    public async ValueTask InitializeAsync()
    {
        (bench, stub) = (await AlertBench.Start(postgres), await HttpStub.Start());
        await bench.Channel("webhook", new { url = stub.Url });
    }

    public async ValueTask DisposeAsync()
    {
        await bench.DisposeAsync();
        await stub.DisposeAsync();
    }

    [Fact]
    public async Task The_same_again_adds_to_the_open_incident_and_is_told_again_only_after_its_time()
    {
        await bench.Publish(bench.Failed(owners: "ann"));
        await bench.Deliver();
        bench.Time.Advance(TimeSpan.FromHours(3.9));
        await bench.Publish(bench.Failed(inARow: 2, owners: "ann"));
        (await bench.Deliveries()).ShouldBe(["opened sent ann"]);
        bench.Time.Advance(TimeSpan.FromHours(0.2));
        await bench.Publish(bench.Failed(inARow: 3, owners: "ann"));
        await bench.Deliver();
        (await bench.Deliveries()).ShouldBe(["opened sent ann", "repeated sent ann"]);
        var incident = await bench.Incident();
        (incident.Count, incident.State, incident.CallStatus, incident.CallUsers, incident.CallInfo).ShouldBe(
            (3, "open", "1", "ann", "ID-17 任务-backup 类型-cron")
        );
        var told = stub.Requests.First().Json;
        told["title"]!.GetValue<string>().ShouldBe("【告警】任务 backup 失败");
        told["text"]!
            .GetValue<string>()
            .ShouldSatisfyAllConditions(
                text => text.ShouldContain("退出码 3"),
                text => text.ShouldContain("节点 node-a"),
                text => text.ShouldContain("boom"),
                text => text.ShouldEndWith($"https://codo.example.test/i/{incident.Id}")
            );
    }

    [Fact]
    public async Task One_whose_job_has_moved_is_its_new_spaces_and_is_told_there_anew()
    {
        await bench.Rows<long>(
            """
            INSERT INTO accounts.space (space_id, name) VALUES (2, 'before'), (3, 'now');
            INSERT INTO alerts.rule (name, priority, creator, space_id, involved, people, escalation)
            VALUES ('theirs', 5, 'x', 2, false, '{carol}', '[["dave"]]') RETURNING rule_id
            """
        );
        await bench.Publish(bench.Failed(owners: "ann") with { Space = 2 });
        await bench.Publish(bench.Failed(inARow: 2, owners: "ann") with { Space = 3 });
        bench.Time.Advance(TimeSpan.FromHours(1));
        await bench.Watch.Escalate();
        await bench.Deliver();
        // What had not gone out yet would tell them what happens in the other space.
        (await bench.Deliveries()).ShouldBe(["opened failed carol", "opened sent ann"]);
        (await bench.Rows<string>("SELECT concat_ws(' ', count, space_id, call_users, told_by_name) FROM alerts.task_monitor")).ShouldBe(["2 3 ann {ann}"]);
    }

    [Theory]
    [InlineData("UPDATE alerts.delivery SET state = 'sending', attempts = 1, started_at = create_time, due_at = create_time WHERE channel_name = 'theirs'")]
    [InlineData(
        """
        WITH digest AS (
            INSERT INTO alerts.delivery (channel_id, channel_name, reason, people, due_at, create_time)
            SELECT channel_id, channel_name, 'digest', people, due_at, create_time FROM alerts.delivery WHERE channel_name = 'theirs' RETURNING delivery_id
        )
        UPDATE alerts.delivery d SET state = 'digested', digest_id = g.delivery_id FROM digest g WHERE d.channel_name = 'theirs'
        """
    )]
    [InlineData("UPDATE alerts.channel SET space_id = 3 WHERE name = 'theirs'", false)]
    public async Task A_channel_of_a_space_says_nothing_of_what_is_another_spaces_by_now(string underWay, bool isMoved = true)
    {
        await using var others = await HttpStub.Start();
        await bench.Channel("webhook", new { url = others.Url }, "theirs");
        await bench.Rows<int>(
            "INSERT INTO accounts.space (space_id, name) VALUES (2, 'before'), (3, 'now'); UPDATE alerts.channel SET space_id = 2 WHERE name = 'theirs'"
        );
        await bench.Publish(bench.Failed(owners: "ann") with { Space = 2 });
        // One under way that is sent once more, because its host died or the channel did not answer; one in a digest; one that waits while its channel moves.
        await bench.Rows<int>(underWay);
        if (isMoved) await bench.Publish(bench.Failed(inARow: 2, output: "of the other space", owners: "ann") with { Space = 3 });
        bench.Time.Advance(TimeSpan.FromHours(1));
        await bench.Deliver();
        others.Requests.ShouldBeEmpty();
        (await bench.Rows<string>("SELECT DISTINCT state FROM alerts.delivery WHERE channel_name = 'theirs'")).ShouldBe(["failed"]);
        stub.Requests.ShouldNotBeEmpty("that of default hears of every space");
        if (isMoved) (await bench.Rows<long>("SELECT count(*) FROM alerts.task_monitor WHERE kind = 'undeliverable'")).ShouldBe([0]);
    }

    [Fact]
    public async Task A_success_resolves_it_and_those_who_heard_of_it_hear_that_too()
    {
        await bench.Publish(bench.Failed(owners: "ann"));
        await bench.Deliver();
        await bench.Publish(bench.Succeeded("another"));
        (await bench.Incident()).State.ShouldBe("open");
        await bench.Publish(bench.Succeeded());
        await bench.Deliver();
        (await bench.Deliveries()).ShouldBe(["opened sent ann", "recovered sent ann"]);
        (await bench.Incident()).State.ShouldBe("resolved");
        stub.Requests.Last().Json["title"]!.GetValue<string>().ShouldBe("【已恢复】任务 backup 失败");
        await bench.Publish(bench.Succeeded());
        await bench.Publish(bench.Failed());
        (await bench.Rows<long>("SELECT count(*) FROM alerts.task_monitor")).Single().ShouldBe(2);
    }

    [Fact]
    public async Task Twenty_tellings_at_once_on_two_hosts_are_one_incident_and_one_message()
    {
        await using var other = await AlertBench.Start(postgres, database: bench.Source.ConnectionString);
        await Task.WhenAll(Enumerable.Range(0, 20).Select(i => Task.Run(() => (i % 2 == 0 ? bench : other).Publish(bench.Failed()))));
        await Task.WhenAll(bench.Deliver(), other.Deliver());
        var incident = await bench.Incident();
        (incident.Count, stub.Requests.Count).ShouldBe((20, 1));
    }

    [Fact]
    public async Task Nobody_acknowledges_and_the_next_people_are_told_step_by_step()
    {
        await bench.Send(
            new CreateRule.Command(
                "chain",
                null,
                null,
                "job",
                null,
                "back*",
                null,
                null,
                null,
                null,
                null,
                [
                    ["carol"],
                    ["dave", "erin"],
                ],
                600,
                null,
                null
            )
        );
        await bench.Publish(bench.Failed(owners: "ann"));
        for (var i = 0; i < 4; i++)
        {
            bench.Time.Advance(TimeSpan.FromSeconds(599));
            await bench.Watch.Escalate();
            bench.Time.Advance(TimeSpan.FromSeconds(1));
            await bench.Watch.Escalate();
        }
        await bench.Deliver();
        (await bench.Deliveries()).ShouldBe(["opened sent ann", "escalated sent carol", "escalated sent dave,erin"]);
        var incident = await bench.Incident();
        (incident.CallLevel, incident.CallUsers).ShouldBe((2, "ann,carol,dave,erin"));
    }

    [Fact]
    public async Task A_page_that_follows_the_incidents_is_read_again_when_others_are_told_or_it_has_moved()
    {
        await bench.Send(new CreateRule.Command("chain", null, null, null, null, null, null, null, null, null, ["ann"], [["carol"]], 600, null, null));
        await bench.Publish(bench.Failed());
        await bench.Deliver();
        var opened = await Version();
        bench.Time.Advance(TimeSpan.FromSeconds(600));
        await bench.Watch.Escalate();
        await bench.Deliver();
        (await bench.Deliveries()).ShouldBe(["opened sent ann", "escalated sent carol"]);
        var escalated = await Version();
        escalated.ShouldNotBe(opened, "carol may act on it by now");
        (await Version()).ShouldBe(escalated);
        await bench.Rows<int>("UPDATE alerts.task_monitor SET space_id = 2 RETURNING 1");
        (await Version()).ShouldNotBe(escalated, "those of the other space see it by now");

        async Task<string?> Version() =>
            await bench
                .Get<IEnumerable<ILiveTopic>>()
                .Single(topic => topic.Name == "incidents")
                .Version("", bench.Get<Access>(), TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task Reminders_do_not_put_off_the_next_people()
    {
        await bench.Send(new CreateRule.Command("chain", null, null, null, null, null, null, null, null, null, ["ann"], [["carol"], ["dave"]], 900, 600, null));
        for (var fails = 1; fails <= 7; fails++)
        {
            await bench.Publish(bench.Failed(inARow: fails));
            bench.Time.Advance(TimeSpan.FromSeconds(300));
            await bench.Watch.Escalate();
        }
        (await bench.Deliveries()).ShouldBe([
            "opened due ann",
            "repeated due ann",
            "escalated due carol",
            "repeated due ann",
            "escalated due dave",
        ]);
    }

    [Fact]
    public async Task An_incident_whose_rule_is_turned_off_is_told_by_the_one_that_would_open_it_now()
    {
        await bench.Send(new CreateRule.Command("first", null, 5, null, null, null, null, null, null, null, ["ann"], [["carol"]], 600, 300, null));
        await bench.Send(new CreateRule.Command("second", null, null, null, null, null, null, null, null, null, ["bob"], [["dave"]], 600, 300, null));
        await bench.Publish(bench.Failed());
        bench.Time.Advance(TimeSpan.FromSeconds(600));
        await bench.Watch.Escalate();
        await bench.Rows<int>("UPDATE alerts.rule SET enabled = false WHERE name = 'first'");
        bench.Time.Advance(TimeSpan.FromSeconds(600));
        await bench.Publish(bench.Failed(inARow: 2));
        bench.Time.Advance(TimeSpan.FromSeconds(600));
        await bench.Watch.Escalate();
        (await bench.Deliveries()).ShouldBe(["opened due ann", "escalated due carol", "repeated due bob", "escalated due dave"]);
    }

    [Fact]
    public async Task A_rule_whose_threshold_is_not_reached_takes_no_incident_over()
    {
        await bench.Send(new CreateRule.Command("first", null, 5, null, null, null, null, null, null, null, ["ann"], null, null, 300, null));
        await bench.Send(new CreateRule.Command("second", null, 4, null, null, null, 5, null, null, null, ["bob"], null, null, 300, null));
        await bench.Publish(bench.Failed());
        await bench.Rows<int>("UPDATE alerts.rule SET enabled = false WHERE name = 'first'");
        bench.Time.Advance(TimeSpan.FromSeconds(600));
        await bench.Publish(bench.Failed(inARow: 2));
        (await bench.Deliveries()).ShouldBe(["opened due ann"]);
        await bench.Publish(bench.Failed(inARow: 5));
        (await bench.Deliveries()).ShouldBe(["opened due ann", "repeated due bob"]);
    }

    [Fact]
    public async Task What_was_told_before_the_clock_was_put_back_keeps_nobody_from_hearing_of_it_again()
    {
        await bench.Publish(bench.Failed(owners: "ann"));
        await bench.Rows<int>("UPDATE alerts.task_monitor SET told_at = told_at + interval '6 hours'");
        await bench.Publish(bench.Failed(inARow: 2, owners: "ann"));
        await bench.Publish(bench.Failed(inARow: 3, owners: "ann"));
        (await bench.Deliveries()).ShouldBe(["opened due ann", "repeated due ann"]);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_escalation_that_was_set_before_the_clock_was_put_back_is_due_at_once(bool isSilenced)
    {
        await bench.Send(new CreateRule.Command("chain", null, null, null, null, null, null, null, null, null, ["ann"], [["carol"]], 600, null, null));
        await bench.Publish(bench.Failed());
        await bench.Rows<int>("UPDATE alerts.task_monitor SET told_at = told_at + interval '6 hours', escalate_at = escalate_at + interval '6 hours'");
        if (isSilenced) await bench.Send(new CreateSilence.Command(null, null, "", null, "2026-03-01 13:00", "at it"));
        (await bench.Watch.Escalate()).ShouldBeTrue();
        (await bench.Watch.Escalate()).ShouldBeFalse("it is put off, to the end of the silence or for good");
        bench.Time.Advance(TimeSpan.FromMinutes(61));
        await bench.Watch.Escalate();
        (await bench.Deliveries()).ShouldBe(["opened due ann", "escalated due carol"]);
    }

    [Fact]
    public async Task Who_acknowledges_stops_the_escalation_and_what_is_refused_says_so()
    {
        await bench.Send(new CreateRule.Command("chain", null, null, null, null, null, null, null, null, null, ["ann"], [["carol"]], 600, null, null));
        await bench.Publish(bench.Failed());
        var id = (await bench.Incident()).Id;
        (await bench.Send(new ChangeIncident.Command(id, "acknowledge"))).State.ShouldBe("acknowledged");
        bench.Time.Advance(TimeSpan.FromHours(1));
        await bench.Watch.Escalate();
        (await bench.Deliveries()).ShouldBe(["opened due ann"]);
        (await Should.ThrowAsync<Refusal>(() => bench.Send(new ChangeIncident.Command(id, "acknowledge")))).Text.En.ShouldBe($"Incident {id} is acknowledged");
        (await bench.Send(new ChangeIncident.Command(id, "resolve"))).State.ShouldBe("resolved");
        await Should.ThrowAsync<Refusal>(() => bench.Send(new ChangeIncident.Command(id, "resolve")));
        await Should.ThrowAsync<Refusal>(() => bench.Send(new ChangeIncident.Command(id, "shout")));
        await Should.ThrowAsync<Refusal>(() => bench.Send(new ChangeIncident.Command(99, "resolve")));
    }

    [Fact]
    public async Task A_silence_records_and_sends_nothing_until_it_is_over()
    {
        await bench.Send(new CreateSilence.Command("job", "failed", "back*", null, "2026-03-01 13:00", "moving the database"));
        await bench.Publish(bench.Failed());
        await bench.Publish(bench.Failed("other"));
        (await bench.Rows<string>("SELECT subject || ' ' || (silence_id IS NOT NULL) || ' ' || rounds FROM alerts.task_monitor ORDER BY id")).ShouldBe([
            "backup true 0",
            "other false 1",
        ]);
        bench.Time.Advance(TimeSpan.FromMinutes(61));
        await bench.Publish(bench.Failed());
        (await bench.Rows<string>("SELECT subject || ' ' || (silence_id IS NOT NULL) || ' ' || rounds FROM alerts.task_monitor ORDER BY id")).ShouldBe([
            "backup false 1",
            "other false 1",
        ]);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_opened_in_a_silence_and_is_open_at_its_end_is_told_to_whom_it_would_have_been_told(bool endsEarly)
    {
        await bench.Send(new CreateRule.Command("chain", null, null, null, null, null, null, null, null, null, ["ann"], [["carol"]], 600, null, null));
        await bench.Send(new CreateSilence.Command("job", null, "back*", null, "2026-03-01 13:00", "moving the database"));
        await bench.Publish(bench.Failed());
        await bench.Publish(bench.Failed("backup-2"));
        await bench.Publish(bench.Failed("backup-3"));
        await bench.Send(new ChangeIncident.Command(3, "acknowledge"));
        bench.Time.Advance(TimeSpan.FromMinutes(30));
        await bench.Watch.Escalate();
        await bench.Publish(bench.Succeeded("backup-2"));
        (await bench.Deliveries()).ShouldBeEmpty("it is silent");
        if (endsEarly) await bench.Rows<int>("DELETE FROM alerts.silence");
        bench.Time.Advance(TimeSpan.FromMinutes(endsEarly ? 1 : 31));
        await bench.Watch.Escalate();
        (await bench.Deliveries()).ShouldBe(["opened due ann"], "what is over or taken on is told to nobody");
        await bench.Watch.Escalate();
        (await bench.Deliveries()).ShouldBe(["opened due ann"], "she has her time to take it on");
        bench.Time.Advance(TimeSpan.FromMinutes(10));
        await bench.Watch.Escalate();
        (await bench.Deliveries()).ShouldBe(["opened due ann", "escalated due carol"]);
    }

    [Fact]
    public async Task What_opened_in_a_silence_and_fails_again_after_it_gives_those_who_are_told_their_time()
    {
        await bench.Send(new CreateRule.Command("chain", null, null, null, null, null, null, null, null, null, ["ann"], [["carol"]], 600, null, null));
        await bench.Send(new CreateSilence.Command("job", null, "back*", null, "2026-03-01 13:00", "moving the database"));
        await bench.Publish(bench.Failed());
        bench.Time.Advance(TimeSpan.FromMinutes(61));
        await bench.Publish(bench.Failed(inARow: 2));
        await bench.Watch.Escalate();
        (await bench.Deliveries()).ShouldBe(["opened due ann"]);
        bench.Time.Advance(TimeSpan.FromMinutes(10));
        await bench.Watch.Escalate();
        (await bench.Deliveries()).ShouldBe(["opened due ann", "escalated due carol"]);
    }

    [Fact]
    public async Task What_opened_in_a_silence_before_the_clock_was_put_back_is_told_all_the_same()
    {
        await bench.Send(new CreateSilence.Command(null, null, "", null, "2026-03-01 13:00", "at it"));
        await bench.Publish(bench.Failed());
        await bench.Rows<int>("UPDATE alerts.task_monitor SET escalate_at = escalate_at + interval '6 hours'; DELETE FROM alerts.silence");
        await bench.Watch.Escalate();
        (await bench.Rows<int>("SELECT rounds FROM alerts.task_monitor")).ShouldBe([1]);
    }

    [Fact]
    public async Task A_silence_puts_the_escalation_off_and_what_is_over_is_told_to_those_who_knew_of_it()
    {
        await bench.Send(new CreateRule.Command("chain", null, null, null, null, null, null, null, null, null, ["ann"], [["carol"]], 600, null, null));
        await bench.Publish(bench.Failed());
        await bench.Send(new CreateSilence.Command(null, null, "", null, "2026-03-01 13:00", "at it"));
        bench.Time.Advance(TimeSpan.FromMinutes(5));
        await bench.Publish(bench.Failed());
        bench.Time.Advance(TimeSpan.FromMinutes(10));
        await bench.Watch.Escalate();
        (await bench.Deliveries()).ShouldBe(["opened due ann"]);
        bench.Time.Advance(TimeSpan.FromMinutes(46));
        await bench.Watch.Escalate();
        (await bench.Deliveries()).ShouldBe(["opened due ann", "escalated due carol"]);
        await bench.Send(new CreateSilence.Command(null, null, null, null, "2026-03-01 23:00", "at it again"));
        await bench.Publish(bench.Succeeded());
        (await bench.Deliveries()).Last().ShouldBe("recovered due ann,carol");
    }

    [Fact]
    public async Task A_silence_that_is_ended_early_puts_the_escalation_off_no_longer()
    {
        await bench.Send(new CreateRule.Command("chain", null, null, null, null, null, null, null, null, null, ["ann"], [["carol"]], 600, null, null));
        await bench.Publish(bench.Failed());
        await bench.Send(new CreateSilence.Command(null, null, "", null, "2026-03-01 23:00", "by mistake"));
        bench.Time.Advance(TimeSpan.FromMinutes(10));
        await bench.Watch.Escalate();
        await bench.Rows<int>("DELETE FROM alerts.silence");
        bench.Time.Advance(TimeSpan.FromMinutes(1));
        await bench.Watch.Escalate();
        (await bench.Deliveries()).ShouldBe(["opened due ann", "escalated due carol"]);
    }

    [Theory]
    [InlineData("DELETE FROM alerts.rule WHERE name = 'chain'")]
    [InlineData("UPDATE alerts.rule SET enabled = false WHERE name = 'chain'")]
    [InlineData("INSERT INTO accounts.space (space_id, name) VALUES (2, 'other'); UPDATE alerts.rule SET space_id = 2 WHERE name = 'chain'")]
    public async Task What_opened_in_a_silence_is_told_also_where_its_rule_is_gone_by_the_end(string change)
    {
        await bench.Send(new CreateRule.Command("chain", null, null, null, null, null, null, null, null, null, ["ann"], [["carol"]], 600, null, null));
        await bench.Send(new CreateSilence.Command("job", null, "back*", null, "2026-03-01 13:00", "moving the database"));
        await bench.Publish(bench.Failed());
        await bench.Rows<int>(change);
        bench.Time.Advance(TimeSpan.FromMinutes(30));
        await bench.Watch.Escalate();
        (await bench.Deliveries()).ShouldBeEmpty("it is silent");
        foreach (var minutes in new[] { 31, 20 })
        {
            bench.Time.Advance(TimeSpan.FromMinutes(minutes));
            await bench.Watch.Escalate();
            (await bench.Deliveries()).ShouldBe(["opened due ann"], "the other rule has no more steps");
        }
        (await bench.Rows<string>("SELECT r.name FROM alerts.task_monitor m JOIN alerts.rule r USING (rule_id)")).ShouldBe(["default"]);
    }

    [Fact]
    public async Task What_opened_in_a_silence_and_is_taken_over_is_told_to_the_people_of_the_rule_that_takes_it()
    {
        await bench.Send(new CreateRule.Command("first", null, 5, null, null, null, null, null, null, null, null, null, null, null, null));
        await bench.Send(new CreateRule.Command("second", null, null, null, null, null, null, null, null, null, ["bob"], null, null, null, null));
        await bench.Send(new CreateSilence.Command(null, null, "", null, "2026-03-01 13:00", "at it"));
        await bench.Publish(bench.Failed());
        await bench.Rows<int>("DELETE FROM alerts.rule WHERE name = 'first'");
        bench.Time.Advance(TimeSpan.FromMinutes(61));
        await bench.Watch.Escalate();
        (await bench.Deliveries()).ShouldBe(["opened due bob"]);
    }

    [Fact]
    public async Task A_rule_that_is_another_spaces_by_now_escalates_no_further()
    {
        await bench.Rows<long>(
            """
            INSERT INTO accounts.space (space_id, name) VALUES (2, 'before'), (3, 'now');
            INSERT INTO alerts.rule (name, priority, creator, space_id, involved, people, escalation)
            VALUES ('theirs', 5, 'x', 2, false, '{carol}', '[["dave"]]') RETURNING rule_id
            """
        );
        await bench.Publish(bench.Failed() with { Space = 2 });
        await bench.Rows<int>("UPDATE alerts.rule SET space_id = 3 WHERE name = 'theirs'");
        bench.Time.Advance(TimeSpan.FromMinutes(30));
        await bench.Watch.Escalate();
        (await bench.Deliveries()).ShouldBe(["opened due carol"]);
    }

    [Fact]
    public async Task A_rule_that_is_turned_off_escalates_no_further()
    {
        string[][] steps = [["carol"], ["dave"]];
        await bench.Send(new CreateRule.Command("chain", null, null, null, null, null, null, null, null, null, ["ann"], steps, 600, null, null));
        await bench.Publish(bench.Failed());
        await bench.Rows<int>("UPDATE alerts.rule SET enabled = false WHERE name = 'chain'");
        bench.Time.Advance(TimeSpan.FromMinutes(30));
        await bench.Watch.Escalate();
        (await bench.Deliveries()).ShouldBe(["opened due ann"]);
    }

    [Fact]
    public async Task The_list_of_a_large_downtime_counts_all_that_it_leaves_out()
    {
        var now = bench.Time.GetUtcNow().UtcDateTime;
        foreach (var (from, count) in new[] { (0, 150), (150, 10), (160, 10) })
            await bench.Publish(new FiresMissed([.. Enumerable.Range(from, count).Select(n => new MissedJob($"job-{n:D3}", now, now, 1, now, []))]));
        var lines = (await bench.Incident("missed")).Detail.En.Split('\n');
        (lines.Length, lines[0][..7], lines[^1]).ShouldBe((101, "job-000", "… +70"));
    }

    [Fact]
    public async Task An_output_and_a_command_that_are_cut_in_the_middle_of_a_character_are_told_all_the_same()
    {
        await bench.Publish(bench.Failed(output: string.Concat(Enumerable.Repeat("😀", 1600)) + "a\0b") with { Command = new string('a', 499) + "😀😀" });
        await bench.Deliver();
        (await bench.Deliveries()).ShouldBe(["opened sent "]);
        var incident = await bench.Incident();
        incident.Output.ShouldSatisfyAllConditions(text => text.ShouldStartWith("…😀"), text => text.ShouldEndWith("😀a␀b"));
        incident.Detail.En.ShouldEndWith("aaa…");
    }

    [Fact]
    public async Task A_job_that_is_deleted_is_out_of_every_incident_that_waited_for_it()
    {
        var now = bench.Time.GetUtcNow().UtcDateTime;
        await bench.Publish(bench.Failed("a", owners: "ann"));
        await bench.Publish(new FiresMissed([new MissedJob("a", now, now, 1, now, ["ann"]), new MissedJob("b", now, now, 1, now, ["bob"])]));
        await bench.Publish(new JobDeleted("a"));
        await bench.Publish(new JobDeleted("a"));
        var incident = await bench.Incident();
        (incident.State, incident.Ending, (await bench.Incident("missed")).State).ShouldBe(("resolved", "deleted", "open"));
        await bench.Publish(bench.Succeeded("b"));
        (await bench.Incident("missed")).Ending.ShouldBe("recovered");
        (await bench.Deliveries()).ShouldBe(["opened due ann", "opened due ann,bob", "recovered due ann", "recovered due ann,bob"]);
    }

    [Fact]
    public async Task A_rule_may_ask_for_so_many_failures_and_the_one_that_fits_first_decides()
    {
        await bench.Send(new CreateRule.Command("patient", null, 5, "job", ["failed"], "nightly-*", 3, null, null, null, ["night"], null, null, null, null));
        foreach (var (job, inARow) in new[] { ("nightly-1", 1), ("nightly-1", 2), ("hourly", 1) }) await bench.Publish(bench.Failed(job, inARow));
        (await bench.Rows<string>("SELECT subject FROM alerts.task_monitor")).ShouldBe(["hourly"]);
        await bench.Publish(bench.Failed("nightly-1", 3));
        (await bench.Deliveries()).ShouldBe(["opened due ", "opened due night"]);
    }

    [Fact]
    public async Task All_that_one_downtime_made_miss_is_one_incident_that_ends_with_the_last_job()
    {
        var now = bench.Time.GetUtcNow().UtcDateTime;
        MissedJob Missed(string job, int minutesAgo, int times) => new(job, now.AddMinutes(-minutesAgo), now.AddMinutes(-1), times, now, [$"owner-of-{job}"]);
        await bench.Publish(new FiresMissed([Missed("a", 7, 6), Missed("b", 5, 1)]));
        bench.Time.Advance(TimeSpan.FromSeconds(2));
        await bench.Publish(new FiresMissed([Missed("c", 6, 2)]));
        var incident = await bench.Incident("missed");
        incident.Title.Zh.ShouldBe("Codo 停机 11:53–12:00，漏跑 3 个任务");
        incident.Detail.Zh.Split('\n').Select(line => line[..1]).ShouldBe(["a", "b", "c"]);
        (await bench.Deliveries()).ShouldBe(["opened due owner-of-a,owner-of-b", "opened due owner-of-c"]);
        await bench.Publish(new FiresMissed([Missed("c", 1, 1)]));
        (await bench.Deliveries()).Count.ShouldBe(2);
        foreach (var job in new[] { "a", "b" }) await bench.Publish(bench.Succeeded(job));
        (await bench.Incident("missed")).State.ShouldBe("open");
        await bench.Publish(bench.Succeeded("c"));
        (await bench.Incident("missed")).State.ShouldBe("resolved");
        bench.Time.Advance(TimeSpan.FromHours(1));
        await bench.Publish(new FiresMissed([Missed("a", 1, 1)]));
        (await bench.Rows<long>("SELECT count(*) FROM alerts.task_monitor WHERE kind = 'missed'")).Single().ShouldBe(2);
    }

    [Fact]
    public async Task The_title_of_a_downtime_that_went_over_midnight_has_the_days()
    {
        var now = bench.Time.GetUtcNow().UtcDateTime;
        await bench.Publish(new FiresMissed([new MissedJob("a", now.AddMinutes(-3000), now.AddMinutes(-1), 50, now, ["ann"])]));
        var title = (await bench.Incident("missed")).Title;
        (title.Zh, title.En).ShouldBe(("Codo 停机 02-27 10:00–03-01 12:00，漏跑 1 个任务", "Codo was down 02-27 10:00–03-01 12:00, 1 job missed"));
    }

    [Fact]
    public async Task What_a_downtime_made_miss_is_told_to_the_owners_and_for_jobs_of_nobody_to_the_people_of_the_rule()
    {
        var now = bench.Time.GetUtcNow().UtcDateTime;
        await bench.Send(new CreateRule.Command("all", null, null, null, null, null, null, null, null, null, ["ops"], null, null, null, null));
        await bench.Publish(new FiresMissed([new MissedJob("a", now, now, 1, now, ["ann"])]));
        await bench.Publish(new FiresMissed([new MissedJob("b", now, now, 1, now, ["ann"]), new MissedJob("c", now, now, 1, now, [])]));
        (await bench.Deliveries()).ShouldBe(["opened due ann", "opened due ops"]);
    }

    [Fact]
    public async Task A_silence_of_one_job_holds_no_downtime_of_several_and_silences_of_each_do_until_the_first_ends()
    {
        var now = bench.Time.GetUtcNow().UtcDateTime;
        FiresMissed both = new([new MissedJob("a", now, now, 1, now, ["ann"]), new MissedJob("b", now, now, 1, now, ["bob"])]);
        await bench.Send(new CreateSilence.Command("job", null, "a", null, "2026-03-01 13:00", "at it"));
        await bench.Publish(both);
        (await bench.Deliveries()).ShouldBe(["opened due ann,bob"]);
        bench.Time.Advance(TimeSpan.FromMinutes(2));
        await bench.Send(new CreateSilence.Command("job", "missed", "b*", null, "2026-03-01 12:30", "at it too"));
        await bench.Publish(both);
        bench.Time.Advance(TimeSpan.FromMinutes(1));
        await bench.Watch.Escalate();
        (await bench.Deliveries()).Count.ShouldBe(1, "each of its jobs is silenced");
        bench.Time.Advance(TimeSpan.FromMinutes(28));
        await bench.Watch.Escalate();
        (await bench.Deliveries()).ShouldBe(["opened due ann,bob", "opened due ann,bob"]);
    }

    [Fact]
    public async Task Silenced_jobs_that_come_to_a_downtime_that_was_told_are_told_to_nobody_and_the_others_are()
    {
        var now = bench.Time.GetUtcNow().UtcDateTime;
        await bench.Send(new CreateRule.Command("chain", null, null, null, null, null, null, null, null, null, null, [["dave"]], 600, null, null));
        await bench.Send(new CreateSilence.Command("job", null, "a", null, "2026-03-01 13:00", "at it"));
        foreach (var (job, owner) in new[] { ("b", "bob"), ("a", "ann"), ("c", "carol") })
            await bench.Publish(new FiresMissed([new MissedJob(job, now, now, 1, now, [owner])]));
        bench.Time.Advance(TimeSpan.FromMinutes(10));
        await bench.Watch.Escalate();
        (await bench.Deliveries()).ShouldBe(["opened due bob", "opened due carol", "escalated due dave"]);
    }

    [Fact]
    public async Task A_rule_for_one_job_takes_no_downtime_of_several_and_gives_up_one_that_has_grown()
    {
        var now = bench.Time.GetUtcNow().UtcDateTime;
        MissedJob Missed(string job, params string[] owners) => new(job, now, now, 1, now, owners);
        await bench.Send(new CreateRule.Command("one", null, 5, "job", null, "a", null, null, null, false, ["x"], null, null, null, null));
        await bench.Publish(new FiresMissed([Missed("a", "ann"), Missed("b", "bob")]));
        (await bench.Deliveries()).ShouldBe(["opened due ann,bob"]);
        bench.Time.Advance(TimeSpan.FromMinutes(2));
        foreach (var job in new[] { Missed("a", "ann"), Missed("c"), Missed("b", "bob") }) await bench.Publish(new FiresMissed([job]));
        (await bench.Deliveries()).ShouldBe(["opened due ann,bob", "opened due x", "opened due ", "opened due bob"]);
        // Where no rule means all of it, one that means a part still tells somebody.
        await bench.Rows<int>("DELETE FROM alerts.rule WHERE name = 'default'");
        bench.Time.Advance(TimeSpan.FromMinutes(2));
        await bench.Publish(new FiresMissed([Missed("a", "ann"), Missed("b", "bob")]));
        (await bench.Deliveries()).Last().ShouldBe("opened due x");
    }

    [Fact]
    public async Task What_a_person_closes_while_it_still_runs_or_waits_stays_closed_and_what_begins_later_opens_another()
    {
        var since = bench.Time.GetUtcNow().UtcDateTime;
        string[] kinds = ["overlong", "waiting"];
        await bench.Send(new CreateRule.Command("long", null, null, null, kinds, null, null, 600, 600, null, null, null, null, null, null));
        bench.Running.Add(new RunningJob("slow", 5, since, "node-a", ["ann"]));
        bench.Orders.Add(new RunningOrder(9, "deploy shop", "deploy", OrderSituation.AwaitsPerson, "check", "10.0.0.1", since, [], ["bob"]));
        bench.Time.Advance(TimeSpan.FromMinutes(11));
        await bench.Watch.FindLong();
        foreach (var id in await bench.Rows<long>("SELECT id FROM alerts.task_monitor")) await bench.Send(new ChangeIncident.Command(id, "resolve"));
        for (var i = 0; i < 3; i++)
        {
            await bench.Watch.FindLong();
            bench.Time.Advance(TimeSpan.FromMinutes(2));
        }
        (await Kinds()).ShouldBe(["overlong", "waiting"], ignoreOrder: true);
        since = bench.Time.GetUtcNow().UtcDateTime;
        bench.Running[0] = new RunningJob("slow", 6, since, "node-a", ["ann"]);
        bench.Orders[0] = bench.Orders[0] with { Since = since };
        bench.Time.Advance(TimeSpan.FromMinutes(11));
        await bench.Watch.FindLong();
        (await Kinds()).ShouldBe(["overlong", "waiting", "overlong", "waiting"], ignoreOrder: true);

        Task<List<string>> Kinds() => bench.Rows<string>("SELECT kind FROM alerts.task_monitor ORDER BY id");
    }

    [Fact]
    public async Task One_that_cannot_be_ended_keeps_no_other_open()
    {
        await bench.Send(new CreateRule.Command("long", null, null, "job", ["overlong"], null, null, null, 600, null, null, null, null, null, null));
        var since = bench.Time.GetUtcNow().UtcDateTime;
        foreach (var job in new[] { "kept", "over" }) bench.Running.Add(new RunningJob(job, 5, since, "node-a", ["ann"]));
        bench.Time.Advance(TimeSpan.FromMinutes(11));
        await bench.Watch.FindLong();
        await bench.Rows<int>(
            """
            CREATE FUNCTION alerts.refuse_end() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not this one' USING ERRCODE = '22000'; END $$;
            CREATE TRIGGER refuse_end BEFORE UPDATE ON alerts.task_monitor FOR EACH ROW
                WHEN (NEW.state = 'resolved' AND NEW.fingerprint LIKE 'job:kept:%') EXECUTE FUNCTION alerts.refuse_end();
            SELECT 1
            """
        );
        bench.Running.Clear();
        await bench.Watch.FindLong();
        (await bench.Rows<string>("SELECT fingerprint || ' ' || state FROM alerts.task_monitor ORDER BY id")).ShouldBe([
            "job:kept:5:overlong open",
            "job:over:5:overlong resolved",
        ]);
    }

    [Fact]
    public async Task A_step_that_began_after_a_person_closed_that_of_another_host_opens_an_incident_of_its_own()
    {
        await bench.Send(new CreateRule.Command("long", null, null, "order", null, null, null, null, 600, null, null, null, null, null, null));
        var first = new RunningOrder(9, "deploy shop", "deploy", OrderSituation.GoesOn, "sync", "10.0.0.1", Now(), [], ["bob"]);
        bench.Orders.Add(first);
        bench.Time.Advance(TimeSpan.FromMinutes(11));
        await bench.Watch.FindLong();
        await bench.Send(new ChangeIncident.Command((await bench.Rows<long>("SELECT id FROM alerts.task_monitor")).Single(), "resolve"));
        bench.Time.Advance(TimeSpan.FromMinutes(1));
        bench.Orders.Add(first with { Host = "10.0.0.2", Since = Now() });
        bench.Time.Advance(TimeSpan.FromMinutes(9));
        await bench.Watch.FindLong();
        (await States()).ShouldBe(["resolved"]);
        bench.Time.Advance(TimeSpan.FromMinutes(2));
        await bench.Watch.FindLong();
        (await States()).ShouldBe(["resolved", "open"]);
        // What was closed adds nothing to it, and does not keep it open.
        bench.Time.Advance(TimeSpan.FromMinutes(2));
        await bench.Watch.FindLong();
        (await bench.Rows<string>("SELECT detail_en FROM alerts.task_monitor WHERE state = 'open'")).Single().ShouldStartWith("10.0.0.2: sync");
        bench.Orders.RemoveAt(1);
        await bench.Watch.FindLong();
        (await States()).ShouldBe(["resolved", "resolved"]);

        DateTime Now() => bench.Time.GetUtcNow().UtcDateTime;

        Task<List<string>> States() => bench.Rows<string>("SELECT state FROM alerts.task_monitor ORDER BY id");
    }

    [Fact]
    public async Task Each_push_back_of_an_order_is_told_and_one_that_is_published_twice_is_told_once()
    {
        var now = bench.Time.GetUtcNow().UtcDateTime;
        var back = new OrderPushedBack(9, "deploy shop", "deploy", "bob", "name the ticket", now, "ann", null);
        foreach (var told in new[] { back, back, back with { Reason = "still none", At = now.AddMinutes(5) } }) await bench.Publish(told);
        (await bench.Deliveries()).ShouldBe(["opened due ann", "repeated due ann"]);
    }

    [Fact]
    public async Task Skips_in_a_row_are_told_once_and_a_run_that_takes_too_long_until_it_has_ended()
    {
        var now = bench.Time.GetUtcNow().UtcDateTime;
        await bench.Publish(new FiresSkipped("slow", 5, 3, now.AddMinutes(-3), now, new Text("上一次执行尚未结束", "The previous run has not ended"), ["ann"]));
        (await bench.Incident("skipped")).Title.Zh.ShouldBe("任务 slow 连续跳过 3 次");
        await bench.Send(new CreateRule.Command("long", null, null, "job", ["overlong"], null, null, null, 600, null, null, null, null, null, null));
        bench.Running.Add(new RunningJob("slow", 5, now, "node-a", ["ann"]));
        await bench.Watch.FindLong();
        bench.Time.Advance(TimeSpan.FromMinutes(11));
        await bench.Watch.FindLong();
        await bench.Watch.FindLong();
        var incident = await bench.Incident("overlong");
        (incident.Count, incident.State, incident.Title.En).ShouldBe((1, "open", "Job slow has been running too long"));
        // The next run of the same job takes its time from its own start.
        bench.Running[0] = new RunningJob("slow", 6, bench.Time.GetUtcNow().UtcDateTime, "node-a", ["ann"]);
        await bench.Watch.FindLong();
        (await bench.Incident("overlong")).State.ShouldBe("resolved");
        (await bench.Deliveries()).ShouldBe(["opened due ann", "opened due ann", "recovered due ann"]);
    }

    [Fact]
    public async Task All_failed_hosts_of_an_order_are_one_incident_for_its_people_until_it_goes_on_or_ends()
    {
        await bench.Contact("olga", id: 42);
        var failed = new OrderSituationChanged(
            9,
            "deploy shop",
            "deploy",
            OrderSituation.Failed,
            bench.Time.GetUtcNow().UtcDateTime,
            ["10.0.0.1", "10.0.0.2"],
            [new Approver(42, ""), new Approver(43, "paul")],
            ["ann"],
            [],
            [
                new StepInTrouble("10.0.0.1", "restart", "failed", Text.Same(""), 7),
                new StepInTrouble("10.0.0.2", "restart", "timeout", new Text("超过 5 秒", "ran past 5 s"), null),
            ],
            "no such unit"
        );
        await bench.Publish(failed);
        await bench.Publish(failed with { Situation = OrderSituation.Interrupted });
        var incident = await bench.Incident();
        (incident.ListId, incident.CallInfo, incident.CallUsers, incident.Count).ShouldBe((9, "ID-9 任务-deploy shop 类型-deploy", "ann,olga,paul", 2));
        incident.Detail.En.ShouldContain("10.0.0.1: restart failed (7)\n10.0.0.2: restart timeout ran past 5 s");
        incident.Detail.Zh.ShouldEndWith("10.0.0.2: restart timeout 超过 5 秒");
        incident.Output.ShouldBe("no such unit");
        await bench.Publish(failed with { Situation = OrderSituation.GoesOn, Hosts = [], Steps = [] });
        (await bench.Incident()).State.ShouldBe("resolved");
        (await bench.Deliveries()).ShouldBe(["opened due ann,olga,paul", "recovered due ann,olga,paul"]);
        (await bench.Rows<long[]>("SELECT told_ids FROM alerts.task_monitor")).Single().ShouldBe([42, 43]);
    }

    [Fact]
    public async Task An_order_that_waits_too_long_is_told_once_and_is_over_when_it_waits_no_more()
    {
        await bench.Send(new CreateRule.Command("waits", null, null, "order", null, "deploy", null, 900, 60, null, null, null, null, null, null));
        var since = bench.Time.GetUtcNow().UtcDateTime;
        bench.Orders.Add(new RunningOrder(9, "deploy shop", "deploy", OrderSituation.AwaitsApproval, "", "", since, [], ["ann"]));
        bench.Orders.Add(new RunningOrder(10, "other", "patch", OrderSituation.AwaitsPerson, "check", "10.0.0.1", since, [], ["bob"]));
        bench.Orders.Add(new RunningOrder(11, "deploy api", "deploy", OrderSituation.GoesOn, "sync", "10.0.0.1", since, [], ["eve"]));
        bench.Time.Advance(TimeSpan.FromSeconds(899));
        await bench.Watch.FindLong();
        bench.Time.Advance(TimeSpan.FromSeconds(2));
        await bench.Watch.FindLong();
        await bench.Watch.FindLong();
        (await bench.Rows<string>("SELECT title_en FROM alerts.task_monitor ORDER BY id")).ShouldBe([
            "Order 11 deploy api has a step that has been running too long",
            "Order 9 deploy shop has been waiting for its approval too long",
        ]);
        // The next step of the same order has only begun, and what a rule no longer asks for stays until it is over.
        bench.Orders.RemoveAll(order => order.ListId == 11);
        bench.Orders.Add(
            new RunningOrder(11, "deploy api", "deploy", OrderSituation.GoesOn, "check", "10.0.0.1", bench.Time.GetUtcNow().UtcDateTime, [], ["eve"])
        );
        await bench.Send(new DeleteRule.Command((await bench.Rows<long>("SELECT rule_id FROM alerts.rule WHERE name = 'waits'")).Single()));
        await bench.Watch.FindLong();
        (await bench.Rows<string>("SELECT state FROM alerts.task_monitor ORDER BY id")).ShouldBe(["open", "open"]);
        bench.Orders.Clear();
        await bench.Watch.FindLong();
        (await bench.Deliveries()).ShouldBe(["opened due eve", "opened due ann", "recovered due eve", "recovered due ann"], ignoreOrder: true);
    }

    [Fact]
    public async Task Resolved_incidents_go_when_their_retention_is_over_and_open_ones_stay()
    {
        await bench.Publish(bench.Failed("a"));
        await bench.Publish(bench.Failed("b"));
        await bench.Publish(bench.Succeeded("a"));
        bench.Time.Advance(TimeSpan.FromDays(91));
        // More than go at once.
        await bench.Rows<long>(
            """
            INSERT INTO alerts.task_monitor (call_info, ctime, source, kind, subject, fingerprint, last_time, title_zh, title_en, state, ending, resolved_at)
            SELECT call_info, ctime, source, kind, subject, fingerprint, last_time, title_zh, title_en, state, ending, resolved_at
            FROM alerts.task_monitor, generate_series(1, 1500) WHERE state = 'resolved' RETURNING id
            """
        );
        await bench.Watch.DropOld(bench.Time.GetUtcNow().UtcDateTime);
        (await bench.Rows<string>("SELECT subject FROM alerts.task_monitor")).ShouldBe(["b"]);
    }

    [Fact]
    public async Task Silences_go_when_they_have_been_over_for_the_retention()
    {
        var now = bench.Time.GetUtcNow().UtcDateTime;
        await bench.Rows<long>(
            $"""
            INSERT INTO alerts.silence (subject, starts_at, ends_at, reason, creator_id, creator)
            SELECT r.name, r.ends_at - interval '3 days', r.ends_at, 'x', 1, 'x'
            FROM (VALUES ('old', CAST('{now.AddDays(-91):O}' AS timestamptz), 1500), ('yesterday', '{now.AddDays(-1):O}', 1),
                ('tomorrow', '{now.AddDays(1):O}', 1)) r (name, ends_at, many)
            CROSS JOIN LATERAL generate_series(1, r.many) RETURNING silence_id
            """
        );
        await bench.Watch.DropOld(now);
        (await bench.Rows<string>("SELECT subject FROM alerts.silence ORDER BY ends_at")).ShouldBe(["yesterday", "tomorrow"]);
    }
}
