using System.Runtime.CompilerServices;
using Codo.Modules.Tasks.Layout;
using Codo.Platform.Security;
using Codo.Tests.Support;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;

namespace Codo.Tests.Modules.Tasks.Layout;

public sealed class OpenKeysTests(LibraryHost library) : IClassFixture<LibraryHost>
{
    [Fact]
    public async Task A_key_is_read_once_and_dropped_when_nobody_has_asked_for_it()
    {
        var alias = LibraryHost.Name("u");
        var text = await ExecuteUsersTests.NewKey(passphrase: "secret");
        (await library.Host.Post(LibraryHost.User, new { alias_user = alias, exec_user = "root", user_key = text, passphrase = "secret" })).Code().ShouldBe(0);
        await using var connection = await library.Host.Source.OpenConnectionAsync();
        var user = (await ExecuteUser.Find(connection, library.Host.Services.GetRequiredService<SecretBox>(), alias))!;
        var time = new FakeTimeProvider();
        using var keys = new OpenKeys(time);
        var held = Read(keys, user);
        time.Advance(TimeSpan.FromMinutes(4));
        Read(keys, user).Target.ShouldBeSameAs(held.Target);
        time.Advance(TimeSpan.FromMinutes(4));
        keys.Count.ShouldBe(1);
        time.Advance(TimeSpan.FromMinutes(2));
        keys.Count.ShouldBe(0);
        await Eventually.True(() =>
        {
            GC.Collect();
            return !held.IsAlive;
        }, "nothing holds the key any more");
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference Read(OpenKeys keys, ExecuteUser user)
    {
        keys.TryOpen(user, out var key, out var why).ShouldBeTrue(why.En);
        return new WeakReference(key);
    }
}
