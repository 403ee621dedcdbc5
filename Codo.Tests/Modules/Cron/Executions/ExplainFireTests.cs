using System.Globalization;
using Codo.Tests.Modules.Cron.Jobs;
using Codo.Tests.Support;
using Dapper;

namespace Codo.Tests.Modules.Cron.Executions;

/// <summary>The host's zone is Asia/Shanghai, eight hours ahead of UTC all year.</summary>
public sealed class ExplainFireTests(CronHost fixture) : IClassFixture<CronHost>
{
    private const string InsertSql = """
        INSERT INTO cron.cron_log (
            job,
            job_id,
            kind,
            trigger,
            nominal_at,
            nominal_until,
            times,
            status,
            exec_time,
            ended_at,
            exit_code,
            task_cmd,
            cause_zh,
            cause_en
        )
        SELECT id, job_id, 'schedule', 'schedule', CAST(@At AS timestamptz), CAST(@Until AS timestamptz), @Times, @Status, CAST(@At AS timestamptz),
            CAST(@Ended AS timestamptz), CAST(@Code AS int), cmd, @Cause, @Cause
        FROM cron.job WHERE job_id = @JobId
        """;

    // Yesterday at 03:00 in Shanghai.
    private static readonly DateTime Due = DateTime.UtcNow.AddHours(8).Date.AddDays(-1).AddHours(3 - 8);

