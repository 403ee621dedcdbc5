using System.Net;
using System.Text.Json.Nodes;
using Codo.Tests.Support;
using static Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Modules.Tasks.Orders;

/// <summary>
/// The requests of codo's own console, as its pages send them: the gateway's prefix, the cookie, the key against cross-site requests, times from its date
/// picker.
/// </summary>
public sealed class ConsoleTests(OrderFixture fixture) : IClassFixture<OrderFixture>
{
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task An_order_that_awaits_its_approval_is_new_in_the_list_and_waits_once_it_is_approved()
    {
        foreach (var make in new Func<string, JsonObject>[] { text => Step(text), text => Step(text, trigger: "hand"), text => Step(text, trigger: "timed") })
        {
            // It has not ended before it was looked for in the list of those that have not.
            var gate = fixture.NewFile();
            var step = make($"while ! test -e {gate}; do sleep 0.05; done");
            var order = await host.Order(await host.Template(step), schedule: "new");
            var (schedule, status) = await Listed(order);
            (schedule, status).ShouldBe(("new", "0"));
            ((string)(await host.Check(order))["status"]!).ShouldBe("0");
            (await Send(HttpMethod.Patch, "/api/task/v2/task/list/", new JsonObject { ["list_id"] = order, ["start_time"] = "2018-11-27T06:09:50.000Z" }))
                .Code()
                .ShouldBe(0);
            (await Listed(order)).Status.ShouldNotBe("0");
            if (step["trigger"]!.GetValue<string>() == "hand") (await host.Put("/v2/task/list/", new { list_id = order })).Code().ShouldBe(0);
            await File.WriteAllTextAsync(gate, "");
            await host.Ended(order);
        }
    }

    [Fact]
    public async Task Approving_for_a_later_time_holds_the_whole_order()
    {
        var file = fixture.NewFile();
        var order = await host.Order(await host.Template(Step($"touch {file}")), schedule: "new");
        // The date picker's value, as the browser's JSON.stringify writes it.
        var answer = await Send(
            HttpMethod.Patch,
            "/api/task/v2/task/list/",
            new JsonObject { ["list_id"] = order, ["start_time"] = "2098-12-31T16:00:00.000Z" }
        );
        (answer.Code(), (bool)answer["hold"]!, (string)answer["begins_at"]!, answer["warnings"]!.AsArray().Count).ShouldBe((0, true, "2099-01-01 00:00:00", 0));
        (await host.Check(order))["hold"]!.GetValue<bool>().ShouldBeTrue();
        (await host.Ask<string>("SELECT schedule FROM tasks.scheduler_task_list WHERE list_id = @order", new { order })).ShouldBe("ready");
        File.Exists(file).ShouldBeFalse();
        // The same button again, for now.
        (await Send(HttpMethod.Patch, "/api/task/v2/task/list/", new JsonObject { ["list_id"] = order, ["start_time"] = "2018-11-27T06:09:50.000Z" }))
            .Code()
            .ShouldBe(0);
        (await host.Ended(order)).ShouldBe("3");
        File.Exists(file).ShouldBeTrue();
    }

    [Fact]
    public async Task A_time_within_a_minute_or_an_explicit_hold_false_does_not_hold_it()
    {
        foreach (
            var (start, hold) in new (string, bool?)[]
            {
                ("2099-01-01 00:00", false),
                (DateTime.UtcNow.AddSeconds(30).ToString("yyyy-MM-ddTHH:mm:ssZ", System.Globalization.CultureInfo.InvariantCulture), null),
            }
        )
        {
            var order = await host.Order(await host.Template(Step("true")), schedule: "new");
            var answer = await host.Patch("/v2/task/list/", new { list_id = order, start_time = start, hold });
            (answer.Code(), (bool)answer["hold"]!, answer["warnings"]!.AsArray().Count).ShouldBe((0, false, hold is null ? 0 : 1));
            (await host.Ended(order)).ShouldBe("3");
        }
    }

    [Fact]
    public async Task Where_later_does_not_mean_hold_only_timed_steps_wait()
    {
        await using var other = await fixture.Another(("Codo:Tasks:LaterMeansHold", "false"));
        var order = await other.Order(await other.Template(Step("true")), schedule: "new");
        var answer = await other.Patch("/v2/task/list/", new { list_id = order, start_time = "2099-01-01 00:00" });
        (answer.Code(), (bool)answer["hold"]!, answer["warnings"]!.AsArray().Count).ShouldBe((0, false, 1));
        (await other.Ended(order)).ShouldBe("3");
    }

    [Fact]
    public async Task Pages_of_other_say_what_they_are_in_an_envelope_that_the_console_prints()
    {
        foreach (var path in new[] { "/api/task/other/v1/git/projects/", "/api/task/other/v1/submission/publish/", "/other/v1/anything" })
        {
            using var request = Browser(HttpMethod.Get, path, null);
            using var response = await host.Http.SendAsync(request);
            var answer = JsonNode.Parse(await response.Content.ReadAsStringAsync())!;
            (response.StatusCode, (int)answer["code"]!).ShouldBe((HttpStatusCode.OK, 404));
            ((string)answer["msg"]!).ShouldBe("此页面属于 codo-task 的 other 服务，Codo 不提供，见 docs/migration.md");
        }
    }

    [Fact]
    public async Task A_host_is_named_as_exec_ip_or_as_get_run_host()
    {
        var order = await host.Order(await host.Template(Step("true", forceHost: "127.0.0.1")), new Dictionary<string, string> { ["1"] = "10.0.0.1,10.0.0.2" });
        foreach (var name in new[] { "exec_ip", "get_run_host" }) ((string)(await host.Check(order, $"&{name}=10.0.0.2"))["this_host"]!).ShouldBe("10.0.0.2");
        (await host.Get($"/v2/task/check/?list_id={order}&exec_ip=10.0.0.9")).Code().ShouldBe(-2);
    }

    private async Task<(string Schedule, string Status)> Listed(long order)
    {
        var list = await Send(HttpMethod.Get, "/api/task/v2/task/list/?page=1&limit=100", null);
        var row = list["data"]!.AsArray().Single(row => (long)row!["list_id"]! == order)!;
        return ((string)row["schedule"]!, (string)row["status"]!);
    }

    private async Task<JsonObject> Send(HttpMethod method, string path, JsonObject? body)
    {
        using var request = Browser(method, path, body);
        using var response = await host.Http.SendAsync(request);
        return JsonNode.Parse(await response.Content.ReadAsStringAsync())!.AsObject();
    }

    private static HttpRequestMessage Browser(HttpMethod method, string path, JsonObject? body)
    {
        var request = TestHost.Request(method, path, body?.ToJsonString(), null);
        request.Headers.TryAddWithoutValidation("Cookie", $"auth_key={TestTokens.Admin}; _xsrf=k3y");
        request.Headers.TryAddWithoutValidation("X-Xsrftoken", "k3y");
        request.Headers.TryAddWithoutValidation("Sec-Fetch-Site", "same-origin");
        return request;
    }
}
