using System.Net;
using Codo.Tests.Support;
using Dapper;

namespace Codo.Tests.Modules.Cron.Jobs;

public sealed class CronHost(TestPostgres postgres) : HostFixture(postgres);

/// <summary>The lines of the contract for <c>/v1/cron/job/</c>, on one host.</summary>
public sealed class JobContractTests(CronHost fixture) : IClassFixture<CronHost>
{
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task A_job_is_made_listed_changed_paused_and_deleted_with_the_originals_words()
    {
        var made = await host.Post("/v1/cron/job/", new { job_id = "backup", cmd = "echo 备份", cron = "0  30 3 * * mon-fri" });
        made.ToJsonString().ShouldContain("\"code\":0");
        made.Msg().ShouldBe("添加成功");
        made["job_id"]!.GetValue<string>().ShouldBe("backup");

        var job = (await host.Get("/v1/cron/job/?job_id=backup"))["data"]![0]!;
        job["cron"]!.GetValue<string>().ShouldBe("0 30 3 * * mon-fri", StringCompareShould.IgnoreCase);
        job["status"]!.GetValue<string>().ShouldBe("0");
        job["next_run_time"]!.GetValue<string>().ShouldMatch(@"^\d{4}-\d\d-\d\d 03:30:00\+08:00$");
        job["cron1"]!
            .AsObject()
            .Select(pair => pair.Key)
            .ShouldBe(["second", "minute", "hour", "day", "month", "day_of_week", "week", "year"], ignoreOrder: true);
        job["cron1"]!["week"]!.GetValue<string>().ShouldBe("*");
        job["cron1"]!["hour"]!.GetValue<string>().ShouldBe("3");
        job["time_zone"]!.GetValue<string>().ShouldBe("Asia/Shanghai");
        job["creator"]!.GetValue<string>().ShouldBe("admin");
        job["cron_text"]!.GetValue<string>().ShouldNotBeEmpty();

        (await host.Put("/v1/cron/job/", new { job_id = "backup", cmd = "echo 2", cron = "0 0 4 * * *" })).Msg().ShouldBe("job backup edit success!");
        (await host.Patch("/v1/cron/job/", new { job_id = "backup" })).Msg().ShouldBe("job backup 禁用执行成功！");
        (await host.Put("/v1/cron/job/", new { job_id = "backup", description = "x" })).Code().ShouldBe(0);
        job = (await host.Get("/v1/cron/job/?job_id=backup"))["data"]![0]!;
        job["status"]!.GetValue<string>().ShouldBe("1");
        job["next_run_time"]!.GetValue<string>().ShouldBe("None");
        job["cmd"]!.GetValue<string>().ShouldBe("echo 2");
        job["description"]!.GetValue<string>().ShouldBe("x");
        (await host.Patch("/v1/cron/job/", new { job_id = "backup" })).Msg().ShouldBe("job backup 恢复执行成功");

        var deleted = await host.Delete("/v1/cron/job/", new { job_id = "backup" });
        (deleted.Code(), deleted.Msg(), deleted["job_id"]!.GetValue<string>()).ShouldBe((0, "删除成功", "backup"));
        (await host.Get("/v1/cron/job/?job_id=backup")).Code().ShouldBe(-1);
    }

    [Theory]
    [InlineData("POST", """{"job_id":"x","cmd":"true"}""", "添加失败，定时器错误")]
    [InlineData("POST", """{"job_id":"x","cmd":"true","cron":"* * *"}""", "添加失败，定时器错误")]
    [InlineData("POST", """{"cmd":"true","cron":"* * * * * *"}""", "job id 不能为空")]
    [InlineData("POST", """{"job_id":"x","cron":"* * * * * *"}""", "cmd 不能为空")]
    [InlineData("PUT", """{"job_id":"nobody","cmd":"true","cron":"* * * * * *"}""", "job nobody Not Found!")]
    [InlineData("PUT", """{"cmd":"true"}""", "job id 不能为空")]
    [InlineData("DELETE", "{}", "job id 不能为空")]
    [InlineData("DELETE", """{"job_id":"nobody"}""", "job nobody Not Found!")]
    [InlineData("PATCH", "{}", "job id 不能为空")]
    [InlineData("PATCH", """{"job_id":"nobody"}""", "job nobody Not Found!")]
    public async Task Failures_answer_minus_one_in_the_originals_words(string method, string body, string message)
    {
        var answer = await host.Send(new HttpMethod(method), "/v1/cron/job/", body);
        (answer.Code(), answer.Msg()).ShouldBe((-1, message));
    }

