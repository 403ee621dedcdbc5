using System.Globalization;
using System.Text;
using Codo.Platform.Processes;
using Codo.Tests.Support;

namespace Codo.Tests.Platform.Processes;

/// <summary>A command that runs as another user of this machine than the host does.</summary>
public sealed class CommandUserTests
{
    [Fact]
    public async Task Has_that_users_identity_groups_home_and_no_capability()
    {
        await using var user = await TestUser.Make();
        var group = await user.JoinGroup();
        Environment.SetEnvironmentVariable("CODO_TEST_SECRET", "of the host");
        try
        {
            var said = await Run(user, """
                echo "$(id -u) $(id -g) $(id -un) $HOME $USER $LOGNAME $(pwd)"; id -G; env
                grep -E '^(Uid|Gid|CapInh|CapPrm|CapEff|CapAmb|NoNewPrivs):' /proc/self/status; ulimit -S -n; echo again >/dev/stderr
                echo and again >/dev/stdout
                """
            );
            said.ShouldStartWith(
                $"{user.Identity.Id} {user.Identity.Group} {user.Identity.Name} {user.Home} {user.Identity.Name} {user.Identity.Name} {user.Home}\n"
            );
            said.Split('\n')[1].Split(' ').ShouldBe([$"{user.Identity.Group}", $"{group}"], ignoreOrder: true);
            said.ShouldNotContain("of the host");
            said.ShouldContain($"Uid:\t{user.Identity.Id}\t{user.Identity.Id}\t{user.Identity.Id}\t{user.Identity.Id}\n");
            foreach (var set in (string[])["CapInh", "CapPrm", "CapEff", "CapAmb"]) said.ShouldContain($"{set}:\t0000000000000000\n");
            said.ShouldContain("NoNewPrivs:\t0\n");
            said.ShouldEndWith("1024\nagain\nand again\n");
        }
        finally
        {
            Environment.SetEnvironmentVariable("CODO_TEST_SECRET", null);
        }
    }

    [Fact]
    public async Task The_quick_way_to_another_user_is_taken_where_it_gives_the_same_identity_and_groups()
    {
        await using var user = await TestUser.Make();
        var group = await user.JoinGroup();
        var known = SystemUser.Find(user.Identity.Name)!;
        var slow = UserSwitch.IdentityBy(UserSwitch.BySetpriv(known));
        slow.ShouldContain($"Uid:\t{user.Identity.Id}\t{user.Identity.Id}\t{user.Identity.Id}\t{user.Identity.Id}\n");
        slow.ShouldContain($"{group}");
        slow.Split('\n').Length.ShouldBe(10);
        UserSwitch.IdentityBy(UserSwitch.To(known)).ShouldBe(slow);
        // A container may keep chroot from root.
        UserSwitch.To(known)[0].EndsWith("chroot", StringComparison.Ordinal)
            .ShouldBe(HostPrivileges.IsPlainRoot && UserSwitch.IdentityBy(UserSwitch.ByChroot(known)) == slow);
        UserSwitch.IdentityBy(["/no/such/program"]).ShouldBe("");
        UserSwitch.IdentityBy(["/bin/false"]).ShouldBe("");
    }

    [Theory]
    [InlineData("#!/bin/sh\nid -un; stat -c %U \"$0\"", false, false, 2)]
    [InlineData("id -un", true, false, 1)]
    [InlineData("id -un", false, true, 1)]
    public async Task Is_handed_over_in_every_form(string command, bool isPrivate, bool pty, int lines)
    {
        await using var user = await TestUser.Make();
        (await Run(user, command, new CommandForm(isPrivate, pty)))
            .ReplaceLineEndings("\n")
            .ShouldBe(string.Concat(Enumerable.Repeat(user.Identity.Name + "\n", lines)));
    }

    [Fact]
    public async Task Is_ended_with_all_that_it_started_also_what_has_a_session_of_its_own()
    {
        await using var user = await TestUser.Make();
        var command = LocalCommand.Start(
            "trap '' TERM; setsid sleep 1000 & (setsid sh -c 'sleep 1000 & sleep 1000') & echo up; wait; sleep 1000",
            LocalCommandTests.NewRunId(),
            user: CommandUser.Of(user.Identity.Name)
        );
        var output = new StringBuilder();
        var reading = command.ReadToEndAsync(bytes =>
        {
            lock (output) output.Append(Encoding.UTF8.GetString(bytes.Span));
            return ValueTask.CompletedTask;
        });
        await Eventually.True(() => ProcessesOf(user) >= 5, "all of it runs");

        // As a later incarnation of the host that knows the run's id alone.
        (await ProcessTree.KillAsync(command.Mark with { ProcessGroup = 0, StartTicks = 0 }, TimeSpan.FromMilliseconds(100))).ShouldBe(0);

        ProcessesOf(user).ShouldBe(0);
        await reading;
    }

