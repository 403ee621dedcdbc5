using Codo.Modules.Tasks.Orders;
using Codo.Tests.Support;

namespace Codo.Tests.Modules.Tasks.Orders;

public sealed class TimelineTests(OrderFixture fixture) : IClassFixture<OrderFixture>
{
    private static readonly DateTime Noon = new(2026, 3, 2, 12, 0, 0, DateTimeKind.Utc);

    [Fact]
    public async Task An_order_tells_when_its_steps_ran_what_it_waits_for_and_who_did_what()
    {
        var host = fixture.Host;
        var (gate, both) = (fixture.NewFile(), fixture.NewFile());
        // The lanes wait for each other, so that their attempts overlap.
        var check = $"echo x >> {both}; while test $(wc -l < {both}) -lt 2; do sleep 0.05; done; test -e {gate}";
        var template = await host.Template(
            OrderHost.Step("echo fetched", name: "fetch", forceHost: "127.0.0.1"),
            OrderHost.Step(check, level: 2, name: "check", forceHost: "127.0.0.1"),
            OrderHost.Step("echo on", level: 3, trigger: "hand", name: "confirm", forceHost: "127.0.0.1")
        );
        var order = await host.Order(template, new Dictionary<string, string> { ["1"] = "a,b" }, schedule: "new");
        var empty = await host.Get($"/v2/task/timeline/?list_id={order}");
        empty["data"]!.AsArray().ShouldBeEmpty();
        empty["waits"]!.AsArray().Select(wait => $"{wait!["kind"]} {wait["to_time"] is null}").ShouldBe(["approval True"]);
        (await host.Patch("/v2/task/list/", new { list_id = order, start_time = "2020-01-01 00:00" })).Code().ShouldBe(0);
        await host.Stands(order, "345", "&get_run_host=a");
        await host.Stands(order, "345", "&get_run_host=b");
        await File.WriteAllTextAsync(gate, "", TestContext.Current.CancellationToken);
        (await host.Intervene(order, "restart", level: 2, ip: "a")).Code().ShouldBe(0);
        await host.Stands(order, "335", "&get_run_host=a");
        var answer = await host.Get($"/v2/task/timeline/?list_id={order}");
        answer.Code().ShouldBe(0, answer.ToJsonString());
        var stretches = answer["data"]!.AsArray();
        stretches.Sum(one => (int)one!["attempts"]!).ShouldBe(5);
        var checks = stretches.Where(one => (string)one!["task_name"]! == "check").ToList();
        (checks.Sum(one => (int)one!["done"]!), checks.Sum(one => (int)one!["repeated"]!), checks.Max(one => (int)one!["hosts"]!)).ShouldBe((1, 1, 2));
        var waits = answer["waits"]!.AsArray().Select(wait => $"{wait!["kind"]} {wait["task_name"]} {wait["to_time"] is null}").ToList();
        waits.ShouldContain("approval  False");
        waits.ShouldContain("failure check True");
        waits.ShouldContain("hand confirm True");
        answer["events"]!.AsArray().Select(one => (string)one!["action"]!).ShouldBe(["create", "approve", "restart"]);
        (await host.Get($"/v2/task/timeline/?list_id={order}", TestTokens.For(99, "stranger"))).Code().ShouldBe(-1);
        (await host.Get("/v2/task/timeline/")).Code().ShouldBe(-1);
        (await host.Put("/v2/task/list/", new { list_id = order })).Code().ShouldBe(0);
    }

    [Fact]
    public void A_time_in_which_nothing_ran_is_told_by_what_ended_it()
    {
        TimelineStretch[] stretches =
        [
            Stretch(1, 1, 100, 110),
            Stretch(1, 2, 400, 410),
            Stretch(2, 1, 470, 480),
            Stretch(2, 2, 900, 910, repeated: 1),
            Stretch(2, 3, 1500, 1510, trigger: "hand"),
            Stretch(2, 4, 1510.5, 1520),
        ];
        TimelineEvent[] events =
        [
            Event("create", 0, "ann", """{"schedule":"new"}"""),
            Event("approve", 20, "bob", """{"missing":1}"""),
            Event("approve", 40, "eve", """{"missing":0}"""),
            Event("next_batch", 460, "eve"),
            Event("restart", 899, "bob"),
            Event("release", 1499, "eve"),
        ];
        var order = new TimelineOrder(Noon, Noon.AddSeconds(90), Noon.AddSeconds(1520), "OK", Noon.AddSeconds(2000));
        OrderTimeline
            .Waits(order, stretches, events, [])
            .Select(wait => $"{wait.Kind} {(wait.FromTime - Noon).TotalSeconds}-{(wait.ToTime - Noon)?.TotalSeconds} {wait.By}")
            .ShouldBe(["approval 0-40 eve", "start 40-100 ", "idle 110-400 ", "confirm 410-470 eve", "failure 480-900 bob", "hand 910-1500 eve"]);
    }

    [Fact]
    public void Idle_times_are_folded_and_what_ran_keeps_its_place()
    {
        var scale = new TimelineScale(Noon, Noon.AddHours(10), [(Noon.AddHours(2), Noon.AddHours(2.5)), (Noon.AddHours(9), Noon.AddHours(9.5))]);
        scale.Folds.Count.ShouldBe(3);
        (scale.Place(Noon), scale.Place(Noon.AddHours(10)), scale.Place(Noon.AddYears(1))).ShouldBe((0, 1000, 1000));
        (scale.Place(Noon.AddHours(2.5)) - scale.Place(Noon.AddHours(2))).ShouldBe(479);
        (scale.Place(Noon.AddHours(9)) - scale.Place(Noon.AddHours(2.5))).ShouldBe(TimelineScale.FoldWidth);
        var nothing = new TimelineScale(Noon, Noon, []);
        (nothing.Folds.Count, nothing.Place(Noon)).ShouldBe((0, 0));
    }

    private static TimelineStretch Stretch(int batch, int step, double from, double to, string trigger = "order", int repeated = 0) =>
        new(1, batch, step, $"step {step}", trigger, Noon.AddSeconds(from), Noon.AddSeconds(to), Noon.AddSeconds(to), 1, 1, repeated, 1, 0, "h");

    private static TimelineEvent Event(string action, int second, string user, string? detail = null) =>
        new(Noon.AddSeconds(second), user, 1, action, detail is null ? null : System.Text.Json.Nodes.JsonNode.Parse(detail));
}
