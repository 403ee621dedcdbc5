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
        row.Select(field => field.Key).ShouldBe(["host", "port", "key_type", "fingerprint", "first_seen", "list_id", "path", "added_by"]);
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
    public async Task A_key_can_be_given_before_the_first_contact()
    {
        var name = LibraryHost.Name("h");
        var (first, second) = (NewPublicKey("ed25519"), NewPublicKey("ecdsa"));
        var answer = await host.Post(Path, new { host = name, port = 2222, key = first });
        (answer.Code(), Number(answer, "added")).ShouldBe((0, 1), answer.ToJsonString());
        var row = (await host.Get($"{Path}?host={name}")).Data().Single()!;
        ((string)row["key_type"]!, (int)row["port"]!, (string)row["added_by"]!).ShouldBe(("ssh-ed25519", 2222, "admin"));
        (await Keys.Find(name, 2222, default))!.Fingerprint.ShouldBe((string)row["fingerprint"]!);
        Number(await host.Post(Path, new { host = name, port = 2222, key = first }), "unchanged").ShouldBe(1);

        var refused = await host.Post(Path, new { host = name, port = 2222, key = second });
        (refused.Code(), refused.Msg().Contains($"{name}:2222"), refused.Msg().Contains("replace")).ShouldBe((-1, true, true));
        Number(await host.Post(Path, new { host = name, port = 2222, key = second, replace = true }), "replaced").ShouldBe(1);
        (await Keys.Find(name, 2222, default))!.Type.ShouldBe("ecdsa-sha2-nistp256");
        (
            await host.Ask<long>(
                "SELECT count(*) FROM platform.audit WHERE kind = 'host_key' AND object_id = @Id AND action = 'add'",
                new { Id = $"{name}:2222" }
            )
        ).ShouldBe(2);

        // The same address behind a bastion is another host.
        Number(await host.Post(Path, new { host = name, port = 2222, key = first, path = "Bastion:22" }), "added").ShouldBe(1);
        (await Keys.Find(name, 2222, default, "bastion:22"))!.Type.ShouldBe("ssh-ed25519");
        (await host.Send(HttpMethod.Delete, $"{Path}?host={name}&port=2222&path=bastion:22")).Code().ShouldBe(0);
        (await Keys.Find(name, 2222, default)).ShouldNotBeNull();
    }

    [Theory]
    [InlineData("gate.Example.com", "gate.example.com:22")]
    [InlineData(" Gate:2200 , 10.0.0.9", "gate:2200,10.0.0.9:22")]
    [InlineData("[2001:DB8:0:0::1]:2200", "[2001:db8::1]:2200")]
    [InlineData("2001:db8:0::1,[gate]:22", "[2001:db8::1]:22,gate:22")]
    public async Task A_path_is_pinned_where_the_way_to_the_host_looks_for_it(string path, string way)
    {
        var name = LibraryHost.Name("h");
        Number(await host.Post(Path, new { host = name, key = NewPublicKey("ed25519"), path }), "added").ShouldBe(1);
        (await Keys.Find(name, 22, default, way)).ShouldNotBeNull();
        ((string)(await host.Get($"{Path}?host={name}&path={Uri.EscapeDataString(path)}")).Data().Single()!["path"]!).ShouldBe(way);
        (await host.Delete(Path, new { host = name, path })).Code().ShouldBe(0);
        (await Keys.Find(name, 22, default, way)).ShouldBeNull();
    }

    [Fact]
    public async Task A_path_that_is_none_is_refused_and_one_that_a_version_before_took_can_be_forgotten()
    {
        var name = LibraryHost.Name("h");
        var key = NewPublicKey("ed25519");
        foreach (var path in new[] { "gate:0", "gate:65536", "gate:ssh", ":22", "a b", "gate:22,jump@gate", "[2001:db8::1" })
        {
            (await host.Post(Path, new { host = name, key, path })).ShouldRefuseNaming("path：");
            (await host.Get($"{Path}?path={Uri.EscapeDataString(path)}")).ShouldRefuseNaming("path：");
            (await host.Delete(Path, new { host = name, path })).ShouldRefuseNaming("path：");
        }
        await Keys.Pin(Key(name, 22, 1) with { Path = "gate" }, null, default);
        await Keys.Pin(Key(name, 22, 2) with { Path = "gate:22" }, null, default);
        (await host.Delete(Path, new { host = name, path = "Gate" })).Code().ShouldBe(0);
        (await Keys.Find(name, 22, default, "gate")).ShouldBeNull();
        (await Keys.Find(name, 22, default, "gate:22")).ShouldNotBeNull();
    }

    [Fact]
    public async Task A_known_hosts_file_is_imported_and_what_gives_no_key_is_said()
    {
        var (one, two) = (LibraryHost.Name("h"), LibraryHost.Name("h"));
        var text = $"""
            # a comment

            {one},[{two}]:2200,2001:db8::9 {NewPublicKey("rsa")} somebody
            {one} {NewPublicKey("ed25519")}
            |1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg= {NewPublicKey("ed25519")}
            *.example.com {NewPublicKey("ed25519")}
            @revoked {two} {NewPublicKey("ed25519")}
            {two} ssh-dss AAAA
            {two} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUq
            {two}
            """.Replace("\n", "\r\n", StringComparison.Ordinal);
        var answer = await host.Post(Path, new { known_hosts = "\uFEFF" + text });
        (answer.Code(), Number(answer, "added")).ShouldBe((0, 3), answer.ToJsonString());
        answer["skipped"]!.AsArray().Select(skipped => (int)skipped!["line"]!).ShouldBe([3, 5, 6, 7, 8, 9, 10]);
        (await Keys.Find(one, 22, default))!.Type.ShouldBe("ssh-ed25519");
        (await Keys.Find(two, 2200, default))!.Type.ShouldBe("ssh-rsa");
        (await Keys.Find("2001:db8:0::9", 22, default)).ShouldNotBeNull();
        (await Keys.Find(two, 22, default)).ShouldBeNull();
    }

    [Theory]
    [InlineData("{}", "host")]
    [InlineData("""{"host": "h"}""", "key")]
    [InlineData("""{"host": "a b", "key": "ssh-ed25519 AAAA"}""", "host")]
    [InlineData("""{"host": "h", "port": 0, "key": "ssh-ed25519 AAAA"}""", "port")]
    [InlineData("""{"host": "h", "key": "ssh-ed25519"}""", "key")]
    [InlineData("""{"host": "h", "key": "ssh-ed25519 !!!!"}""", "key")]
    [InlineData("""{"host": "h", "key": "ssh-ed25519 AAAAB3NzaC1yc2E="}""", "key")]
    [InlineData("""{"host": "h", "key": "-----BEGIN OPENSSH PRIVATE KEY-----"}""", "key")]
    [InlineData("""{"host": "h", "key": "k", "known_hosts": "x"}""", "known_hosts")]
    public async Task Refuses_a_wrong_key(string body, string field) => (await host.Send(HttpMethod.Post, Path, body)).ShouldRefuseNaming(field);

    [Fact]
    public async Task Nobody_else_does()
    {
        (await host.Post(Path, new { host = "x", key = NewPublicKey("ed25519") }, TestTokens.For(5, "somebody"))).Code().ShouldBe(-2);
        (await host.Get(Path, TestTokens.For(5, "somebody"))).Code().ShouldBe(-2);
        (await host.Delete(Path, new { host = "x" }, TestTokens.For(5, "somebody"))).Code().ShouldBe(-2);
    }

    private static long Number(System.Text.Json.Nodes.JsonObject answer, string field) => answer[field]!.GetValue<long>();

    private static string NewPublicKey(string kind)
    {
        var folder = Directory.CreateTempSubdirectory("codo-key-");
        try
        {
            var file = System.IO.Path.Combine(folder.FullName, "key");
            TestSshd.Run("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", file);
            return File.ReadAllText(file + ".pub").Trim();
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static HostKey Key(string name, int port, byte number) => new(name, port, "ssh-ed25519", $"SHA256:{number}", [number]);
}
