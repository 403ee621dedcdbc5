using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Codo.Modules.Tasks.Hosts;
using Codo.Platform.Processes;
using Codo.Tests.Support;

namespace Codo.Tests.Modules.Tasks.Hosts;

/// <summary>What can go wrong between here and there. Each test cuts or changes a server of its own.</summary>
public sealed class SshLinkTests
{
    [Fact]
    public async Task Loses_a_command_whose_link_is_cut_and_finds_it_again()
    {
        await using var sshd = await NewSshd();
        var target = sshd.Target(user: sshd.MakeAccount("/bin/bash"));
        await using var connection = await SshConnection.ConnectAsync(target);
        var run = new RemoteRun(connection, "trap '' TERM; echo before the cut; sleep 1000 & setsid sleep 1000 & wait; wait; sleep 1000");
        await run.Up;
        var mark = await run.Mark;
        sshd.CutConnections();

        var failure = await Should.ThrowAsync<SshFailedException>(() => run.End);
        failure.Kind.ShouldBe(SshFailureKind.Lost);
        failure.Text.En.ShouldStartWith("Host 127.0.0.1: the link was lost");
        run.Output.ShouldBe("before the cut\n");
        connection.IsConnected.ShouldBeFalse();

        // The old object, whose connection is dead, and a new one from what was recorded.
        (await connection.ProbeAsync(mark)).ShouldBe(new RunLeft(3));
        (await SshConnection.ProbeAsync(target, mark)).ShouldBe(new RunLeft(3));
        (await SshConnection.ProbeAsync(target, new RunMark(mark.RunId, 0, 0, ""))).ShouldBe(new RunLeft(3));
        (await SshConnection.ProbeAsync(target, mark with { BootId = "another" })).ShouldBe(new RunLeft(0));
        (await SshConnection.ProbeAsync(target, mark with { RunId = "another", StartTicks = mark.StartTicks - 1 })).ShouldBe(new RunLeft(0));
        (await SshConnection.KillAsync(target, mark, TimeSpan.FromSeconds(0.3))).ShouldBe(new RunLeft(0));
        (await connection.ProbeAsync(mark)).ShouldBe(new RunLeft(0));

        await sshd.Stop();
        var unreachable = await connection.ProbeAsync(mark);
        unreachable.Processes.ShouldBeNull();
        unreachable.Failure!.Kind.ShouldBe(SshFailureKind.Unreachable);
    }

    [Fact]
    public async Task Loses_a_command_whose_host_falls_silent()
    {
        await using var sshd = await NewSshd();
        var target = sshd.Target() with { KeepAlive = TimeSpan.FromSeconds(2) };
        await using var connection = await SshConnection.ConnectAsync(target);
        var answered = Answered(connection);
        var run = new RemoteRun(connection, "echo up; exec sleep 1000");
        await run.Up;
        await answered;
        sshd.FreezeConnections();
        var failure = await Should.ThrowAsync<SshFailedException>(() => run.End.WaitAsync(TimeSpan.FromSeconds(60)));
        failure.Kind.ShouldBe(SshFailureKind.Lost);
        failure.Text.En.ShouldContain("nothing has come from the host for 2 s");
        connection.IsConnected.ShouldBeFalse();
        (await connection.ProbeAsync(await run.Mark)).ShouldBe(new RunLeft(1));
        (await connection.KillAsync(await run.Mark)).ShouldBe(new RunLeft(0));
    }

    [Fact]
    public async Task Takes_neither_a_quiet_command_nor_a_slow_reader_for_silence()
    {
        await using var sshd = await NewSshd();
        for (var tries = 1; ; tries++)
        {
            try
            {
                await Once();
                break;
            }
            catch (SshFailedException lost) when (lost.Kind == SshFailureKind.Lost && tries < 3)
            {
                // The machine stood still for an interval. A link that is cut for being quiet is cut each time.
            }
        }

        async Task Once()
        {
            await using var connection = await SshConnection.ConnectAsync(sshd.Target() with { KeepAlive = TimeSpan.FromSeconds(1) });
            (await RemoteRun.ToEnd(connection, "sleep 3; echo end")).ShouldBe((new CommandEnd(0), "end\n"));

            await using var other = await SshConnection.ConnectAsync(sshd.Target());
            Task<(CommandEnd, string)>? meanwhile = null;
            var read = 0L;
            var end = await connection.RunAsync(
                "head -c 3000000 /dev/zero",
                "test-slow-reader",
                null,
                _ => ValueTask.CompletedTask,
                async bytes =>
                {
                    await (meanwhile ??= RemoteRun.ToEnd(other, "sleep 3"));
                    read += bytes.Length;
                });
            (end, read).ShouldBe((new CommandEnd(0), 3_000_000));
        }
    }

