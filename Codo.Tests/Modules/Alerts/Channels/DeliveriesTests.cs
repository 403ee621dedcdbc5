using Codo.Modules.Alerts.Channels;
using Codo.Modules.Alerts.Incidents;
using Codo.Modules.Alerts.Rules;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Npgsql;

namespace Codo.Tests.Modules.Alerts.Channels;

/// <summary>Receivers that are slow, fail, or never answer; the rate limit and its digest; what no channel takes.</summary>
public sealed class DeliveriesTests(TestPostgres postgres) : IAsyncLifetime
{
    private AlertBench bench = null!;
    private HttpStub stub = null!;

    public async ValueTask InitializeAsync() => (bench, stub) = (await AlertBench.Start(postgres), await HttpStub.Start());

    public async ValueTask DisposeAsync()
    {
        await bench.DisposeAsync();
        await stub.DisposeAsync();
    }

    [Fact]
    public async Task One_that_answers_500_and_then_200_is_tried_again_after_a_pause_and_no_more_than_that()
    {
        stub.Answer = (n, _) => (n < 3 ? 500 : 200, "x");
        await bench.Channel("webhook", new { url = stub.Url });
        await bench.Publish(bench.Failed());
        foreach (var (wait, tries) in new[] { (0, 1), (4, 1), (1, 2), (29, 2), (1, 3), (600, 3) })
        {
            bench.Time.Advance(TimeSpan.FromSeconds(wait));
            await bench.Deliver();
            stub.Requests.Count.ShouldBe(tries);
        }
        (await bench.Rows<string>("SELECT state || ' ' || attempts || ' ' || answer FROM alerts.delivery")).ShouldBe(["sent 3 HTTP 200 x"]);
        (await Health()).ShouldBe(HealthStatus.Healthy);
    }

    [Fact]
    public async Task One_that_comes_after_the_message_that_it_is_over_says_so()
    {
        stub.Answer = (n, _) => (n == 1 ? 503 : 200, "x");
        await bench.Channel("webhook", new { url = stub.Url });
        await bench.Publish(bench.Failed());
        await bench.Deliver();
        await bench.Publish(bench.Succeeded());
        await bench.Deliver();
        bench.Time.Advance(TimeSpan.FromSeconds(5));
        await bench.Deliver();
        stub.Requests.Select(got => got.Json["title"]!.GetValue<string>())
            .ShouldBe(["【告警】任务 backup 失败", "【已恢复】任务 backup 失败", "【告警，已结束】任务 backup 失败"]);
    }

    [Fact]
    public async Task One_that_is_slow_is_waited_for_and_not_told_twice()
    {
        var answer = new TaskCompletionSource();
        stub.Hold = answer.Task;
        await bench.Channel("webhook", new { url = stub.Url }, timeout: 60);
        await bench.Publish(bench.Failed());
        var first = bench.Deliver();
        await Eventually.True(() => stub.Requests.Count == 1, "it is being told");
        bench.Time.Advance(TimeSpan.FromSeconds(59));
        await using var other = await AlertBench.Start(postgres, database: bench.Source.ConnectionString);
        other.Time.Advance(TimeSpan.FromSeconds(59));
        await other.Deliver();
        answer.SetResult();
        await first;
        stub.Requests.Count.ShouldBe(1);
        (await bench.Rows<string>("SELECT state || ' ' || attempts FROM alerts.delivery")).ShouldBe(["sent 1"]);
    }

    [Theory]
    [InlineData(200_000)]
    [InlineData(50)]
    public async Task An_answer_that_is_long_or_no_text_is_an_answer(int length)
    {
        stub.Answer = (_, _) => (200, "\0" + string.Concat(Enumerable.Repeat("😀", length)));
        await bench.Channel("webhook", new { url = stub.Url });
        await bench.Publish(bench.Failed());
        await bench.Deliver();
        (await bench.Rows<string>("SELECT state || ' ' || attempts FROM alerts.delivery")).ShouldBe(["sent 1"]);
    }

