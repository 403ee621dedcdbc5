using System.Text.Json;
using Codo.Platform.Processes;
using Codo.Tests.Support;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;

namespace Codo.Tests.Modules.Cron.Jobs;

/// <summary>What people who come from crontab are told.</summary>
public sealed class JobAdviceTests(CronHost fixture) : IClassFixture<CronHost>
{
    private readonly TestHost host = fixture.Host;

    [Theory]
    [InlineData("30 3 * * *", "0 30 3 * * *")]
    [InlineData("*/5 * * * 1-5", "0 */5 * * * 1-5")]
    [InlineData("@daily", "0 0 0 * * *")]
    [InlineData("@Hourly", "0 0 * * * *")]
    [InlineData("@weekly", "0 0 0 * * 0")]
    [InlineData("@monthly", "0 0 0 1 * *")]
    [InlineData("@yearly", "0 0 0 1 1 *")]
    [InlineData("@reboot", "systemd")]
    [InlineData("@every 5m", "六个字段")]
    [InlineData("H * * * *", "0 23 * * * *")]
    [InlineData("H H(0-7) * * *", "0 23 0 * * *")]
    [InlineData("H/15 * * * *", "0 8/15 * * * *")]
    [InlineData("0 H 3 * * *", "0 23 3 * * *")]
    [InlineData("H(0-29)/10 * * * *", "0 3-29/10 * * * *")]
    [InlineData("H H(9-16)/2 * * 1-5", "0 23 10-16/2 * * 1-5")]
    [InlineData("H H H/5 * *", "0 23 3 1/5 * *")]
    [InlineData("30 4 1,15 * 5", "拆成两个任务")]
    [InlineData("30 4 */2 * 5", "0 30 4 */2 * 5")]
    [InlineData("0 0 12 ? * 2-6", "周日 = 1")]
    [InlineData("0 0 12 ? * 6#3 *", "周日 = 1")]
    [InlineData("0 0 12 ? * MON#2", "0 0 12 * * MON#2")]
    [InlineData("0 0 12 * * ? *", "0 0 12 * * *")]
    [InlineData("0 0 12 ? * MON-FRI", "0 0 12 * * MON-FRI")]
    [InlineData("0 0 12 * * ? 2030", "去掉第七个")]
    [InlineData("", "秒 分 时 日 月 星期")]
    [InlineData("every day", "秒 分 时 日 月 星期")]
    public async Task A_refused_expression_is_answered_with_what_to_write_instead(string cron, string hint)
    {
        var answers = new List<(System.Text.Json.Nodes.JsonObject Answer, string Msg)>
        {
            (await host.Post("/v1/cron/job/", new { job_id = "hinted", cmd = "true", cron }), "添加失败，定时器错误"),
            (await host.Get("/v1/cron/job/next/?cron=" + Uri.EscapeDataString(cron)), "定时器错误"),
        };
        await host.Post("/v1/cron/job/", new { job_id = "hinted-put", cmd = "true", cron = CronClient.Never });
        if (cron.Length > 0) answers.Add((await host.Put("/v1/cron/job/", new { job_id = "hinted-put", cron }), "修改失败，定时器错误"));
        foreach (var (answer, msg) in answers)
        {
            answer.Code().ShouldBe(-1);
            answer.Msg().ShouldStartWith(msg);
            ((string)answer["hint"]!).ShouldContain(hint);
        }
        if (!cron.Contains(' ') || cron.Split(' ').Length == 5) answers[0].Answer.Msg().ShouldBe("添加失败，定时器错误");
    }

    [Theory]
    [InlineData("0 0 12 ? * 2-6")]
    [InlineData("0 0 12 * * 2-6 2030")]
    [InlineData("0 0 12 * * ? 2030")]
    [InlineData("0 12 * * ? *")]
    [InlineData("30 4 1,15 * 5")]
    public async Task What_would_fire_at_other_times_is_not_proposed(string cron) =>
        ((string)(await host.Get("/v1/cron/job/next/?cron=" + Uri.EscapeDataString(cron)))["hint"]!).ShouldNotContain("：");

    [Fact]
    public async Task What_has_no_better_form_has_no_hint_and_problem_details_carry_it_too()
    {
        (await host.Post("/v1/cron/job/", new { job_id = "hinted", cmd = "true", cron = "61 * * * * *" })).ContainsKey("hint").ShouldBeFalse();
        using var request = TestHost.Request(HttpMethod.Post, "/v1/cron/job/", """{"job_id":"hinted","cmd":"true","cron":"@daily"}""", TestTokens.Admin);
        request.Headers.TryAddWithoutValidation("Accept", "application/problem+json");
        request.Headers.TryAddWithoutValidation("Accept-Language", "en");
        using var response = await host.Http.SendAsync(request);
        (await response.Content.ReadAsStringAsync()).ShouldContain("\"hint\":\"Write 0 0 0 * * * for @daily\"");
    }

