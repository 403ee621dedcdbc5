using System.Net;
using System.Text.Json.Nodes;
using Codo.Platform.Security;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Modules.Cron.Jobs;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Codo.Tests.Host.Accounts;

public sealed class AuditTests(CronHost fixture) : IClassFixture<CronHost>
{
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task A_change_is_shown_as_what_it_made_another_with_secrets_masked()
    {
        var id = $"audit-{Guid.NewGuid():N}";
        await host.Make(new { job_id = id, cmd = "true", cron = CronClient.Never, env = new { PGPASSWORD = "geheim", SHOP = "a" } });
        (await host.Put("/v1/cron/job/", new { job_id = id, cmd = "false" })).Code().ShouldBe(0);
        var rows = await Rows($"kind=job&object={id}");
        rows.Select(row => (string)row["action"]!).ShouldBe(["edit", "create"]);
        rows[0]["changes"]!.AsArray().Select(change => change!.ToJsonString()).ShouldBe(["""{"field":"cmd","before":"true","after":"false"}"""]);
        rows[1].ToJsonString().ShouldNotContain("geheim");
        ((string)rows[0]["username"]!, (string)rows[0]["result"]!).ShouldBe(("admin", "ok"));
    }

    [Fact]
    public async Task Pages_follow_each_other_without_a_gap_and_filters_go_together()
    {
        var id = $"paged-{Guid.NewGuid():N}";
        await host.Make(new { job_id = id, cmd = "true", cron = CronClient.Never });
        for (var i = 0; i < 6; i++) await host.Patch("/v1/cron/job/", new { job_id = id });
        var seen = new List<long>();
        var after = "";
        do
        {
            var page = await host.Get($"/v2/accounts/audit/?kind=job&object={id}&limit=3&after={after}");
            seen.AddRange(page["data"]!.AsArray().Select(row => (long)row!["audit_id"]!));
            after = (string?)page["next"] ?? "";
        } while (after.Length > 0);
        seen.Count.ShouldBe(7);
        seen.ShouldBe(seen.OrderDescending().Distinct());
        (await Rows($"object={id}&action=pause")).Count.ShouldBe(3);
        (await Rows($"object={id}&who=1&from=2020-01-01&to=2099-01-01&result=ok&action=create")).Count.ShouldBe(1);
        (await Rows($"object={id}&who=nobody")).ShouldBeEmpty();
        (await Rows($"object={id}&to=2020-01-01")).ShouldBeEmpty();
    }

    [Theory]
    [InlineData("after=x", "after")]
    [InlineData("from=yesterday", "from")]
    [InlineData("result=good", "result")]
    [InlineData("limit=5000", "limit")]
    public async Task A_filter_that_does_not_read_is_refused_in_words(string query, string field) =>
        ((string)(await host.Get("/v2/accounts/audit/?" + query))["msg"]!).ShouldContain(field);

    // The first overflowed, and the second was no time of the calendar: both were an internal error.
    [Theory]
    [InlineData("-9223372036854775808:1")]
    [InlineData("-100000000000000000:1")]
    [InlineData("9223372036854775807:1")]
    public async Task A_cursor_that_no_page_has_given_is_refused_by_the_list_the_export_and_the_page(string after)
    {
        foreach (var path in new[] { "/v2/accounts/audit/", "/v2/accounts/audit/export/" })
            ((string)(await host.Get($"{path}?after={after}"))["msg"]!).ShouldBe("after 不是上一页给出的 next", path);
        using var request = TestHost.Request(HttpMethod.Get, $"/audit?after={after}", null, TestTokens.Admin);
        request.Headers.Add("Accept", "text/html");
        using var page = await host.Http.SendAsync(request, TestContext.Current.CancellationToken);
        page.StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        (await page.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).ShouldContain("after 不是上一页给出的 next");
    }

    [Fact]
    public async Task The_first_and_the_last_time_of_the_calendar_are_cursors()
    {
        await host.Make(new { job_id = $"calendar-{Guid.NewGuid():N}", cmd = "true", cron = CronClient.Never });
        (await Rows("after=-62135596800000000:1")).ShouldBeEmpty();
        (await Rows("after=253402300799999999:1")).ShouldNotBeEmpty();
    }

    [Fact]
    public async Task The_audit_is_for_superusers()
    {
        (await host.Get("/v2/accounts/audit/", TestTokens.For(6, "other"))).Code().ShouldBe(-2);
        ((int)(await host.Get("/v2/accounts/audit/export/", TestTokens.For(6, "other")))["code"]!).ShouldBe(403);
    }

