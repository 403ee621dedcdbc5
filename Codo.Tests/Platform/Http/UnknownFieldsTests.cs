using System.Text;
using System.Text.Json;
using Codo.Modules.Cron.Jobs;
using Codo.Platform.Http;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Modules.Cron.Jobs;
using Codo.Tests.Support;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Tests.Platform.Http;

/// <summary>Fields that nobody reads are accepted, and named in the answer of every change.</summary>
public sealed class UnknownFieldsTests(CronHost fixture) : IClassFixture<CronHost>
{
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task An_answer_without_warnings_of_its_own_gets_them_and_fields_inside_of_lists_are_named_with_their_place()
    {
        await host.Post("/v2/task_layout/temp/", new { temp_name = "unknown-fields" });
        var id = await host.Ask<long>("SELECT temp_id FROM tasks.scheduler_temp_list WHERE temp_name = 'unknown-fields'");
        object Step(object more) => new { temp_id = id, new_temp_data = new[] { more } };
        var answer = await host.Put(
            "/v2/task_layout/details/",
            Step(
                new
                {
                    command_name = "a",
                    command = "true",
                    args = "",
                    group = 1,
                    level = 1,
                    timeuot = 5,
                    creator = "x",
                    temp_id = id,
                    command_id = 3,
                }
            )
        );
        (answer.Code(), (string)answer["warnings"]!.AsArray().ShouldHaveSingleItem()!).ShouldBe(
            (0, "字段 new_temp_data[0].timeuot 不认识，已忽略；是否应为 timeout？")
        );
        var fine = await host.Put(
            "/v2/task_layout/details/",
            Step(
                new
                {
                    command_name = "a",
                    command = "true",
                    args = "",
                    group = 1,
                    level = 1,
                }
            )
        );
        (fine.Code(), fine.ContainsKey("warnings")).ShouldBe((0, false), fine.ToJsonString());
        var shown = (await host.Get($"/v2/task_layout/details/?temp_id={id}"))["data"]!["temp_list"]!.DeepClone();
        (await host.Put("/v2/task_layout/details/", new System.Text.Json.Nodes.JsonObject { ["temp_id"] = id, ["new_temp_data"] = shown }.ToJsonString()))
            .ContainsKey("warnings")
            .ShouldBeFalse();
    }

    [Fact]
    public async Task They_come_beside_the_slices_own_warnings_and_in_the_callers_language()
    {
        var answer = await host.Send(
            HttpMethod.Post,
            "/v1/cron/job/",
            $$"""{"job_id":"two-warnings","cmd":"date +%F","cron":"{{CronClient.Never}}","retrys":1}""",
            language: "en"
        );
        answer["warnings"]!.AsArray().Select(text => (string)text!).Last().ShouldBe("The field retrys is unknown and was ignored; is retries meant?");
        answer["warnings"]!.AsArray().Count.ShouldBe(2);
    }

    [Fact]
    public async Task A_refusal_names_them_too()
    {
        var answer = await host.Post("/v1/cron/job/", new { job_id = "x", command = "true", cron = CronClient.Never });
        (answer.Code(), answer.Msg(), (string)answer["warnings"]![0]!).ShouldBe((-1, "cmd 不能为空", "字段 command 不认识，已忽略"));
    }

    [Fact]
    public async Task The_body_within_the_json_page_is_looked_through_as_well()
    {
        var answer = await host.Post(
            "/other/v1/submission/post_task/",
            new { post_data = """{"task_name": "x", "temp_id": 99999999, "hosts": {"1": "127.0.0.1"}, "shedule": "ready"}""" }
        );
        (answer.Code(), (string)answer["warnings"]![0]!).ShouldBe((-3, "字段 shedule 不认识，已忽略；是否应为 schedule？"));
    }

    [Fact]
    public async Task Thousands_of_them_are_counted_and_long_names_are_cut()
    {
        var fields = string.Join(',', Enumerable.Range(0, 5000).Select(number => $"\"{new string('x', 150)}{number}\":[{{\"a\":1}}]"));
        var answer = await host.Send(HttpMethod.Patch, "/v1/cron/job/", $$"""{"job_id":"nobody",{{fields}}}""");
        (
            answer.Code(),
            answer["warnings"]!.AsArray().Count,
            ((string)answer["warnings"]![0]!).Length < 100,
            ((string)answer["warnings"]![20]!).Contains("4980")
        ).ShouldBe((-1, 21, true, true));
    }

    [Fact]
    public async Task The_first_twenty_are_named_and_the_rest_is_a_number_also_of_two_bodies_together()
    {
        var answer = await host.Send(HttpMethod.Patch, "/v1/cron/job/", $$"""{"job_id":"nobody",{{Fields(25)}}}""");
        Said(answer).ShouldBe([.. Enumerable.Range(0, 20).Select(number => $"字段 qqqqqq{number} 不认识，已忽略"), "还有 5 个不认识的字段"]);
        var inner = $$"""{"task_name": "x", "temp_id": 99999999, "hosts": {"1": "127.0.0.1"}, {{Fields(15)}}}""";
        var page = $$"""{"post_data": {{JsonSerializer.Serialize(inner)}}, {{Fields(15)}}}""";
        var both = Said(await host.Send(HttpMethod.Post, "/other/v1/submission/post_task/", page)).ToList();
        (both.Count, both[^1]).ShouldBe((21, "还有 10 个不认识的字段"));

        static string Fields(int count) => string.Join(',', Enumerable.Range(0, count).Select(number => $"\"qqqqqq{number}\":1"));
        static IEnumerable<string> Said(System.Text.Json.Nodes.JsonObject answer) => answer["warnings"]!.AsArray().Select(text => (string)text!);
    }

    [Fact]
    public void Those_that_are_only_counted_cost_next_to_nothing()
    {
        var options = host.Services.GetRequiredService<JsonSerializerOptions>();
        var body = Encoding.UTF8.GetBytes("{" + string.Join(',', Enumerable.Repeat("\"unread\":1", 100_000)) + "}");
        JsonSerializer.Deserialize<EditJob.Command>(body, options).ShouldNotBeNull();
        // To look for what is meant by each of them would take hundreds of times the body.
        Note(body).ShouldBeLessThan(body.Length * 50L);

        long Note(byte[] json)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            UnknownFields.Note<EditJob.Command>(new DefaultHttpContext(), json, options);
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }
    }
}
