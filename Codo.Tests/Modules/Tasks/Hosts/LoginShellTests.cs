using Codo.Modules.Tasks.Hosts;
using Codo.Platform.Processes;
using Codo.Tests.Support;

namespace Codo.Tests.Modules.Tasks.Hosts;

/// <summary>How the user's login shell is started, and which one is not.</summary>
public sealed class LoginShellTests(TestSshd sshd) : IClassFixture<TestSshd>
{
    [Theory]
    [InlineData("/bin/bash")]
    [InlineData("/bin/dash")]
    [InlineData("/bin/zsh")]
    [InlineData("/usr/bin/fish")]
    [InlineData("/usr/bin/ksh")]
    public async Task A_start_file_is_read_as_often_as_ssh_reads_it(string shell)
    {
        var account = sshd.MakeAccount(shell, "echo x >> $HOME/starts; export FROM_START=here");
        var starts = Path.Combine(sshd.Home(account), "starts");
        // What ssh itself does.
        var key = Path.Combine(sshd.Folder, "client");
        var said = TestSshd.Run(
            "ssh",
            "-i",
            key,
            "-p",
            $"{sshd.Port}",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "LogLevel=ERROR",
            $"{account}@127.0.0.1",
            "echo \"<$FROM_START>\""
        );
        var once = Lines();

        await using var connection = await SshConnection.ConnectAsync(sshd.Target(user: account));
        (await RemoteRun.ToEnd(connection, "echo \"<$FROM_START>\"")).ShouldBe((new CommandEnd(0), said));
        Lines().ShouldBe(2 * once);
        (await RemoteRun.ToEnd(connection, "echo \"<$FROM_START>\"", form: new CommandForm(Private: true))).ShouldBe((new CommandEnd(0), said));
        Lines().ShouldBe(3 * once);
        // A terminal ends its lines so.
        (await RemoteRun.ToEnd(connection, "echo \"<$FROM_START>\"", form: new CommandForm(Pty: true)))
            .ShouldBe((new CommandEnd(0), said.Replace("\n", "\r\n", StringComparison.Ordinal)));
        Lines().ShouldBe(4 * once);

        int Lines() => File.Exists(starts) ? File.ReadAllLines(starts).Length : 0;
    }

    [Theory]
    [InlineData("/bin/bash")]
    [InlineData("/bin/zsh")]
    [InlineData("/usr/bin/fish")]
    public async Task A_terminal_leaves_the_environment_as_it_is_without_one(string shell)
    {
        await using var connection = await SshConnection.ConnectAsync(sshd.Target(user: sshd.MakeAccount(shell)));
        const string command = "echo \"<$SHELL>\"; env | grep '^CODO_' | cut -d = -f 1";
        var (end, output) = await RemoteRun.ToEnd(connection, command, form: new CommandForm(Pty: true));
        (end, output.Replace("\r", "", StringComparison.Ordinal)).ShouldBe((new CommandEnd(0), $"<{shell}>\nCODO_RUN_ID\n"));
    }

    [Fact]
    public async Task A_fish_that_cannot_be_told_to_read_no_start_file_runs_commands_too()
    {
        const string fish = "/usr/bin/fish";
        Assert.SkipUnless(File.Exists(fish), $"{fish} is not installed.");
        // As fish before 3.3 does.
        var old = Path.Combine(Directory.CreateDirectory(sshd.In("old")).FullName, "fish");
        await File.WriteAllTextAsync(old, $"#!/bin/sh\n[ \"$1\" != --no-config ] || exit 2\nexec {fish} \"$@\"\n", TestContext.Current.CancellationToken);
        File.SetUnixFileMode(old, (UnixFileMode)0b111_101_101);
        await using var connection = await SshConnection.ConnectAsync(sshd.Target(user: sshd.MakeAccount(old)));
        foreach (var form in (CommandForm[])[CommandForm.Plain, new(Private: true), new(Pty: true)])
        {
            var (end, output) = await RemoteRun.ToEnd(connection, "echo x; exit 3", form: form);
            (end, output.TrimEnd()).ShouldBe((new CommandEnd(3), "x"));
        }
    }

