using System.Text.Json.Nodes;
using Codo.Tests.Host.LocalServices;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using LibraryHost = Codo.Tests.Modules.Tasks.Layout.LibraryHost;
using OrderHost = Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Host;

/// <summary>Whoever may write a job, a template or a channel does not own Codo: who commands run as, and who decides it.</summary>
public sealed class RunAsTests(TestPostgres postgres)
{
    private static readonly string Operator = TestTokens.For(11, "op");

    [Fact]
    public async Task Jobs_steps_and_channels_that_name_nobody_run_as_the_default()
    {
        await using var user = await TestUser.Make();
        await using var host = await TestHost.Start(postgres, null, ("Codo:RunAs", user.Identity.Name));
        await host.Make(new { job_id = "who", cmd = "id -un; echo $HOME", cron = CronClient.Never });
        (await host.Get("/v1/cron/job/?job_id=who"))["data"]![0]!["run_as"]!.GetValue<string>().ShouldBe(user.Identity.Name);
        (await host.Ended(await host.RunNow("who")))["task_log"]!.GetValue<string>().ShouldBe($"{user.Identity.Name}\n{user.Home}\n");

        var template = await OrderHost.Template(host, OrderHost.Step("id -un"), OrderHost.Step("true", level: 2, forceHost: "127.0.0.1"));
        (await host.Get($"{LibraryHost.Details}?temp_id={template}"))["data"]!["temp_list"]![0]!["run_as"]!.GetValue<string>().ShouldBe(user.Identity.Name);
        var order = await OrderHost.Order(host, template);
        (await OrderHost.Ended(host, order)).ShouldBe("3");
        await Eventually.True(
            async () => (await OrderHost.Log(host, $"{order}_1_1_127.0.0.1")).EndsWith(user.Identity.Name, StringComparison.Ordinal),
            "it ran as that user"
        );
        (await OrderHost.Steps(host, order))[0]["exec_user"]!.GetValue<string>().ShouldBe(user.Identity.Name);

        var script = Path.Combine(user.Home, "tell.sh");
        await File.WriteAllTextAsync(script, "#!/bin/sh\nid -un\n");
        File.SetUnixFileMode(script, (UnixFileMode)0b111_101_101);
        (await host.Post("/v2/alerts/channel/", new { name = "script", kind = "command", settings = new { path = script } })).Code().ShouldBe(0);
        var channel = (await host.Get("/v2/alerts/channel/"))["data"]![0]!;
        channel["settings"]!["run_as"]!.GetValue<string>().ShouldBe(user.Identity.Name);
        (await host.Post("/v2/alerts/channel/test/", new { channel_id = (long)channel["channel_id"]! }))["answer"]!
            .GetValue<string>()
            .ShouldBe($"exit 0 {user.Identity.Name}");
        (await host.Get("/healthz/ready"))["checks"]!["run_as"]!["detail"]!.GetValue<string>().ShouldStartWith($"commands run as {user.Identity.Name}");
    }

