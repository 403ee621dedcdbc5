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

        int Lines() => File.Exists(starts) ? File.ReadAllLines(starts).Length : 0;
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