    [Theory]
    [InlineData("30 61 * * * *", "minute")]
    [InlineData("*/0 * * * * *", "second")]
    [InlineData("0 0 0 30 2 *", "")]
    [InlineData("0 0 22-2 * * *", "hour")]
    [InlineData("0 0 0 ? * *", "day")]
    [InlineData("0 0 0 last_fri * *", "day")]
    public async Task A_wrong_expression_names_the_field_and_why(string cron, string field)
    {
        var chinese = await host.Post("/v1/cron/job/", new { job_id = "wrong", cmd = "true", cron });
        chinese.Code().ShouldBe(-1);
        chinese.Msg().ShouldStartWith("添加失败，定时器错误：");
        var english = await host.Send(
            HttpMethod.Post,
            "/v1/cron/job/",
            System.Text.Json.JsonSerializer.Serialize(
                new
                {
                    job_id = "wrong",
                    cmd = "true",
                    cron,
                }
            ),
            language: "en"
        );
        english.Msg().ShouldContain(field, Case.Insensitive);
    }

    [Fact]
    public async Task A_taken_id_is_refused_and_the_job_stays_as_it_was()
    {
        await host.Make(new { job_id = "taken", cmd = "echo first", cron = CronClient.Never });
        (await host.Post("/v1/cron/job/", new { job_id = "taken", cmd = "echo second", cron = CronClient.Never })).Code().ShouldBe(-1);
        (await host.Get("/v1/cron/job/?job_id=taken"))["data"]![0]!["cmd"]!.GetValue<string>().ShouldBe("echo first");
        var codes = await Task.WhenAll(
            Enumerable
                .Range(0, 10)
                .Select(async _ =>
                    (
                        await host.Post(
                            "/v1/cron/job/",
                            new
                            {
                                job_id = "raced",
                                cmd = "true",
                                cron = CronClient.Never,
                            }
                        )
                    ).Code()
                )
        );
        codes.Count(code => code == 0).ShouldBe(1);
    }

