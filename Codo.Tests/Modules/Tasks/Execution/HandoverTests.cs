using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;
using Codo.Tests.Modules.Tasks.Orders;
using Codo.Tests.Support;
using static Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Modules.Tasks.Execution;

/// <summary>How a step's command reaches its shell: as it was pasted, in its host's encoding, and without showing a secret.</summary>
public sealed class HandoverTests(OrderFixture fixture, TestSshd sshd) : IClassFixture<OrderFixture>, IClassFixture<TestSshd>
{
    // Scripts lie in folders of their own.
    private static readonly EnumerationOptions Deep = new() { RecurseSubdirectories = true, MaxRecursionDepth = 1 };
    private readonly TestHost host = fixture.Host;

    [Theory]
    [InlineData(true, "/bin/dash")]
    [InlineData(false, "/bin/bash")]
    [InlineData(false, "/bin/dash")]
    [InlineData(false, "/bin/zsh")]
    [InlineData(false, "/usr/bin/ksh")]
    [InlineData(false, "/usr/bin/fish")]
    public async Task A_secret_argument_is_in_no_process_argument(bool local, string shell)
    {
        var secret = $"s3cr'et {Guid.NewGuid():N}";
        var account = sshd.MakeAccount(shell);
        var (gate, seen) = (Path.Combine(sshd.Home(account), "gate"), Path.Combine(sshd.Home(account), "seen"));
        // What the command itself does with the value is its own: these are builtins.
        var step = Step(
            $"echo begun > {seen}; while test ! -e {gate}; do sleep 0.05; done; echo",
            "the value is DB_PASSWORD ; exit 3",
            execUser: await ExecuteUser(account)
        );
        if (shell == "/usr/bin/fish")
            step["command"] = $"echo begun > {seen}; while test ! -e {gate}; sleep 0.05; end; echo";
        var order = await host.Order(await host.Template(step), OnHost(local ? "127.0.0.1" : "127.0.0.9"), new { DB_PASSWORD = secret });
        await Eventually.True(() => File.Exists(seen), "the command runs");
        foreach (
            var file in Directory
                .GetDirectories("/proc")
                .Where(folder => char.IsAsciiDigit(Path.GetFileName(folder)[0]))
                .SelectMany(folder => (string[])[$"{folder}/cmdline", $"{folder}/environ"])
        )
            Read(file).ShouldNotContain(secret[7..], Case.Sensitive, file);
        await File.WriteAllTextAsync(gate, "");
        await host.Stands(order, "4", local ? "" : "&get_run_host=127.0.0.9");
        ((int)(await host.Steps(order, local ? "" : "&get_run_host=127.0.0.9"))[0]["attempts"]![0]!["exit_code"]!).ShouldBe(3);
        (await host.Log($"{order}_1_1_{(local ? "127.0.0.1" : "127.0.0.9")}")).ShouldEndWith("the value is ******");
    }