    private static string Local(DateTime utc) => utc.AddHours(8).ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);

    private async Task<string> Job(string cron = "0 0 3 * * *")
    {
        var name = $"why-{Guid.NewGuid():N}"[..12];
        await fixture.Host.Post("/v1/cron/job/", new { job_id = name, cmd = "true", cron });
        await fixture.Host.Ask<int>("UPDATE cron.job SET create_time = create_time - interval '30 days', update_time = update_time - interval '20 days' "
            + "WHERE job_id = @name RETURNING 1", new { name });
        return name;
    }

    private async Task Row(string name, string status, DateTime? until = null, int times = 1, int? code = null, double? took = null, string cause = "")
    {
        await using var connection = await fixture.Host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync(
            InsertSql,
            new
            {
                JobId = name,
                At = DateTime.SpecifyKind(Due, DateTimeKind.Utc),
                Until = DateTime.SpecifyKind(until ?? Due, DateTimeKind.Utc),
                Times = times,
                Status = status,
                Ended = took is { } seconds ? DateTime.SpecifyKind(Due, DateTimeKind.Utc).AddSeconds(seconds) : (DateTime?)null,
                Code = code,
                Cause = cause,
            }
        );
    }

    private async Task<string> Why(string name, string time, string language = "en")
    {
        var answer = await fixture.Host.Send(
            HttpMethod.Get,
            $"/v1/cron/log/why/?job_id={name}&time={Uri.EscapeDataString(time)}",
            language: language
        );
        return answer["code"]!.GetValue<int>() == 0 ? answer["sentence"]!.GetValue<string>() : answer["msg"]!.GetValue<string>();
    }

    [Fact]
    public async Task A_run_is_told_with_its_end()
    {
        var name = await Job();
        await Row(name, "faild", code: 3, took: 12.5);
        (await Why(name, Local(Due)[..16])).ShouldBe($"{name} was due at {Local(Due)} and began then; it ended as faild after 12.5 seconds with exit code 3.");
        (await Why(name, Local(Due)[..16], "zh")).ShouldBe($"{name} 应于 {Local(Due)} 执行，按时开始，结果 faild，用时 12.5 秒，退出码 3。");
    }

    [Fact]
    public async Task A_time_that_did_not_run_is_told_with_its_reason_also_within_a_stretch()
    {
        var name = await Job("0 * * * * *");
        await Row(name, "skipped", until: Due.AddHours(2), times: 121, cause: "paused");
        (await Why(name, Local(Due.AddMinutes(30))[..16])).ShouldBe(
            $"{name} was due 121 times from {Local(Due)} to {Local(Due.AddHours(2))} and was skipped: paused."
        );
    }

    [Fact]
    public async Task What_was_killed_in_the_queue_never_began_and_what_failed_waits_for_its_retry()
    {
        var killed = await Job();
        await Row(killed, "killed", took: 7200, cause: "Ended by ann");
        (await Why(killed, Local(Due)[..16])).ShouldBe($"{killed} was due at {Local(Due)} and was taken from the queue before it began: Ended by ann.");
        (await Why(killed, Local(Due)[..16], "zh")).ShouldBe($"{killed} 应于 {Local(Due)} 执行，尚未开始就被移出队列：Ended by ann。");
        var logId = await fixture.Host.Ask<long>("SELECT log_id FROM cron.cron_log WHERE job_id = @killed", new { killed });
        using var request = TestHost.Request(HttpMethod.Get, $"/runs/{logId}", null, TestTokens.Admin);
        request.Headers.AcceptLanguage.ParseAdd("en");
        using var page = await fixture.Host.Http.SendAsync(request);
        var text = await page.Content.ReadAsStringAsync();
        text.ShouldContain("Ended by ann");
        text.ShouldNotContain("2 h 0 min");

        var waiting = await Job();
        await Row(waiting, "queued", cause: "too slow");
        await fixture.Host.Ask<int>(
            "INSERT INTO cron.attempt (log_id, nominal_at, attempt, trigger, run_id, node, incarnation, started_at, ended_at, status) SELECT log_id, "
                + "nominal_at, 2, 'retry', 'why', 'n', 1, exec_time, exec_time, 'timeout' FROM cron.cron_log WHERE job_id = @waiting RETURNING 1",
            new { waiting }
        );
        (await Why(waiting, Local(Due)[..16])).ShouldBe(
            $"{waiting} was due at {Local(Due)} and began then; attempt 2 failed, and it waits for its retry: too slow."
        );
    }

    [Fact]
    public async Task A_time_that_is_not_due_a_time_to_come_and_one_before_the_job_are_told_apart()
    {
        var name = await Job();
        (await Why(name, Local(Due.AddHours(1))[..16])).ShouldStartWith(
            $"{name} is not due at {Local(Due.AddHours(1))} by 0 0 3 * * * (Asia/Shanghai); "
        );
        (await Why(name, Local(Due.AddDays(3))[..16])).ShouldBe($"{name} is to run at {Local(Due.AddDays(3))}+08:00.");
        (await Why(name, Local(Due.AddDays(-60))[..16])).ShouldContain("did not exist");
        (await Why(name, Local(Due.AddDays(-2))[..16])).ShouldContain("has no row");
        await fixture.Host.Patch("/v1/cron/job/", new { job_id = name, paused = true });
        (await Why(name, Local(Due.AddDays(3))[..16])).ShouldContain("it is paused");
    }

    [Fact]
    public async Task The_ledger_of_a_deleted_job_still_answers_and_a_time_without_a_row_says_who_deleted_it()
    {
        var name = await Job();
        await Row(name, "faild", code: 3, took: 12.5);
        var told = await Why(name, Local(Due)[..16]);
        await fixture.Host.Delete("/v1/cron/job/", new { job_id = name });
        (await Why(name, Local(Due)[..16])).ShouldBe(told);
        var after = Local(Due.AddDays(3));
        (await Why(name, after[..16])).ShouldMatch($@"^{name} was deleted at [-0-9]+ [:0-9]+ by admin; the ledger has no row of it for {after}\.$");
        (await Why(name, after[..16], "zh")).ShouldContain("被 admin 删除");
        // A job of that name that was made since answers for itself.
        await fixture.Host.Post("/v1/cron/job/", new { job_id = name, cmd = "true", cron = "0 0 3 * * *" });
        (await Why(name, Local(Due)[..16])).ShouldContain("did not exist");
    }

    [Theory]
    [InlineData("", "2026-01-01 03:00", "job_id is missing")]
    [InlineData("x", "", "time is required")]
    [InlineData("nobody", "2026-01-01 03:00", "job nobody Not Found!")]
    [InlineData("x", "soon", "time is not a time: use yyyy-MM-dd HH:mm[:ss], or ISO 8601 with Z or an offset")]
    public async Task What_is_missing_or_wrong_is_named(string job, string time, string sentence) => (await Why(job, time)).ShouldBe(sentence);
}