    [Fact]
    public async Task What_waited_for_a_channel_that_is_disabled_or_deleted_is_undeliverable_and_its_recovery_goes_by_the_others()
    {
        stub.Answer = (_, _) => (503, "down");
        var first = await bench.Channel("webhook", new { url = stub.Url }, "first");
        await bench.Publish(bench.Failed());
        await bench.Deliver();
        await bench.Send(new EditChannel.Command(first, null, false, null, null, null, null));
        bench.Time.Advance(TimeSpan.FromMinutes(1));
        await bench.Deliver();
        (await bench.Incident("undeliverable")).Detail.En.ShouldBe("The last one: incident 1");
        // A channel that is added would hear of what is open.
        await bench.Publish(bench.Succeeded());
        stub.Answer = (_, _) => (200, "up");
        var second = await bench.Channel("webhook", new { url = stub.Url }, "second");
        await bench.Channel("webhook", new { url = stub.Url }, "third");
        await bench.Publish(bench.Failed("other"));
        await bench.Deliver();
        (await Health()).ShouldBe(HealthStatus.Healthy);
        await bench.Send(new DeleteChannel.Command(second));
        await bench.Publish(bench.Succeeded("other"));
        await bench.Deliver();
        (await bench.Rows<string>("SELECT channel_name || ' ' || reason || ' ' || state FROM alerts.delivery ORDER BY delivery_id")).ShouldBe([
            "first opened failed",
            "second opened sent",
            "third opened sent",
            "third recovered sent",
        ]);
        stub.Answer = (_, _) => (503, "down");
        await bench.Send(new DeleteChannel.Command(first));
        await bench.Publish(bench.Failed("last"));
        await bench.Deliver();
        await bench.Send(new DeleteChannel.Command((await bench.Rows<long>("SELECT channel_id FROM alerts.channel")).Single()));
        (await Health()).ShouldBe(HealthStatus.Degraded);
    }

    [Fact]
    public async Task What_was_written_for_a_channel_in_the_instant_of_its_deletion_is_undeliverable_and_what_is_only_locked_waits()
    {
        await bench.Channel("webhook", new { url = stub.Url });
        await bench.Publish(bench.Failed());
        await using (var holder = await bench.Source.OpenConnectionAsync())
        await using (var transaction = await holder.BeginTransactionAsync())
        {
            await holder.ExecuteAsync("SELECT FROM alerts.channel FOR UPDATE", transaction: transaction);
            await bench.Deliver();
            (await bench.Deliveries()).ShouldBe(["opened due "]);
        }
        // As where the message is committed after the deletion, which did not see it.
        await bench.Rows<int>("DELETE FROM alerts.channel");
        await bench.Deliver();
        (await bench.Rows<string>("SELECT reason || ' ' || state || ' ' || answer FROM alerts.delivery")).ShouldBe(["opened failed the channel was deleted"]);
        (await bench.Incident("undeliverable")).Detail.En.ShouldBe("The last one: incident 1");
        stub.Requests.ShouldBeEmpty();
    }

    [Fact]
    public async Task One_that_never_answers_holds_up_nobody_and_is_given_up_after_its_tries()
    {
        stub.Answer = (_, got) => (got.Path == "/never" ? -1 : 200, "x");
        await bench.Channel("webhook", new { url = stub.Url + "/never" }, "never", timeout: 1);
        await bench.Channel("webhook", new { url = stub.Url + "/good" }, "good");
        await bench.Publish(bench.Failed());
        var first = bench.Deliver();
        await Eventually.True(
            async () => (await bench.Rows<string>("SELECT state FROM alerts.delivery WHERE channel_name = 'good'")).Single() == "sent",
            "the other channel has sent"
        );
        await first;
        for (var i = 0; i < 4; i++)
        {
            bench.Time.Advance(TimeSpan.FromHours(1));
            await bench.Deliver();
        }
        (await bench.Rows<string>("SELECT state || ' ' || attempts || ' ' || answer FROM alerts.delivery ORDER BY delivery_id"))
            .First()
            .ShouldStartWith("failed 5 no answer within 1 s");
        (await Health()).ShouldBe(HealthStatus.Healthy);
    }

