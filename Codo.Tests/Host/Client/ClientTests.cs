using System.Net.Sockets;
using System.Text.Json.Nodes;
using Codo.Host.Client;
using Codo.Tests.Host.Accounts;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;

namespace Codo.Tests.Host.Client;

[Collection<ClientCollection>]
public sealed class ClientTests(ClientHost fixture)
{
    private TestHost Host => fixture.Host;

    private async Task<string> Job(string cmd = "echo hello", string cron = "0 0 3 1 1 *")
    {
        var name = ClientHost.NewName("job");
        (await Host.Post("/v1/cron/job/", new { job_id = name, cmd, cron }))["code"]!.GetValue<int>().ShouldBe(0);
        return name;
    }

    [Fact]
    public async Task A_sign_in_keeps_a_token_of_its_own_and_no_password()
    {
        var (name, folder) = (ClientHost.NewName("li"), fixture.NewFolder());
        await Host.Account(name, superuser: true);
        (string, string)[] environment = [(Logins.FolderVariable, folder)];
        var signedIn = await ClientHost.RunIn($"{AccountsClient.Password}\n", environment, "login", fixture.Url, "--username", name, "--days", "3");
        signedIn.Text.ShouldBe($"Signed in to {fixture.Url} as {name}.\n");

        var file = Path.Combine(folder, "logins.json");
        File.GetUnixFileMode(file).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        var kept = File.ReadAllText(file);
        kept.ShouldContain("codo_");
        kept.ShouldNotContain(AccountsClient.Password);

        (await ClientHost.RunIn("", environment, "job", "list", "-o", "json")).Code.ShouldBe(0);
        // The token can be taken back like every other, and the sign-out does.
        (await ClientHost.RunIn("", environment, "logout")).Text.ShouldBe($"Signed out of {fixture.Url}.\n");
        (await ClientHost.RunIn("", environment, "job", "list")).Code.ShouldBe(ExitCodes.NotSignedIn);
        var token = JsonNode.Parse(kept)!["logins"]![fixture.Url]!["token"]!.GetValue<string>();
        var refused = await ClientHost.RunIn("", [(Logins.UrlVariable, fixture.Url), (Logins.TokenVariable, token)], "job", "list");
        refused.Code.ShouldBe(ExitCodes.NotSignedIn);
        refused.Errors.ShouldContain($"codo login {fixture.Url}");
    }

