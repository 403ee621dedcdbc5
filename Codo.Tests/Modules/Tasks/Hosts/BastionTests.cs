using System.Net;
using System.Net.Sockets;
using Codo.Modules.Tasks.Hosts;
using Codo.Platform.Processes;
using Codo.Tests.Support;

namespace Codo.Tests.Modules.Tasks.Hosts;

/// <summary>Hosts behind a bastion: one real sshd leads to another.</summary>
public sealed class BastionTests(TestSshd behind) : IClassFixture<TestSshd>
{
    [Fact]
    public async Task Hosts_share_one_connection_to_their_bastion_and_no_port_is_opened()
    {
        await using var front = await NewSshd();
        await using var bastions = new Bastions();
        var connections = await Task.WhenAll(TestSshd.Hosts.Select(host => SshConnection.ConnectAsync(Behind(bastions, front, host))));
        front.ConnectionCount.ShouldBe(1);
        var outputs = await Task.WhenAll(connections.Select(async (connection, number) =>
            (await RemoteRun.ToEnd(connection, $"echo {number}; exit {number}")).ToString()));
        outputs.ShouldBe(Enumerable.Range(0, connections.Length).Select(number => (new CommandEnd(number), $"{number}\n").ToString()));
        foreach (var connection in connections) await connection.DisposeAsync();

        await using var bastion = new Bastion(await SshConnection.ConnectAsync(front.Target()));
        using var stream = await bastion.OpenAsync("127.0.0.3", behind.Port, TimeSpan.FromSeconds(10));
        stream.Socket.AddressFamily.ShouldBe(AddressFamily.Unix);
    }

    [Fact]
    public async Task Much_output_comes_whole_over_a_bastion()
    {
        await using var front = await NewSshd();
        await using var bastions = new Bastions();
        await using var connection = await SshConnection.ConnectAsync(Behind(bastions, front, "127.0.0.2"));
        (await RemoteRun.ToEnd(connection, "seq 300000")).Output.ShouldBe(string.Concat(Enumerable.Range(1, 300_000).Select(number => $"{number}\n")));
        var long_ = new string('x', 60_000);
        (await RemoteRun.ToEnd(connection, $"printf %s {long_} | wc -c")).Output.Trim().ShouldBe("60000");
    }

    [Fact]
    public async Task A_host_whose_output_nobody_takes_holds_up_no_other_host()
    {
        await using var front = await NewSshd();
        await using var bastions = new Bastions();
        await using var slow = await SshConnection.ConnectAsync(Behind(bastions, front, "127.0.0.2"));
        await using var other = await SshConnection.ConnectAsync(Behind(bastions, front, "127.0.0.3"));
        using var goOn = new SemaphoreSlim(0);
        var started = new TaskCompletionSource();
        var read = 0L;
        var ending = slow.RunAsync("head -c 30000000 /dev/zero", $"test-{Guid.NewGuid():N}", null, _ => ValueTask.CompletedTask, async piece =>
        {
            if (read == 0)
            {
                started.SetResult();
                await goOn.WaitAsync();
            }

            read += piece.Length;
        });
        await started.Task;
        for (var round = 0; round < 20; round++) (await RemoteRun.ToEnd(other, "head -c 100000 /dev/zero | wc -c")).Output.Trim().ShouldBe("100000");
        goOn.Release();
        (await ending).ShouldBe(new CommandEnd(0));
        read.ShouldBe(30_000_000);
    }

    [Fact]
    public async Task Goes_over_three_bastions()
    {
        await using var first = await NewSshd();
        await using var second = await NewSshd();
        await using var third = await NewSshd();
        await using var bastions = new Bastions();
        SshTarget? way = null;
        foreach (var hop in new[] { first, second, third })
        {
            var before = way;
            way = hop.Target() with { Via = before is null ? null : () => Take(bastions, before) };
        }

        await using var connection = await SshConnection.ConnectAsync(behind.Target("127.0.0.4") with { Via = () => Take(bastions, way!) });
        (await RemoteRun.ToEnd(connection, "echo through")).Output.ShouldBe("through\n");
        await second.Stop();
        await Eventually.True(() => !connection.IsConnected, "a link that is cut on the way is noticed");
    }

    [Fact]
    public async Task A_cut_bastion_loses_its_commands_and_is_connected_anew()
    {
        await using var front = await NewSshd();
        await using var bastions = new Bastions();
        var target = Behind(bastions, front, "127.0.0.5");
        await using var connection = await SshConnection.ConnectAsync(target);
        var run = new RemoteRun(connection, "echo up; exec sleep 1000");
        await run.Up;
        front.CutConnections();
        (await Should.ThrowAsync<SshFailedException>(() => run.End)).Kind.ShouldBe(SshFailureKind.Lost);
        (await connection.ProbeAsync(await run.Mark)).ShouldBe(new RunLeft(1));
        (await SshConnection.KillAsync(target, await run.Mark)).ShouldBe(new RunLeft(0));
        front.ConnectionCount.ShouldBe(1);
    }