    [Fact]
    public async Task What_no_channel_takes_is_an_incident_and_the_host_is_degraded_until_one_gets_through()
    {
        stub.Answer = (_, _) => (503, "down");
        await bench.Channel("webhook", new { url = stub.Url });
        await bench.Channel("email", new { host = "127.0.0.1", from = "codo@example.test" });
        await bench.Publish(bench.Failed());
        for (var i = 0; i < 5; i++)
        {
            await bench.Deliver();
            bench.Time.Advance(TimeSpan.FromHours(1));
        }
        (await bench.Incident("undeliverable")).ShouldSatisfyAllConditions(
            incident => incident.Title.En.ShouldBe("Alerts could not be delivered"),
            incident => incident.Detail.En.ShouldBe("The last one: incident 1"),
            incident => incident.State.ShouldBe("open")
        );
        (await bench.Incident()).CallStatus.ShouldBe("2");
        (await Health()).ShouldBe(HealthStatus.Degraded);
        stub.Answer = (_, _) => (200, "up");
        await bench.Publish(bench.Failed("other"));
        await bench.Deliver();
        (await Health()).ShouldBe(HealthStatus.Healthy);
        (await bench.Incident("undeliverable")).State.ShouldBe("resolved");
    }

    [Fact]
    public async Task That_nobody_took_a_message_is_not_lost_where_it_cannot_be_written_at_first()
    {
        stub.Answer = (_, _) => (503, "down");
        await bench.Channel("webhook", new { url = stub.Url });
        await bench.Publish(bench.Failed());
        // Its next try is the last. What refuses the incident stands for a host that dies before it is written.
        await bench.Rows<int>("UPDATE alerts.delivery SET attempts = 4");
        await bench.Rows<int>(
            """
            CREATE FUNCTION alerts.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON alerts.task_monitor FOR EACH ROW EXECUTE FUNCTION alerts.refuse()
            """
        );
        await bench.Deliver();
        (await bench.Rows<string>("SELECT state || ' ' || attempts FROM alerts.delivery")).ShouldBe(["sending 5"]);
        await bench.Rows<int>("DROP TRIGGER refuse ON alerts.task_monitor");
        bench.Time.Advance(TimeSpan.FromMinutes(1));
        await bench.Deliver();
        (await bench.Rows<string>("SELECT state || ' ' || attempts FROM alerts.delivery")).ShouldBe(["failed 6"]);
        (await bench.Incident("undeliverable")).Detail.En.ShouldBe("The last one: incident 1");
    }