    [Fact]
    public async Task A_sign_in_through_the_browser_gives_this_terminal_one_token_and_nobody_else_any()
    {
        var folder = fixture.NewFolder();
        var (browser, opened) = (Path.Combine(folder, "browser"), Path.Combine(folder, "opened"));
        File.WriteAllText(browser, $"#!/bin/sh\nprintf '%s' \"$1\" >{opened}.part && mv {opened}.part {opened}\n");
        File.SetUnixFileMode(browser, (UnixFileMode)0b111_000_000);
        (string, string)[] environment = [(Logins.FolderVariable, folder), ("BROWSER", browser)];
        var running = ClientHost.RunIn("", environment, "login", fixture.Url, "--scopes", "see", "--days", "3");
        await Eventually.True(() => File.Exists(opened), "the browser is opened");
        var page = new Uri(File.ReadAllText(opened));

        // The page needs a sign-in, shows the code, and leads to that port of this machine alone.
        var person = TestTokens.For(7301, "browsing");
        var asked = System.Web.HttpUtility.ParseQueryString(page.Query);
        var (challenge, port) = (asked["challenge"]!, asked["port"]!);
        var code = Codo.Host.Accounts.TerminalChallenge.CodeOf(challenge);
        (await Page(page.PathAndQuery, null)).ShouldNotContain(code);
        var shown = await Page(page.PathAndQuery, person);
        shown.ShouldContain(code);
        shown.ShouldContain($"data-go=\"http://127.0.0.1:{port}/{{terminal_code}}?grant={{grant}}\"");
        foreach (var wrong in new[] { $"challenge={challenge}&port=80", $"challenge={challenge}&port=1@evil.example", $"challenge=x&port={port}" })
            (await Page("/account/terminal?" + wrong, person)).ShouldNotContain("data-go");

        var wanted = new { challenge, name = "codo on here", scopes = new[] { "see" }, days = 3 };
        var access = await Host.Post("/v2/accounts/token/", new { name = "x", scopes = new[] { "see", "admin" }, days = 1 }, person);
        (await Host.Post("/v2/accounts/terminal/", wanted, (string)access["token"]!)).Code().ShouldBe(-2, "an access token makes no other");
        var allowed = await Host.Post("/v2/accounts/terminal/", wanted, person);
        ((string)allowed["terminal_code"]!).ShouldBe(code);
        using var http = new HttpClient();
        (await http.GetAsync(new Uri($"http://127.0.0.1:{port}/AAAA-AAAA?grant=x"), Cancelled)).StatusCode.ShouldBe(System.Net.HttpStatusCode.NotFound);
        var here = await http.GetStringAsync(new Uri($"http://127.0.0.1:{port}/{code}?grant={allowed["grant"]}"), Cancelled);
        here.ShouldContain("you can close this page");
        var signedIn = await running;
        signedIn.Text.ShouldBe($"Signed in to {fixture.Url} as browsing.\n");
        signedIn.Errors.ShouldContain($"if the page shows this code: {code}");
        (await ClientHost.RunIn("", [(Logins.FolderVariable, folder)], "job", "list", "-o", "name")).Code.ShouldBe(0);
        (await Host.Ask<string>("SELECT string_agg(action || ' ' || kind, ', ' ORDER BY audit_id) FROM platform.audit WHERE user_id = 7301 AND result = 'ok'"))
            .ShouldBe("create access_token, approve terminal, create access_token");

        // A grant is good once, with its verifier, for minutes, and for somebody who may still come in.
        var verifier = Codo.Host.Accounts.TerminalChallenge.NewVerifier();
        var mine = new { challenge = Codo.Host.Accounts.TerminalChallenge.Of(verifier), name = "codo", scopes = new[] { "see" }, days = 1 };
        (await Finish((string)allowed["grant"]!, verifier)).ShouldBe(-1, "it was used");
        var guessed = await Grant();
        (await Finish(guessed, verifier + "x")).ShouldBe(-1, "another's verifier");
        (await Finish(guessed, verifier)).ShouldBe(-1, "a wrong attempt ends it");
        var late = await Grant();
        await Host.Ask<int>("UPDATE accounts.terminal_login SET expires_at = clock_timestamp() - interval '1 second' RETURNING 1");
        (await Finish(late, verifier)).ShouldBe(-1, "too late");
        (await Finish(await Grant(), verifier)).ShouldBe(0);
        var revoked = await Grant();
        (await Host.Post("/v2/accounts/revoke/", new { user_id = 7301, reason = "left" })).Code().ShouldBe(0);
        (await Finish(revoked, verifier)).ShouldBe(-1, "the person's tokens were taken back");
        (await Host.Count("SELECT count(*) FROM accounts.terminal_login")).ShouldBe(0);

        async Task<string> Grant() => (string)(await Host.Post("/v2/accounts/terminal/", mine, person))["grant"]!;

        async Task<int> Finish(string grant, string with)
        {
            using var request = TestHost.Request(
                HttpMethod.Post, "/v2/accounts/terminal/token/", $$"""{"grant": "{{grant}}", "verifier": "{{with}}"}""", null);
            using var response = await Host.Http.SendAsync(request, Cancelled);
            return JsonNode.Parse(await response.Content.ReadAsStringAsync(Cancelled))!["code"]!.GetValue<int>();
        }
    }

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    private async Task<string> Page(string path, string? token)
    {
        using var request = TestHost.Request(HttpMethod.Get, path, null, token);
        request.Headers.Accept.ParseAdd("text/html");
        using var response = await Host.Http.SendAsync(request, Cancelled);
        return await response.Content.ReadAsStringAsync(Cancelled);
    }

    [Fact]
    public async Task A_wrong_password_is_one_sentence_and_nothing_is_kept()
    {
        var (name, folder) = (ClientHost.NewName("wang"), fixture.NewFolder());
        await Host.Account(name);
        var run = await ClientHost.RunIn("wrong\n", [(Logins.FolderVariable, folder)], "login", fixture.Url, "-u", name);
        (run.Code, run.Errors).ShouldBe((ExitCodes.Failed, "Wrong username or password\n"));
        Directory.GetFiles(folder).ShouldBeEmpty();
    }

