using System.Text.Json.Nodes;
using Codo.Tests.Support;
using static Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Modules.Tasks.Orders;

public sealed class OrderAttacksHost(TestPostgres postgres) : HostFixture(postgres, ("Codo:Tasks:AnyWord", "false"));

/// <summary>What somebody with a token could do to other people's orders, or to everybody's memory.</summary>
public sealed class OrderAttacksTests(OrderAttacksHost fixture) : IClassFixture<OrderAttacksHost>
{
    private const string Accept = "/v2/task/accept/";
    private static readonly Dictionary<string, string> Here = new() { ["1"] = "127.0.0.1" };
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task An_argument_that_stands_in_every_step_does_not_multiply_without_end()
    {
        var template = await host.Template([.. Enumerable.Range(0, 100).Select(n => Step("echo", "VERSION", level: n, name: $"s{n}"))]);
        var hosts = new Dictionary<string, string> { ["1"] = string.Join(',', Enumerable.Range(1, 100).Select(n => $"10.0.0.{n}")) };
        (await host.Post("/v2/task_layout/args/", new { args_name = "version of attack", args_self = "VERSION" })).Code().ShouldBe(0);
        object Order(int length) => new { task_name = "x", temp_id = template, hosts, args = new { VERSION = new string('v', length) } };
        foreach (var path in new[] { Accept, "/v2/task/preview/" })
        {
            var refused = await host.Post(path, Order(100_000));
            (refused.Code(), ((string)refused["msg"]!).Contains("4 Mi")).ShouldBe((-1, true), path);
        }
        // 100 steps on 100 hosts: whole on the first, where they are read, and cut on the others.
        var preview = await host.Post("/v2/task/preview/", Order(2000));
        preview.ToJsonString().Length.ShouldBeLessThan(8_000_000);
        var lanes = preview["data"]!["groups"]![0]!["hosts"]!.AsArray();
        string Line(int lane) => (string)lanes[lane]!["steps"]![99]!["command_line"]!;
        (lanes.Count, Line(0).Length, Line(1).Length, Line(99).EndsWith('…')).ShouldBe((100, 2005, 101, true));
    }

    [Fact]
    public async Task Texts_have_lengths()
    {
        var template = await host.Template(Step("true"));
        foreach (var (field, longest) in new[] { ("details", 64 << 10), ("executor", 200), ("submitter", 200), ("exec_time", 100), ("task_type", 200) })
        {
            var body = new JsonObject
            {
                ["task_name"] = "x",
                ["temp_id"] = template,
                ["hosts"] = new JsonObject { ["1"] = "127.0.0.1" },
                [field] = new string('x', longest + 1),
            };
            var answer = await host.Post(Accept, body.ToJsonString());
            (answer.Code(), ((string)answer["msg"]!).Contains(field)).ShouldBe((-1, true), field);
        }
        (
            await host.Post(
                Accept,
                new
                {
                    task_name = "x",
                    temp_id = template,
                    hosts = Here,
                    args = new Dictionary<string, string> { ["A"] = new string('a', 150_000), ["B"] = new string('b', 150_000) },
                }
            )
        ).Code().ShouldBe(-1);
        (
            await host.Post(
                Accept,
                new
                {
                    task_name = "x",
                    temp_id = template,
                    hosts = Here,
                    associated_user = new Dictionary<string, string> { ["A"] = new string('a', 70_000) },
                }
            )
        ).Code().ShouldBe(-1);
        (
            await host.Post(
                Accept,
                new
                {
                    task_name = "x",
                    temp_id = template,
                    hosts = Here,
                    details = new string('x', 64 << 10),
                }
            )
        ).Code().ShouldBe(0);
    }

    [Fact]
    public async Task A_list_shows_the_beginning_of_a_long_text_and_the_order_shows_all()
    {
        await using var any = await fixture.Another(("Codo:Tasks:AnyWord", "true"));
        var template = await any.Template(Step("true"));
        var args = Enumerable.Range(0, 400).ToDictionary(n => $"KEY_{n}", n => new string('v', 300));
        var made = await any.Post(Accept, new { task_name = "long", temp_id = template, hosts = Here, details = new string('d', 60_000), args });
        made.Code().ShouldBe(0, made.ToJsonString()[..Math.Min(500, made.ToJsonString().Length)]);
        var row = (await any.Get("/v2/task/list/"))["data"]![0]!.AsObject();
        row.ToJsonString().Length.ShouldBeLessThan(24_000);
        ((string)row["details"]!).ShouldStartWith(new string('d', 4096));
        // Still the JSON that the console parses.
        JsonNode.Parse((string)row["args"]!)!["KEY_0"].ShouldNotBeNull();
        ((string)(await any.Check((long)made["list_id"]!))["details"]!).Length.ShouldBe(60_000);
    }

