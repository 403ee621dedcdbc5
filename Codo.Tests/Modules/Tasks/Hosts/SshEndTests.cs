using System.Diagnostics;
using Codo.Modules.Tasks.Hosts;
using Codo.Platform.Processes;
using Codo.Tests.Support;

namespace Codo.Tests.Modules.Tasks.Hosts;

/// <summary>Where the output of a command on a host ends, and what lives on behind it.</summary>
public sealed class SshEndTests(TestSshd sshd) : IClassFixture<TestSshd>
{
    [Fact]
    public async Task Every_line_comes_through_a_link_that_is_slow_and_stands_still()
    {
        await using var relay = new TestRelay(sshd.Port, bytesPerSecond: 2_000_000, stillAfter: 1_500_000, stillFor: TimeSpan.FromSeconds(3));
        await using var connection = await SshConnection.ConnectAsync(sshd.Target(port: relay.Port));
        var (end, output) = await RemoteRun.ToEnd(connection, "seq 1 700000; echo END");
        end.ShouldBe(new CommandEnd(0));
        output.Length.ShouldBe(4_788_895 + 4);
        output.ShouldEndWith("\n699999\n700000\nEND\n");
    }

    [Theory]
    [InlineData("/bin/bash")]
    [InlineData("/bin/dash")]
    [InlineData("/bin/zsh")]
    [InlineData("/usr/bin/fish")]
    [InlineData("/usr/bin/ksh")]
    public async Task A_daemon_that_writes_on_holds_no_command_up_and_lives_on(string shell)
    {
        var account = sshd.MakeAccount(shell);
        var (beat, end) = (Path.Combine(sshd.Home(account), "beat"), 0L);
        await using (var connection = await SshConnection.ConnectAsync(sshd.Target(user: account)))
        {
            var clock = Stopwatch.StartNew();
            var run = new RemoteRun(connection, $"nohup sh -c 'while :; do date; echo x >> {beat}; sleep 0.1; done' & echo started");
            (await run.End).Holders.ShouldNotBe(0);
            clock.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(20));
            run.Output.ShouldContain("started\n");
            connection.IsUsedUp.ShouldBeTrue();
            (await RemoteRun.ToEnd(connection, "echo next")).Output.ShouldBe("next\n");
            end = new FileInfo(beat).Length;
        }