    [Theory]
    [InlineData(true, "/bin/dash")]
    [InlineData(false, "/usr/bin/fish")]
    public async Task A_command_continues_the_trace_of_the_request_that_submitted_its_order(bool local, string shell)
    {
        var spans = new ConcurrentQueue<Activity>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name is "Codo" or "Microsoft.AspNetCore",
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
            ActivityStopped = spans.Enqueue,
        };
        ActivitySource.AddActivityListener(listener);
        var at = local ? "127.0.0.1" : "127.0.0.9";
        var secret = $"{Guid.NewGuid():N}";
        var template = await host.Template(Step("echo $CODO_TRACEPARENT; exit 3;", "DB_PASSWORD", execUser: await ExecuteUser(sshd.MakeAccount(shell))));
        using var person = new Activity("a person").SetIdFormat(ActivityIdFormat.W3C).Start();
        var order = await host.Order(template, OnHost(at), new { DB_PASSWORD = secret });
        person.Stop();
        await host.Stands(order, "4", $"&get_run_host={at}");
        var step = spans.Single(span => span.OperationName == "order step" && span.TraceId == person.TraceId);
        (await host.Log($"{order}_1_1_{at}")).ShouldEndWith($"\n{step.Id}");
        await Eventually.True(
            () => spans.Any(span => span.SpanId == step.ParentSpanId && span.Source.Name == "Microsoft.AspNetCore"),
            "it is the child of the request's span"
        );
        step.TagObjects.ToDictionary(tag => tag.Key, tag => $"{tag.Value}").ShouldSatisfyAllConditions(
            tags => tags["server.address"].ShouldBe(at),
            tags => tags["codo.attempt"].ShouldBe("1"),
            tags => tags["codo.outcome"].ShouldBe("failed"),
            tags => tags.Values.ShouldAllBe(value => !value.Contains(secret))
        );
        (step.Status, step.StatusDescription).ShouldBe((ActivityStatusCode.Error, null));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_script_is_run_by_its_interpreter_as_it_was_pasted(bool local)
    {
        var user = await ExecuteUser(sshd.MakeAccount("/bin/dash"));
        var pasted = Step(
            "\uFEFF#!/bin/bash\r\nwords=(one two)\r\n[[ two == t* ]] && echo two \"$BASH\"\r\nstat -c %a \"$0\"\r\necho",
            "VALUE",
            execUser: user
        );
        var set = Step("print $ARGV, 6 * 7, \"\\n\"; exit 5", level: 2, execUser: user);
        set["interpreter"] = "/usr/bin/env perl";
        var order = await host.Order(await host.Template(pasted, set), OnHost(local ? "127.0.0.1" : "127.0.0.8"), new { VALUE = "with 'quotes'\r\nand lines" });
        var at = local ? "127.0.0.1" : "127.0.0.8";
        await host.Stands(order, "34", $"&get_run_host={at}");
        var log = await host.Log($"{order}_1_1_{at}");
        log.ShouldContain("\ntwo /bin/bash\n700\nwith 'quotes'\n");
        (await host.Log($"{order}_1_2_{at}")).ShouldEndWith("\n42");
        ((int)(await host.Steps(order, $"&get_run_host={at}"))[1]["attempts"]![0]!["exit_code"]!).ShouldBe(5);
        // Files of other tests come and go there meanwhile. One that is larger is no script, and one without a length may be a pipe that nobody writes to.
        foreach (var folder in new[] { "/tmp", Path.TrimEndingDirectorySeparator(Path.GetTempPath()) }.Distinct())
            Directory
                .GetFiles(folder, "codo-*", Deep)
                .Where(file => new FileInfo(file) is { Exists: true, Length: > 0 and < 1_000_000 })
                .ShouldAllBe(file => !Read(file).Contains("words=(one two)"));
    }

    [Theory]
    [InlineData(true, "/bin/dash")]
    [InlineData(false, "/bin/bash")]
    [InlineData(false, "/usr/bin/fish")]
    public async Task A_step_gets_a_terminal_when_it_asks_for_one(bool local, string shell)
    {
        var step = Step("test -t 1 && echo terminal; sh -c 'exit 6'", execUser: await ExecuteUser(sshd.MakeAccount(shell)));
        step["pty"] = true;
        var at = local ? "127.0.0.1" : "127.0.0.7";
        var order = await host.Order(await host.Template(step), OnHost(at));
        await host.Stands(order, "4", $"&get_run_host={at}");
        (await host.Log($"{order}_1_1_{at}")).ShouldEndWith("\nterminal");
        ((int)(await host.Steps(order, $"&get_run_host={at}"))[0]["attempts"]![0]!["exit_code"]!).ShouldBe(6);
    }