    [Fact]
    public async Task A_bastion_that_falls_silent_is_cut()
    {
        await using var front = await NewSshd();
        var connection = await SshConnection.ConnectAsync(front.Target());
        var answered = SshLinkTests.Answered(connection);
        await using var bastion = new Bastion(connection, TimeSpan.FromSeconds(2));
        using var stream = await bastion.OpenAsync("127.0.0.3", behind.Port, TimeSpan.FromSeconds(10));
        await answered;
        front.FreezeConnections();
        await Eventually.True(() => !bastion.IsConnected, "it is cut");
        await Should.ThrowAsync<Exception>(() => bastion.OpenAsync("127.0.0.3", behind.Port, TimeSpan.FromSeconds(10)));
        await Eventually.True(() => stream.Socket.Poll(0, SelectMode.SelectRead), "its streams end");
    }

    [Fact]
    public async Task A_host_that_is_reached_too_late_is_let_go_of()
    {
        await using var front = await NewSshd();
        await using var bastion = new Bastion(await SshConnection.ConnectAsync(front.Target()), TimeSpan.FromMinutes(10));
        using var host = new TcpListener(IPAddress.Loopback, 0);
        host.Start();
        front.FreezeConnections();
        var late = await Should.ThrowAsync<SshFailedException>(() =>
            bastion.OpenAsync("127.0.0.1", ((IPEndPoint)host.LocalEndpoint).Port, TimeSpan.FromMilliseconds(100)));
        late.Kind.ShouldBe(SshFailureKind.Unreachable);
        front.ThawConnections();
        using var reached = await host.AcceptTcpClientAsync(TestContext.Current.CancellationToken);
        // The bastion says that it is there, hears that nobody waits any more, and ends it.
        var read = await reached.GetStream().ReadAsync(new byte[1], TestContext.Current.CancellationToken).AsTask().WaitAsync(TimeSpan.FromSeconds(90));
        read.ShouldBe(0);
        bastion.IsConnected.ShouldBeTrue();
    }

    [Fact]
    public async Task A_busy_host_behind_a_bastion_is_tried_again()
    {
        await using var front = await NewSshd();
        await using var busy = new TestSshd { MaxStartups = "1:100:2" };
        await busy.InitializeAsync();
        await using var bastions = new Bastions();
        var connections = await Task.WhenAll(TestSshd.Hosts.Take(6).Select(host =>
            SshConnection.ConnectAsync(busy.Target(host) with { Via = () => Take(bastions, front.Target()) })));
        foreach (var connection in connections) await connection.DisposeAsync();
    }

    [Fact]
    public async Task Says_what_the_bastion_does_not_reach_or_allow()
    {
        await using var front = new TestSshd { MoreConfiguration = "PermitOpen 127.0.0.9:*" };
        await front.InitializeAsync();
        await using var bastions = new Bastions();
        var forbidden = await Should.ThrowAsync<SshFailedException>(() => SshConnection.ConnectAsync(Behind(bastions, front, "127.0.0.2")));
        (forbidden.Kind, forbidden.Text.En.Contains("127.0.0.2: its bastion does not reach it")).ShouldBe((SshFailureKind.Refused, true), forbidden.Text.En);
        var nobody = await Should.ThrowAsync<SshFailedException>(() => SshConnection.ConnectAsync(Behind(bastions, front, "127.0.0.9", TestRedis.FreePort())));
        (nobody.Kind, nobody.Text.En.Contains("its bastion does not reach it")).ShouldBe((SshFailureKind.Unreachable, true), nobody.Text.En);

        await front.Stop();
        await Eventually.True(async () =>
        {
            var gone = await Should.ThrowAsync<SshFailedException>(() => SshConnection.ConnectAsync(Behind(bastions, front, "127.0.0.9")));
            gone.Kind.ShouldBe(SshFailureKind.Unreachable);
            return gone.Text.En.Contains("its bastion cannot be used");
        }, "the bastion is gone");
    }

    private static async Task<TestSshd> NewSshd()
    {
        var sshd = new TestSshd();
        await sshd.InitializeAsync();
        return sshd;
    }

    private SshTarget Behind(Bastions bastions, TestSshd front, string host, int? port = null) =>
        behind.Target(host, port: port) with { Via = () => Take(bastions, front.Target()) };

    private static Task<BastionUse> Take(Bastions bastions, SshTarget bastion) =>
        bastions.Take(new BastionName("", bastion.Host, bastion.Port, bastion.User, ""), () => SshConnection.ConnectAsync(bastion));
}