    [Theory]
    [InlineData("""{"job_id":"bad","cmd":"true","cron":"* * * * * *","timeout":"5abc"}""", "timeout")]
    [InlineData("""{"job_id":"bad","cmd":"true","cron":"* * * * * *","timeout":-1}""", "timeout")]
    [InlineData("""{"job_id":"bad","cmd":"true","cron":"* * * * * *","overlap":"maybe"}""", "overlap")]
    [InlineData("""{"job_id":"bad","cmd":"true","cron":"* * * * * *","misfire":"later"}""", "misfire")]
    [InlineData("""{"job_id":"bad","cmd":"true","cron":"* * * * * *","misfire_window":0}""", "misfire_window")]
    [InlineData("""{"job_id":"bad","cmd":"true","cron":"* * * * * *","retries":101}""", "retries")]
    [InlineData("""{"job_id":"bad","cmd":"true","cron":"* * * * * *","retry_delay":0}""", "retry_delay")]
    [InlineData("""{"job_id":"bad","cmd":"true","cron":"* * * * * *","time_zone":"Mars/Base"}""", "time_zone")]
    [InlineData("""{"job_id":"bad","cmd":"true","cron":"* * * * * *","env":[1]}""", "env")]
    [InlineData("""{"job_id":"bad","cmd":"true","cron":"* * * * * *","env":{"A B":"x"}}""", "env")]
    [InlineData("""{"job_id":"bad","cmd":"true","cron":"* * * * * *","env":{"CODO_RUN_ID":"x"}}""", "env")]
    [InlineData("""{"job_id":"bad","cmd":"true","cron":"* * * * * *","env":{"A\n":"x"}}""", "env")]
    [InlineData("""{"job_id":"bad","cmd":"true","cron":"* * * * * *","secret_env":["A\n"]}""", "secret_env")]
    [InlineData("""{"job_id":"bad","cmd":"true","cron":"* * * * * *","working_directory":"relative"}""", "working_directory")]
    [InlineData("""{"job_id":"bad","cmd":"true","cron":"* * * * * *","tags":"one"}""", "tags")]
    [InlineData("""{"job_id":"bad","cmd":"true","cron":"* * * * * *","owners":[""]}""", "owners")]
    [InlineData("""{"job_id":["a"],"cmd":"true","cron":"* * * * * *"}""", "job_id")]
    [InlineData("""{"job_id":"bad","cmd":{"a":1},"cron":"* * * * * *"}""", "cmd")]
    [InlineData("""{"job_id":"bad","cmd":"a\u0000b","cron":"* * * * * *"}""", "cmd")]
    [InlineData("""{"job_id":"bad","cmd":"\ud800","cron":"* * * * * *"}""", "")]
    [InlineData("""{"job_id":"bad","cmd":"true","cron":"* * * * * *","env":{"A":"\ud800"}}""", "env")]
    [InlineData("""{"job_id":"bad","cmd":"true","cron":"* * * * * *","env":{"\ud800":"x"}}""", "env")]
    [InlineData("""{"job_id":"bad","cmd":"true","cron":"* * * * * *","env":"{\"A\":\"\\ud800\"}"}""", "env")]
    [InlineData("[]", "JSON")]
    [InlineData("null", "JSON")]
    [InlineData("{", "JSON")]
    [InlineData("\"text\"", "JSON")]
    public async Task Bad_input_is_minus_one_and_names_the_field(string body, string field)
    {
        var answer = await host.Send(HttpMethod.Post, "/v1/cron/job/", body);
        answer.Code().ShouldBe(-1, answer.ToJsonString());
        answer.Msg().ShouldContain(field);
        (await host.Get("/v1/cron/job/?job_id=bad")).Code().ShouldBe(-1);
    }

    [Fact]
    public async Task A_body_is_read_whatever_its_content_type_says_and_numbers_may_be_text()
    {
        foreach (var type in new[] { null, "text/plain", "application/x-www-form-urlencoded", "application/json; charset=gbk" })
        {
            using var request = TestHost.Request(
                HttpMethod.Post,
                "/api/cron//v1/cron/job",
                $$"""{"job_id":"typed {{type}}","cmd":"true","cron":"{{CronClient.Never}}","timeout":"60","unknown":1}""",
                TestTokens.Admin
            );
            request.Content!.Headers.ContentType = type is null ? null : System.Net.Http.Headers.MediaTypeHeaderValue.Parse(type);
            using var response = await host.Http.SendAsync(request);
            (await response.Content.ReadAsStringAsync()).ShouldContain("\"code\":0");
        }
        (await host.Get("/v1/cron/job/?job_id=typed%20text/plain"))["data"]![0]!["timeout"]!.GetValue<int>().ShouldBe(60);
    }

    [Fact]
    public async Task Invalid_utf8_is_minus_one()
    {
        using var request = TestHost.Request(HttpMethod.Post, "/v1/cron/job/", null, TestTokens.Admin);
        request.Content = new ByteArrayContent([.. "{\"job_id\":\""u8, 0xff, 0xfe, .. "\"}"u8]);
        using var response = await host.Http.SendAsync(request);
        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        (await response.Content.ReadAsStringAsync()).ShouldContain("\"code\":-1");
    }

    [Fact]
    public async Task Pages_are_counted_and_wrong_ones_refused()
    {
        await using var host = await fixture.Another();
        for (var i = 0; i < 20; i++) await host.Make(new { job_id = $"page {i:00}", cmd = "true", cron = CronClient.Never });
        var first = await host.Get("/v1/cron/job/?job_id=");
        first["data"]!.AsArray().Count.ShouldBe(15);
        first["count"]!.GetValue<int>().ShouldBe(20);
        (await host.Get("/v1/cron/job/?page=2"))["data"]!.AsArray().Count.ShouldBe(5);
        (await host.Get("/v1/cron/job/?page=3"))["data"]!.AsArray().ShouldBeEmpty();
        foreach (var wrong in new[] { "page=0", "page=-1", "limit=0", "limit=x", "page=1.5", "page=99999999999999999999", "limit=1001", "limit=2147483647" })
            (await host.Get("/v1/cron/job/?" + wrong)).Code().ShouldBe(-1, wrong);
        (await host.Get("/v1/cron/job/?page=2147483647&limit=1000")).Code().ShouldBe(0);
    }

