using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Codo.Modules.Alerts.Channels;
using Codo.Modules.Alerts.Incidents;
using Codo.Platform.Events;
using Codo.Platform.Http;
using Codo.Tests.Support;
using Npgsql;
using StackExchange.Redis;

namespace Codo.Tests.Modules.Alerts.Channels;

/// <summary>Each channel against a real receiver that checks what it gets by the channel's published rule.</summary>
public sealed class ChannelsTests(TestPostgres postgres) : IAsyncLifetime
{
    private AlertBench bench = null!;
    private HttpStub stub = null!;

    public async ValueTask InitializeAsync()
    {
        (bench, stub) = (await AlertBench.Start(postgres), await HttpStub.Start());
        await bench.Contact("ann", "13800000001", "ann@example.test", "ou_ann");
        await bench.Contact("bob", "13800000002", "bob@example.test");
    }

    public async ValueTask DisposeAsync()
    {
        await bench.DisposeAsync();
        await stub.DisposeAsync();
    }

    [Fact]
    public void Aliyuns_published_example_gives_the_published_signature() => AliyunSmsChannel.Sign("GET", new Dictionary<string, string>
    {
        ["AccessKeyId"] = "testId",
        ["Action"] = "SendSms",
        ["Format"] = "XML",
        ["OutId"] = "123",
        ["PhoneNumbers"] = "15300000001",
        ["RegionId"] = "cn-hangzhou",
        ["SignName"] = "阿里云短信测试专用",
        ["SignatureMethod"] = "HMAC-SHA1",
        ["SignatureNonce"] = "45e25e9b-0a6f-4070-8c85-2956eda1b466",
        ["SignatureVersion"] = "1.0",
        ["TemplateCode"] = "SMS_71390007",
        ["TemplateParam"] = """{"customer":"test"}""",
        ["Timestamp"] = "2017-07-12T02:42:19Z",
        ["Version"] = "2017-05-25",
    }, "testSecret").ShouldBe("zJDF+Lrzhj/ThnlvIToysFRq6t4=");

    [Theory]
    [InlineData("secrets = '\\x0102'")]
    [InlineData("settings = '[]'")]
    [InlineData("settings = '{\"url\": null}'")]
    public async Task One_whose_settings_do_not_read_is_shown_as_broken_beside_the_others_and_can_be_mended_or_deleted(string damage)
    {
        var damaged = await bench.Channel("webhook", new { url = stub.Url }, "damaged");
        await bench.Channel("webhook", new { url = stub.Url }, "good");
        await Damage();
        (await Broken()).ShouldBe(["damaged True", "good False"]);

        // A change that says nothing of the settings leaves them as they are.
        await bench.Send(new EditChannel.Command(damaged, null, false, null, null, null, null));
        (await Broken()).ShouldBe(["damaged True", "good False"]);
        var settings = JsonSerializer.SerializeToElement(new { url = stub.Url });
        await bench.Send(new EditChannel.Command(damaged, null, true, null, null, null, settings));
        (await Broken()).ShouldBe(["damaged False", "good False"]);
        (await bench.Send(new TestChannel.Command(damaged, ["ann"]))).Delivered.ShouldBeTrue();

        await Damage();
        await bench.Send(new DeleteChannel.Command(damaged));
        (await Broken()).ShouldBe(["good False"]);

        Task Damage() => bench.Rows<int>($"UPDATE alerts.channel SET {damage} WHERE name = 'damaged'");

        async Task<List<string>> Broken() =>
            (await bench.Send(new ListChannels.Query(null, null, null))).Data.ConvertAll(channel => $"{channel.Name} {channel.Broken.En.Length > 0}");
    }

