using System.Diagnostics;
using System.Text.Json.Nodes;
using Codo.Host.Client;
using Codo.Tests.Support;

namespace Codo.Tests.Host.Client;

[Collection<ClientCollection>]
public sealed class ClientOrdersTests(ClientHost fixture)
{
    private Task<string> Template(params string[] commands) => Template(null, commands);

    private async Task<string> Template(int? level, string[] commands)
    {
        var name = ClientHost.NewName("template");
        var id = (await fixture.Host.Post("/v2/task_layout/temp/", new { temp_name = name }))["temp_id"]!.GetValue<long>();
        var steps = commands.Select((command, place) =>
            new { command_name = $"step-{place + 1}", command, args = "WORD", group = 1, level = level ?? place + 1 }
        );
        (await fixture.Host.Put("/v2/task_layout/details/", new { temp_id = id, new_temp_data = steps }))["code"]!.GetValue<int>().ShouldBe(0);
        return name;
    }

    // An order on two hosts, one after the other; both are this machine.
    private async Task<string> Batches(string command, object group)
    {
        var name = ClientHost.NewName("template");
        var id = (await fixture.Host.Post("/v2/task_layout/temp/", new { temp_name = name }))["temp_id"]!.GetValue<long>();
        var steps = new[] { new { command_name = "step", command, args = "", group = 1, level = 1, force_host = "127.0.0.1" } };
        var content = new { temp_id = id, new_temp_data = steps, groups = new[] { group } };
        (await fixture.Host.Put("/v2/task_layout/details/", content))["code"]!.GetValue<int>().ShouldBe(0);
        return (await fixture.Run("order", "submit", name, "-H", "10.1.0.1,10.1.0.2", "--ready", "-o", "name")).Text.Trim();
    }

    private async Task<string> Order(string template, params string[] options) =>
        (await fixture.Run(["order", "submit", template, "-H", "127.0.0.1", "-a", "WORD=one two", "-o", "name", .. options])).Text.Trim();