        // Its connection is gone now.
        await Eventually.True(() => new FileInfo(beat).Length > end + 20, "the daemon lives on");
    }

    [Fact]
    public async Task A_background_process_that_writes_for_ten_seconds_outlives_a_cut_link()
    {
        await using var own = new TestSshd();
        await own.InitializeAsync();
        var done = Path.Combine(own.Folder, "done");
        await using var connection = await SshConnection.ConnectAsync(own.Target());
        (
            await RemoteRun.ToEnd(connection, $"(for i in $(seq 100); do echo $i; echo error >&2; sleep 0.1; done; touch {done}) & exit 5")
        ).End.Holders.ShouldNotBe(0);
        own.CutConnections();
        await Eventually.True(() => File.Exists(done), "it has come to its end");
    }

    [Fact]
    public async Task A_command_whose_link_is_cut_runs_to_its_end()
    {
        await using var own = new TestSshd();
        await own.InitializeAsync();
        var done = Path.Combine(own.Folder, "done");
        await using var connection = await SshConnection.ConnectAsync(own.Target());
        var run = new RemoteRun(connection, $"for i in $(seq 30); do echo $i; seq 20000; sleep 0.1; done; touch {done}");
        await run.Up;
        own.CutConnections();
        (await Should.ThrowAsync<SshFailedException>(() => run.End)).Kind.ShouldBe(SshFailureKind.Lost);
        await Eventually.True(() => File.Exists(done), "it has come to its end");
    }

    [Fact]
    public async Task Counts_all_who_hold_the_output_and_none_who_does_not()
    {
        await using var connection = await SshConnection.ConnectAsync(sshd.Target());
        var run = new RemoteRun(connection, "sleep 1000 & setsid env -i sleep 1000 & sleep 1000 >/dev/null 2>&1 & sleep 1000 >/dev/null & exit 0");
        (await run.End).ShouldBe(new CommandEnd(0, Holders: 3));
        (await connection.KillAsync(await run.Mark)).ShouldBe(new RunLeft(0));
        (await RemoteRun.ToEnd(connection, "sleep 1000 >/dev/null 2>&1 & exit 0")).End.ShouldBe(new CommandEnd(0));
    }

    [Fact]
    public async Task The_last_words_of_a_tee_are_heard()
    {
        await using var connection = await SshConnection.ConnectAsync(sshd.Target(user: sshd.MakeAccount("/bin/bash")));
        (await RemoteRun.ToEnd(connection, "exec > >(cat) 2>&1; seq 1000")).Output.ShouldEndWith("1000\n");
    }

    [Fact]
    public async Task The_mark_is_in_no_environment_and_no_process_argument()
    {
        await using var connection = await SshConnection.ConnectAsync(sshd.Target());
        var (end, output) = await RemoteRun.ToEnd(
            connection,
            "export | grep -a 'codo-e[n]d'; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -ac 'codo-e[n]d'"
        );
        (end.ExitCode, output).ShouldBe((1, "0\n"));
    }

    [Theory]
    [InlineData("kill -KILL $$", 137)]
    [InlineData("kill -KILL -$$", 137)]
    [InlineData("exec >/dev/null 2>&1; sleep 0.1; exit 9", 9)]
    [InlineData("exec sh -c 'exit 11'", 11)]
    [InlineData("sleep 1000 & kill -9 0", 137)]
    public async Task The_exit_status_is_the_commands_own(string command, int status)
    {
        await using var connection = await SshConnection.ConnectAsync(sshd.Target());
        (await RemoteRun.ToEnd(connection, command)).End.ShouldBe(new CommandEnd(status));
    }

    [Fact]
    public async Task A_host_that_does_not_tell_the_end_has_lost_the_command()
    {
        await using var connection = await SshConnection.ConnectAsync(sshd.Target());
        // The command ends its launcher, as a system without memory may.
        var run = new RemoteRun(connection, "echo up; kill -KILL $PPID");
        var failure = await Should.ThrowAsync<SshFailedException>(() => run.End);
        (failure.Kind, run.Output).ShouldBe((SshFailureKind.Lost, "up\n"));
        failure.Text.En.ShouldContain("did not tell how it ended");
    }

    [Fact]
    public async Task A_command_has_run_also_where_something_was_written_into_its_first_line()
    {
        var shell = Path.Combine(sshd.Folder, $"fake{Guid.NewGuid():N}");
        await File.WriteAllTextAsync(
            shell,
            """
            #!/bin/sh
            read brace; read line; run=${line#codo_run=\'}; run=${run%%\'*}; mark=${line#*codo_mark=\'}; mark=${mark%%\'*}
            printf '\001codo an error\n%s 12 3 x\noutput\n%s005' "$run" "$mark"

            """
        );
        File.SetUnixFileMode(shell, (UnixFileMode)0b111_101_101);
        await using var connection = await SshConnection.ConnectAsync(sshd.Target(user: sshd.MakeAccount(shell)));
        var run = new RemoteRun(connection, "echo never");
        (await run.End).ExitCode.ShouldBe(5);
        run.Output.ShouldEndWith(" 12 3 x\noutput\n");
        (await run.Mark).ProcessGroup.ShouldBe(0);
    }

    [Theory]
    [InlineData("printf '\\001codo %s 99999999999999999999 1 x\\n' \"$run\"", "99999999999999999999")]
    [InlineData("printf '\\001codo %s 12 3\\000 \\377\\n' \"$run\"", "␀ \uFFFD")]
    public async Task An_answer_that_makes_no_sense_is_lost_with_what_came(string answer, string shown)
    {
        var shell = Path.Combine(sshd.Folder, $"fake{Guid.NewGuid():N}");
        await File.WriteAllTextAsync(
            shell,
            $"#!/bin/sh\nread brace; read line; run=${{line#codo_run=\\'}}; run=${{run%%\\'*}}\n{answer}\necho output\necho 'codo-left 99999999999999999999'\n"
        );
        File.SetUnixFileMode(shell, (UnixFileMode)0b111_101_101);
        await using var connection = await SshConnection.ConnectAsync(sshd.Target(user: sshd.MakeAccount(shell)));
        var run = new RemoteRun(connection, "echo never");
        var failure = await Should.ThrowAsync<SshFailedException>(() => run.End);
        failure.Kind.ShouldBe(SshFailureKind.Lost);
        failure.Text.En.ShouldContain($"makes no sense");
        failure.Text.En.ShouldContain(shown);
        run.Output.ShouldStartWith("output\n");

        var left = await connection.ProbeAsync(new RunMark("r", 0, 0, ""));
        left.Processes.ShouldBeNull();
        left.Failure!.Text.En.ShouldContain("codo-left 99999999999999999999");
    }
}
