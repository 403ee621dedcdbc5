using Codo.Modules.Tasks.Hosts;
using Codo.Tests.Support;
using Microsoft.Extensions.Time.Testing;

namespace Codo.Tests.Modules.Tasks.Hosts;

/// <summary>Servers that are busy, silent or strange while a connection is made.</summary>
public sealed class SshHandshakeTests(TestSshd sshd) : IClassFixture<TestSshd>
{
    [Fact]
    public async Task Tries_again_when_a_busy_server_drops_the_connection()
    {
        await using var busy = new TestSshd { MaxStartups = "2:100:4" };
        await busy.InitializeAsync();
        var connections = await Task.WhenAll(TestSshd.Hosts.Take(11).Select(host => SshConnection.ConnectAsync(busy.Target(host))));
        foreach (var connection in connections) await connection.DisposeAsync();
    }

    [Fact]
    public async Task Gives_up_on_a_server_that_goes_on_dropping_connections()
    {
        await using var full = new FakeSsh("Not allowed at this time\r\n"u8.ToArray(), closes: true);
        var failure = await Should.ThrowAsync<SshFailedException>(() => SshConnection.ConnectAsync(sshd.Target(port: full.Port)));
        (failure.Kind, failure.IsDropped).ShouldBe((SshFailureKind.Unreachable, true));
        failure.Text.En.ShouldNotContain("\n");
        full.Accepted.ShouldBeInRange(4, 20);
    }

    [Fact]
    public async Task Does_not_try_again_what_fails_for_a_reason_that_stays()
    {
        await using var refusing = new FakeSsh([.. FakeSsh.Banner, .. FakeSsh.Disconnect(1, "go away"u8.ToArray())]);
        var failure = await Should.ThrowAsync<SshFailedException>(() => SshConnection.ConnectAsync(sshd.Target(port: refusing.Port)));
        failure.Text.En.ShouldContain("go away");
        refusing.Accepted.ShouldBe(1);
    }

    [Fact]
    public async Task Says_of_a_refused_login_that_its_certificate_is_over_or_has_not_begun()
    {
        using var authority = new CertificateAuthority();
        var (text, certificate) = authority.Certify($"-n {Environment.UserName} -V 20200101:20200301");
        SshKeys.TryRead(text, null, certificate, out var key, out var why).ShouldBeTrue(why.En);
        var (begins, ends) = (key!.Certificate!.ValidAfter, key.Certificate.ValidBefore);
        var target = sshd.Target() with { Key = key };
        (await Refused(begins.AddSeconds(-1))).En.ShouldEndWith($"with this key; its certificate is not valid before {begins:yyyy-MM-dd HH:mm} UTC");
        (await Refused(begins)).En.ShouldEndWith("with this key");
        var over = await Refused(ends);
        over.En.ShouldEndWith($"with this key; its certificate expired at {ends:yyyy-MM-dd HH:mm} UTC");
        over.Zh.ShouldEndWith($"认证失败（证书已于 {ends:yyyy-MM-dd HH:mm} UTC 过期）");

        async Task<(string Zh, string En)> Refused(DateTimeOffset now)
        {
            var then = target with { Time = new FakeTimeProvider(now) };
            var failure = await Should.ThrowAsync<SshFailedException>(() => SshConnection.ConnectAsync(then));
            failure.Kind.ShouldBe(SshFailureKind.Authentication);
            return (failure.Text.Zh, failure.Text.En);
        }
    }

    [Fact]
    public async Task Cleans_what_a_server_says()
    {
        await using var strange = new FakeSsh([.. FakeSsh.Banner, .. FakeSsh.Disconnect(1, [.. "a\0b\u001b[31m"u8, 0xFF])]);
        var failure = await Should.ThrowAsync<SshFailedException>(() => SshConnection.ConnectAsync(sshd.Target(port: strange.Port)));
        failure.Text.En.ShouldContain("a␀b␛[31m");
        failure.Text.Zh.ShouldNotContain('\0');
        failure.Message.ShouldNotContain('\0');
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Servers_that_fall_silent_take_a_place_from_nobody(bool inKeyExchange)
    {
        for (var tries = 1; ; tries++)
        {
            await using var silent = new FakeSsh(inKeyExchange ? [.. FakeSsh.Banner, .. FakeSsh.KeyExchangeInit()] : FakeSsh.Banner);
            var count = 40 * Environment.ProcessorCount;
            var hanging = Enumerable.Range(0, count).Select(_ => SshConnection.ConnectAsync(sshd.Target(port: silent.Port))).ToList();
            await Eventually.True(() => silent.Accepted == count || hanging.Exists(one => one.IsCompleted), "all hang");
            await (await SshConnection.ConnectAsync(sshd.Target())).DisposeAsync();
            var isFree = hanging.TrueForAll(one => !one.IsCompleted);
            foreach (var one in hanging) (await Should.ThrowAsync<SshFailedException>(() => one)).Kind.ShouldBe(SshFailureKind.Unreachable);
            if (isFree) break;
            // The machine stood still. Places that are taken make a login wait each time.
            tries.ShouldBeLessThan(3, "a login waits for servers that are silent");
        }
    }
}