    [Fact]
    public async Task A_test_holds_no_connection_while_its_receiver_takes_its_time()
    {
        const int pool = 3;
        var database = new NpgsqlConnectionStringBuilder(bench.Source.ConnectionString) { MaxPoolSize = pool, Timeout = 5 }.ConnectionString;
        await using var small = await AlertBench.Start(postgres, database: database);
        var channel = await small.Channel("webhook", new { url = stub.Url }, timeout: 60);
        var answer = new TaskCompletionSource();
        stub.Hold = answer.Task;
        var test = small.Send(new TestChannel.Command(channel, ["ann"]));
        await Eventually.True(() => stub.Requests.Count == 1, "it is being told");
        var connections = new Stack<NpgsqlConnection>();
        while (connections.Count < pool) connections.Push(await small.Source.OpenConnectionAsync());
        while (connections.TryPop(out var connection)) await connection.DisposeAsync();
        answer.SetResult();
        (await test).Delivered.ShouldBeTrue();
    }

    [Fact]
    public async Task An_sms_is_one_signed_call_for_all_numbers()
    {
        stub.Answer = (_, _) => (200, """{"Code":"OK","Message":"OK","BizId":"1^2"}""");
        await Sms();
        await Tell();
        var query = stub.Requests.Single().Query;
        var signature = query["Signature"];
        query.Remove("Signature");
        AliyunSmsChannel.Sign("GET", query, "s3cret").ShouldBe(signature);
        (query["PhoneNumbers"], query["Action"], query["SignName"], query["Timestamp"]).ShouldBe(
            ("13800000001,13800000002", "SendSms", "运维", "2026-03-01T04:00:00Z")
        );
        query["TemplateParam"].ShouldBe("""{"msg":"【告警】任务 backup 失败 https://codo.example.test/i/1"}""");
        (await Answers()).Single().ShouldBe("""sent HTTP 200 {"Code":"OK","Message":"OK","BizId":"1^2"}""");
        stub.Answer = (_, _) => (200, """{"Code":"isv.BUSINESS_LIMIT_CONTROL"}""");
        await bench.Publish(bench.Failed("other", owners: "ann"));
        await bench.Deliver();
        (await Answers()).Last().ShouldStartWith("due HTTP 200");
    }

    [Fact]
    public async Task One_number_that_is_none_keeps_an_sms_from_nobody_else()
    {
        stub.Answer = (_, got) => (200, got.Query["PhoneNumbers"].Contains("80123") ? """{"Code":"isv.MOBILE_NUMBER_ILLEGAL"}""" : """{"Code":"OK"}""");
        await Sms();
        await bench.Contact("bob", tel: "80123");
        await bench.Publish(bench.Failed(owners: ["ann", "bob"]));
        await bench.Deliver();
        (await Answers()).Single().ShouldSatisfyAllConditions(answer => answer.ShouldStartWith("sent"), answer => answer.ShouldEndWith("(for 1 of 2 numbers)"));
        stub.Requests.Select(got => got.Query["PhoneNumbers"]).ShouldBe(["13800000001,80123", "13800000001", "80123"], ignoreOrder: true);
    }

    [Fact]
    public async Task A_contact_that_means_everybody_calls_nobody()
    {
        await Should.ThrowAsync<Refusal>(() => bench.Contact("carl", feishu: "all"));
        stub.Answer = (_, _) => (200, """{"code":0,"msg":"success"}""");
        await bench.Channel("feishu", new { url = stub.Url + "/open-apis/bot/v2/hook/x" });
        // From before it was refused.
        await bench.Rows<int>("UPDATE alerts.contact SET feishu = 'ALL' WHERE name = 'ann'");
        await bench.Publish(bench.Failed(owners: "ann"));
        await bench.Deliver();
        stub.Requests.Single().Json["content"]!["text"]!.GetValue<string>().ShouldNotContain("<at");
    }

    [Fact]
    public async Task An_account_that_takes_no_link_in_a_variable_gets_the_title_without_one()
    {
        stub.Answer = (_, got) => (200, got.Query["TemplateParam"].Contains("http") ? """{"Code":"isv.PARAM_NOT_SUPPORT_URL"}""" : """{"Code":"OK"}""");
        await Sms();
        await bench.Publish(bench.Failed("a-job-with-a-name-that-is-longer-than-a-variable", owners: "ann"));
        await bench.Deliver();
        (await Answers()).Single().ShouldStartWith("sent");
        stub.Requests.Last().Query["TemplateParam"].ShouldBe("""{"msg":"【告警】任务 a-job-with-a-name-that-is-l…"}""");
    }

