using System.Net;
using System.Text.Json.Nodes;
using Codo.Host.Client;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Codo.Tests.Host.Client;

/// <summary>Imports from a small server that answers as codo-task does.</summary>
[Collection<ClientCollection>]
public sealed class CodoTaskTests(ClientHost fixture)
{
    private const string SourceToken = "token-of-the-old-one";

    private static async Task<WebApplication> Original(string word, int templateId, string key)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var app = builder.Build();
        void Answer(string path, Func<HttpContext, object> data) =>
            app.MapGet(
                "/v2/task_layout/" + path,
                (HttpContext context) =>
                    context.Request.Cookies["auth_key"] == SourceToken
                        ? Results.Json(new { code = 0, msg = "获取成功", data = data(context) })
                        : Results.Json(new { code = 401, msg = "你没有登录" }, statusCode: (int)HttpStatusCode.Unauthorized)
            );
        Answer(
            "command/",
            _ => new[] { new { command_id = 4, command_name = $"say-{word}", command = "echo", args = "WORD", force_host = "", creator = "li" } }
        );
        Answer("args/", _ => new[] { new { args_id = 2, args_name = $"Word of {word}", args_self = $"W_{word.ToUpperInvariant()}", creator = "li" } });
        Answer(
            "user/",
            _ => new[] { new { id = 3, alias_user = $"deploy-{word}", exec_user = "deploy", ssh_port = 22, password = "", user_key = key, remarks = "web" } }
        );
        Answer(
            "temp/",
            _ => new[]
            {
                new { temp_id = templateId, temp_name = $"Release {word}", creator = "li" },
                new { temp_id = templateId + 1, temp_name = $"Empty {word}", creator = "li" },
            }
        );
        Answer(
            "details/",
            context =>
                context.Request.Query["temp_id"] == $"{templateId}"
                    ? new
                    {
                        temp_list = new object[]
                        {
                            new
                            {
                                id = 9,
                                temp_id = $"{templateId}",
                                group = 1,
                                level = "2",
                                command_name = "second",
                                command = "uptime",
                                args = "",
                                trigger = "hand",
                                exec_user = $"deploy-{word}",
                                force_host = "127.0.0.1",
                                creator = "li",
                            },
                            new
                            {
                                id = 8,
                                temp_id = $"{templateId}",
                                group = 1,
                                level = "1",
                                command_name = "first",
                                command = "echo",
                                args = "WORD",
                                trigger = "order",
                                exec_user = (string?)null,
                                force_host = (string?)null,
                                creator = "li",
                            },
                        },
                        temp_user = new[] { "77,,,Li Lei" },
                    }
                    : new { temp_list = Array.Empty<object>(), temp_user = Array.Empty<string>() }
        );
        await app.StartAsync();
        return app;
    }

    private Task<ClientRun> Import(WebApplication original, params string[] options) =>
        ClientHost.RunIn(
            "",
            [(Logins.UrlVariable, fixture.Url), (Logins.TokenVariable, TestTokens.Admin), ("CODO_SOURCE_TOKEN", SourceToken)],
            ["import", "codo-task", original.Urls.First(), .. options]
        );

    [Fact]
    public async Task The_library_and_the_templates_come_over_with_their_numbers_and_a_repetition_changes_nothing()
    {
        var (word, number) = (ClientHost.NewName("w"), Random.Shared.Next(100_000, 900_000));
        await using var original = await Original(word, number, "******");
        var dry = await Import(original);
        dry.Text.ShouldContain($"It keeps its number {number}.");
        dry.Output.ShouldContain("It needs its private key");
        dry.Errors.ShouldContain("3 new, 0 changed, 0 unchanged, 2 refused");
        (await fixture.Host.Get($"/v2/task_layout/temp/?key=temp_id&value={number}"))["data"]!.AsArray().ShouldBeEmpty();

        (await Import(original, "--apply")).Code.ShouldBe(0);
        var details = await fixture.Host.Get($"/v2/task_layout/details/?temp_id={number}");
        details["data"]!["temp_list"]!.AsArray().Select(step => step!["command_name"]!.GetValue<string>()).ShouldBe(["first", "second"]);
        details["data"]!["temp_list"]![1]!["trigger"]!.GetValue<string>().ShouldBe("hand");
        details["temp_user"]![0]!.GetValue<string>().ShouldBe("77,,,Li Lei");
        (await Import(original, "--apply")).Errors.ShouldContain("0 new, 0 changed, 3 unchanged, 2 refused");
        (await Import(original, "--with-keys")).Output.ShouldContain("The old one does not give its key.");

        // A template that is made afterwards gets a number behind it.
        var next = await fixture.Host.Post("/v2/task_layout/temp/", new { temp_name = ClientHost.NewName("after") });
        next["temp_id"]!.GetValue<long>().ShouldBeGreaterThan(number);
        (
            await fixture.Host.Post("/v2/task_layout/temp/", new { temp_name = ClientHost.NewName("own"), temp_id = 999_999_999 }, TestTokens.For(5, "five"))
        )["code"]!
            .GetValue<int>()
            .ShouldBe(-2);
    }

    [Fact]
    public async Task What_was_set_in_Codo_on_a_template_outlasts_another_import()
    {
        var (word, number) = (ClientHost.NewName("kept"), Random.Shared.Next(10_000_000, 90_000_000));
        await using var original = await Original(word, number, "******");
        (await Import(original, "--apply")).Code.ShouldBe(0);
        var steps = (await fixture.Host.Get($"/v2/task_layout/details/?temp_id={number}"))["data"]!["temp_list"]!.DeepClone().AsArray();
        steps[0]!["timeout"] = 60;
        steps[0]!["on_error"] = "continue";
        var changed = new { temp_id = number, new_temp_data = steps, temp_args = new[] { "X" }, groups = new[] { new { group = 1, batch = "1" } } };
        (await fixture.Host.Put("/v2/task_layout/details/", changed)).Code().ShouldBe(0);
        var people = new { temp_id = number, new_user_info = new[] { "77,,,Li Lei", "78,,,Han Meimei" } };
        (await fixture.Host.Patch("/v2/task_layout/details/", people)).Code().ShouldBe(0);

        var again = await Import(original, "--apply");
        again.Errors.ShouldContain("0 new, 0 changed, 3 unchanged, 2 refused");
        again.Text.ShouldContain("Users here alone, who stay: Han Meimei.");
        await Kept();

        // A change over there comes, and takes nothing else along.
        steps = (await fixture.Host.Get($"/v2/task_layout/details/?temp_id={number}"))["data"]!["temp_list"]!.DeepClone().AsArray();
        steps[0]!["command"] = "echo changed";
        (await fixture.Host.Put("/v2/task_layout/details/", new { temp_id = number, new_temp_data = steps })).Code().ShouldBe(0);
        var run = await Import(original, "--apply");
        run.Text.ShouldContain("Users here alone, who stay: Han Meimei. Changed: step first.");
        run.Errors.ShouldContain("0 new, 1 changed, 2 unchanged, 2 refused");
        (await Kept())["command"]!.GetValue<string>().ShouldBe("echo");

        async Task<JsonNode> Kept()
        {
            var details = await fixture.Host.Get($"/v2/task_layout/details/?temp_id={number}");
            var first = details["data"]!["temp_list"]![0]!;
            (first["timeout"]!.GetValue<int>(), first["on_error"]!.GetValue<string>()).ShouldBe((60, "continue"));
            details["temp_args"]!.AsArray().Select(name => name!.GetValue<string>()).ShouldBe(["X"]);
            details["groups"]![0]!["batch"]!.GetValue<string>().ShouldBe("1");
            details["temp_user"]!.AsArray().Select(user => user!.GetValue<string>()).ShouldBe(["77,,,Li Lei", "78,,,Han Meimei"]);
            return first;
        }
    }

    [Fact]
    public async Task A_step_of_another_level_over_there_keeps_what_was_set_here()
    {
        var (word, number) = (ClientHost.NewName("moved"), Random.Shared.Next(100_000_000, 900_000_000));
        await using var original = await Original(word, number, "******");
        (await Import(original, "--apply")).Code.ShouldBe(0);
        var steps = (await fixture.Host.Get($"/v2/task_layout/details/?temp_id={number}"))["data"]!["temp_list"]!.DeepClone().AsArray();
        steps[0]!["level"] = 2;
        steps[0]!["timeout"] = 60;
        steps[1]!["level"] = 3;
        (await fixture.Host.Put("/v2/task_layout/details/", new { temp_id = number, new_temp_data = steps })).Code().ShouldBe(0);
        (await Import(original, "--apply")).Errors.ShouldContain("0 new, 1 changed, 2 unchanged, 2 refused");
        var first = (await fixture.Host.Get($"/v2/task_layout/details/?temp_id={number}"))["data"]!["temp_list"]![0]!;
        (first["command_name"]!.GetValue<string>(), $"{first["level"]}", first["timeout"]!.GetValue<int>()).ShouldBe(("first", "1", 60));
    }

    [Fact]
    public async Task Private_keys_come_on_request_alone()
    {
        using var pair = System.Security.Cryptography.RSA.Create(2048);
        var word = ClientHost.NewName("k");
        await using var original = await Original(word, Random.Shared.Next(1_000_000, 9_000_000), pair.ExportRSAPrivateKeyPem());
        (await Import(original, "--with-keys", "--apply")).Code.ShouldBe(0);
        var users = (await fixture.Host.Get("/v2/task_layout/user/"))["data"]!.AsArray();
        var made = users.Single(user => user!["alias_user"]!.GetValue<string>() == $"deploy-{word}")!;
        (made["exec_user"]!.GetValue<string>(), made["user_key"]!.GetValue<string>()).ShouldBe(("deploy", "******"));
        (await Import(original, "--with-keys")).Text.ShouldNotContain("PRIVATE KEY");
    }

    [Fact]
    public async Task A_token_that_the_old_one_does_not_take_is_said_so()
    {
        await using var original = await Original("x", 1, "");
        var run = await ClientHost.RunIn(
            "wrong\n",
            [(Logins.UrlVariable, fixture.Url), (Logins.TokenVariable, TestTokens.Admin)],
            "import",
            "codo-task",
            original.Urls.First()
        );
        run.Code.ShouldBe(ExitCodes.NotSignedIn);
        run.Errors.ShouldContain("你没有登录");
    }
}