    [Fact]
    public async Task A_token_that_was_given_is_kept_and_stays_good_after_the_sign_out()
    {
        (string, string)[] environment = [(Logins.FolderVariable, fixture.NewFolder())];
        (await ClientHost.RunIn(TestTokens.Admin + "\n", environment, "login", fixture.Url, "--token")).Text.ShouldContain("as admin");
        (await ClientHost.RunIn("", environment, "job", "list", "-o", "name")).Code.ShouldBe(0);
        (await ClientHost.RunIn("", environment, "logout")).Text.ShouldContain("still good");
        (await fixture.Run("job", "list", "-o", "name")).Code.ShouldBe(0);
    }

    [Fact]
    public async Task Lists_jobs_as_a_table_that_fits_the_terminal_as_JSON_YAML_and_names()
    {
        var name = await Job("echo 一二三四五六七八九十 " + new string('x', 200));
        var table = await ClientHost.RunIn(
            "",
            [(Logins.UrlVariable, fixture.Url), (Logins.TokenVariable, TestTokens.Admin), ("TERM", "xterm"), ("COLUMNS", "120")],
            "job",
            "list",
            "--search",
            name
        );
        table.Lines.Length.ShouldBe(2);
        table.Output.ShouldContain("\e[32mscheduled\e[0m", customMessage: "colours on a terminal");
        foreach (var line in table.Lines)
            TerminalText.Width(System.Text.RegularExpressions.Regex.Replace(line, "\e\\[[0-9;]*m", "")).ShouldBeLessThanOrEqualTo(120);
        (
            await ClientHost.RunIn(
                "",
                [(Logins.UrlVariable, fixture.Url), (Logins.TokenVariable, TestTokens.Admin), ("TERM", "xterm"), ("NO_COLOR", "1")],
                "job",
                "list"
            )
        ).Output.ShouldNotContain('\e');
        (string, string)[] dumb = [(Logins.UrlVariable, fixture.Url), (Logins.TokenVariable, TestTokens.Admin), ("TERM", "dumb")];
        (await ClientHost.RunIn("", dumb, "job", "list", "-S", name)).Text.ShouldNotContain('\e');

        (await fixture.Run("job", "list", "-S", name)).Text.ShouldContain(new string('x', 200), customMessage: "in a pipe nothing is cut");
        JsonNode.Parse((await fixture.Run("job", "list", "-S", name, "-o", "json")).Text)![0]!["job_id"]!.GetValue<string>().ShouldBe(name);
        (await fixture.Run("job", "list", "-S", name, "-o", "yaml")).Text.ShouldContain($"- job_id: {name}\n");
        (await fixture.Run("job", "list", "-S", name, "-o", "name")).Text.ShouldBe($"{name}\n");
        (await fixture.Run("job", "list", "-S", name, "-o", "wide")).Text.ShouldContain("RUN AS");
    }

    [Fact]
    public async Task A_job_runs_and_its_output_and_its_end_are_those_of_the_command()
    {
        var name = await Job("echo hello; exit 3");
        var run = await fixture.Run("job", "run", name, "-f");
        (run.Code, run.Output).ShouldBe((ExitCodes.Failed, "hello\n"));
        (await fixture.Run("job", "logs", name)).Text.ShouldBe("hello\n");
        (await fixture.Run("job", "show", name)).Text.ShouldContain("faild");

        (await fixture.Run("job", "run", await Job("true"), "--follow")).Code.ShouldBe(0);
    }

    [Fact]
    public async Task A_run_that_is_followed_ends_as_its_last_attempt_does()
    {
        var (name, flag) = (ClientHost.NewName("job"), Path.Combine(fixture.NewFolder(), "flag"));
        var cmd = $"test -e {flag} || {{ touch {flag}; echo first; exit 1; }}; echo ok";
        await Host.Make(new { job_id = name, cmd, cron = CronClient.Never, retries = 1, retry_delay = 1 });
        var run = await fixture.Run("job", "run", name, "-f");
        (run.Code, run.Output).ShouldBe((0, "first\nok\n"), run.Errors);
        run.Errors.ShouldContain("Attempt 2:\n");
        (await fixture.Run("job", "logs", name, "-f")).Text.ShouldBe("ok\n");
        (await fixture.Run("job", "logs", name, "-f", "--attempt", "1")).Text.ShouldBe("first\n");
    }