    private static async Task Says(Process process, string text)
    {
        string line;
        do
        {
            // While it keeps its lines to itself nothing comes, and the order waits for the test.
            var next = process.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken).AsTask();
            line = (await next.WaitAsync(TimeSpan.FromSeconds(90), TestContext.Current.CancellationToken)).ShouldNotBeNull(text);
        } while (!line.Contains(text, StringComparison.Ordinal));
    }

    [Fact]
    public async Task An_order_is_previewed_submitted_approved_watched_and_its_log_read()
    {
        var template = await Template("echo first", "echo second");
        var preview = (await fixture.Run("order", "preview", template, "-H", "127.0.0.1", "-a", "WORD=one two")).Text;
        preview.ShouldContain("echo second 'one two'");
        var id = await Order(template);
        (await fixture.Run("order", "list", "-o", "name")).Lines.ShouldContain(id);
        (await fixture.Run("order", "show", id)).Text.ShouldContain("new");
        (await fixture.Run("order", "approve", id, "--comment", "well")).Text.ShouldContain("Approved");

        var watched = await fixture.Run("order", "watch", id);
        watched.Code.ShouldBe(0, watched.Errors);
        watched.Lines[^1].ShouldBe($"Order {id} is done: 1 done");
        var log = (await fixture.Run("order", "logs", id)).Text;
        log.ShouldContain("127.0.0.1 step-1 | first one two\n");
        log.ShouldContain("127.0.0.1 step-2 | second one two\n");
        (await fixture.Run("order", "logs", id, "--no-prefix", "--host", "127.0.0.1")).Text.ShouldContain("\nfirst one two\n");
        (await fixture.Run("order", "list", "--ended", "-S", id)).Text.ShouldContain("done");
    }

    [Fact]
    public async Task The_log_of_an_order_is_followed_to_its_end_and_no_line_comes_twice()
    {
        var id = await Order(await Template("for i in 1 2 3 4 5; do echo line $i; sleep 0.2; done; true"), "--ready");
        var log = (await fixture.Run("order", "logs", id, "-f")).Text;
        const string prefix = "127.0.0.1 step-1 | ";
        log.Split('\n').Where(line => line.StartsWith(prefix + "line", StringComparison.Ordinal))
            .Select(line => line[prefix.Length..])
            .ShouldBe(["line 1", "line 2", "line 3", "line 4", "line 5"]);
    }

    [Fact]
    public async Task A_watch_ends_with_1_where_an_order_stands_still_and_with_0_once_it_was_mended()
    {
        var flag = Path.Combine(fixture.NewFolder(), "flag");
        var template = await Template($"test -e {flag} && echo");
        var id = await Order(template, "--ready");
        var watched = await fixture.Run("order", "watch", id);
        (watched.Code, watched.Lines[^1]).ShouldBe((ExitCodes.Failed, $"Order {id} has failed and waits for a restart or its end: 1 failed"));

        await File.WriteAllTextAsync(flag, "");
        (await fixture.Run("order", "restart", id)).Text.ShouldContain("group 1");
        (await fixture.Run("order", "watch", id)).Code.ShouldBe(0);
        (await fixture.Run("order", "restart", id)).Code.ShouldBe(ExitCodes.Failed);
    }

    [Fact]
    public async Task A_restart_ends_with_1_and_the_reasons_where_hosts_cannot_go_on_and_the_others_do()
    {
        await using var proxy = await TestProxy.Start(fixture.Host.Http.BaseAddress!);
        var id = await Order(await Template("false"), "--ready");
        (await fixture.Run("order", "watch", id)).Code.ShouldBe(ExitCodes.Failed);
        const string answer = """{"code": 0, "msg": "", "not_restarted": [{"host": "10.0.0.1", "why": "It may still run"}]}""";
        proxy.Answer = request =>
            Task.FromResult<(int Status, string Type, string Body)?>(request.Method == "PATCH" ? (200, "application/json", answer) : null);
        var run = await ClientHost.RunIn("", [(Logins.UrlVariable, proxy.Url), (Logins.TokenVariable, TestTokens.Admin)], "order", "restart", id);
        (run.Code, run.Output, run.Errors).ShouldBe(
            (ExitCodes.Failed, "The failed hosts of group 1 go on, except for 1.\n", "10.0.0.1 of group 1: It may still run\n")
        );
        await fixture.Run("order", "end", id);
    }

    [Fact]
    public async Task A_host_goes_on_at_the_step_that_failed_where_steps_share_a_level()
    {
        var folder = fixture.NewFolder();
        var (ran, flag) = (Path.Combine(folder, "ran"), Path.Combine(folder, "flag"));
        var id = await Order(await Template(88, [$"echo 1 >> {ran}; true", $"test -e {flag} && echo", $"echo 3 >> {ran}; true"]), "--ready");
        (await fixture.Run("order", "watch", id)).Code.ShouldBe(ExitCodes.Failed);
        await File.WriteAllTextAsync(flag, "");
        (await fixture.Run("order", "restart", id, "--host", "127.0.0.1")).Text.ShouldContain("goes on from level 88");
        (await fixture.Run("order", "watch", id)).Code.ShouldBe(0);
        string.Concat(await File.ReadAllLinesAsync(ran)).ShouldBe("13");
    }

    [Fact]
    public async Task Submitting_with_watch_ends_as_the_order_does_and_a_file_holds_what_options_do_not_say()
    {
        var template = await Template("exit 4; echo");
        var file = Path.Combine(fixture.NewFolder(), "order.yaml");
        await File.WriteAllTextAsync(file, "hosts: {\"1\": 127.0.0.1}\nargs: {WORD: x}\nschedule: ready\ndetails: from a file\n");
        var run = await fixture.Run("order", "submit", template, "-f", file, "--watch");
        run.Code.ShouldBe(ExitCodes.Failed);
        run.Lines[0].ShouldStartWith("Order ");
    }

    [Fact]
    public async Task Hosts_of_several_options_are_taken_together_and_a_group_that_is_named_has_its_own()
    {
        var name = ClientHost.NewName("template");
        var id = (await fixture.Host.Post("/v2/task_layout/temp/", new { temp_name = name }))["temp_id"]!.GetValue<long>();
        var steps = new[] { 1, 2 }.Select(group => new { command_name = "step", command = "true", args = "", group, level = 1, force_host = "127.0.0.1" });
        (await fixture.Host.Put("/v2/task_layout/details/", new { temp_id = id, new_temp_data = steps }))["code"]!.GetValue<int>().ShouldBe(0);
        (await Hosts("-H", "10.1.0.1", "-H", "10.1.0.2")).ShouldBe("1: 10.1.0.1 10.1.0.2; 2: 10.1.0.1 10.1.0.2");
        (await Hosts("-H", "2=10.1.0.9", "-H", "10.1.0.1", "-H", "2=10.1.0.8")).ShouldBe("1: 10.1.0.1; 2: 10.1.0.8 10.1.0.9");

        async Task<string> Hosts(params string[] options)
        {
            var preview = JsonNode.Parse((await fixture.Run(["order", "preview", name, .. options, "-o", "json"])).Text);
            var groups = preview.Rows("groups").Select(group =>
                $"{group.Text("task_group")}: {string.Join(' ', group.Rows("hosts").Select(lane => lane.Text("host")).Order(StringComparer.Ordinal))}"
            );
            return string.Join("; ", groups.Order(StringComparer.Ordinal));
        }
    }

    [Fact]
    public async Task An_argument_of_a_file_that_is_no_text_is_refused_with_its_name()
    {
        var (template, file) = (await Template("echo"), Path.Combine(fixture.NewFolder(), "order.yaml"));
        foreach (var value in new[] { "1.10", "0012345", "true", "null", "[a]" })
        {
            await File.WriteAllTextAsync(file, $"hosts: {{\"1\": 127.0.0.1}}\nargs: {{WORD: {value}}}\n");
            (await fixture.Run("order", "preview", template, "-f", file)).ShouldBe(
                new ClientRun(ExitCodes.Usage, "", $"{file}: args.WORD is no text: put it in quotes.\n")
            );
        }
        await File.WriteAllTextAsync(file, "hosts: {\"1\": 127.0.0.1}\nargs: {WORD: \"1.10\"}\n");
        (await fixture.Run("order", "preview", template, "-f", file)).Text.ShouldContain("echo 1.10");
    }

    [Fact]
    public async Task Ready_goes_before_what_the_file_says()
    {
        var (template, file) = (await Template("true"), Path.Combine(fixture.NewFolder(), "order.yaml"));
        await File.WriteAllTextAsync(file, "hosts: {\"1\": 127.0.0.1}\nargs: {WORD: x}\nschedule: new\n");
        var id = (await fixture.Run("order", "submit", template, "-f", file, "--ready", "-o", "name")).Text.Trim();
        // Without it the order waits for an approval, and a watch for that.
        var watched = await fixture.Run("order", "watch", id, "--timeout", "90");
        watched.Code.ShouldBe(0, watched.Errors);
    }

    [Fact]
    public async Task A_watch_gives_up_after_its_time_and_a_host_is_stopped_and_an_order_ended()
    {
        var id = await Order(await Template("sleep 600; echo"), "--ready");
        var watched = await fixture.Run("order", "watch", id, "--timeout", "1");
        (watched.Code, watched.Errors).ShouldBe((ExitCodes.TimedOut, $"Order {id} has not ended within 1 seconds.\n"));
        (await fixture.Run("order", "stop", id, "--host", "10.9.9.9")).Code.ShouldBe(ExitCodes.Failed);
        (await fixture.Run("order", "stop", id, "--host", "127.0.0.1")).Text.ShouldContain("is stopped");
        await fixture.Run("order", "end", id);
        (await fixture.Run("order", "watch", id)).Code.ShouldBe(ExitCodes.Failed);
    }

    [Fact]
    public async Task The_next_batch_is_let_begin()
    {
        var order = await Batches("true", new { group = 1, batch = "1", next = "confirm" });
        (await fixture.Run("order", "next-batch", order, "--batch", "3")).Code.ShouldBe(ExitCodes.Failed);
        await Eventually.True(
            async () => (await fixture.Run("order", "next-batch", order, "--batch", "2")).Output == "Batch 2 of group 1 begins.\n",
            "the first batch has begun"
        );
        (await fixture.Run("order", "watch", order)).Code.ShouldBe(0);
        (await fixture.Run("order", "next-batch", order)).Code.ShouldBe(ExitCodes.Failed);
    }

    [Fact]
    public async Task A_watch_goes_on_in_the_pause_after_a_failure_that_the_group_allows()
    {
        var flag = Path.Combine(fixture.NewFolder(), "flag");
        var order = await Batches($"test -e {flag} && exit 0; touch {flag}; exit 1", new { group = 1, batch = "1", batch_pause = 600, max_failures = 1 });
        using var watch = await fixture.Start("order", "watch", order);
        await Says(watch, "failed");
        await Eventually.True(async () => (await fixture.Run("order", "next-batch", order)).Code == ExitCodes.Done, "the next batch is let begin");
        var lines = (await watch.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken)).TrimEnd().Split('\n');
        await watch.WaitForExitAsync(TestContext.Current.CancellationToken);
        (watch.ExitCode, lines[^1]).ShouldBe((ExitCodes.Failed, $"Order {order} has failed and waits for a restart or its end: 1 done, 1 failed"));
    }

    [Fact]
    public async Task Steps_that_share_a_level_have_each_its_own_name_in_the_log()
    {
        var id = await Order(await Template(88, ["echo a", "echo b"]), "--ready");
        (await fixture.Run("order", "watch", id)).Code.ShouldBe(0);
        var log = (await fixture.Run("order", "logs", id)).Text;
        log.ShouldContain("127.0.0.1 step-1 | a one two\n");
        log.ShouldContain("127.0.0.1 step-2 | b one two\n");
    }

    [Fact]
    public async Task A_log_that_is_not_whole_yet_says_so_once_for_each_host()
    {
        await using var proxy = await TestProxy.Start(fixture.Host.Http.BaseAddress!);
        var id = await Order(await Template("echo a", "echo b"), "--ready");
        (await fixture.Run("order", "watch", id)).Code.ShouldBe(0);
        var catchingUp = "true";
        proxy.Answer = request =>
            Task.FromResult<(int Status, string Type, string Body)?>(
                request.Path == "/v2/task/log/"
                    ? (200, "application/json", $$"""{"code": 0, "msg": "", "data": [], "more": false, "catching_up": {{catchingUp}}, "missing": ""}""")
                    : null
            );
        (await Logs()).ShouldBe((0, "warning: More lines of 127.0.0.1 are on their way: ask again, or use -f.\n"));
        catchingUp = "false";
        (await Logs()).ShouldBe((0, ""));

        async Task<(int, string)> Logs()
        {
            (string, string)[] signedIn = [(Logins.UrlVariable, proxy.Url), (Logins.TokenVariable, TestTokens.Admin)];
            var run = await ClientHost.RunIn("", signedIn, "order", "logs", id);
            return (run.Code, run.Errors);
        }
    }

    [Fact]
    public async Task What_is_followed_through_a_pipe_comes_line_by_line()
    {
        var folder = fixture.NewFolder();
        var (go, end) = (Path.Combine(folder, "go"), Path.Combine(folder, "end"));
        var template = await Template($"echo first; while [ ! -e {go} ]; do sleep 0.05; done; true", $"while [ ! -e {end} ]; do sleep 0.05; done; true");
        var id = await Order(template, "--ready");
        using var logs = await fixture.Start("order", "logs", id, "-f");
        await Says(logs, "127.0.0.1 step-1 | first");
        using var watch = await fixture.Start("order", "watch", id);
        await Says(watch, $"Order {id}, ");
        await File.WriteAllTextAsync(go, "", TestContext.Current.CancellationToken);
        await Says(watch, "step 2 of 2");
        await File.WriteAllTextAsync(end, "", TestContext.Current.CancellationToken);
        await Says(watch, $"Order {id} is done: 1 done");
        foreach (var process in new[] { logs, watch })
        {
            await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
            await process.WaitForExitAsync(TestContext.Current.CancellationToken);
            process.ExitCode.ShouldBe(0);
        }
    }

    [Fact]
    public async Task A_rejected_order_has_not_ended_well()
    {
        var id = await Order(await Template("true"));
        (await fixture.Run("order", "reject", id, "-c", "not today")).Text.ShouldContain("is rejected");
        (await fixture.Run("order", "watch", id)).Code.ShouldBe(ExitCodes.Failed);
    }

    [Fact]
    public async Task On_a_terminal_the_progress_is_one_table_that_changes()
    {
        var id = await Order(await Template("echo", "echo"), "--ready");
        (string, string)[] environment = [(Logins.UrlVariable, fixture.Url), (Logins.TokenVariable, TestTokens.Admin), ("TERM", "xterm"), ("COLUMNS", "100")];
        var watched = await ClientHost.RunIn("", environment, "order", "watch", id);
        watched.Code.ShouldBe(0, watched.Errors);
        watched.Output.ShouldContain("127.0.0.1");
        watched.Output.ShouldContain("●");
        watched.Output.ShouldContain($"Order {id} is done.");
    }
}