    [Theory]
    [InlineData("trap '' TERM; sleep 1000 & sh -c 'trap \"\" TERM; sleep 1000; :' & echo up; wait; sleep 1000", "SIGKILL")]
    [InlineData("setsid env -i sleep 1000 & setsid -f sleep 1000; env -i sh -c 'sleep 1000; :' & sleep 0.2; echo up; wait", "SIGTERM")]
    [InlineData("(while :; do (trap '' TERM; sleep 5; :) & sleep 0.01; done) & echo up; wait", "SIGTERM")]
    [InlineData("trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done", null)]
    public async Task Ends_the_whole_tree_over_a_second_channel(string command, string? signal)
    {
        await using var sshd = await NewSshd();
        var account = sshd.MakeAccount("/bin/dash");
        await using var connection = await SshConnection.ConnectAsync(sshd.Target(user: account));
        var run = new RemoteRun(connection, command);
        await run.Up;
        (await connection.KillAsync(await run.Mark, TimeSpan.FromSeconds(0.5))).ShouldBe(new RunLeft(0));
        var end = await run.End;
        end.Signal.ShouldBe(signal);
        if (signal is null)
        {
            end.ExitCode.ShouldBe(7);
            run.Output.ShouldEndWith("bye\n");
        }

        // Counted by somebody else: only the connection's own sshd is the account's.
        await Eventually.True(() => TestSshd.Run("ps", "-o", "comm=", "-u", account).Trim() == "sshd", "nothing of the account runs but its sshd");
    }

    [Fact]
    public async Task Leaves_the_command_alone_when_listening_is_cancelled()
    {
        await using var sshd = await NewSshd();
        await using var connection = await SshConnection.ConnectAsync(sshd.Target());
        using var cancel = new CancellationTokenSource();
        var run = new RemoteRun(connection, "echo up; exec sleep 1000", cancellation: cancel.Token);
        await run.Up;
        await cancel.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(() => run.End);
        (await connection.ProbeAsync(await run.Mark)).ShouldBe(new RunLeft(1));
        (await connection.KillAsync(await run.Mark)).ShouldBe(new RunLeft(0));
    }

    [Fact]
    public async Task Shows_the_hosts_key_and_believes_the_caller()
    {
        await using var sshd = await NewSshd();
        HostKey? shown = null;
        await using (await SshConnection.ConnectAsync(sshd.Target("127.0.0.5", trust: key =>
        {
            shown = key;
            return true;
        })))
        {
            shown.ShouldNotBeNull();
            shown.Fingerprint.ShouldBe(sshd.HostFingerprint);
            (shown.Host, shown.Port, shown.Type).ShouldBe(("127.0.0.5", sshd.Port, "ssh-ed25519"));
        }

        var pinned = shown.Fingerprint;
        await sshd.ChangeHostKey();
        var failure = await Should.ThrowAsync<SshFailedException>(() => SshConnection.ConnectAsync(sshd.Target(trust: key => key.Fingerprint == pinned)));
        failure.Kind.ShouldBe(SshFailureKind.HostKey);
        failure.Text.Zh.ShouldContain(sshd.HostFingerprint);
    }

    [Fact]
    public async Task Asks_a_host_of_several_keys_for_the_kind_that_is_known()
    {
        var folder = Directory.CreateTempSubdirectory("codo-hostkeys-");
        TestSshd.Run("ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", Path.Combine(folder.FullName, "rsa"));
        TestSshd.Run("ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", Path.Combine(folder.FullName, "ecdsa"));
        await using var sshd = new TestSshd { MoreConfiguration = $"HostKey {folder.FullName}/rsa\nHostKey {folder.FullName}/ecdsa" };
        await sshd.InitializeAsync();
        foreach (var known in (string[])["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256"])
        {
            var shown = "";
            await using var connection = await SshConnection.ConnectAsync(
                sshd.Target(trust: key => (shown = key.Type).Length > 0) with
                {
                    KnownKeyType = known,
                }
            );
            shown.ShouldBe(known);
        }

        folder.Delete(recursive: true);
    }

