using Codo.Modules.Tasks.Hosts;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>Under whose name and with which key a host is entered. It holds the open key: it is no record, so that nothing writes it out by accident.</summary>
internal sealed class ExecuteUser
{
    /// <summary>What stands for a secret in every answer; sent back, it leaves the secret as it was.</summary>
    public const string Mask = "******";

    /// <summary>Where the sealed values belong: they open nowhere else.</summary>
    public const string KeyPlace = "tasks.scheduler_execute_user.user_key", PassphrasePlace = "tasks.scheduler_execute_user.passphrase";

    private const string FindSql = """
        SELECT alias_user, exec_user, ssh_port, user_key, passphrase, encoding FROM tasks.scheduler_execute_user WHERE alias_user = @Alias
        """;

    private ExecuteUser(string alias, string login, int port, string privateKey, string? passphrase, string encoding) =>
        (Alias, Login, Port, PrivateKey, Passphrase, Encoding) = (alias, login, port, privateKey, passphrase, encoding);

    /// <summary>What a step's <c>exec_user</c> names.</summary>
    public string Alias { get; }

    /// <summary>The user on the host.</summary>
    public string Login { get; }

    public int Port { get; }

    public string PrivateKey { get; }

    public string? Passphrase { get; }

    /// <summary>What commands on its hosts are handed over in, and what they write.</summary>
    public string Encoding { get; }

    /// <summary>Reads and opens an execute-user; null when there is none of that name.</summary>
    public static async Task<ExecuteUser?> Find(NpgsqlConnection connection, SecretBox box, string alias)
    {
        var row = await connection.QuerySingleOrDefaultAsync<Row>(FindSql, new { Alias = alias });
        return row is null ? null : new ExecuteUser(row.AliasUser, row.ExecUser, row.SshPort, box.Open(row.UserKey, KeyPlace), row.Passphrase is { } secret ? box.Open(secret, PassphrasePlace) : null, row.Encoding);
    }

    /// <summary>Refuses a private key that no step could be run with. The reason names neither the key nor the passphrase.</summary>
    /// <exception cref="Refusal">The key cannot be read, or not with this passphrase.</exception>
    public static void CheckKey(string privateKey, string? passphrase)
    {
        if (!SshKeys.TryRead(privateKey, passphrase, out var key, out var why)) throw new Refusal(-1, why);
        key.Dispose();
    }

    /// <summary>Whether a name holds Chinese characters, which neither an alias nor a system user may have.</summary>
    public static bool HasChinese(string? name) => name is not null && name.EnumerateRunes().Any(rune => rune.Value is >= 0x4E00 and <= 0x9FFF or >= 0x3400 and <= 0x4DBF or >= 0x20000 and <= 0x3FFFF);

    private sealed record Row(string AliasUser, string ExecUser, int SshPort, byte[] UserKey, byte[]? Passphrase, string Encoding);
}