    [Fact]
    public async Task A_host_is_spoken_to_in_its_own_encoding()
    {
        var user = await ExecuteUser(sshd.MakeAccount("/bin/bash"), "gbk");
        var order = await host.Order(
            await host.Template(Step("printf '中文' | od -An -tx1; printf '你好\\n'; echo", "VALUE", execUser: user)),
            OnHost("127.0.0.6"),
            new { VALUE = "备份 完成" }
        );
        (await host.Ended(order)).ShouldBe("3");
        (await host.Log($"{order}_1_1_127.0.0.6")).ShouldEndWith("\n d6 d0 ce c4\n你好\n备份 完成");
        order = await host.Order(await host.Template(Step("printf '好' | head -c 1; true", execUser: user)), OnHost("127.0.0.6"));
        (await host.Ended(order)).ShouldBe("3");
        (await host.Log($"{order}_1_1_127.0.0.6")).Split('\n')[^1].ShouldBe("\uFFFD");
        var refused = await host.Post("/v2/task_layout/user/", new { alias_user = "wrong", exec_user = "x", user_key = sshd.PrivateKey, encoding = "utf-16" });
        (refused.Code(), ((string)refused["msg"]!).Contains("encoding")).ShouldBe((-1, true));
    }

    [Fact]
    public async Task No_value_leaves_its_quotes_in_a_hosts_own_encoding()
    {
        var account = sshd.MakeAccount("/bin/bash");
        // 功 is A5 5C in Big5, and 5C a backslash: it would take the quote behind it for itself.
        var step = Step("echo \"功\"", "VALUE \"功\"", execUser: await ExecuteUser(account, "big5"), retries: 0);
        var order = await host.Order(await host.Template(step), OnHost("127.0.0.4"), new { VALUE = "$(touch ran)" });
        await host.Stands(order, "4", "&get_run_host=127.0.0.4");
        ((string)(await host.Steps(order, "&get_run_host=127.0.0.4"))[0]["cause"]!).ShouldContain("big5");
        File.Exists(Path.Combine(sshd.Home(account), "ran")).ShouldBeFalse();
        step = Step("echo '功'", "VALUE '功'", execUser: await ExecuteUser(account, "big5"), retries: 0);
        order = await host.Order(await host.Template(step), OnHost("127.0.0.4"), new { VALUE = "$(touch ran)" });
        (await host.Ended(order)).ShouldBe("3");
        (await host.Log($"{order}_1_1_127.0.0.4")).ShouldEndWith("\n功 $(touch ran) 功");
        File.Exists(Path.Combine(sshd.Home(account), "ran")).ShouldBeFalse();
    }

    [Fact]
    public async Task A_login_shell_that_is_not_supported_fails_the_step_and_nothing_has_run()
    {
        var account = sshd.MakeAccount("/bin/tcsh");
        var order = await host.Order(
            await host.Template(Step("touch ran\necho one\necho two", execUser: await ExecuteUser(account), retries: 0)),
            OnHost("127.0.0.5")
        );
        await host.Stands(order, "4", "&get_run_host=127.0.0.5");
        var step = (await host.Steps(order, "&get_run_host=127.0.0.5"))[0];
        ((string)step["cause"]!).ShouldContain("/bin/tcsh");
        File.Exists(Path.Combine(sshd.Home(account), "ran")).ShouldBeFalse();
    }

    private static Dictionary<string, string> OnHost(string host) => new() { ["1"] = host };

    private static string Read(string file)
    {
        try
        {
            return Encoding.UTF8.GetString(File.ReadAllBytes(file));
        }
        catch (Exception gone) when (gone is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }

    private async Task<string> ExecuteUser(string login, string? encoding = null)
    {
        var alias = $"u{Guid.NewGuid():N}";
        var body = new JsonObject { ["alias_user"] = alias, ["exec_user"] = login, ["ssh_port"] = sshd.Port, ["user_key"] = sshd.PrivateKey, ["remarks"] = "" };
        if (encoding is not null) body["encoding"] = encoding;
        (await host.Post("/v2/task_layout/user/", body.ToJsonString())).Code().ShouldBe(0);
        return alias;
    }
}