    [Fact]
    public async Task A_title_that_holds_an_address_is_sent_without_it_where_the_gateway_refuses_even_that()
    {
        stub.Answer = (_, got) => (200, got.Query["TemplateParam"].Contains('.') ? """{"Code":"isv.PARAM_NOT_SUPPORT_URL"}""" : """{"Code":"OK"}""");
        await Sms();
        await bench.Publish(bench.Failed("sync www.example.com", owners: "ann"));
        await bench.Deliver();
        (await Answers()).Single().ShouldStartWith("sent");
        stub.Requests.Select(got => got.Query["TemplateParam"])
            .ShouldBe([
                """{"msg":"【告警】任务 sync www.example.com 失败 https://codo.example.test/i/1"}""",
                """{"msg":"【告警】任务 sync www.example.com 失败"}""",
                """{"msg":"【告警】任务 sync * 失败"}""",
            ]);
    }

    [Theory]
    [InlineData("任务 backup 失败", "任务 backup 失败")]
    [InlineData("see https://a.example.com/x?y=1，再看", "see *，再看")]
    [InlineData("10.0.0.1: deploy", "*: deploy")]
    [InlineData("host 10.0.0.1:8080 down", "host * down")]
    [InlineData("db.internal failed", "* failed")]
    [InlineData("3 of 4. Next", "3 of 4. Next")]
    [InlineData("v1.2.3 is out", "* is out")]
    public void Addresses_domains_and_ips_give_way_to_a_star(string text, string without) => AliyunSmsChannel.WithoutAddresses(text).ShouldBe(without);

    [Theory]
    [InlineData("""{"StatusCode":0,"StatusMessage":"success"}""", true)]
    [InlineData("""{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}""", true)]
    [InlineData("""{"StatusCode":0,"code":9499,"msg":"Bad Request"}""", false)]
    [InlineData("""{"StatusCode":19024}""", false)]
    public async Task Feishus_older_answer_is_success_too(string answer, bool isSuccess)
    {
        stub.Answer = (_, _) => (200, answer);
        await bench.Channel("feishu", new { url = stub.Url });
        await Tell();
        (await Answers()).Single().ShouldStartWith(isSuccess ? "sent" : "due");
    }

    [Theory]
    [InlineData(0.2, "不到 1 秒", "less than a second")]
    [InlineData(59, "59 秒", "59 s")]
    [InlineData(61, "1 分 1 秒", "1 min 1 s")]
    [InlineData(3600, "1 小时", "1 h")]
    [InlineData(93784, "1 天 2 小时", "1 d 2 h")]
    [InlineData(86405, "1 天", "1 d")]
    public void A_length_of_time_is_said_in_its_two_largest_units(double seconds, string zh, string en) =>
        (DurationWords.Of(TimeSpan.FromSeconds(seconds), false), DurationWords.Of(TimeSpan.FromSeconds(seconds), true)).ShouldBe((zh, en));

    [Fact]
    public async Task DingTalk_gets_its_signature_in_the_query_and_the_numbers_to_at()
    {
        stub.Answer = (_, _) => (200, """{"errcode":0,"errmsg":"ok"}""");
        await bench.Channel("dingtalk", new { url = stub.Url + "/robot/send?access_token=t0ken", secret = "SECabc" });
        await Tell();
        var got = stub.Requests.Single();
        got.Query["access_token"].ShouldBe("t0ken");
        got.Query["timestamp"].ShouldBe("1772337600000");
        got.Query["sign"]
            .ShouldBe(Convert.ToBase64String(new HMACSHA256("SECabc"u8.ToArray()).ComputeHash(Encoding.UTF8.GetBytes($"{got.Query["timestamp"]}\nSECabc"))));
        got.Json["at"]!["atMobiles"]!.ToJsonString().ShouldBe("""["13800000001","13800000002"]""");
        got.Json["text"]!["content"]!.GetValue<string>().ShouldStartWith("@13800000001 @13800000002\n【告警】任务 backup 失败\n");
        (await Answers()).Single().ShouldStartWith("sent");
    }

