using Codo.Modules.Tasks.Hosts;
using Codo.Tests.Modules.Tasks.Layout;
using Codo.Tests.Support;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Tests.Modules.Tasks.Hosts;

public sealed class HostKeysTests(LibraryHost library) : IClassFixture<LibraryHost>
{
    private const string Path = "/v2/task/host_key/";
    private readonly TestHost host = library.Host;

    private HostKeys Keys => host.Services.GetRequiredService<HostKeys>();

    [Fact]
    public async Task The_first_key_is_pinned_and_another_is_not_put_in_its_place()
    {
        var name = LibraryHost.Name("h") + ".Example";
        var (first, second) = (Key(name, 22, 1), Key(name.ToUpperInvariant(), 22, 2));
        (await Keys.Find(name, 22, default)).ShouldBeNull();
        HostKeys.AreSame(await Keys.Pin(first, 7, default), first).ShouldBeTrue();
        var pinned = await Keys.Pin(second, 8, default);
        (HostKeys.AreSame(pinned, first), HostKeys.AreSame(pinned, second)).ShouldBe((true, false));
        (await Keys.Find(name, 22, default))!.Fingerprint.ShouldBe(first.Fingerprint);
        (await Keys.Find(name, 2222, default)).ShouldBeNull();
        var text = HostKeys.Changed(pinned, second);
        foreach (var said in new[] { text.Zh, text.En })
            foreach (var part in new[] { first.Fingerprint, second.Fingerprint, $"DELETE /v2/task/host_key/?host={name.ToLowerInvariant()}&port=22" })
                said.ShouldContain(part);
    }

    [Fact]
    public async Task Of_many_who_meet_a_host_at_once_all_see_the_key_of_the_first()
    {
        var name = LibraryHost.Name("h");
        var pinned = await Task.WhenAll(Enumerable.Range(0, 24).Select(number => Keys.Pin(Key(name, 22, (byte)number), number, default)));
        pinned.Select(key => key.Fingerprint).Distinct().Count().ShouldBe(1);
    }

    [Fact]
    public async Task IPv6_is_one_host_however_it_is_written()
    {
        await Keys.Pin(Key("2001:DB8:0:0::1", 22, 1), null, default);
        (await Keys.Find("2001:db8::1", 22, default)).ShouldNotBeNull();
        (await host.Get(Path + "?host=2001:db8:0::1")).Data().Single()!["host"]!.GetValue<string>().ShouldBe("2001:db8::1");
    }

    [Fact]
    public async Task A_superuser_sees_the_keys_and_forgets_one()
    {
        var name = LibraryHost.Name("h");
        await Keys.Pin(Key(name, 22, 1), 7, default);
        await Keys.Pin(Key(name, 2200, 2), null, default);
        var listed = await host.Get($"{Path}?host={name}");
        (listed.Code(), listed["count"]!.GetValue<long>()).ShouldBe((0, 2));
        var row = listed.Data()[0]!.AsObject();
        row.Select(field => field.Key).ShouldBe(["host", "port", "key_type", "fingerprint", "first_seen", "list_id"]);
        (row["fingerprint"]!.GetValue<string>(), row["list_id"]!.GetValue<long>()).ShouldBe(("SHA256:1", 7));
        (await host.Delete(Path, new { host = name })).ShouldSay(0, "删除成功");
        (await Keys.Find(name, 22, default)).ShouldBeNull();
        (await host.Delete(Path, new { host = name })).ShouldSay(-1, $"没有记录主机 {name}:22 的密钥");
        (await host.Send(HttpMethod.Delete, $"{Path}?host={name}&port=2200")).Code().ShouldBe(0);
        (await Keys.Pin(Key(name, 22, 3), null, default)).Fingerprint.ShouldBe("SHA256:3");
        (await host.Delete(Path, new { })).ShouldSay(-1, "host 不能为空");
        (await host.Delete(Path, new { host = name, port = "x" })).ShouldRefuseNaming("port");
        (await host.Delete(Path, new { host = name, port = 0 })).ShouldRefuseNaming("port");
        (await host.Get(Path + "?page=0")).ShouldRefuseNaming("page");
    }

    [Fact]
    public async Task Nobody_else_does()
    {
        (await host.Get(Path, TestTokens.For(5, "somebody"))).Code().ShouldBe(-2);
        (await host.Delete(Path, new { host = "x" }, TestTokens.For(5, "somebody"))).Code().ShouldBe(-2);
    }

    private static HostKey Key(string name, int port, byte number) => new(name, port, "ssh-ed25519", $"SHA256:{number}", [number]);
}
