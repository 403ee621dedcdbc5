using System.Text;
using Codo.Host.LocalServices;
using Codo.Platform.Http;
using Dapper;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>
/// The account that lets the first person in: <c>admin</c>, a superuser, made by the start that finds no account. Where tokens come from elsewhere
/// (codo-admin's secret is set) it is made only when <c>Codo:Auth:AdminPassword</c> asks for it. An upgrade is such a start too.
/// </summary>
internal static class FirstAdmin
{
    public const string Name = "admin";

    private const string NobodySql = """
        SELECT NOT EXISTS (SELECT FROM accounts.own_account)
        """;

    /// <summary>What was made. The password is shown to whoever looks on, or is in a file, or is the one of the settings; no log has it.</summary>
    internal sealed record Made(string? Password, string? File);

    /// <param name="isShown">Whether somebody looks on.</param>
    /// <returns>Null where nothing was made.</returns>
    /// <exception cref="StartRefused">The password of the settings is no good.</exception>
    public static async Task<Made?> Make(IServiceProvider services, Installation installation, bool isShown)
    {
        var set = services.GetRequiredService<AuthSettings>().AdminPassword;
        if (set.Length == 0 && !installation.HasGeneratedTokenSecret) return null;
        var source = services.GetRequiredService<NpgsqlDataSource>();
        await using var connection = await source.OpenConnectionAsync();
        if (!await connection.ExecuteScalarAsync<bool>(NobodySql)) return null;
        if (set.Length > 0 && Passwords.Wrong(Name, set) is { } wrong) throw new StartRefused($"Codo:Auth:AdminPassword: {wrong.En}.");
        var password = set.Length > 0 ? set : Passwords.Random();
        // Before the account: a crash between the two leaves a file without an account, and not an account that nobody can open.
        var file = set.Length > 0 || isShown ? null : Keep(installation.DataDirectory, password);
        await using var transaction = await connection.BeginTransactionAsync();
        var hash = services.GetRequiredService<Passwords>().Hash(password);
        if (!await OwnAccount.Add(connection, transaction, Caller.Codo, Name, hash, isSuperuser: true))
        {
            // Another node was first.
            if (file is not null) File.Delete(file);
            return null;
        }

        await transaction.CommitAsync();
        return new Made(set.Length > 0 || file is not null ? null : password, file);
    }

    private static string Keep(string dataDirectory, string password)
    {
        var folder = Path.Combine(dataDirectory, "secrets");
        Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var path = Path.Combine(folder, "admin-password");
        File.Delete(path);
        var options = new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        };
        using var stream = new FileStream(path, options);
        stream.Write(Encoding.ASCII.GetBytes(password + "\n"));
        stream.Flush(flushToDisk: true);
        return path;
    }
}