    [Fact]
    public async Task WeCom_is_told_in_2048_bytes_at_most_with_the_link_kept()
    {
        stub.Answer = (_, _) => (200, """{"errcode":0}""");
        await bench.Channel("wecom", new { url = stub.Url + "/cgi-bin/webhook/send?key=k" });
        await bench.Publish(bench.Failed(owners: ["ann"], output: string.Concat(Enumerable.Repeat("输出很长很长很长很长很长很长很长很长很长很长很长很长很长很长很长很长\n", 30))));
        await bench.Deliver();
        var text = stub.Requests.Single().Json["text"]!;
        var content = text["content"]!.GetValue<string>();
        Encoding.UTF8.GetByteCount(content).ShouldBeLessThanOrEqualTo(2048);
        content.ShouldEndWith("\n…\nhttps://codo.example.test/i/1");
        text["mentioned_mobile_list"]!.ToJsonString().ShouldBe("""["13800000001"]""");
    }

    [Fact]
    public async Task Feishu_gets_its_signature_in_the_body_and_what_a_command_prints_calls_nobody()
    {
        stub.Answer = (_, _) => (200, """{"code":0,"msg":"success"}""");
        await bench.Channel("feishu", new { url = stub.Url + "/open-apis/bot/v2/hook/x", secret = "fs" }, language: "en");
        await bench.Publish(bench.Failed(output: "<at user_id=\"all\">everyone</at>", owners: ["ann", "bob"]));
        await bench.Deliver();
        var body = stub.Requests.Single().Json;
        var stamp = body["timestamp"]!.GetValue<string>();
        body["sign"]!.GetValue<string>().ShouldBe(Convert.ToBase64String(new HMACSHA256(Encoding.UTF8.GetBytes($"{stamp}\nfs")).ComputeHash([])));
        var text = body["content"]!["text"]!.GetValue<string>();
        text.ShouldStartWith("<at user_id=\"ou_ann\"></at>\n[ALERT] Job backup failed\n");
        text.ShouldNotContain("<at user_id=\"all\"");
        stub.Answer = (_, _) => (200, """{"code":19021,"msg":"sign match fail"}""");
        await bench.Publish(bench.Failed("other"));
        await bench.Deliver();
        (await Answers()).Last().ShouldStartWith("due HTTP 200 {\"code\":19021");
    }

    [Fact]
    public async Task A_webhook_is_signed_over_the_body_as_it_goes_out()
    {
        await bench.Channel("webhook", new { url = stub.Url + "/hook", secret = "wh" });
        await Tell();
        var got = stub.Requests.Single();
        got.Headers["X-Codo-Signature-256"].ShouldBe("sha256=" + Convert.ToHexStringLower(new HMACSHA256("wh"u8.ToArray()).ComputeHash(got.Body)));
        got.Headers["Content-Type"].ShouldStartWith("application/json");
        (
            got.Json["reason"]!.GetValue<string>(),
            got.Json["incident"]!["subject"]!.GetValue<string>(),
            got.Json["people"]![0]!["email"]!.GetValue<string>()
        ).ShouldBe(("opened", "backup", "ann@example.test"));
    }