    /// <summary>Each of these read what it asks for on the version before, where a job ran as the host's user.</summary>
    [Fact]
    public async Task A_command_can_read_nothing_that_is_Codos()
    {
        await using var user = await TestUser.Make();
        using var folder = new TestFolder();
        var master = "a-master-key-that-no-command-may-see-0123456789";
        await using var host = await HostProcess.Start(
            folder.At("codo"), environment: [("Codo__RunAs", user.Identity.Name), ("Codo__MasterKey", master), ("Codo__MinFreeDisk", "0")]);
        Directory.CreateDirectory(Path.Combine(host.DataDirectory, "spool/an-older-version"));
        string[] attempts =
        [
            $"cat {host.DataDirectory}/secrets/token-secret",
            $"ls {host.DataDirectory}",
            $"ls {host.DataDirectory}/spool",
            $"ls {host.DataDirectory}/postgres",
            $"cat {host.DataDirectory}/lock",
            $"cat {host.DataDirectory}/postgres.log",
            $"cat /proc/{host.Pid}/environ",
            $"cat /proc/{host.Pid}/mem",
            $"ls /proc/{host.Pid}/fd/",
            $"kill -0 {host.Pid}",
        ];
        foreach (var attempt in attempts)
        {
            var (status, said) = await Run(host, attempt);
            status.ShouldBe("faild", $"{attempt}: {said}");
        }

        foreach (var role in (string[])["codo", "codo_host"])
        {
            var psql = $"LC_ALL=C {PrivateClusterTests.Psql()} -w -h {host.DataDirectory}/postgres-socket -U {role} -c 'SELECT 1' codo";
            var (status, said) = await Run(host, psql);
            status.ShouldBe("faild", $"{psql}: {said}");
            // Refused, and not only a program that is not there.
            said.ShouldMatch("Permission denied|authentication failed");
        }

        var (_, listed) = await Run(host, $"tr '\\0' '\\n' </proc/{host.Pid}/cmdline; env; id -G; ls -l /proc/self/fd/ | grep -v pipe");
        listed.ShouldNotContain(master);
        listed.ShouldNotContain(host.DataDirectory);
        listed.ShouldNotContain("Codo__");
        // The host's files are closed by its umask, which is no command's.
        var mask = File.ReadLines("/proc/self/status").First(line => line.StartsWith("Umask:", StringComparison.Ordinal)).Split('\t')[1];
        (await Run(host, "umask")).Said.ShouldBe(mask + "\n");

        // PostgreSQL's rules are root's, and read by the group of its user.
        foreach (var entry in new DirectoryInfo(host.DataDirectory).EnumerateFileSystemInfos())
            (entry.UnixFileMode & (UnixFileMode)(entry.Name.EndsWith(".conf", StringComparison.Ordinal) ? 0b000_000_111 : 0b000_111_111)).ShouldBe(
                (UnixFileMode)0,
                entry.FullName
            );
    }

    [Fact]
    public async Task The_process_shows_no_secret_that_it_was_started_with()
    {
        using var folder = new TestFolder();
        var (master, token, later) = ($"geheim-{Guid.NewGuid():N}", $"geheim-{Guid.NewGuid():N}", $"geheim-{Guid.NewGuid():N}");
        await using var host = await HostProcess.Start(
            folder.At("codo"),
            environment: [("Codo__MasterKey", master), ("Codo__Auth__TokenSecret", token), ("ASPNETCORE_Codo__OldMasterKeys__7", later)]
        );
        // Who is not root may not even look: the process cannot be traced.
        if (!Environment.IsPrivilegedProcess) Should.Throw<UnauthorizedAccessException>(() => File.ReadAllText($"/proc/{host.Pid}/environ"));
        var shown = Environment.IsPrivilegedProcess ? await File.ReadAllTextAsync($"/proc/{host.Pid}/environ") : "";
        if (Environment.IsPrivilegedProcess) shown.ShouldContain("PATH=");
        foreach (var secret in (string[])[master, token, later]) shown.ShouldNotContain(secret);
        // The settings are in force all the same.
        (await File.ReadAllTextAsync(Path.Combine(host.DataDirectory, "secrets/token-secret.in-use"))).Trim().Length.ShouldBe(32);
        File.Exists(Path.Combine(host.DataDirectory, "secrets/master-key")).ShouldBeFalse();
        Directory.GetFiles(Path.GetTempPath(), $"*-{host.Pid}-*").ShouldBeEmpty();
    }