    [Theory]
    [InlineData(200_000)]
    [InlineData(1_000_000)]
    public async Task A_command_runs_once_and_can_be_killed_however_much_a_start_file_writes(int bytes)
    {
        const int kept = 64 * 1024;
        var account = sshd.MakeAccount("/bin/zsh", $"head -c {bytes} /dev/zero | tr '\\0' x");
        var ran = Path.Combine(sshd.Home(account), "ran");
        await using var connection = await SshConnection.ConnectAsync(sshd.Target(user: account));
        var run = new RemoteRun(connection, $"echo once >> {ran}; seq 200000; exit 3");
        (await run.End).ShouldBe(new CommandEnd(3));
        (await run.Mark).ProcessGroup.ShouldBeGreaterThan(1);
        (await File.ReadAllTextAsync(ran)).ShouldBe("once\n");
        run.Output.Count(letter => letter == 'x').ShouldBe(kept);
        run.Output.TrimStart('x').ShouldStartWith($"\n[Codo]: {bytes - kept} more bytes, which came before the command began, are left out\n1\n2\n");
        run.Output.ShouldEndWith("\n199999\n200000\n");

        var killed = new RemoteRun(connection, "echo up; sleep 1000");
        await Eventually.True(() => killed.Output.EndsWith("\nup\n", StringComparison.Ordinal), "it runs");
        (await connection.KillAsync(await killed.Mark)).ShouldBe(new RunLeft(0));
        (await killed.End).Signal.ShouldBe("SIGTERM");
    }

    [Theory]
    [InlineData("/bin/tcsh")]
    [InlineData("/bin/csh")]
    public async Task Csh_and_tcsh_are_refused_before_anything_runs(string shell)
    {
        var account = sshd.MakeAccount(shell);
        await using var connection = await SshConnection.ConnectAsync(sshd.Target(user: account));
        var run = new RemoteRun(connection, "echo one >> ran\necho 'two\nthree' >> ran\ntouch ran");
        var failure = await Should.ThrowAsync<SshFailedException>(() => run.End);
        failure.Kind.ShouldBe(SshFailureKind.Refused);
        failure.Text.En.ShouldContain($"login shell {shell} is not supported");
        run.Output.ShouldBeEmpty();
        File.Exists(Path.Combine(sshd.Home(account), "ran")).ShouldBeFalse();
    }

    [Theory]
    [InlineData("/bin/bash")]
    [InlineData("/bin/dash")]
    public async Task Dropbear_runs_commands_and_leaves_what_they_started(string shell)
    {
        var account = sshd.MakeAccount(shell);
        await using var dropbear = new TestDropbear(sshd);
        await dropbear.Start();
        var done = Path.Combine(sshd.Home(account), "done");
        await using (var connection = await SshConnection.ConnectAsync(dropbear.Target(account)))
        {
            (await RemoteRun.ToEnd(connection, "echo out; echo err >&2; exit 3")).ShouldBe((new CommandEnd(3), "out\nerr\n"));
            (await RemoteRun.ToEnd(connection, "seq 100000")).Output.Length.ShouldBe(588_895);
            (await RemoteRun.ToEnd(connection, "kill -TERM $$; sleep 1")).End.Signal.ShouldBe("SIGTERM");
            (await RemoteRun.ToEnd(connection, $"(for i in $(seq 30); do echo $i; sleep 0.1; done; touch {done}) & exit 4")).End.Holders.ShouldNotBe(0);

            var run = new RemoteRun(connection, "trap '' TERM; sleep 1000 & echo up; wait; sleep 1000");
            await run.Up;
            (await connection.KillAsync(await run.Mark, TimeSpan.FromSeconds(0.3))).ShouldBe(new RunLeft(0));
            (await run.End).Signal.ShouldBe("SIGKILL");
        }

        await Eventually.True(() => File.Exists(done), "what was left in the background has come to its end");
    }
}