    [Fact]
    public async Task Starts_where_it_is_told_to_and_says_when_that_is_closed_to_it()
    {
        await using var user = await TestUser.Make();
        (await Run(user, "pwd", folder: "/usr/lib")).ShouldBe("/usr/lib\n");
        using var folder = new TestFolder(open: false);
        (await Run(user, "pwd", folder: folder.Path)).ShouldContain($"cd: can't cd to {folder.Path}");
    }

    [Fact]
    public async Task Its_script_may_be_replaced_by_anything_and_the_host_goes_on()
    {
        await using var user = await TestUser.Make();
        var command = LocalCommand.Start(
            "#!/bin/sh\ntrap '' TERM; rm -f \"$0\"; mkdir \"$0\"; touch \"$0/x\"; sleep 1000",
            LocalCommandTests.NewRunId(),
            user: CommandUser.Of(user.Identity.Name)
        );
        var reading = command.ReadToEndAsync(_ => ValueTask.CompletedTask);
        var script = $"/tmp/codo-{command.Mark.RunId}/codo-{command.Mark.RunId}";
        await Eventually.True(() => File.Exists(script + "/x"), "it has put a folder in the place of its script");
        (await ProcessTree.KillAsync(command.Mark, TimeSpan.FromMilliseconds(100))).ShouldBe(0);
        await reading;
        Directory.Delete(Path.GetDirectoryName(script)!, recursive: true);
    }

    [Fact]
    public void A_user_that_is_not_there_is_said()
    {
        Should
            .Throw<CommandNotStartedException>(() => CommandUser.Of("no-such-user-here"))
            .Text.En.ShouldBe("This machine has no user no-such-user-here (run_as)");
        CommandUser.Of("").IsOwn.ShouldBeTrue();
        CommandUser.Of(Environment.UserName).IsOwn.ShouldBeTrue();
    }

    [Fact]
    public void Limits_are_those_that_a_login_would_give()
    {
        var user = new SystemUser("deploy", 4711, 4711, "/", "/bin/sh");
        string[] rules =
        [
            "* - nofile 100 # everybody",
            "@ops soft nofile 50",
            "deploy hard nproc 64",
            "@others hard core 0",
            "* soft stack 4096",
            "root - fsize 1",
            "* hard maxlogins 1",
            "nonsense",
            "* soft cpu two",
        ];
        LoginLimits.Of(user, rules, () => ["deploy", "ops"]).ShouldSatisfyAllConditions(
            words => words[0].ShouldBe("prlimit"), words => words[^1].ShouldBe("--"),
            words => words.ShouldContain("--nofile=50:100"), words => words.ShouldContain(word => word.StartsWith("--nproc=") && word.EndsWith(":64")),
            words => words.ShouldContain(word => word.StartsWith("--stack=4194304:")), words => words.Count.ShouldBe(5));
        LoginLimits.Of(user, ["@ops - nofile 50"], () => []).ShouldBeEmpty();
        // Whatever is written, the kernel lets nobody have more open files than this.
        var most = ulong.Parse(File.ReadAllText("/proc/sys/fs/nr_open"), CultureInfo.InvariantCulture);
        if (!HostPrivileges.CanRaiseLimits) most = Math.Min(most, Descriptors.LimitOf(7)!.Value.Hard);
        LoginLimits.Of(user, ["* - nofile unlimited"], () => []).ShouldContain($"--nofile={most}:{most}");
        LoginLimits.Of(user, [$"* - nofile {ulong.MaxValue - 1}"], () => []).ShouldContain($"--nofile={most}:{most}");
        // As pam_limits does it, what is set for everybody is not set for root.
        LoginLimits.Of(user with { Name = "root", Id = 0 }, ["* - nofile 50"], () => []).ShouldBeEmpty();
    }

    private static int ProcessesOf(TestUser user)
    {
        var count = 0;
        foreach (var folder in Directory.EnumerateDirectories("/proc").Where(path => int.TryParse(Path.GetFileName(path), out _)))
        {
            try
            {
                var status = File.ReadAllText(folder + "/status");
                if (status.Contains($"\nUid:\t{user.Identity.Id}\t", StringComparison.Ordinal) && !status.Contains("\nState:\tZ", StringComparison.Ordinal))
                    count++;
            }
            catch (IOException)
            {
                // It has ended.
            }
        }

        return count;
    }

    private static async Task<string> Run(TestUser user, string command, CommandForm? form = null, string? folder = null) =>
        (
            await LocalCommandTests.ReadAsync(
                LocalCommand.Start(command, LocalCommandTests.NewRunId(), workingDirectory: folder, form: form, user: CommandUser.Of(user.Identity.Name))
            )
        ).Output;
}