    [Fact]
    public async Task A_command_gets_the_message_on_its_input_and_nothing_of_codos_settings()
    {
        using var folder = new TestFolder();
        var script = folder.At("tell.sh");
        await File.WriteAllTextAsync(script, $"#!/bin/sh\ncat > {folder.At("got")}\nenv > {folder.At("env")}\necho told $1\nexit $2\n");
        File.SetUnixFileMode(script, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        await bench.Channel("command", new { path = script, arguments = "them 0" }, "good");
        await bench.Channel("command", new { path = script, arguments = "nobody 7" }, "bad");
        await bench.Channel("command", new { path = folder.At("absent") }, "absent");
        Environment.SetEnvironmentVariable("Codo__Alerts__Secret", "hidden");
        try
        {
            await Tell();
        }
        finally
        {
            Environment.SetEnvironmentVariable("Codo__Alerts__Secret", null);
        }
        (await File.ReadAllTextAsync(folder.At("got"))).ShouldContain("\"title\":\"【告警】任务 backup 失败\"");
        (await File.ReadAllTextAsync(folder.At("env"))).ShouldNotContain("hidden");
        (await Answers()).ShouldSatisfyAllConditions(
            all => all[0].ShouldBe("sent exit 0 told them"),
            all => all[1].ShouldBe("due exit 7 told nobody"),
            all => all[2].ShouldStartWith("due An error occurred")
        );
    }

    [Theory]
    [InlineData("starttls")]
    [InlineData("tls")]
    [InlineData("none")]
    public async Task A_mail_goes_to_those_who_have_an_address_encrypted_as_it_is_set(string security)
    {
        await using var sink = new SmtpSink(implicitTls: security == "tls");
        await bench.Channel(
            "email",
            new
            {
                host = "127.0.0.1",
                port = sink.Port,
                security,
                from = "Codo <codo@example.test>",
                username = security == "none" ? "" : "codo",
                password = "pw",
                certificate_sha256 = sink.Fingerprint,
            }
        );
        await bench.Publish(bench.Failed(output: "最后一行", owners: ["ann", "bob", "nobody"]));
        await bench.Deliver();
        (await Answers()).Single().ShouldStartWith("sent");
        var mail = sink.Mails.Single();
        (mail.Encrypted, mail.Login).ShouldBe(security == "none" ? (false, "") : (true, ":codo:pw"));
        mail.To.ShouldBe(["ann@example.test", "bob@example.test"]);
        using var stream = new MemoryStream(Encoding.UTF8.GetBytes(mail.Data));
        using var message = await MimeKit.MimeMessage.LoadAsync(stream);
        message.Subject.ShouldBe("【告警】任务 backup 失败");
        message.TextBody!.ShouldContain("最后一行");
    }

    [Fact]
    public async Task A_stored_password_goes_to_no_other_server()
    {
        await using var sink = new SmtpSink();
        await using var other = new SmtpSink();
        var channel = await bench.Channel(
            "email",
            new
            {
                host = "127.0.0.1",
                port = sink.Port,
                from = "codo@example.test",
                username = "codo",
                password = "pw",
                certificate_sha256 = sink.Fingerprint,
            }
        );
        foreach (
            var settings in (object[])
                [
                    new { port = other.Port },
                    new { host = "localhost", password = "******" },
                    new { security = "none" },
                    new { certificate_sha256 = other.Fingerprint },
                ]
        )
            (await Should.ThrowAsync<Refusal>(() => Edit(settings))).Text.En.ShouldContain("settings.password", Case.Sensitive, settings.ToString());
        await Edit(new { port = sink.Port, from = "ops@example.test" });
        await Edit(new { port = other.Port, certificate_sha256 = other.Fingerprint, password = "new" });
        (await bench.Send(new TestChannel.Command(channel, ["ann"]))).Delivered.ShouldBeTrue();
        (sink.Mails.Count, other.Mails.Single().Login).ShouldBe((0, ":codo:new"));

        Task<Answer> Edit(object settings) =>
            bench.Send(new EditChannel.Command(channel, null, null, null, null, null, JsonSerializer.SerializeToElement(settings)));
    }

    [Fact]
    public async Task Somebody_whose_nickname_is_not_the_name_of_their_contact_is_reached_by_it_and_is_one_person()
    {
        await using var sink = new SmtpSink();
        await bench.Channel("email", new { host = "127.0.0.1", port = sink.Port, security = "none", from = "codo@example.test" });
        await bench.Contact("olga", email: "olga@example.test", id: 42);
        await bench.Publish(new OrderExpired(9, "deploy shop", "deploy", 3, "奥尔加", 42));
        await bench.Deliver();
        (await Answers()).Single().ShouldStartWith("sent");
        sink.Mails.Single().To.ShouldBe(["olga@example.test"]);
        (await bench.Rows<string>("SELECT concat_ws(' ', call_users, told_by_name, told_ids) FROM alerts.task_monitor")).ShouldBe(["奥尔加 {} {42}"]);
        // The nickname is still asked for, and one address gets one mail.
        await bench.Contact("奥尔加", email: "Olga@example.test");
        await bench.Publish(new OrderExpired(10, "deploy shop", "deploy", 3, "奥尔加", 42));
        await bench.Deliver();
        sink.Mails.Last().To.ShouldBe(["Olga@example.test"]);
    }

    [Fact]
    public async Task One_address_that_is_refused_does_not_keep_the_mail_from_the_others()
    {
        await using var sink = new SmtpSink { Refused = "bob@example.test" };
        await bench.Channel("email", new { host = "127.0.0.1", port = sink.Port, security = "none", from = "codo@example.test" });
        await Tell();
        sink.Mails.Single().To.ShouldBe(["ann@example.test"]);
        (await Answers()).Single().ShouldBe("sent taken (not for bob: 550 <bob> is unknown here)");
        await bench.Publish(bench.Failed("other", owners: "bob"));
        await bench.Deliver();
        (await Answers()).Last().ShouldStartWith("failed No recipients were accepted");
    }

    [Fact]
    public async Task A_command_that_leaves_something_in_the_background_is_judged_by_its_own_end()
    {
        await bench.Channel("command", new { path = "/bin/sh", arguments = "-c sleep$IFS$9\"30\"&" }, timeout: 20);
        await Tell();
        (await Answers()).Single().ShouldBe("sent exit 0");
    }

    [Fact]
    public async Task A_mail_server_with_another_certificate_is_not_talked_to()
    {
        await using var sink = new SmtpSink();
        await bench.Channel(
            "email",
            new
            {
                host = "127.0.0.1",
                port = sink.Port,
                from = "codo@example.test",
                certificate_sha256 = new string('0', 64),
            },
            "pinned"
        );
        await bench.Channel(
            "email",
            new
            {
                host = "127.0.0.1",
                port = sink.Port,
                from = "codo@example.test",
            },
            "unknown"
        );
        await Tell();
        (await Answers()).ShouldAllBe(answer => answer.StartsWith("due "));
        sink.Mails.ShouldBeEmpty();
    }

    [Fact]
    public async Task What_codo_admin_keeps_in_redis_goes_before_codos_own_table()
    {
        await using var redis = await TestRedis.StartNew();
        await using (var admin = await ConnectionMultiplexer.ConnectAsync(redis.Configuration))
        {
            await admin.GetDatabase().HashSetAsync("ann__contact", [new HashEntry("tel", "13900000009"), new HashEntry("email", "")]);
            // What is no number and no address would make a channel refuse the message for everybody.
            await admin.GetDatabase().HashSetAsync("bob__contact", [new HashEntry("tel", "none"), new HashEntry("email", "bob at home")]);
        }
        await using var own = await AlertBench.Start(postgres, redis.Configuration, bench.Source.ConnectionString);
        await own.Channel("webhook", new { url = stub.Url });
        await own.Publish(own.Failed(owners: ["ann", "bob"]));
        await own.Deliver();
        stub.Requests.Single().Json["people"]!
            .ToJsonString()
            .ShouldBe(
                """[{"name":"ann","tel":"13900000009","email":"ann@example.test","feishu":"ou_ann"},"""
                    + """{"name":"bob","tel":"13800000002","email":"bob@example.test","feishu":""}]"""
            );
    }

    private async Task Tell()
    {
        await bench.Publish(bench.Failed(owners: ["ann", "bob"]));
        await bench.Deliver();
    }

    private Task<List<string>> Answers() => bench.Rows<string>("SELECT state || ' ' || answer FROM alerts.delivery ORDER BY delivery_id");

    private Task Sms() =>
        bench.Channel(
            "aliyun_sms",
            new
            {
                access_key_id = "id",
                access_key_secret = "s3cret",
                sign_name = "运维",
                template_code = "SMS_1",
                endpoint = stub.Url + "/",
            }
        );
}
