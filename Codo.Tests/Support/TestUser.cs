using System.Diagnostics;
using System.Globalization;
using Codo.Host.LocalServices;

namespace Codo.Tests.Support;

/// <summary>An ordinary user of this machine, made for one test by root, with a home of its own.</summary>
internal sealed class TestUser : IAsyncDisposable
{
    private string? group;

    private TestUser(PostgresUser identity, string home) => (Identity, Home) = (identity, home);

    public PostgresUser Identity { get; }

    public string Home { get; }

    /// <summary>Makes the user, or skips the test with the reason when that cannot be done here.</summary>
    public static async Task<TestUser> Make()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "Only root can make another user.");
        var name = $"codo-t-{Guid.NewGuid().ToString("N")[..8]}";
        var home = Path.Combine(Path.GetTempPath(), name);
        await Run("useradd", "--create-home", "--home-dir", home, name);
        var fields = File.ReadLines("/etc/passwd").First(line => line.StartsWith(name + ":", StringComparison.Ordinal)).Split(':');
        return new TestUser(
            new PostgresUser(name, int.Parse(fields[2], CultureInfo.InvariantCulture), int.Parse(fields[3], CultureInfo.InvariantCulture)),
            home
        );
    }

    /// <summary>Puts the user into a group that is made for it; answers the group's number.</summary>
    public async Task<int> JoinGroup()
    {
        var name = Identity.Name + "-g";
        await Run("groupadd", name);
        await Run("usermod", "--append", "--groups", name, Identity.Name);
        group = name;
        return int.Parse(
            File.ReadLines("/etc/group").First(line => line.StartsWith(name + ":", StringComparison.Ordinal)).Split(':')[2],
            CultureInfo.InvariantCulture
        );
    }

    public async ValueTask DisposeAsync()
    {
        await Run("userdel", "--remove", "--force", Identity.Name);
        if (group is not null) await Run("groupdel", group);
    }

    private static async Task Run(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        var said = await Task.WhenAll(process.StandardError.ReadToEndAsync(), process.StandardOutput.ReadToEndAsync());
        await process.WaitForExitAsync();
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"{program}: {string.Concat(said)}");
    }
}