    [Fact]
    public async Task Jobs_are_listed_by_name_each_page_behind_the_last_name_of_the_one_before()
    {
        foreach (var name in new[] { "named-c", "named-a", "named-e", "named-b", "named-d" })
            await host.Make(new { job_id = name, cmd = "true", cron = CronClient.Never });
        (await Names("limit=2")).ShouldBe((5, "named-a,named-b"));
        (await Names("limit=2&after=named-b")).ShouldBe((5, "named-c,named-d"));
        (await Names("limit=2&page=2&after=named-b")).ShouldBe((5, "named-e"));
        // The name of a job that was deleted meanwhile does as well.
        (await Names("after=named-bb")).ShouldBe((5, "named-c,named-d,named-e"));
        (await Names("after=named-e")).ShouldBe((5, ""));
        (await host.Get("/v1/cron/job/?sort=next")).Msg().ShouldBe("sort 只能是 job_id");
        ((string)(await host.Get("/v1/cron/job/?after=named-b&q=named-&limit=1"))["data"]![0]!["job_id"]!).ShouldBe("named-c", "after means the order by name");
        (await host.Get($"/v1/cron/job/?sort=job_id&after={new string('x', 191)}")).Code().ShouldBe(-1);

        async Task<(int Count, string Names)> Names(string query)
        {
            var answer = await host.Get("/v1/cron/job/?q=named-&sort=job_id&" + query);
            answer.Code().ShouldBe(0, answer.ToJsonString());
            return (answer["count"]!.GetValue<int>(), string.Join(',', answer["data"]!.AsArray().Select(job => (string)job!["job_id"]!)));
        }
    }

    [Fact]
    public async Task Paused_jobs_come_last_and_the_rest_in_the_order_of_their_next_run()
    {
        await using var host = await fixture.Another();
        await host.Make(new { job_id = "late", cmd = "true", cron = "0 0 0 29 2 *" });
        await host.Make(new { job_id = "soon", cmd = "true", cron = "0 0 * * * *" });
        await host.Make(new { job_id = "paused", cmd = "true", cron = "0 * * * * *" });
        await host.Patch("/v1/cron/job/", new { job_id = "paused" });
        (await host.Get("/v1/cron/job/"))["data"]!.AsArray().Select(job => job!["job_id"]!.GetValue<string>()).ShouldBe(["soon", "late", "paused"]);
    }

    [Fact]
    public async Task Values_of_secret_variables_are_masked_in_answers_and_in_the_audit_and_the_mask_keeps_them()
    {
        await host.Make(
            new
            {
                job_id = "env",
                cmd = "echo \"$DB_PASSWORD $PLAIN\"; test ${#DB_PASSWORD} = 12",
                cron = CronClient.Never,
                env = new { DB_PASSWORD = "s3cret-value", PLAIN = "seen" },
            }
        );
        var job = (await host.Get("/v1/cron/job/?job_id=env"))["data"]![0]!;
        job["env"]!.ToJsonString().ShouldBe("""{"DB_PASSWORD":"******","PLAIN":"seen"}""");
        (await host.Put("/v1/cron/job/", new { job_id = "env", env = new { DB_PASSWORD = "******", PLAIN = "new" } })).Code().ShouldBe(0);
        (await host.Ended(await host.RunNow("env")))["task_log"]!.GetValue<string>().ShouldBe("****** new\n");
        await using var connection = await host.Source.OpenConnectionAsync();
        var audit = string.Join(
            '\n',
            await connection.QueryAsync<string>("SELECT coalesce(before::text, '') || coalesce(after::text, '') FROM platform.audit")
        );
        audit.ShouldNotContain("s3cret-value");
        var edit = await connection.QuerySingleAsync<string>(
            "SELECT (before ->> 'env') || ' ' || (after ->> 'env') FROM platform.audit WHERE action = 'edit' AND object_id = 'env'"
        );
        edit.ShouldBe("""{"PLAIN": "seen", "DB_PASSWORD": "******"} {"PLAIN": "new", "DB_PASSWORD": "******"}""");
        (await connection.QuerySingleAsync<string>("SELECT encode(env, 'escape') FROM cron.job WHERE job_id = 'env'")).ShouldNotContain("s3cret");
        (
            await host.Post(
                "/v1/cron/job/",
                new
                {
                    job_id = "env2",
                    cmd = "true",
                    cron = CronClient.Never,
                    env = new { X_TOKEN = "******" },
                }
            )
        ).Code().ShouldBe(-1);
    }

