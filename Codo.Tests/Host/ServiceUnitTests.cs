using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;

namespace Codo.Tests.Host;

/// <summary>
/// What <c>deploy/codo.service</c> gives the host and leaves to its commands. No systemd runs in tests: the host is started as the unit's options start it.
/// </summary>
public sealed class ServiceUnitTests
{
    // Inherited by commands, from which they would take sudo, /tmp or /usr.
    private static readonly string[] Binding =
    [
        "NoNewPrivileges",
        "PrivateTmp",
        "ProtectSystem",
        "ProtectHome",
        "CapabilityBoundingSet",
        "SystemCallFilter",
        "RestrictSUIDSGID",
        "PrivateUsers",
        "PrivateDevices",
        "ReadOnlyPaths",
        "InaccessiblePaths",
        "RestrictNamespaces",
        "ProtectProc",
    ];

    [Fact]
    public async Task A_job_uses_sudo_writes_to_tmp_and_leaves_a_daemon_that_outlives_a_restart()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/sudo"), "sudo is not installed here.");
        await using var service = await TestUser.Make();
        await using var user = await TestUser.Make();
        var rule = $"/etc/sudoers.d/{user.Identity.Name}";
        Directory.CreateDirectory("/etc/sudoers.d");
        await File.WriteAllTextAsync(rule, $"{user.Identity.Name} ALL=(root) NOPASSWD: ALL\n");
        File.SetUnixFileMode(rule, UnixFileMode.UserRead | UnixFileMode.GroupRead);
        var written = $"/tmp/codo-unit-{Guid.NewGuid():N}";
        try
        {
            var data = Path.Combine(service.Home, "data");
            var capabilities = Options()["AmbientCapabilities"].Single().Split(' ').Select(name => name["CAP_".Length..].ToLowerInvariant()).ToArray();
            capabilities.ShouldBe(["setuid", "setgid", "kill", "sys_ptrace"]);
            using var manager = new NotifySocket();
            Task<HostProcess> Start() => HostProcess.StartWith(
                capabilities,
                data,
                service.Identity,
                environment:
                [
                    ("Codo__RunAs", user.Identity.Name),
                    ("Codo__AllowRunAs", service.Identity.Name),
                    ("NOTIFY_SOCKET", manager.Path),
                    ("WATCHDOG_USEC", "1500000"),
                ]
            );

            int daemon;
            long drained;
            await using (var host = await Start())
            {
                var (status, said) = await Run(
                    host,
                    ($"id -un; sudo -n id -u; date >{written} && stat -c %U {written}; grep -E '^Cap(Eff|Amb)' /proc/self/status; grep NoNewPrivs "
                        + $"/proc/self/status")
                );
                (status, said).ShouldBe(
                    ("success", $"{user.Identity.Name}\n0\n{user.Identity.Name}\nCapEff:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\n")
                );
                daemon = int.Parse((await Run(host, "setsid sleep 1000 >/dev/null 2>&1 & echo $!")).Said, System.Globalization.CultureInfo.InvariantCulture);
                // PostgreSQL gets none of the capabilities either.
                var postmaster = (await File.ReadAllLinesAsync(Path.Combine(data, "postgres/postmaster.pid")))[0];
                (await File.ReadAllTextAsync($"/proc/{postmaster}/status")).ShouldContain("CapEff:\t0000000000000000");
                // Type=notify: it said what it was at, then that it takes requests; the watchdog hears of it. Its own user's commands cannot speak for it.
                await Eventually.True(() => manager.Count("WATCHDOG=1") > 1, "it pings");
                manager.Messages.TakeWhile(said => said != "WATCHDOG=1").ShouldBe(
                    ["STATUS=Starting PostgreSQL", "STATUS=Bringing the database to this version", "STATUS=Starting", "READY=1\nSTATUS=Running"]
                );
                (await Run(host, "env | grep -c -e NOTIFY_ -e WATCHDOG_", service.Identity.Name)).Said.ShouldBe("0\n");
                // KillMode=process: the main process alone gets the signal.
                var draining = await Begin(host, "sleep 2; echo drained");
                (await host.Stop()).ShouldBe(0, host.Output);
                manager.Messages.ShouldContain("STOPPING=1\nSTATUS=Draining\nEXTEND_TIMEOUT_USEC=90000000");
                manager.Messages[^1].ShouldBeOneOf("WATCHDOG=1", "STOPPING=1\nSTATUS=Draining\nEXTEND_TIMEOUT_USEC=90000000");
                drained = draining;
            }

            await using (var again = await Start())
            {
                (await Run(again, "echo back")).Said.ShouldBe("back\n");
                var row = await Ended(again, drained, "it was given its grace");
                row.ShouldBe(("success", "drained\n"));
                File.Exists($"/proc/{daemon}/stat").ShouldBeTrue("the daemon lives on");
                // A command that runs on is found and ended across users.
                // Its folder is there, and the host may not see it: nothing is said of it.
                var work = Path.Combine(user.Home, "work");
                Directory.CreateDirectory(work);
                File.SetUnixFileMode(work, (UnixFileMode)0b111_101_101);
                File.SetUnixFileMode(user.Home, (UnixFileMode)0b111_000_000);
                var made = await again.Send(
                    HttpMethod.Post,
                    "/v1/cron/job/",
                    new
                    {
                        job_id = "long",
                        cmd = "(setsid sleep 1001 &); sleep 1001",
                        cron = CronClient.Never,
                        working_directory = work,
                    }
                );
                made["warnings"]!.ToJsonString().ShouldNotContain(work);
                var edited = await again.Send(HttpMethod.Put, "/v1/cron/job/", new { job_id = "long", working_directory = work });
                edited["warnings"]!.ToJsonString().ShouldNotContain(work);
                var id = made["job_id"]!.GetValue<string>();
                var log = (await again.Send(HttpMethod.Post, "/v1/cron/job/run/", new { job_id = id }))["log_id"]!.GetValue<long>();
                await Eventually.True(() => SleepsOf(user) >= 3, "it runs");
                (await again.Send(HttpMethod.Post, "/v1/cron/job/kill/", new { log_id = log }))["code"]!.GetValue<int>().ShouldBe(0);
                await Eventually.True(() => SleepsOf(user) == 1, "it has been ended with what it left, and the daemon has not");
            }
        }
        finally
        {
            foreach (var sleep in Process.GetProcessesByName("sleep").Where(process => IsOf(process, user))) sleep.Kill();
            File.Delete(rule);
            File.Delete(written);
        }
    }

    [Fact]
    public void Nothing_in_it_binds_what_commands_inherit()
    {
        var options = Options();
        options.Keys.Intersect(Binding).ShouldBeEmpty();
        options["KillMode"].ShouldBe(["process"]);
        options["User"].ShouldBe(["codo"]);
    }

    [Fact]
    public async Task Systemd_takes_it()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/systemd-analyze"), "systemd-analyze is not installed here.");
        using var folder = new TestFolder();
        // The binary is not installed where the tests run.
        var unit = folder.At("codo.service");
        await File.WriteAllTextAsync(unit, (await File.ReadAllTextAsync(Unit())).Replace("/usr/local/bin/codo", "/bin/true", StringComparison.Ordinal));
        using var verify = Process.Start(
            new ProcessStartInfo("systemd-analyze", ["verify", "--man=no", unit]) { RedirectStandardError = true, RedirectStandardOutput = true }
        )!;
        var said = await verify.StandardError.ReadToEndAsync();
        await verify.WaitForExitAsync();
        said.Split('\n').Where(line => line.Contains("codo.service", StringComparison.Ordinal)).ShouldBeEmpty();
    }

    [Fact]
    public async Task The_package_takes_over_what_a_host_and_its_PostgreSQL_have_left_and_nothing_else()
    {
        await using var host = await TestUser.Make();
        await using var database = await TestUser.Make();
        using var folder = new TestFolder();
        var (data, elsewhere) = (folder.At("data"), folder.At("elsewhere"));
        // A directory in which no host has been: nothing ran as its owner.
        Directory.CreateDirectory(data);
        TakeOver(data, host);
        OwnerOf(data).ShouldBe(host.Identity.Name);
        File.Exists(Path.Combine(data, "ran-as")).ShouldBeFalse();
        Directory.Delete(data);

        // As a host that ran as root leaves it; whose PostgreSQL's user has chosen where the link leads.
        Directory.CreateDirectory(Path.Combine(data, "postgres"));
        Directory.CreateDirectory(elsewhere);
        foreach (var file in (string[])[Path.Combine(data, "lock"), Path.Combine(elsewhere, "segment"), Path.Combine(elsewhere, "of-root")])
            await File.WriteAllTextAsync(file, "", TestContext.Current.CancellationToken);
        Directory.CreateSymbolicLink(Path.Combine(data, "postgres/pg_wal"), elsewhere);
        TestSshd.Run("chown", database.Identity.Name, Path.Combine(data, "postgres"), elsewhere, Path.Combine(elsewhere, "segment"));
        var before = OwnerOf(data);
        TakeOver(data, host);
        foreach (var taken in (string[])[data, Path.Combine(data, "postgres"), Path.Combine(data, "lock"), elsewhere, Path.Combine(elsewhere, "segment")])
            OwnerOf(taken).ShouldBe(host.Identity.Name, taken);
        OwnerOf(Path.Combine(elsewhere, "of-root")).ShouldBe(before);
        (await File.ReadAllTextAsync(Path.Combine(data, "ran-as"), TestContext.Current.CancellationToken)).ShouldBe(before + "\n");
    }

    [Theory]
    [InlineData("Environment=\"Codo__DataDirectory=/srv/my data\"", "/srv/my data", "")]
    [InlineData("Environment = A=1 \\\n  Codo__DataDirectory='/srv/my data' B=2", "/srv/my data", "")]
    [InlineData("Environment=\"A=1\" Codo__DataDirectory=/srv/data B=2", "/srv/data", "")]
    [InlineData("EnvironmentFile=-HERE/variables", "/srv/of file", "")]
    // Codo unpacks elsewhere from now on, and serve is what it does anyway.
    [InlineData("Environment=\"DOTNET_BUNDLE_EXTRACT_BASE_DIR=/root/.net\"\nExecStart=/usr/local/bin/codo serve\nWorkingDirectory=HERE/empty", "", "")]
    [InlineData("ExecStart=/usr/local/bin/codo \\\n --Codo:DataDirectory=/srv/x", "", "ExecStart=/usr/local/bin/codo   --Codo:DataDirectory=/srv/x")]
    [InlineData("WorkingDirectory=-HERE\nExecStart=/usr/local/bin/codo", "", "HERE/appsettings.json")]
    [InlineData("WorkingDirectory=/etc/codo\nExecStart=HERE/codo", "", "HERE/appsettings.json")]
    public async Task The_package_finds_where_the_data_of_a_unit_lie_and_what_is_not_taken_along(string lines, string elsewhere, string lost)
    {
        using var folder = new TestFolder();
        var cancellation = TestContext.Current.CancellationToken;
        Directory.CreateDirectory(folder.At("empty"));
        await File.WriteAllTextAsync(folder.At("appsettings.json"), "{}", cancellation);
        await File.WriteAllTextAsync(folder.At("variables"), "Codo__DataDirectory=\"/srv/of file\"\n", cancellation);
        await File.WriteAllTextAsync(folder.At("unit"), Here($"[Service]\n{lines}\n"), cancellation);
        var said = InPostinst("keep_settings", "printf '%s|%s' \"$elsewhere\" \"$lost\"", folder.At("unit"), folder.At("drop-ins/before.conf"));
        said.ShouldBe($"{elsewhere}|{Here(lost)}");
        // What is taken along is in the drop-in, and the place where Codo unpacks is not.
        File.Exists(folder.At("drop-ins/before.conf")).ShouldBe(elsewhere.Length > 0);

        string Here(string text) => text.Replace("HERE", folder.Path, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("docs/operations.md")]
    [InlineData("docs/zh/operations.md")]
    public void The_way_by_hand_from_root_to_the_unit_keeps_who_commands_ran_as(string file)
    {
        const string given = "chown -R codo:codo /var/lib/codo";
        var line = File.ReadLines(Path.Combine(PublishedHost.Root(), file)).Single(one => one.Contains(given, StringComparison.Ordinal));
        line[..line.IndexOf(given, StringComparison.Ordinal)].ShouldContain("stat -c %U /var/lib/codo >/var/lib/codo/ran-as");
    }

    private static void TakeOver(string directory, TestUser user) => InPostinst("take_over", "", directory, user.Identity.Name);

    // The function of postinst alone, and what is asked after it: the rest asks debconf and systemd.
    private static string InPostinst(string function, string after, params string[] arguments)
    {
        var lines = File.ReadLines(Path.Combine(PublishedHost.Root(), "deploy/debian/postinst"))
            .SkipWhile(line => !line.StartsWith(function + "()", StringComparison.Ordinal))
            .TakeWhile(line => line != "}");
        return TestSshd.Run("sh", ["-ec", string.Join('\n', lines) + $"\n}}\n{function} \"$@\"\n{after}", "sh", .. arguments]);
    }

    private static string OwnerOf(string path) => TestSshd.Run("stat", "-c", "%U", path).Trim();

    private static ILookup<string, string> Lines() =>
        File.ReadLines(Unit())
            .Where(line => line.Length > 0 && line[0] is not ('#' or '['))
            .ToLookup(line => line.Split('=', 2)[0], line => line.Split('=', 2)[1]);

    private static Dictionary<string, List<string>> Options() => Lines().ToDictionary(option => option.Key, option => option.ToList());

    private static string Unit([CallerFilePath] string file = "") => Path.Combine(Path.GetDirectoryName(file)!, "../../deploy/codo.service");

    private static int SleepsOf(TestUser user) => Process.GetProcessesByName("sleep").Count(process => IsOf(process, user));

    private static bool IsOf(Process process, TestUser user)
    {
        try
        {
            var status = File.ReadAllText($"/proc/{process.Id}/status");
            return status.Contains($"\nUid:\t{user.Identity.Id}\t", StringComparison.Ordinal) && !status.Contains("\nState:\tZ", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static async Task<(string Status, string Said)> Run(HostProcess host, string command, string? runAs = null) =>
        await Ended(host, await Begin(host, command, runAs), $"{command} has ended");

    private static async Task<long> Begin(HostProcess host, string command, string? runAs = null)
    {
        var id = $"j-{Guid.NewGuid():N}";
        var made = await host.Send(HttpMethod.Post, "/v1/cron/job/", new { job_id = id, cmd = command, cron = CronClient.Never, run_as = runAs });
        made["code"]!.GetValue<int>().ShouldBe(0, made.ToJsonString());
        return (await host.Send(HttpMethod.Post, "/v1/cron/job/run/", new { job_id = id }))["log_id"]!.GetValue<long>();
    }

    private static async Task<(string Status, string Said)> Ended(HostProcess host, long log, string what)
    {
        var row = await Eventually.Get<JsonNode>(
            async () => (await host.Send(HttpMethod.Get, $"/v1/cron/log/?key=log_id&value={log}"))["data"]![0],
            now => (string)now["status"]! is not ("queued" or "running"),
            what
        );
        return ((string)row["status"]!, (string)row["task_log"]!);
    }
}