    [Fact]
    public async Task A_job_that_is_edited_as_a_list_showed_it_keeps_its_whole_command()
    {
        var cmd = "echo " + string.Concat(Enumerable.Repeat("界😀", 5000));
        (
            await host.Post(
                "/v1/cron/job/",
                new
                {
                    job_id = "long",
                    cmd,
                    cron = "0 0 0 29 2 *",
                    env = new Dictionary<string, string> { ["A"] = new string('a', 9000) },
                }
            )
        ).Code().ShouldBe(0);
        var shown = (await host.Get("/v1/cron/job/"))["data"]!.AsArray().Single(job => (string)job!["job_id"]! == "long")!;
        ((string)shown["cmd"]!).Length.ShouldBeLessThan(9000);
        (
            await host.Put(
                "/v1/cron/job/",
                new JsonObject
                {
                    ["job_id"] = "long",
                    ["cmd"] = shown["cmd"]!.DeepClone(),
                    ["env"] = shown["env"]!.DeepClone(),
                    ["cron"] = "0 0 1 29 2 *",
                }.ToJsonString()
            )
        ).Code().ShouldBe(0);
        var whole = (await host.Get("/v1/cron/job/?job_id=long"))["data"]![0]!;
        ((string)whole["cmd"]!, (string)whole["cron"]!, ((string)whole["env"]!["A"]!).Length).ShouldBe((cmd, "0 0 1 29 2 *", 9000));
    }

    [Theory]
    [InlineData("/v2/task/list/")]
    [InlineData("/v2/task/check_history/")]
    [InlineData("/v1/cron/job/")]
    [InlineData("/v1/cron/log/")]
    [InlineData("/v2/alerts/incident/")]
    [InlineData("/v2/alerts/delivery/")]
    [InlineData("/v2/alerts/silence/")]
    [InlineData("/v2/alerts/contact/")]
    [InlineData("/v2/alerts/channel/")]
    [InlineData("/v2/alerts/rule/")]
    [InlineData("/v2/task/host_key/")]
    [InlineData("/v2/task/log/?log_key=1_1_1_h")]
    public async Task Limit_ends_at_1000(string path)
    {
        var ask = path.Contains('?') ? path + "&limit=" : path + "?limit=";
        (await host.Get(ask + "1000")).Code().ShouldBe(0);
        (await host.Get(ask + "1001")).Code().ShouldBe(-1);
        (await host.Get(ask + "2147483647")).Code().ShouldBe(-1);
    }

    [Fact]
    public async Task Over_200_means_all_of_the_library_and_all_of_it_comes()
    {
        await using (var connection = await host.Source.OpenConnectionAsync())
        await using (var fill = connection.CreateCommand())
        {
            fill.CommandText =
                "INSERT INTO tasks.scheduler_cmd_list (command_name, command, args) SELECT 'bulk-' || n, repeat('c', 4000), '' FROM generate_series(1, 3000) n";
            await fill.ExecuteNonQueryAsync();
        }
        var all = await host.Get("/v2/task_layout/command/?search_value=bulk-&limit=201");
        (
            all.Code(),
            (long)all["count"]!,
            all["data"]!.AsArray().Count,
            all["data"]!.AsArray().Select(row => (long)row!["command_id"]!).Distinct().Count()
        ).ShouldBe((0, 3000, 3000, 3000));
        (await host.Get("/v2/task_layout/command/?search_value=bulk-&limit=201&page=2"))["data"]!.AsArray().Count.ShouldBe(0);
        (await host.Get("/v2/task_layout/command/?search_value=bulk-&limit=200&page=2"))["data"]!.AsArray().Count.ShouldBe(200);
    }

    [Fact]
    public async Task Words_that_were_never_parameters_are_not_replaced()
    {
        var template = await host.Template(Step("echo deploy to", "staging -- VERSION_8 && echo end"));
        await host.Post("/v2/task_layout/args/", new { args_name = "version", args_self = "VERSION_8" });
        var refused = await host.Post(
            Accept,
            new
            {
                task_name = "x",
                temp_id = template,
                hosts = Here,
                args = new Dictionary<string, string>
                {
                    ["staging"] = "production",
                    ["&&"] = "--force",
                    ["VERSION_8"] = "v1",
                },
            }
        );
        refused.Code().ShouldBe(-1);
        ((string)refused["msg"]!).ShouldSatisfyAllConditions(
            msg => msg.ShouldContain("staging"),
            msg => msg.ShouldContain("&&"),
            msg => msg.ShouldContain("VERSION_8")
        );
        (
            await host.Post(
                "/v2/task/preview/",
                new
                {
                    task_name = "x",
                    temp_id = template,
                    hosts = Here,
                    args = new { staging = "production" },
                }
            )
        ).Code().ShouldBe(-1);
        var page = new
        {
            task_name = "x",
            temp_id = template,
            hosts = Here,
            args = new { staging = "production" },
        };
        (await host.Post("/other/v1/submission/post_task/", new { post_data = System.Text.Json.JsonSerializer.Serialize(page) })).Code().ShouldBe(-1);

        // What replaces nothing, or a word by itself, is a warning: hooks send such.
        var warned = await host.Post(
            Accept,
            new
            {
                task_name = "x",
                temp_id = template,
                hosts = Here,
                args = new Dictionary<string, string>
                {
                    ["staging"] = "staging",
                    ["branch"] = "main",
                    ["VERSION_8"] = "v1",
                },
            }
        );
        warned.Code().ShouldBe(0, warned.ToJsonString());
        warned["warnings"]!.AsArray().Select(warning => (string)warning!).ShouldContain(warning => warning.Contains("branch") && warning.Contains("staging"));
    }