    [Fact]
    public async Task Pausing_twice_leaves_a_job_paused()
    {
        var name = await Job();
        (await fixture.Run("job", "pause", name, name)).Text.ShouldBe($"{name} is paused.\n{name} is paused.\n");
        (await fixture.Run("job", "list", "--status", "paused", "-S", name, "-o", "name")).Text.ShouldBe($"{name}\n");
        (await fixture.Run("job", "resume", name)).Text.ShouldBe($"{name} runs on its schedule.\n");
        (await fixture.Run("job", "list", "--status", "paused", "-S", name, "-o", "name")).Text.ShouldBe("");
    }

    [Fact]
    public async Task A_job_that_is_not_there_keeps_no_other_from_being_paused()
    {
        var name = await Job();
        var run = await fixture.Run("job", "pause", "no-such", name);
        (run.Code, run.Output).ShouldBe((ExitCodes.Failed, $"{name} is paused.\n"), run.Errors);
        run.Errors.ShouldStartWith("no-such: ");
        (await fixture.Run("job", "list", "--status", "paused", "-S", name, "-o", "name")).Text.ShouldBe($"{name}\n");
    }

    [Fact]
    public async Task What_runs_of_a_job_is_killed()
    {
        var name = await Job("sleep 600");
        (await fixture.Run("job", "run", name)).Code.ShouldBe(0);
        (await fixture.Run("job", "kill", name)).Text.ShouldContain("is being ended");
        await Eventually.True(
            async () => (await fixture.Run("job", "show", name)).Output.Contains("killed", StringComparison.Ordinal),
            "the run is killed"
        );
    }

    [Fact]
    public async Task A_run_that_began_long_ago_is_killed_and_the_run_of_another_job_is_not()
    {
        var (name, other) = (await Job("sleep 600"), await Job("sleep 600"));
        var (old, others) = (await Host.RunNow(name), await Host.RunNow(other));
        await Host.Running(old);
        await Host.Running(others);
        await Host.Ask<int>("UPDATE cron.cron_log SET exec_time = exec_time - interval '40 days' WHERE log_id = @old RETURNING 1", new { old });

        var refused = await fixture.Run("job", "kill", name, "--run", $"{others}");
        (refused.Code, refused.Output, refused.Errors).ShouldBe((ExitCodes.Failed, "", $"{name} has no run {others}.\n"));
        (await fixture.Run("job", "logs", name, "--run", $"{others}")).Code.ShouldBe(ExitCodes.Failed);
        (await Host.Ask<string?>("SELECT stop_en FROM cron.active_execution WHERE log_id = @others", new { others })).ShouldBeNull();

        (await fixture.Run("job", "logs", name, "--run", $"{old}")).Text.ShouldBe("");
        (await fixture.Run("job", "kill", name)).Text.ShouldBe($"Run {old} of {name} is being ended.\n");
        (await fixture.Run("job", "kill", other, "--run", $"{others}")).Text.ShouldBe($"Run {others} of {other} is being ended.\n");
        foreach (var run in new[] { old, others })
            await Eventually.Get(
                async () => (string?)await Host.Ask<string>("SELECT status FROM cron.cron_log WHERE log_id = @run", new { run }),
                status => status == "killed",
                "it is killed"
            );
    }