    [Fact]
    public async Task Only_users_that_the_settings_name_may_be_named_and_Codos_own_by_superusers_alone()
    {
        await using var user = await TestUser.Make();
        await using var other = await TestUser.Make();
        var own = Environment.UserName;
        await using var host = await TestHost.Start(
            postgres,
            null,
            ("Codo:RunAs", user.Identity.Name),
            ("Codo:AllowRunAs", $"{other.Identity.Name},{own},no-such-user-here")
        );
        object Job(string id, string runAs) =>
            new
            {
                job_id = id,
                cmd = "id -un",
                cron = CronClient.Never,
                run_as = runAs,
            };
        (await host.Post("/v1/cron/job/", Job("a", "nobody"), Operator)).Code().ShouldBe(-2);
        (await host.Post("/v1/cron/job/", Job("a", "nobody"))).Code().ShouldBe(-2);
        (await host.Post("/v1/cron/job/", Job("a", own), Operator)).Code().ShouldBe(-2);
        (await host.Post("/v1/cron/job/", Job("a", "no-such-user-here"), Operator)).Code().ShouldBe(-1);
        (await host.Post("/v1/cron/job/", Job("a", other.Identity.Name), Operator)).Code().ShouldBe(0);
        (await host.Ended(await host.RunNow("a")))["task_log"]!.GetValue<string>().ShouldBe(other.Identity.Name + "\n");
        (await host.Post("/v1/cron/job/", Job("b", own))).Code().ShouldBe(0);

        // What runs as Codo's own user is a superuser's to change; when it runs is an operator's.
        var sent = (await host.Get("/v1/cron/job/?job_id=b", Operator))["data"]![0]!.AsObject();
        sent["cron"] = "0 0 1 29 2 *";
        (await host.Put("/v1/cron/job/", sent.ToJsonString(), Operator)).Code().ShouldBe(0);
        foreach (
            var change in (object[])
                [
                    new { job_id = "b", cmd = "cat /etc/shadow" },
                    new { job_id = "b", env = new { PATH = "/tmp" } },
                    new { job_id = "b", interpreter = "/tmp/x" },
                    new { job_id = "b", working_directory = "/tmp" },
                ]
        )
            (await host.Put("/v1/cron/job/", change, Operator)).Code().ShouldBe(-2);
        (await host.Put("/v1/cron/job/", new { job_id = "a", run_as = own }, Operator)).Code().ShouldBe(-2);
        (await host.Put("/v1/cron/job/", new { job_id = "b", cmd = "true" })).Code().ShouldBe(0);
        // Nor does a superuser's deletion end by somebody else.
        var removed = new { deleted_id = (long)(await host.Delete("/v1/cron/job/", new { job_id = "b" }))["deleted_id"]! };
        (await host.Post("/v1/cron/job/deleted/", removed, Operator)).Code().ShouldBe(-2);
        (await host.Post("/v1/cron/job/deleted/", removed)).Code().ShouldBe(0);
        (await host.Put("/v1/cron/job/", new { job_id = "b", cmd = "id -un", run_as = user.Identity.Name }, Operator)).Code().ShouldBe(0);

        // The same for a template's steps.
        var template = await OrderHost.Template(host, null, ["11,,,op"], Local("id -un", own));
        (await Save(host, template, Operator, Local("cat /etc/shadow", own, 1))).Code().ShouldBe(-2);
        (await Save(host, template, Operator, Local("id -un", own, 1), Local("cat /etc/shadow", own))).Code().ShouldBe(-2);
        (await Save(host, template, Operator, Local("id -un", own, 1), Local("id -un", other.Identity.Name))).Code().ShouldBe(0);
        (await host.Delete(LibraryHost.Temp, new { temp_id = template })).Code().ShouldBe(0);
        (await host.Post(LibraryHost.Temp + "deleted/", new { temp_id = template }, Operator)).Code().ShouldBe(-2);
        (await host.Post(LibraryHost.Temp + "deleted/", new { temp_id = template })).Code().ShouldBe(0);

        // An order gives a declared word any value.
        foreach (var forced in (string[])["127.0.0.1", ""])
        {
            var step = Local("echo", own);
            step["args"] = "WORD fixed";
            step["force_host"] = forced;
            var worded = await OrderHost.Template(host, null, ["11,,,op"], step);
            (await host.Put(LibraryHost.Details, new { temp_id = worded, temp_args = new[] { "OTHER" } }, Operator)).Code().ShouldBe(0);
            (await host.Put(LibraryHost.Details, new { temp_id = worded, temp_args = new[] { "OTHER", "fixed" } }, Operator)).Code().ShouldBe(-2);
            (await host.Put(LibraryHost.Details, new { temp_id = worded, temp_args = new[] { "WORD" } })).Code().ShouldBe(0);
            (await host.Put(LibraryHost.Details, new { temp_id = worded, temp_args = new[] { "WORD", "OTHER" } }, Operator)).Code().ShouldBe(0);
        }

        // The library's words count in every template, and a step that is meant for another host now may come back.
        var away = Local("echo", own);
        away["args"] = "WORD fixed";
        away["force_host"] = "";
        var moved = await OrderHost.Template(host, null, ["11,,,op"], away);
        away["id"] = (await Steps(moved))[0]!["id"]!.GetValue<long>();
        away["force_host"] = "10.0.0.5";
        (await Save(host, moved, Operator, away)).Code().ShouldBe(0);
        (await Steps(moved))[0]!["run_as"]!.GetValue<string>().ShouldBe(own);
        (await host.Put(LibraryHost.Details, new { temp_id = moved, temp_args = new[] { "fixed" } }, Operator)).Code().ShouldBe(-2);
        (await host.Post(LibraryHost.Args, new { args_name = "x", args_self = " fixed" }, Operator)).Code().ShouldBe(-2);
        var named = await host.Post(LibraryHost.Args, new { args_name = "y", args_self = "fix" }, Operator);
        named.Code().ShouldBe(0, "part of a word is none");
        var argument = (long)named["args_id"]!;
        (await host.Put(LibraryHost.Args, new { args_id = argument, args_self = "fixed" }, Operator)).Code().ShouldBe(-2);
        (await host.Put(LibraryHost.Args, new { args_id = argument, args_self = "fixed" })).Code().ShouldBe(0);
        (await host.Put(LibraryHost.Args, new { args_id = argument, args_name = "z", args_self = "fixed" }, Operator)).Code().ShouldBe(0);
        (await host.Post(LibraryHost.Args, new { args_name = "x", args_self = "fixed" })).Code().ShouldBe(0);

        // And for the program of a channel.
        var made = await host.Post(
            "/v2/alerts/channel/",
            new
            {
                name = "script",
                kind = "command",
                settings = new { path = "/bin/true", arguments = "a", run_as = own },
            }
        );
        var channel = (long)made["channel_id"]!;
        (await host.Post("/v2/accounts/grant/", new { user_id = 11, role = "editor", @object = $"alert_channel:{channel}" })).Code().ShouldBe(0);
        foreach (var settings in (object[])[new { path = "/bin/sh" }, new { arguments = "-c id" }])
            (await host.Put("/v2/alerts/channel/", new { channel_id = channel, settings }, Operator)).Code().ShouldBe(-2);
        (await host.Put("/v2/alerts/channel/", new { channel_id = channel, name = "told" }, Operator)).Code().ShouldBe(0);
        (await host.Put("/v2/alerts/channel/", new { channel_id = channel, settings = new { path = "/bin/false" } })).Code().ShouldBe(0);

        async Task<JsonArray> Steps(long id) => (await host.Get($"{LibraryHost.Details}?temp_id={id}"))["data"]!["temp_list"]!.AsArray();
    }