    [Fact]
    public async Task POST_and_PUT_answer_the_words_the_next_three_times_and_no_warning_where_nothing_is_odd()
    {
        var made = await host.Post("/v1/cron/job/", new { job_id = "told", cmd = "true", cron = "0 30 3 * * *", working_directory = "/tmp" });
        (made.Code(), made["next_run_times"]!.AsArray().Count, made["warnings"]!.AsArray().Count).ShouldBe((0, 3, 0));
        foreach (var time in made["next_run_times"]!.AsArray()) ((string)time!).ShouldMatch(@"^\d{4}-\d\d-\d\d 03:30:00\+08:00$");
        var edited = await host.Put("/v1/cron/job/", new { job_id = "told", time_zone = "UTC" });
        ((string)edited["cron_text"]!, (string)made["cron_text"]!).ShouldBe(
            ((string)made["cron_text"]!, (string)(await host.Get("/v1/cron/job/?job_id=told"))["data"]![0]!["cron_text"]!)
        );
        ((string)edited["next_run_times"]![0]!).ShouldEndWith(" 03:30:00+00:00");
    }

    [Theory]
    [InlineData("""{"cron": "0 0 0 1 * mon"}""", "日和星期")]
    [InlineData("""{"cmd": "date +%F"}""", "%")]
    [InlineData("""{"working_directory": "/nowhere/at/all"}""", "/nowhere/at/all")]
    [InlineData("""{"timeuot": 5}""", "timeuot 不认识，已忽略；是否应为 timeout？")]
    [InlineData("""{"owner": "me"}""", "owner 不认识，已忽略；是否应为 owners？")]
    [InlineData("""{"jobid": "x"}""", "jobid 不认识，已忽略；是否应为 job_id？")]
    [InlineData("""{"colour": "red"}""", "colour 不认识，已忽略")]
    public async Task What_is_likely_to_be_a_mistake_is_accepted_and_said(string more, string warning)
    {
        var id = $"warned-{Guid.NewGuid():N}";
        var body = JsonSerializer.SerializeToNode(new { job_id = id, cmd = "true", cron = CronClient.Never })!.AsObject();
        foreach (var (name, value) in System.Text.Json.Nodes.JsonNode.Parse(more)!.AsObject()) body[name] = value!.DeepClone();
        foreach (var method in new[] { HttpMethod.Post, HttpMethod.Put })
        {
            var answer = await host.Send(method, "/v1/cron/job/", body.ToJsonString());
            answer.Code().ShouldBe(0, answer.ToJsonString());
            ((string)answer["warnings"]!.AsArray().ShouldHaveSingleItem()!).ShouldContain(warning);
        }
    }

    [Fact]
    public async Task A_folder_that_does_not_answer_is_waited_for_only_so_long_and_keeps_no_job_locked()
    {
        await using var own = await fixture.Another();
        var (time, asked) = (new FakeTimeProvider(), 0);
        using var back = new ManualResetEventSlim();
        var folders = own.Services.GetRequiredService<FolderCheck>();
        folders.Time = time;
        folders.Exists = _ =>
        {
            Interlocked.Increment(ref asked);
            back.Wait();
            return false;
        };
        await own.Make(new { job_id = "away", cmd = "true", cron = CronClient.Never });
        var saving = own.Put("/v1/cron/job/", new { job_id = "away", working_directory = "/no/such/mount" });
        await Eventually.True(() => Volatile.Read(ref asked) > 0, "the folder is asked for");
        saving.IsCompleted.ShouldBeFalse();
        // It is saved by then, and others may change it.
        (await own.Ask<string>("SELECT working_directory FROM cron.job WHERE job_id = 'away'")).ShouldBe("/no/such/mount");
        (await own.Put("/v1/cron/job/", new { job_id = "away", description = "x" })).Code().ShouldBe(0);
        time.Advance(FolderCheck.Patience);
        var answer = await saving;
        // Whether it is there is not known.
        (answer.Code(), answer["warnings"]!.AsArray().Count).ShouldBe((0, 0), answer.ToJsonString());
        back.Set();
    }

    [Fact]
    public async Task A_job_sent_back_as_it_was_listed_is_no_mistake()
    {
        await host.Make(new { job_id = "echoed", cmd = "true", cron = CronClient.Never });
        var job = (await host.Get("/v1/cron/job/?job_id=echoed"))["data"]![0]!;
        var answer = await host.Send(HttpMethod.Put, "/v1/cron/job/", job.ToJsonString());
        (answer.Code(), answer["warnings"]!.AsArray().Count).ShouldBe((0, 0), answer.ToJsonString());
    }
}
