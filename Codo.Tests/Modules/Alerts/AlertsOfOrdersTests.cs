using Codo.Tests.Modules.Tasks.Orders;
using Codo.Tests.Support;
using Dapper;

namespace Codo.Tests.Modules.Alerts;

/// <summary>A whole host: an order that fails, and its people.</summary>
public sealed class AlertsOfOrdersTests(TestPostgres postgres)
{
    [Fact]
    public async Task An_order_that_fails_is_told_to_its_people_and_over_when_it_is_ended()
    {
        await using var stub = await HttpStub.Start();
        await using var host = await TestHost.Start(postgres);
        (
            await host.Post(
                "/v2/alerts/channel/",
                new
                {
                    name = "hook",
                    kind = "webhook",
                    language = "en",
                    settings = new { url = stub.Url },
                }
            )
        ).Code().ShouldBe(0);
        var template = await host.Template(null, ["42,,,paul"], OrderHost.Step("echo about to fail; exit 7", name: "restart"));
        var made = await host.Post(
            "/v2/task/accept/",
            new
            {
                task_name = "deploy shop",
                temp_id = template,
                hosts = new Dictionary<string, string> { ["1"] = "127.0.0.1" },
                args = new { },
                schedule = "ready",
                associated_user = new Dictionary<string, string[]> { ["dev"] = ["ann"] },
            }
        );
        made.Code().ShouldBe(0, made.ToJsonString());
        var order = made["list_id"]!.GetValue<long>();
        await Eventually.True(() => stub.Requests.Count == 1, "the failure is told");
        var told = stub.Requests.First().Json;
        told["title"]!.GetValue<string>().ShouldBe($"[ALERT] Order {order} deploy shop failed");
        told["incident"]!["detail"]!.GetValue<string>().ShouldContain("127.0.0.1: restart failed (7)");
        told["people"]!.AsArray().Select(person => person!["name"]!.GetValue<string>()).ShouldBe(["ann", "paul", "admin"], ignoreOrder: true);

        // Nothing is set as Codo:PublicUrl: links begin with the address that is listened on, and the test of the channel says so.
        var address = host.Http.BaseAddress!.ToString().TrimEnd('/');
        told["url"]!.GetValue<string>().ShouldStartWith(address + "/i/");
        var test = await host.Post("/v2/alerts/channel/test/", new { channel_id = 1 });
        ((bool)test["delivered"]!, (string)test["warnings"]![0]!).ShouldBe(
            (true, $"Codo:PublicUrl 未设置，消息里的链接以本节点的监听地址 {address} 开头，收到的人可能打不开")
        );
        using (
            var page = await host.Http.SendAsync(
                TestHost.Request(HttpMethod.Get, told["url"]!.GetValue<string>()[address.Length..], null, TestTokens.For(7, "ann"))
            )
        )
            (await page.Content.ReadAsStringAsync()).ShouldSatisfyAllConditions(
                html => html.ShouldContain($"href=\"/orders/{order}\""),
                html => html.ShouldContain($"href=\"/orders/{order}/timeline\"")
            );

        // Only those who were told of an order's incident, and superusers, see it.
        (await host.Get($"/v2/alerts/incident/?list_id={order}", TestTokens.For(9, "stranger")))["count"]!
            .GetValue<long>()
            .ShouldBe(0);
        foreach (var token in new[] { TestTokens.For(42, "p"), TestTokens.For(7, "ann") })
            (await host.Get($"/v2/alerts/incident/?list_id={order}", token))["count"]!.GetValue<long>().ShouldBe(1);

        (await host.Put("/v2/task/list/", new { list_id = order })).Code().ShouldBe(0);
        await Eventually.True(() => stub.Requests.Count == 3, "its end is told");
        stub.Requests.Last().Json["title"]!.GetValue<string>().ShouldBe($"[CLOSED] Order {order} deploy shop failed (the order has ended)");

        var asked = await host.Order(template, schedule: "new", token: TestTokens.For(42, "paul"));
        (await host.Post("/v2/task/approval/", new { list_id = asked, verdict = "push_back", comment = "name the ticket" })).Code().ShouldBe(0);
        const string Title = "was pushed back by";
        await Eventually.True(() => Titles(Title) == 1, "the submitter is told");
        var back = stub.Requests.First(request => request.Json["title"]!.GetValue<string>().Contains(Title, StringComparison.Ordinal)).Json;
        back["incident"]!["detail"]!.GetValue<string>().ShouldContain("Reason: name the ticket");
        back["people"]!.AsArray().Select(person => (string)person!["name"]!).ShouldBe(["paul"]);
        // Again is told again; an end closes it.
        (await host.Post("/v2/task/approval/", new { list_id = asked, verdict = "push_back", comment = "still none" })).Code().ShouldBe(0);
        await Eventually.True(() => Titles(Title) == 2, "the submitter is told of the second too");
        (await host.Put("/v2/task/list/", new { list_id = asked })).Code().ShouldBe(0);
        await Eventually.True(
            async () => await host.Count("SELECT count(*) FROM alerts.task_monitor WHERE fingerprint LIKE '%:push_back' AND state <> 'resolved'") == 0,
            "it is over"
        );

        int Titles(string part) => stub.Requests.Count(request => request.Json["title"]!.GetValue<string>().Contains(part, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_host_that_fails_after_the_order_was_told_comes_to_its_incident_and_calls_nobody_again()
    {
        using var folder = new TestFolder();
        await using var stub = await HttpStub.Start();
        await using var host = await TestHost.Start(postgres);
        var channel = new { name = "hook", kind = "webhook", language = "en", settings = new { url = stub.Url } };
        (await host.Post("/v2/alerts/channel/", channel)).Code().ShouldBe(0);
        var (gate, last, good) = (folder.At("gate"), folder.At("last"), folder.At("good"));
        // One host makes the folder and fails, the others wait.
        var command = $$"""
            test ! -e {{good}} || exit 0; mkdir {{folder.At("first")}} && exit 7
            mkdir {{folder.At("second")}} && { while ! test -e {{gate}}; do sleep 0.05; done; exit 8; }
            while ! test -e {{last}}; do sleep 0.05; done; exit 9
            """;
        var template = await host.Template(null, ["42,,,paul"], OrderHost.Step(command, name: "restart", forceHost: "127.0.0.1"));
        var order = await host.Order(template, new Dictionary<string, string> { ["1"] = "10.0.0.1,10.0.0.2,10.0.0.3" });
        await Eventually.True(() => stub.Requests.Count == 1, "the first failure is told");
        var told = (string)stub.Requests.First().Json["incident"]!["detail"]!;
        (told.Contains("restart failed (7)", StringComparison.Ordinal), told.Contains("(8)", StringComparison.Ordinal)).ShouldBe((true, false));

        await File.WriteAllTextAsync(gate, "", TestContext.Current.CancellationToken);
        await Eventually.True(
            () => host.Ask<bool>(
                "SELECT bool_or(detail_en LIKE '%failed (7)%' AND detail_en LIKE '%failed (8)%') FROM alerts.task_monitor WHERE list_id = @order",
                new { order }
            ),
            "the second failure has come to it"
        );
        // One is repaired while the order stays in trouble: of the next one it is known all the same that it is new.
        await File.WriteAllTextAsync(good, "", TestContext.Current.CancellationToken);
        var repaired = await host.Ask<string>("SELECT host FROM tasks.lane WHERE list_id = @order AND state = 'failed' LIMIT 1", new { order });
        (await host.Intervene(order, "restart", ip: repaired)).Code().ShouldBe(0);
        await Eventually.True(
            () => host.Ask<bool>("SELECT told_hosts = 1 FROM tasks.scheduler_task_list WHERE list_id = @order", new { order }),
            "one host is left in trouble"
        );
        // Another one is repaired while the message of the next failure waits: as many are in trouble as were told, and one of them is new.
        await using var connection = await host.Source.OpenConnectionAsync(TestContext.Current.CancellationToken);
        await connection.ExecuteAsync(
            """
            CREATE FUNCTION platform.wait_long() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                NEW.next_try_at := NEW.next_try_at + interval '90 seconds';
                RETURN NEW;
            END $$;
            CREATE TRIGGER wait_long BEFORE INSERT ON platform.outbox FOR EACH ROW WHEN (NEW.payload ->> 'grown' = 'true') EXECUTE FUNCTION platform.wait_long()
            """
        );
        repaired = await host.Ask<string>("SELECT host FROM tasks.lane WHERE list_id = @order AND state = 'failed'", new { order });
        await File.WriteAllTextAsync(last, "", TestContext.Current.CancellationToken);
        const string WaitsSql = "SELECT EXISTS (SELECT FROM platform.outbox WHERE payload ->> 'grown' = 'true')";
        await Eventually.True(() => host.Ask<bool>(WaitsSql), "the third failure is to be told");
        (await host.Intervene(order, "restart", ip: repaired)).Code().ShouldBe(0);
        const string RepairedSql = "SELECT EXISTS (SELECT FROM tasks.lane WHERE list_id = @order AND host = @repaired AND state NOT IN ('failed', 'running'))";
        await Eventually.True(() => host.Ask<bool>(RepairedSql, new { order, repaired }), "another one is repaired");
        await connection.ExecuteAsync("UPDATE platform.outbox SET next_try_at = clock_timestamp() WHERE payload ->> 'grown' = 'true'");
        await Eventually.True(
            () => host.Ask<bool>("SELECT bool_or(detail_en LIKE '%failed (9)%') FROM alerts.task_monitor WHERE list_id = @order", new { order }),
            "the third failure has come to it"
        );
        (await host.Count("SELECT count(*) FROM alerts.delivery")).ShouldBe(1, "its people know");
    }

    [Fact]
    public async Task What_an_order_of_a_space_asks_for_is_told_by_the_channels_of_that_space()
    {
        await using var stub = await HttpStub.Start();
        await using var host = await TestHost.Start(postgres);
        (await host.Post("/v2/accounts/space/", new { name = "payments" })).Code().ShouldBe(0);
        // The channels of default hear of every space; this one of its own alone.
        var channel = new
        {
            name = "payments",
            kind = "webhook",
            language = "en",
            space = "payments",
            settings = new { url = stub.Url },
        };
        (await host.Post("/v2/alerts/channel/", channel)).Code().ShouldBe(0);
        var template = await host.Template(null, ["42,,,paul"], OrderHost.Step("true", name: "restart"));
        await using (var connection = await host.Source.OpenConnectionAsync(TestContext.Current.CancellationToken))
            await connection.ExecuteAsync("UPDATE tasks.scheduler_temp_list SET space_id = (SELECT space_id FROM accounts.space WHERE name = 'payments')");
        (await host.Put("/v2/task/approval/rule/", new { temp_id = template, approvals = 1 })).Code().ShouldBe(0);
        var order = await host.Order(template, schedule: "new");
        await Eventually.True(() => Told("awaits approval") == 1, "the approvers are asked");
        var glass = new { list_id = order, verdict = "break_glass", comment = "the shop is down" };
        (await host.Post("/v2/task/approval/", glass)).Code().ShouldBe(0);
        await Eventually.True(() => Told("without its approvals") == 1, "the broken glass is told");
        (await host.Count("SELECT count(*) FROM alerts.task_monitor WHERE source = 'order' AND space_id = 1")).ShouldBe(0, "nothing for those of default");

        int Told(string part) => stub.Requests.Count(request => request.Json["title"]!.GetValue<string>().Contains(part, StringComparison.Ordinal));
    }

    [Fact]
    public async Task What_was_noted_of_an_order_and_never_queued_is_told_by_the_sweep()
    {
        await using var host = await TestHost.Start(postgres);
        var template = await host.Template(null, ["42,,,paul"], OrderHost.Step("true", name: "restart"));
        var made = await host.Post(
            "/v2/task/accept/",
            new
            {
                task_name = "deploy shop",
                temp_id = template,
                hosts = new Dictionary<string, string> { ["1"] = "127.0.0.1" },
                args = new { },
                schedule = "new",
            }
        );
        made.Code().ShouldBe(0, made.ToJsonString());
        const string waiting = "SELECT count(*) FROM platform.outbox WHERE kind = 'orders.situation'";
        await Eventually.True(async () => await host.Count(waiting) == 0, "that it awaits its approval is told");
        // As a host leaves it that dies after the commit and before it queues the notifier.
        await using (var connection = await host.Source.OpenConnectionAsync())
        await using (
            var command = new Npgsql.NpgsqlCommand(
                """
                UPDATE tasks.scheduler_task_list SET told = 0;
                INSERT INTO platform.outbox (stream, kind, payload) SELECT 'order:' || list_id, 'orders.situation', jsonb_build_object('list_id', list_id,
                    'situation', 1) FROM tasks.scheduler_task_list
                """,
                connection
            )
        )
            await command.ExecuteNonQueryAsync();
        await Eventually.True(async () => await host.Count(waiting) == 0, "the regular look has told it", seconds: 60);
        (await host.Count("SELECT told FROM tasks.scheduler_task_list")).ShouldBe(1);
    }
}