    [Fact]
    public async Task A_job_is_edited_as_YAML_in_the_editor_that_the_environment_names()
    {
        var name = await Job();
        var editor = Path.Combine(fixture.NewFolder(), "editor");
        await File.WriteAllTextAsync(editor, "#!/bin/sh\nsed -i 's/^description: .*/description: changed here/; s/^timeout: .*/timeout: 60/' \"$1\"\n");
        File.SetUnixFileMode(editor, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        (string, string)[] environment = [(Logins.UrlVariable, fixture.Url), (Logins.TokenVariable, TestTokens.Admin), ("EDITOR", editor)];
        (await ClientHost.RunIn("", environment, "job", "edit", name)).Text.ShouldContain($"{name} is changed");
        var job = (await Host.Get($"/v1/cron/job/?job_id={name}"))["data"]![0]!;
        (job["description"]!.GetValue<string>(), job["timeout"]!.GetValue<int>()).ShouldBe(("changed here", 60));
        (await ClientHost.RunIn("", environment, "job", "edit", name)).Errors.ShouldContain("Nothing was changed");
    }

    [Theory]
    [InlineData("printf 'env: [1\\n' >> \"$1\"", "env: [1\n", "The job:")]
    [InlineData("echo '- x' > \"$1\"", "- x\n", "The job is one document with fields")]
    [InlineData("sed -i 's/^job_id: .*/job_id: other/' \"$1\"", "job_id: other\n", "job_id cannot be changed")]
    [InlineData("sed -i 's/^env: .*/env: {PORT: 8080}/' \"$1\"", "env: {PORT: 8080}\n", "env.PORT is no text: put it in quotes")]
    public async Task What_was_typed_and_does_not_read_is_printed(string script, string typed, string why)
    {
        var name = await Job();
        var editor = Path.Combine(fixture.NewFolder(), "editor");
        await File.WriteAllTextAsync(editor, $"#!/bin/sh\n{script}\n");
        File.SetUnixFileMode(editor, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        (string, string)[] environment = [(Logins.UrlVariable, fixture.Url), (Logins.TokenVariable, TestTokens.Admin), ("EDITOR", editor)];
        var run = await ClientHost.RunIn("", environment, "job", "edit", name);
        (run.Code, run.Output).ShouldBe((ExitCodes.Failed, ""), run.Errors);
        run.Errors.ShouldStartWith("What you wrote, which was not saved:\n");
        run.Errors.ShouldContain(typed);
        run.Errors.ShouldContain(why);
    }

    [Fact]
    public async Task Versions_of_a_job_are_listed_compared_and_brought_back()
    {
        var name = await Job("echo 1");
        (await Host.Put("/v1/cron/job/", new { job_id = name, cmd = "echo 2", retries = 3 })).Code().ShouldBe(0);
        (await fixture.Run("job", "history", name, "-o", "name")).Text.ShouldBe("2\n1\n");
        (await fixture.Run("job", "history", name)).Output.ShouldContain("cmd, retries");
        foreach (var wide in (string[][])[[], ["-o", "wide"]])
            (await fixture.Run(["job", "history", name, "2", .. wide])).Output.ShouldBe("cmd:\n- echo 1\n+ echo 2\nretries:\n- 0\n+ 3\n");
        (await fixture.Run("job", "history", name, "2", "-o", "name")).Text.ShouldBe("2\n");
        (await fixture.Run("job", "restore", name, "1")).Text.ShouldBe($"Version 1 of {name} is back, as version 3.\n");
        (await fixture.Run("job", "restore", name, "9")).Code.ShouldBe(ExitCodes.Failed);

        // Somebody saves while the editor is open.
        var editor = Path.Combine(fixture.NewFolder(), "editor");
        var save = $"curl -s -H 'auth-key: {TestTokens.Admin}' -X PUT {fixture.Url}/v1/cron/job/ -d '{{\"job_id\": \"{name}\", \"cmd\": \"echo theirs\"}}'";
        await File.WriteAllTextAsync(editor, $"#!/bin/sh\nsed -i 's/^cmd: .*/cmd: echo mine/' \"$1\"\n{save} >/dev/null\n");
        File.SetUnixFileMode(editor, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        (string, string)[] environment = [(Logins.UrlVariable, fixture.Url), (Logins.TokenVariable, TestTokens.Admin), ("EDITOR", editor)];
        var refused = await ClientHost.RunIn("", environment, "job", "edit", name);
        (refused.Code, refused.Errors.Contains("cmd: echo mine", StringComparison.Ordinal)).ShouldBe((ExitCodes.Failed, true));
        refused.Errors.ShouldContain("admin saved version 4");
    }

    [Fact]
    public async Task Next_times_are_those_of_a_job_or_of_an_expression()
    {
        (await fixture.Run("job", "next", await Job(), "-n", "3")).Lines.Length.ShouldBe(4);
        (await fixture.Run("job", "next", "--cron", "0 30 2 * * *", "--time-zone", "Europe/Berlin", "-o", "name")).Lines.ShouldAllBe(line =>
            line.Contains(" 02:30:00+0", StringComparison.Ordinal) || line.Contains(" 03:", StringComparison.Ordinal)
        );
        (await fixture.Run("job", "next")).Code.ShouldBe(ExitCodes.Usage);
    }

    [Theory]
    [InlineData(ExitCodes.Usage, "job", "lst")]
    [InlineData(ExitCodes.Usage, "job", "show")]
    [InlineData(ExitCodes.Usage, "job", "list", "-o", "xml")]
    [InlineData(ExitCodes.Usage, "order", "watch", "seven")]
    [InlineData(ExitCodes.Usage, "order", "watch", "5", "--timeout", "-1")]
    [InlineData(ExitCodes.Usage, "order", "watch", "5", "--timeout", "0")]
    [InlineData(ExitCodes.Usage, "order", "watch", "5", "--timeout", "9999999")]
    [InlineData(ExitCodes.Usage, "order", "watch", "5", "--timeout", "soon")]
    [InlineData(ExitCodes.Failed, "job", "show", "no-such-job")]
    [InlineData(ExitCodes.Failed, "order", "show", "999999")]
    [InlineData(ExitCodes.Failed, "incident", "ack", "999999")]
    [InlineData(ExitCodes.Failed, "order", "submit", "no-such-template", "-H", "127.0.0.1")]
    public async Task A_refusal_is_one_sentence_on_standard_error_and_an_exit_code(int code, params string[] arguments)
    {
        var run = await fixture.Run(arguments);
        (run.Code, run.Output).ShouldBe((code, ""), run.Errors);
        run.Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length.ShouldBe(1, run.Errors);
    }

    [Fact]
    public async Task What_files_of_this_machine_refuse_is_one_sentence_too()
    {
        await Job();
        One(ExitCodes.Failed, await fixture.Run("export", "/dev/null/codo", "--kind", "job"));
        var folder = fixture.NewFolder();
        // Not by its mode: root reads everything.
        var logins = Path.Combine(folder, "logins.json");
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint(logins));
        File.SetUnixFileMode(logins, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        One(ExitCodes.Failed, await ClientHost.RunIn("", [(Logins.FolderVariable, folder)], "job", "list"));
        var file = Path.Combine(folder, "order.yaml");
        await File.WriteAllTextAsync(file, "temp_id: 1\nargs: '{\"WORD\": \"x\"}'\n", Cancelled);
        One(ExitCodes.Usage, await fixture.Run("order", "submit", "-f", file, "-a", "WORD=y"));

        static void One(int code, ClientRun run)
        {
            (run.Code, run.Output).ShouldBe((code, ""), run.Errors);
            run.Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length.ShouldBe(1, run.Errors);
        }
    }

    [Fact]
    public async Task A_token_of_the_environment_goes_to_no_other_server_than_the_one_beside_it()
    {
        (string, string)[] environment =
        [
            (Logins.UrlVariable, "http://127.0.0.1:1"),
            (Logins.TokenVariable, TestTokens.For(4712, "elsewhere")),
            (Logins.FolderVariable, fixture.NewFolder()),
        ];
        var refused = await ClientHost.RunIn("", environment, "job", "list", "--server", fixture.Url);
        (refused.Code, refused.Errors).ShouldBe((ExitCodes.NotSignedIn, $"Not signed in to {fixture.Url}: codo login {fixture.Url}\n"));
        (await ClientHost.RunIn(TestTokens.Admin + "\n", environment[2..], "login", fixture.Url, "--token")).Code.ShouldBe(0);
        (await ClientHost.RunIn("", environment, "job", "list", "--server", fixture.Url, "-o", "name")).Code.ShouldBe(0);
        // Without an address beside it, and with the same one, it goes where it is sent.
        (string, string) token = (Logins.TokenVariable, TestTokens.Admin);
        foreach (var given in new (string, string)[][] { [token], [token, (Logins.UrlVariable, fixture.Url + "/")] })
            (await ClientHost.RunIn("", given, "job", "list", "--server", fixture.Url, "-o", "name")).Code.ShouldBe(0);
    }

    [Fact]
    public async Task A_word_that_is_not_known_is_named() =>
        (await fixture.Run("job", "lst")).Errors.ShouldBe("'lst' is not known. See codo job --help.\n");

    [Fact]
    public async Task A_server_that_is_not_there_is_named()
    {
        (string, string)[] environment = [(Logins.UrlVariable, "http://127.0.0.1:1"), (Logins.TokenVariable, "x")];
        var run = await ClientHost.RunIn("", environment, "job", "list");
        run.Code.ShouldBe(ExitCodes.Unreachable);
        run.Errors.ShouldStartWith("http://127.0.0.1:1/ cannot be reached: ");
    }

    [Fact]
    public async Task The_command_line_may_what_the_token_may()
    {
        var name = await Job();
        var viewer = TestTokens.For(4711, "viewer");
        (string, string)[] environment = [(Logins.UrlVariable, fixture.Url), (Logins.TokenVariable, viewer)];
        (await ClientHost.RunIn("", environment, "login", fixture.Url, "--token")).Code.ShouldBe(ExitCodes.Usage);
        var space = ClientHost.NewName("space");
        await Host.Post("/v2/accounts/space/", new { name = space });
        await Host.Put("/v1/cron/job/", new { job_id = name, space });
        (await ClientHost.RunIn("", environment, "job", "run", name)).Code.ShouldBe(ExitCodes.Failed);
        (await ClientHost.RunIn("", environment, "job", "list", "-S", name, "-o", "name")).Output.ShouldBe("");
    }

    [Fact]
    public async Task Why_is_answered_by_the_ledger_for_a_time_of_today_and_for_any_other()
    {
        var name = await Job("true", "* * * * * *");
        var ran = await Eventually.Get(
            async () => await Host.Ask<DateTime?>("SELECT max(nominal_at) FROM cron.cron_log WHERE job_id = @name AND status = 'success'", new { name }),
            time => time is not null,
            "it has run"
        );
        // The zone of the host is eight hours ahead of UTC.
        var local = ran!.Value.AddHours(8);
        var (date, time) = ($"{local:yyyy-MM-dd}", $"{local:HH:mm:ss}");
        foreach (var asked in new[] { new[] { date, time }, [$"{date} {time}"], [$"{ran:yyyy-MM-ddTHH:mm:ss}Z"] })
            (await fixture.Run(["why", name, .. asked])).Text.ShouldSatisfyAllConditions(
                said => said.ShouldStartWith($"{name} was due at {date} {time} and began "),
                said => said.ShouldContain("; it ended as success after ")
            );
        JsonNode.Parse((await fixture.Run("why", name, date, time, "-o", "json")).Text)!["status"]!.GetValue<string>().ShouldBe("success");
        await fixture.Run("job", "pause", name);

        var made = await Job();
        foreach (var day in new[] { "00:00", "0:00:00" })
        {
            var before = DateTime.UtcNow.AddHours(8);
            var said = (await fixture.Run("why", made, day)).Text;
            new[] { before, DateTime.UtcNow.AddHours(8) }.ShouldContain(
                today => said.StartsWith($"{made} did not exist at {today:yyyy-MM-dd} 00:00:00", StringComparison.Ordinal), said);
        }
        (await fixture.Run("why", made, "25:00")).ShouldSatisfyAllConditions(
            run => run.Code.ShouldBe(ExitCodes.Failed),
            run => run.Errors.ShouldContain("is not a time")
        );
    }

    [Fact]
    public async Task The_output_of_a_run_is_followed_to_its_end_or_until_Ctrl_C()
    {
        var go = Path.Combine(fixture.NewFolder(), "go");
        var name = await Job($"echo one; while [ ! -e {go} ]; do sleep 0.05; done; echo two");
        (await fixture.Run("job", "run", name)).Code.ShouldBe(0);
        await Eventually.True(async () => (await fixture.Run("job", "logs", name)).Output == "one\n", "it prints");
        var followed = fixture.Run("job", "logs", name, "-f");

        using var process = await fixture.Start("job", "logs", name, "--follow");
        (await process.StandardOutput.ReadLineAsync(Cancelled)).ShouldBe("one");
        Codo.Host.LocalServices.Posix.Signal(process.Id, 2);
        await process.WaitForExitAsync(Cancelled);
        (process.ExitCode, await process.StandardError.ReadToEndAsync(Cancelled)).ShouldBe((ExitCodes.Interrupted, ""));

        followed.IsCompleted.ShouldBeFalse("the run goes on");
        await File.WriteAllTextAsync(go, "", Cancelled);
        (await followed).Text.ShouldBe("one\ntwo\n");
    }

    [Fact]
    public async Task What_follows_a_run_ends_once_nobody_reads_it_and_the_run_goes_on()
    {
        var folder = fixture.NewFolder();
        var (go, end) = (Path.Combine(folder, "go"), Path.Combine(folder, "end"));
        var name = await Job($"echo one; while [ ! -e {go} ]; do sleep 0.05; done; echo two; while [ ! -e {end} ]; do sleep 0.05; done");
        var run = await Host.RunNow(name);
        await Host.Running(run);
        using var process = await fixture.Start("job", "logs", name, "--follow");
        (await process.StandardOutput.ReadLineAsync(Cancelled)).ShouldBe("one");
        process.StandardOutput.Close();
        await File.WriteAllTextAsync(go, "", Cancelled);
        await Eventually.True(() => process.HasExited, "it ends");
        (process.ExitCode, await process.StandardError.ReadToEndAsync(Cancelled)).ShouldBe((ExitCodes.NoReader, ""));
        (await Host.Log(run)).Status().ShouldBe("running");
        await File.WriteAllTextAsync(end, "", Cancelled);
        (await Host.Ended(run)).Status().ShouldBe("success");
    }

    [Fact]
    public async Task Search_finds_jobs_and_the_lines_of_their_output()
    {
        var word = ClientHost.NewName("needle");
        var name = await Job($"printf 'first\\nhere is {word}\\n'");
        (await fixture.Run("job", "run", name, "-f")).Code.ShouldBe(0);
        var found = (await fixture.Run("search", word)).Text;
        found.ShouldContain($"job   {name}");
        found.ShouldContain($"here is {word}");
        (await fixture.Run("search", word, "--in", "orders")).Output.ShouldBe("");
    }

    [Fact]
    public async Task Incidents_are_listed_and_acknowledged()
    {
        var name = await Job("exit 1");
        await fixture.Run("job", "run", name, "-f");
        await Eventually.True(
            async () => (await fixture.Run("incident", "list", "--subject", name, "-o", "name")).Lines.Length == 1,
            "the failure is an incident"
        );
        var id = (await fixture.Run("incident", "list", "--subject", name, "-o", "name")).Lines[0];
        (await fixture.Run("incident", "ack", id)).Text.ShouldBe($"Incident {id} is acknowledged.\n");
        (await fixture.Run("incident", "list", "-s", "acknowledged", "--subject", name)).Text.ShouldContain(id);
        var resolved = await fixture.Run("incident", "ack", "999999", id, "--resolve");
        (resolved.Code, resolved.Output).ShouldBe((ExitCodes.Failed, $"Incident {id} is resolved.\n"), resolved.Errors);
    }

    [Fact]
    public async Task The_real_program_answers_without_a_host_of_its_own()
    {
        var name = await Job();
        (string, string)[] environment = [(Logins.UrlVariable, fixture.Url), (Logins.TokenVariable, TestTokens.Admin)];
        var (code, output, errors) = await HostProcess.Run(["job", "list", "-S", name, "-o", "name"], environment: environment);
        (code, output).ShouldBe((0, $"{name}\n"), errors);
        (code, output, errors) = await HostProcess.Run(["job", "show", "nobody"], environment: environment);
        (code, output, errors).ShouldBe((1, "", "job nobody Not Found!\n"));
        var home = fixture.NewFolder();
        (await HostProcess.RunWith(TestTokens.Admin + "\n", ["login", fixture.Url, "--token"], ("HOME", home), ("XDG_CONFIG_HOME", ""))).ExitCode.ShouldBe(0);
        File.GetUnixFileMode(Path.Combine(home, ".config/codo/logins.json")).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        var known = await HostProcess.RunWith(
            AccountsClient.Password + "\n",
            ["login", "127.0.0.1:1", "-u", "x"],
            (Logins.FolderVariable, fixture.NewFolder())
        );
        known.ExitCode.ShouldBe(ExitCodes.Unreachable);
    }
}