    [Fact]
    public async Task The_export_is_one_object_a_line_and_is_itself_in_the_audit()
    {
        var id = $"exported-{Guid.NewGuid():N}";
        await host.Make(new { job_id = id, cmd = "true", cron = CronClient.Never });
        using var answer = await host.Http.SendAsync(
            TestHost.Request(HttpMethod.Get, $"/v2/accounts/audit/export/?object={id}", null, TestTokens.Admin),
            TestContext.Current.CancellationToken
        );
        answer.Content.Headers.ContentType!.MediaType.ShouldBe("application/x-ndjson");
        var lines = (await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        ((string)JsonNode.Parse(lines.ShouldHaveSingleItem())!["object"]!).ShouldBe(id);
        (await Rows("action=export"))[0]["changes"]!.ToJsonString().ShouldContain(id);
    }

    [Theory]
    [InlineData("who=%00")]
    [InlineData("kind=job&object=a%00b")]
    public async Task The_export_looks_for_a_nul_and_finds_nothing(string query)
    {
        using var answer = await host.Http.SendAsync(
            TestHost.Request(HttpMethod.Get, $"/v2/accounts/audit/export/?{query}", null, TestTokens.Admin),
            TestContext.Current.CancellationToken
        );
        answer.StatusCode.ShouldBe(HttpStatusCode.OK);
        (await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).ShouldBeEmpty();
    }

    [Fact]
    public async Task What_was_refused_and_who_came_with_a_false_token_are_in_the_audit_and_a_flood_of_it_is_a_few_rows()
    {
        var refused = host.Services.GetRequiredService<RefusedAttempts>();
        var stranger = TestTokens.For(900_001, "mallory");
        for (var i = 0; i < 30; i++) (await host.Get("/v2/task/risk/", stranger)).Code().ShouldBe(-2);
        var signed = TestTokens.Sign(TestTokens.Payload(1, "trent"), "another-secret-of-32-bytes-or-more");
        using var forged = TestHost.Request(HttpMethod.Get, "/v1/cron/job/", null, signed);
        using (var answer = await host.Http.SendAsync(forged, TestContext.Current.CancellationToken)) answer.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
        await Eventually.True(async () => (await Rows("who=mallory&result=bad")).Count > 0 && (await Rows("who=trent&action=sign_in")).Count > 0, "written");
        var rows = await Rows("who=900001&result=refused");
        rows.Count.ShouldBe(1);
        ((string)rows[0]["object"]!).ShouldBe("GET /v2/task/risk/");
        ((string)(await Rows("who=trent&result=failed"))[0]["changes"]![0]!["after"]!).ShouldBe("signature");

        // Strangers with made-up names are counted together before they fill the table.
        for (var i = 0; i < 5000; i++) refused.SignInFailed($"name-{i}", $"10.0.{i / 250}.{i % 250}", "password", "wrong");
        await refused.Flush(TestContext.Current.CancellationToken);
        await refused.Flush(TestContext.Current.CancellationToken);
        (await host.Count("SELECT count(*) FROM platform.audit WHERE action = 'sign_in' AND object_id IN ('password', '…')")).ShouldBeLessThanOrEqualTo(
            RefusedAttempts.MostKeys + 2
        );
    }

    [Fact]
    public async Task An_attempt_on_what_somebody_may_not_see_is_in_the_audit_and_the_answer_does_not_tell_it_from_what_is_not_there()
    {
        var (space, job) = ($"closed-{Guid.NewGuid():N}", $"hidden-{Guid.NewGuid():N}");
        (await host.Post("/v2/accounts/space/", new { name = space })).Code().ShouldBe(0);
        (await host.Post("/v1/cron/job/", new { job_id = job, cmd = "true", cron = CronClient.Never, space })).Code().ShouldBe(0);
        var marvin = TestTokens.For(900_002, "marvin");
        var unknown = await host.Delete("/v1/cron/job/", new { job_id = $"no-{job}" }, marvin);
        var answer = await host.Delete("/v1/cron/job/", new { job_id = job }, marvin);
        answer.Code().ShouldBe(-1);
        answer.ToJsonString().ShouldBe(unknown.ToJsonString().Replace($"no-{job}", job, StringComparison.Ordinal));
        var bulk = await host.Post("/v1/cron/job/bulk/", new { job_ids = new[] { job }, action = "pause" }, marvin);
        ((string)bulk["data"]![0]!["text"]!).ShouldBe($"job {job} Not Found!");
        // Looking for it is no attempt to do anything.
        (await host.Get($"/v1/cron/job/?job_id={job}", marvin)).Code().ShouldBe(-1);
        await host.Services.GetRequiredService<RefusedAttempts>().StopAsync(TestContext.Current.CancellationToken);
        await Eventually.True(async () => (await Rows("who=900002&result=refused")).Count >= 2, "both are written");
        var rows = await Rows("who=900002&result=refused");
        rows.Select(row => (string)row["object"]!).ShouldBe(["DELETE /v1/cron/job/", "POST /v1/cron/job/bulk/"], ignoreOrder: true);
        (await host.Count("SELECT sum(times) FROM platform.audit WHERE user_id = 900002 AND action = 'refuse'")).ShouldBe(2);
    }

    [Fact]
    public async Task An_old_version_a_grant_or_a_new_job_where_somebody_may_see_nothing_is_such_an_attempt_as_well()
    {
        var (space, job, template) = ($"closed-{Guid.NewGuid():N}", $"hidden-{Guid.NewGuid():N}", $"hidden-{Guid.NewGuid():N}");
        (await host.Post("/v2/accounts/space/", new { name = space })).Code().ShouldBe(0);
        (await host.Post("/v1/cron/job/", new { job_id = job, cmd = "true", cron = CronClient.Never, space })).Code().ShouldBe(0);
        (await host.Post("/v2/task_layout/temp/", new { temp_name = template, space })).Code().ShouldBe(0);
        var id = await host.Ask<long>("SELECT temp_id FROM tasks.scheduler_temp_list WHERE temp_name = @template", new { template });
        var ford = TestTokens.For(900_003, "ford");
        // Looking for it is no attempt to do anything.
        (await host.Get($"/v2/task_layout/temp/versions/?temp_id={id}", ford)).Code().ShouldBe(-1);
        (await host.Get($"/v2/accounts/may/?object=job:{job}", ford)).Code().ShouldBe(-1);
        (await host.Get($"/v1/cron/job/?space={space}", ford)).Code().ShouldBe(-1);
        (await Restored(id)).ShouldBe(await Restored(999_999_999));
        (await Granted(job)).ShouldBe((await Granted($"no-{job}")).Replace($"no-{job}", job, StringComparison.Ordinal));
        (await Made(space)).ShouldBe((await Made($"no-{space}")).Replace($"no-{space}", space, StringComparison.Ordinal));
        await Eventually.True(async () => (await Rows("who=900003&result=refused")).Count >= 3, "all are written");
        (await Rows("who=900003&result=refused"))
            .Select(row => (string)row["object"]!)
            .ShouldBe(["POST /v2/task_layout/temp/version/", "POST /v2/accounts/grant/", "POST /v1/cron/job/"], ignoreOrder: true);

        async Task<string> Restored(long temp) => Absent(await host.Post("/v2/task_layout/temp/version/", new { temp_id = temp, version = 1 }, ford));

        async Task<string> Granted(string name) =>
            Absent(await host.Post("/v2/accounts/grant/", new { user_id = 900_003, role = "admin", @object = $"job:{name}" }, ford));

        async Task<string> Made(string name) =>
            Absent(await host.Post("/v1/cron/job/", new { job_id = $"new-{job}", cmd = "true", cron = CronClient.Never, space = name }, ford));

        static string Absent(JsonObject answer)
        {
            answer.Code().ShouldBe(-1, answer.ToJsonString());
            return answer.ToJsonString();
        }
    }

    [Fact]
    public async Task Each_filter_reads_no_more_rows_than_it_shows()
    {
        await using var owner = new NpgsqlConnection(TestPostgres.AsSuperuser(host.Postgres));
        await owner.ExecuteAsync(
            """
            INSERT INTO platform.audit (at, user_id, username, nickname, address, request_id, action, kind, object_id, result)
            SELECT clock_timestamp() - v * interval '1 second', v % 50, 'u' || v % 50, 'n', '', '', (ARRAY['edit', 'run', 'pause', 'create'])[1 + v % 4],
                (ARRAY['job', 'order'])[1 + v % 2], CAST(v % 500 AS text), CASE v % 1000 WHEN 0 THEN 'refused' ELSE 'ok' END FROM generate_series(1, 100000) v;
            ANALYZE platform.audit;
            """
        );
        string[] queries = ["", "who=7", "who=u7", "action=run", "kind=job&object=44", "result=refused", "result=bad", "to=2099-01-01", "who=7&action=run"];
        foreach (var query in queries)
            (await Rows(query)).Count.ShouldBe(50, query);
        var plan = string.Join(
            '\n',
            await owner.QueryAsync<string>(
                """
                EXPLAIN (ANALYZE, COSTS off) SELECT audit_id FROM platform.audit WHERE user_id = 7 AND (at, audit_id) < (clock_timestamp(), 1)
                ORDER BY at DESC, audit_id DESC LIMIT 50
                """
            )
        );
        plan.ShouldContain("Index");
        plan.ShouldNotContain("Seq Scan on audit_2");
    }

    private async Task<List<JsonObject>> Rows(string query)
    {
        var answer = await host.Get("/v2/accounts/audit/?" + query);
        answer.Code().ShouldBe(0, answer.ToJsonString());
        return [.. answer["data"]!.AsArray().Select(row => row!.AsObject())];
    }
}