    [Fact]
    public async Task A_user_that_has_gone_is_a_failed_run_with_that_cause()
    {
        await using var host = await TestHost.Start(postgres);
        await host.Make(new { job_id = "gone", cmd = "true", cron = CronClient.Never });
        await host.Ask<int>("WITH u AS (UPDATE cron.job SET run_as = 'no-such-user-here' RETURNING 1) SELECT count(*)::int FROM u");
        var ended = await host.Ended(await host.RunNow("gone"));
        ended.Status().ShouldBe("faild");
        ended
            .ToJsonString(new System.Text.Json.JsonSerializerOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping })
            .ShouldContain("no-such-user-here");
    }

    [Fact]
    public async Task A_host_without_root_says_that_commands_share_its_user_and_refuses_any_other()
    {
        await using var user = await TestUser.Make();
        await using var host = await HostProcess.Start(Path.Combine(user.Home, "codo"), user.Identity, environment: [("Codo__AllowRunAs", "root")]);
        host.Output.ShouldContain($"commands share the host's user {user.Identity.Name}");
        (await host.Send(HttpMethod.Get, "/healthz/ready"))["checks"]!["run_as"]!["detail"]!.GetValue<string>().ShouldContain("commands share the host's user");
        var (status, said) = await Run(host, "id -un");
        (status, said).ShouldBe(("success", user.Identity.Name + "\n"));
        (
            await host.Send(
                HttpMethod.Post,
                "/v1/cron/job/",
                new
                {
                    job_id = "r",
                    cmd = "id",
                    cron = CronClient.Never,
                    run_as = user.Identity.Name,
                }
            )
        )["code"]!.GetValue<int>().ShouldBe(0);
        var refused = await host.Send(
            HttpMethod.Post,
            "/v1/cron/job/",
            new
            {
                job_id = "s",
                cmd = "id",
                cron = CronClient.Never,
                run_as = "root",
            }
        );
        refused["code"]!.GetValue<int>().ShouldBe(-1);
        refused["msg"]!.GetValue<string>().ShouldContain("没有 root 权限");
    }

    [Fact]
    public async Task Codos_own_user_as_the_default_has_to_be_meant()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "Without root there is no other user to choose.");
        using var folder = new TestFolder();
        var (code, _, errors) = await HostProcess.Run(
            ["--urls=http://127.0.0.1:0"],
            environment: [("Codo__DataDirectory", folder.At("codo")), ("Codo__AllowRunAs", "")]
        );
        (code, errors).ShouldSatisfyAllConditions(
            ended => ended.code.ShouldBe(2),
            ended => ended.errors.ShouldStartWith("Codo:RunAs is root, who can read everything that is Codo's.")
        );
    }

    private static JsonObject Local(string command, string runAs, int? id = null)
    {
        var step = OrderHost.Step(command, forceHost: "127.0.0.1");
        step["run_as"] = runAs;
        if (id is not null) step["id"] = id;
        return step;
    }

    private static Task<JsonObject> Save(TestHost host, long template, string token, params JsonObject[] steps) =>
        host.Put(
            LibraryHost.Details,
            new JsonObject { ["temp_id"] = template, ["new_temp_data"] = new JsonArray([.. steps.Select(step => step.DeepClone())]) }.ToJsonString(),
            token
        );

    private static async Task<(string Status, string Said)> Run(HostProcess host, string command)
    {
        var id = $"j-{Guid.NewGuid():N}";
        var made = await host.Send(HttpMethod.Post, "/v1/cron/job/", new { job_id = id, cmd = command, cron = CronClient.Never });
        made["code"]!.GetValue<int>().ShouldBe(0, made.ToJsonString());
        var log = (await host.Send(HttpMethod.Post, "/v1/cron/job/run/", new { job_id = id }))["log_id"]!.GetValue<long>();
        var row = await Eventually.Get<JsonNode>(
            async () => (await host.Send(HttpMethod.Get, $"/v1/cron/log/?key=log_id&value={log}"))["data"]![0],
            now => (string)now["status"]! is not ("queued" or "running"),
            $"{command} has ended"
        );
        return ((string)row["status"]!, (string)row["task_log"]!);
    }
}