    [Fact]
    public async Task Two_channels_that_are_deleted_at_once_do_not_leave_it_to_each_other_to_say_that_nobody_was_told()
    {
        long[] channels = [await bench.Channel("webhook", new { url = stub.Url }), await bench.Channel("webhook", new { url = stub.Url })];
        await bench.Publish(bench.Failed());
        await using var holder = new NpgsqlConnection(TestPostgres.AsSuperuser(bench.Source.ConnectionString));
        await holder.OpenAsync();
        await using var transaction = await holder.BeginTransactionAsync();
        // Neither can commit before both have given up their messages.
        await holder.ExecuteAsync("LOCK TABLE platform.audit IN EXCLUSIVE MODE", transaction: transaction);
        var deleting = Task.WhenAll(channels.Select(channel => bench.Send(new DeleteChannel.Command(channel))));
        await Eventually.True(
            async () =>
                (
                    await bench.Rows<long>("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
                ).Single() == 2,
            "both are under way"
        );
        await transaction.CommitAsync();
        await deleting;
        (await bench.Deliveries()).ShouldBe(["opened failed ", "opened failed "]);
        (await bench.Incident("undeliverable")).Detail.En.ShouldBe("The last one: incident 1");
    }

    [Fact]
    public async Task Past_the_rate_limit_messages_are_held_back_and_come_as_one_digest()
    {
        await bench.Channel("webhook", new { url = stub.Url }, rateLimit: 2);
        for (var i = 1; i <= 5; i++) await bench.Publish(bench.Failed($"job-{i}", owners: $"owner-{i}"));
        await bench.Deliver();
        (await bench.Deliveries()).Select(row => row.Split(' ')[1]).ShouldBe(["sent", "sent", "held", "held", "held"]);
        bench.Time.Advance(TimeSpan.FromSeconds(59));
        await bench.Deliver();
        stub.Requests.Count.ShouldBe(2);
        bench.Time.Advance(TimeSpan.FromSeconds(2));
        await bench.Deliver();
        await bench.Deliver();
        (await bench.Deliveries()).ShouldBe([
            "opened sent owner-1",
            "opened sent owner-2",
            "opened sent owner-3",
            "opened sent owner-4",
            "opened sent owner-5",
            "digest sent owner-3,owner-4,owner-5",
        ]);
        var digest = stub.Requests.Last().Json;
        digest["title"]!.GetValue<string>().ShouldBe("【Codo 汇总】另有 3 条告警");
        digest["text"]!.GetValue<string>().ShouldContain("【告警】任务 job-4 失败 https://codo.example.test/i/4");
    }

    [Fact]
    public async Task What_was_sent_before_the_clock_was_put_back_does_not_count_against_the_rate_limit()
    {
        await bench.Channel("webhook", new { url = stub.Url }, rateLimit: 2);
        for (var i = 1; i <= 2; i++) await bench.Publish(bench.Failed($"job-{i}"));
        await bench.Deliver();
        await bench.Rows<int>("UPDATE alerts.delivery SET started_at = started_at + interval '3 hours'");
        await bench.Publish(bench.Failed("job-3"));
        await bench.Deliver();
        stub.Requests.Count.ShouldBe(3);
    }

    [Fact]
    public async Task What_is_due_later_than_any_pause_or_limit_was_written_before_the_clock_was_put_back_and_is_sent_at_once()
    {
        await bench.Channel("webhook", new { url = stub.Url });
        foreach (var job in new[] { "never-tried", "tried", "cut-off", "paused" }) await bench.Publish(bench.Failed(job));
        await bench.Rows<int>(
            """
            UPDATE alerts.delivery SET due_at = due_at + CASE incident_id WHEN 4 THEN interval '15 minutes' ELSE interval '3 hours' END,
                attempts = CASE incident_id WHEN 1 THEN 0 ELSE 1 END, state = CASE incident_id WHEN 3 THEN 'sending' ELSE 'due' END;
            INSERT INTO alerts.delivery (channel_id, channel_name, reason, state, attempts, due_at, create_time)
            SELECT channel_id, name, 'test', 'sending', 1, 'infinity', create_time FROM alerts.channel
            """
        );
        await bench.Deliver();
        (await bench.Rows<string>("SELECT COALESCE(CAST(incident_id AS text), reason) || ' ' || state FROM alerts.delivery ORDER BY delivery_id")).ShouldBe([
            "1 sent",
            "2 sent",
            "3 sent",
            "4 due",
            "test sending",
        ]);
    }

    [Fact]
    public async Task What_is_raised_while_the_courier_looks_is_sent_by_itself_as_long_as_the_rate_allows()
    {
        await bench.Channel("webhook", new { url = stub.Url }, rateLimit: 1000);
        var raising = Task.WhenAll(Enumerable.Range(0, 4).Select(part => Task.Run(async () =>
        {
            for (var i = 0; i < 40; i++) await bench.Publish(bench.Failed($"job-{part}-{i}"));
        })));
        while (!raising.IsCompleted) await bench.Deliver();
        await raising;
        await bench.Deliver();
        (await bench.Rows<string>("SELECT DISTINCT reason || ' ' || state || ' ' || attempts FROM alerts.delivery")).ShouldBe(["opened sent 1"]);
        stub.Requests.Count.ShouldBe(160);
    }

    [Fact]
    public async Task A_message_whose_host_died_while_it_was_sent_is_sent_once_more_by_another()
    {
        await bench.Channel("webhook", new { url = stub.Url });
        await bench.Publish(bench.Failed());
        // As a host leaves it that dies between the claim and the record of the answer.
        await bench.Rows<int>(
            $"UPDATE alerts.delivery SET state = 'sending', attempts = 1, started_at = '2026-03-01 04:00:00Z', due_at = '2026-03-01 04:00:30Z'"
        );
        await bench.Deliver();
        stub.Requests.ShouldBeEmpty();
        bench.Time.Advance(TimeSpan.FromSeconds(31));
        await using var other = await AlertBench.Start(postgres, database: bench.Source.ConnectionString);
        other.Time.Advance(TimeSpan.FromSeconds(31));
        await Task.WhenAll(bench.Deliver(), other.Deliver());
        stub.Requests.Count.ShouldBe(1);
        (await bench.Rows<string>("SELECT state || ' ' || attempts FROM alerts.delivery")).ShouldBe(["sent 2"]);
    }

    [Fact]
    public async Task Without_any_channel_an_incident_is_recorded_and_health_says_that_nobody_is_told()
    {
        await bench.Publish(bench.Failed());
        (await bench.Incident()).CallStatus.ShouldBe("0");
        var check = await bench.Get<Undeliverable>().CheckHealthAsync(new HealthCheckContext());
        (check.Status, check.Description).ShouldBe(
            (HealthStatus.Degraded, "no channel is set up and enabled: nobody is told when something fails (docs/alerts.md)")
        );
        var channel = await bench.Channel("webhook", new { url = stub.Url });
        (await Health()).ShouldBe(HealthStatus.Healthy);
        await bench.Send(new EditChannel.Command(channel, null, false, null, null, null, null));
        (await Health()).ShouldBe(HealthStatus.Degraded);
    }

    [Fact]
    public async Task A_channel_that_is_added_or_enabled_again_hears_of_what_is_open_and_of_its_end()
    {
        await bench.Publish(bench.Failed("before", owners: "ann"));
        await bench.Publish(bench.Failed("over", owners: "ann"));
        await bench.Publish(bench.Succeeded("over"));
        await bench.Publish(bench.Failed("quiet", owners: "ann"));
        // The silence begins after the incident was told, and nothing has added to that since.
        await bench.Send(new CreateSilence.Command("job", null, "quiet", null, "2026-03-02 12:00", "at it"));
        var first = await bench.Send(
            new CreateChannel.Command("first", "webhook", true, null, null, null, System.Text.Json.JsonSerializer.SerializeToElement(new { url = stub.Url }))
        );
        first.OpenIncidents.ShouldBe(1);
        await bench.Deliver();
        (await bench.Deliveries()).ShouldBe(["opened sent ann"]);
        stub.Requests.Single().Json["title"]!.GetValue<string>().ShouldBe("【告警】任务 before 失败");
        (await bench.Rows<string>("SELECT call_status::text FROM alerts.task_monitor WHERE subject = 'before'")).ShouldBe(["1"]);

        // Disabled and enabled again: it has heard of the one, and not of what came meanwhile.
        await bench.Send(new EditChannel.Command(first.ChannelId, null, false, null, null, null, null));
        await bench.Publish(bench.Failed("meanwhile", owners: "bob"));
        await bench.Send(new EditChannel.Command(first.ChannelId, null, true, null, null, null, null));
        await bench.Send(new EditChannel.Command(first.ChannelId, "renamed", true, null, null, null, null));
        (await bench.Deliveries()).ShouldBe(["opened sent ann", "opened due bob"]);
        await bench.Deliver();
        stub.Requests.Select(got => got.Json["incident"]!["subject"]!.GetValue<string>()).ShouldBe(["before", "meanwhile"]);
        bench.Time.Advance(TimeSpan.FromMinutes(125));
        await bench.Publish(bench.Succeeded("before"));
        await bench.Deliver();
        var recovery = stub.Requests.Last().Json;
        recovery["title"]!.GetValue<string>().ShouldBe("【已恢复】任务 before 失败");
        recovery["text"]!
            .GetValue<string>()
            .ShouldBe("【已恢复】任务 before 失败\n持续 2 小时 5 分，从 2026-03-01 12:00:00 到 2026-03-01 14:05:00\nhttps://codo.example.test/i/1");
        recovery["incident"]!["lasted_seconds"]!.GetValue<long>().ShouldBe(7500);
    }

    private async Task<HealthStatus> Health() => (await bench.Get<Undeliverable>().CheckHealthAsync(new HealthCheckContext())).Status;
}