    [Fact]
    public async Task A_template_declares_words_of_its_own()
    {
        var template = await host.Template(Step("echo", "colour_of_the_day"));
        var order = new { task_name = "x", temp_id = template, hosts = Here, args = new { colour_of_the_day = "blue" }, schedule = "ready" };
        (await host.Post(Accept, order)).Code().ShouldBe(-1);
        var steps = (await host.Get($"/v2/task_layout/details/?temp_id={template}"))["data"]!["temp_list"]!.DeepClone();
        (
            await host.Put(
                "/v2/task_layout/details/",
                new JsonObject
                {
                    ["temp_id"] = template,
                    ["new_temp_data"] = steps,
                    ["temp_args"] = new JsonArray("colour_of_the_day"),
                }.ToJsonString()
            )
        ).Code().ShouldBe(0);
        (await host.Get($"/v2/task_layout/details/?temp_id={template}"))["temp_args"]!.ToJsonString().ShouldBe("""["colour_of_the_day"]""");
        (await host.Post(Accept, order)).Code().ShouldBe(0);
        // The console sends no temp_args: they stay.
        (await host.Put("/v2/task_layout/details/", new JsonObject { ["temp_id"] = template, ["new_temp_data"] = steps.DeepClone() }.ToJsonString()))
            .Code()
            .ShouldBe(0);
        (await host.Post(Accept, order)).Code().ShouldBe(0);
    }

    [Fact]
    public async Task Somebodys_nickname_opens_nothing_of_theirs()
    {
        var (ann, member, impostor, impostor2) = (
            TestTokens.For(81, "ann81", nickname: "安"),
            TestTokens.For(82, "user82", nickname: "成员"),
            TestTokens.For(83, "eve83", nickname: "安"),
            TestTokens.For(84, "eve84", nickname: "成员")
        );
        var template = await host.Template(null, ["82,,,成员"], Step("false"));
        var made = await host.Post(
            Accept,
            new
            {
                task_name = "hers",
                temp_id = template,
                hosts = Here,
                associated_user = new { g = new[] { "85,,,小红" } },
            },
            ann
        );
        var id = (long)made["list_id"]!;
        foreach (var token in new[] { ann, member, TestTokens.For(85, "xh", nickname: "小红") })
            (await host.Get($"/v2/task/check/?list_id={id}", token)).Code().ShouldBe(0);
        foreach (var token in new[] { impostor, impostor2, TestTokens.For(86, "eve86", nickname: "小红") })
        {
            (await host.Get($"/v2/task/check/?list_id={id}", token)).Code().ShouldBe(-1);
            (await host.Get("/v2/task/list/", token))["count"]!.GetValue<long>().ShouldBe(0);
            (await host.Get($"/v2/task/log/?log_key={id}_1_1_127.0.0.1", token)).Code().ShouldNotBe(0);
        }

        // It fails: those with an id are told by it, and nobody else may take it on.
        (await host.Patch("/v2/task/list/", new { list_id = id, start_time = "2020-01-01 00:00" }, member))
            .Code()
            .ShouldBe(0);
        var incident = await Eventually.Get<JsonNode>(
            async () => (await host.Get($"/v2/alerts/incident/?list_id={id}", ann))["data"]!.AsArray().FirstOrDefault(),
            _ => true,
            "the failure is an incident, beside that of the wait for an approval"
        );
        foreach (var token in new[] { impostor, impostor2 })
        {
            (await host.Get($"/v2/alerts/incident/?list_id={id}", token))["count"]!.GetValue<long>().ShouldBe(0);
            (await host.Patch("/v2/alerts/incident/", new { id = (long)incident["id"]!, action = "acknowledge" }, token)).Code().ShouldNotBe(0);
        }
        (await host.Get($"/v2/alerts/incident/?list_id={id}", ann))["count"]!.GetValue<long>().ShouldBe(1);
        (await host.Patch("/v2/alerts/incident/", new { id = (long)incident["id"]!, action = "acknowledge" }, ann)).Code().ShouldBe(0);
    }

    [Fact]
    public async Task A_row_without_an_id_is_still_seen_by_its_name()
    {
        var id = await host.Ask<long>("""
            INSERT INTO tasks.scheduler_task_list (task_name, task_type, hosts, args, creator, schedule, temp_id, start_time, not_before) VALUES ('old', 't',
                '{}', '{}', '老王', 'new', 1, now(), now()) RETURNING list_id
            """
        );
        (await host.Get("/v2/task/list/", TestTokens.For(91, "w91", nickname: "老王")))["data"]!
            .AsArray()
            .Select(row => (long)row!["list_id"]!)
            .ShouldContain(id);
    }
}