    [Fact]
    public async Task Says_that_the_key_is_not_taken()
    {
        await using var sshd = await NewSshd();
        await using var other = await NewSshd();
        var failure = await Should.ThrowAsync<SshFailedException>(() => SshConnection.ConnectAsync(sshd.Target() with { Key = other.Target().Key }));
        failure.Kind.ShouldBe(SshFailureKind.Authentication);
        failure.Text.En.ShouldContain(Environment.UserName);
    }

    [Fact]
    public async Task Gives_up_on_a_host_that_cannot_be_reached()
    {
        await using var sshd = await NewSshd();
        await Unreachable(sshd.Target(port: TestRedis.FreePort()), 14);
        await Unreachable(sshd.Target(host: "no-such-host.invalid"), 30);

        // It takes the connection and says nothing.
        using var silent = new TcpListener(IPAddress.Loopback, 0);
        silent.Start();
        await Unreachable(sshd.Target(port: ((IPEndPoint)silent.LocalEndpoint).Port), 30);

        static async Task Unreachable(SshTarget target, int seconds)
        {
            var clock = Stopwatch.StartNew();
            var failure = await Should.ThrowAsync<SshFailedException>(() => SshConnection.ConnectAsync(target));
            failure.Kind.ShouldBe(SshFailureKind.Unreachable);
            failure.Text.En.ShouldContain(target.Host);
            clock.Elapsed.TotalSeconds.ShouldBeLessThan(seconds);
        }
    }

    [Fact]
    public async Task Says_that_nothing_was_sent_when_the_connection_had_been_gone_before()
    {
        await using var sshd = await NewSshd();
        await using var connection = await SshConnection.ConnectAsync(sshd.Target());
        sshd.CutConnections();
        await Eventually.True(() => !connection.IsConnected, "the connection is known to be dead");
        var failure = await Should.ThrowAsync<SshFailedException>(() => RemoteRun.ToEnd(connection, "echo never"));
        failure.Kind.ShouldBe(SshFailureKind.Unreachable);
    }

    [Fact]
    public async Task Says_that_nothing_was_sent_when_the_connection_had_died_without_a_word()
    {
        await using var sshd = await NewSshd();
        // Long enough that it is not found silent before the command is tried.
        await using var connection = await SshConnection.ConnectAsync(sshd.Target() with { KeepAlive = TimeSpan.FromSeconds(5) });
        var answered = Answered(connection);
        await RemoteRun.ToEnd(connection, "true");
        await answered;
        sshd.FreezeConnections();
        connection.IsConnected.ShouldBeTrue();
        var failure = await Should.ThrowAsync<SshFailedException>(() => RemoteRun.ToEnd(connection, "echo never"));
        failure.Kind.ShouldBe(SshFailureKind.Unreachable);
        failure.Text.En.ShouldContain("the command was not sent");
    }

    [Fact]
    public async Task Stops_waiting_for_a_connect_that_is_cancelled()
    {
        using var silent = new TcpListener(IPAddress.Loopback, 0);
        silent.Start();
        await using var sshd = await NewSshd();
        using var cancel = new CancellationTokenSource();
        var connecting = SshConnection.ConnectAsync(sshd.Target(port: ((IPEndPoint)silent.LocalEndpoint).Port), cancel.Token);
        await cancel.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(() => connecting.WaitAsync(TimeSpan.FromSeconds(60)));
    }

    /// <summary>Until the host has answered a keep-alive: before that it is not taken for silent.</summary>
    internal static Task Answered(SshConnection connection)
    {
        var answered = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        connection.Session.RequestSuccessReceived += (_, _) => answered.TrySetResult();
        connection.Session.RequestFailureReceived += (_, _) => answered.TrySetResult();
        return answered.Task.WaitAsync(TimeSpan.FromSeconds(60));
    }

    private static async Task<TestSshd> NewSshd()
    {
        var sshd = new TestSshd();
        await sshd.InitializeAsync();
        return sshd;
    }
}