    [Fact]
    public async Task A_change_that_waits_for_a_move_to_another_space_leaves_the_job_there()
    {
        var space = (long)(await host.Post("/v2/accounts/space/", new { name = "moved-meanwhile" }))["space_id"]!;
        await host.Make(new { job_id = "moves", cmd = "true", cron = CronClient.Never });
        await using var connection = await host.Source.OpenConnectionAsync(TestContext.Current.CancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(TestContext.Current.CancellationToken);
        await connection.ExecuteAsync("UPDATE cron.job SET space_id = @space WHERE job_id = 'moves'", new { space }, transaction);
        var saving = host.Put("/v1/cron/job/", new { job_id = "moves", description = "x" });
        await Eventually.True(
            () =>
                host.Ask<bool>(
                    """
                    SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
                        AND query LIKE '%FROM cron.job WHERE job_id = %FOR UPDATE%')
                    """
                ),
            "the change waits for the move"
        );
        await transaction.CommitAsync(TestContext.Current.CancellationToken);
        (await saving).Code().ShouldBe(0);
        (await host.Ask<string>("SELECT space_id || ' ' || description FROM cron.job WHERE job_id = 'moves'")).ShouldBe($"{space} x");
    }

    [Fact]
    public async Task Every_change_leaves_a_line_in_the_audit_that_says_who()
    {
        await host.Make(new { job_id = "audited", cmd = "true", cron = CronClient.Never });
        await host.Put("/v1/cron/job/", new { job_id = "audited", cmd = "false" });
        await host.Patch("/v1/cron/job/", new { job_id = "audited" });
        await host.Patch("/v1/cron/job/", new { job_id = "audited" });
        await host.Ended(await host.RunNow("audited"));
        await host.Delete("/v1/cron/job/", new { job_id = "audited" });
        await using var connection = await host.Source.OpenConnectionAsync();
        var lines = (
            await connection.QueryAsync<string>(
                "SELECT username || ' ' || action FROM platform.audit WHERE kind = 'job' AND object_id = 'audited' ORDER BY audit_id"
            )
        ).ToList();
        lines.ShouldBe(["admin create", "admin edit", "admin pause", "admin resume", "admin run", "admin delete"]);
        await Should.ThrowAsync<Npgsql.PostgresException>(() => connection.ExecuteAsync("DELETE FROM platform.audit"));
    }

    [Fact]
    public async Task The_next_times_are_told_in_the_zone_and_in_utc_with_a_note_where_the_clock_changes()
    {
        var answer = await host.Get("/v1/cron/job/next/?cron=0+30+2+*+*+*&time_zone=Europe/Berlin&count=100");
        answer.Code().ShouldBe(0);
        answer["data"]!.AsArray().Count.ShouldBe(100);
        answer["data"]![0]!["utc"]!.GetValue<string>().ShouldEndWith("+00:00");
        answer["cron_text"]!.GetValue<string>().ShouldNotBeEmpty();
        (await host.Get("/v1/cron/job/next/?cron=x")).Code().ShouldBe(-1);
        (await host.Get("/v1/cron/job/next/?cron=0+0+0+1+1+*&count=0")).Code().ShouldBe(-1);
    }
}
