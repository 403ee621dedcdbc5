using Codo.Modules.Tasks.Hosts;
using Codo.Platform.Http;
using Codo.Platform.Localization;
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

    // 3 is the most bastions on a way, see BastionChain.
    private const string ChainSql = """
        WITH RECURSIVE way AS (
            SELECT alias_user, exec_user, ssh_port, user_key, passphrase, certificate, ssh_host, encoding, via_id, 0 AS hop
                FROM tasks.scheduler_execute_user WHERE alias_user = @Alias
                AND (CAST(@ListId AS bigint) IS NULL OR space_id = 1
                    OR space_id = (SELECT o.space_id FROM tasks.scheduler_task_list o WHERE o.list_id = @ListId))
            UNION ALL
            SELECT u.alias_user, u.exec_user, u.ssh_port, u.user_key, u.passphrase, u.certificate, u.ssh_host, u.encoding, u.via_id, w.hop + 1
            FROM way w JOIN tasks.scheduler_execute_user u ON u.id = w.via_id WHERE w.hop < 3)
        SELECT alias_user, exec_user, ssh_port, user_key, passphrase, certificate, ssh_host, encoding FROM way ORDER BY hop
        """;

    // Orders hold the name that they were made with: their later steps, and what ends a command that was left behind, look for it. With a new space only those
    // for which it was there and will be no more.
    private const string NamedSql = """
        SELECT DISTINCT l.list_id FROM tasks.scheduler_task_list l JOIN tasks.scheduler_task_info i USING (list_id)
        WHERE l.schedule <> 'OK' AND i.exec_user = @Alias AND (CAST(@To AS bigint) IS NULL
            OR (l.space_id <> CAST(@To AS bigint) AND CAST(@From AS bigint) IN (1, l.space_id)))
        ORDER BY l.list_id LIMIT 5
        """;

    private ExecuteUser(Row row, string privateKey, string? passphrase) =>
        (Alias, Login, Port, SshHost, Certificate, Encoding, PrivateKey, Passphrase) =
        (row.AliasUser, row.ExecUser, row.SshPort, row.SshHost, row.Certificate, row.Encoding, privateKey, passphrase);

    /// <summary>What a step's <c>exec_user</c> names.</summary>
    public string Alias { get; }

    /// <summary>The user on the host.</summary>
    public string Login { get; }

    public int Port { get; }

    /// <summary>The machine that is entered when this user is somebody's bastion; else empty.</summary>
    public string SshHost { get; }

    public string PrivateKey { get; }

    public string? Passphrase { get; }

    /// <summary>An OpenSSH certificate of the key; empty when there is none.</summary>
    public string Certificate { get; }

    /// <summary>What commands on its hosts are handed over in, and what they write.</summary>
    public string Encoding { get; }

    /// <summary>Reads and opens an execute-user; null when there is none of that name.</summary>
    public static async Task<ExecuteUser?> Find(NpgsqlConnection connection, SecretBox box, string alias) =>
        await FindChain(connection, box, alias) is [var user, ..] ? user : null;

    /// <summary>
    /// Reads and opens an execute-user and then the bastions over which its hosts are reached, the nearest to the host first; empty when there is none of that
    /// name.
    /// </summary>
    /// <param name="listId">The order that needs it: one of another space than its own and <c>default</c> is not there for it.</param>
    public static async Task<IReadOnlyList<ExecuteUser>> FindChain(NpgsqlConnection connection, SecretBox box, string alias, long? listId = null) =>
        [.. (await connection.QueryAsync<Row>(ChainSql, new { Alias = alias, ListId = listId }))
            .Select(row => new ExecuteUser(row, box.Open(row.UserKey, KeyPlace), row.Passphrase is { } secret ? box.Open(secret, PassphrasePlace) : null))];

    /// <summary>Refuses to take an execute-user from orders that name it and have not ended.</summary>
    /// <param name="what">What is to be done to it, once they have.</param>
    /// <param name="move">The space that it is in, and the one that it would go to; null where no order would find it any more.</param>
    /// <exception cref="Refusal">There are such orders; the text names five of them at most.</exception>
    public static async Task DemandUnused(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        string alias,
        Text what,
        (long From, long To)? move = null
    )
    {
        var asked = new { Alias = alias, move?.From, move?.To };
        if ((await connection.QueryAsync<long>(NamedSql, asked, transaction)).AsList() is { Count: > 0 } orders)
            throw Refusal.Conflict(
                $"订单 {string.Join("、", orders)} 还在使用执行用户 {alias}：结束之后再{what.Zh}",
                $"Orders name the execute-user {alias} and have not ended ({string.Join(", ", orders)}): {what.En} it after that"
            );
    }

    /// <summary>Refuses a private key that no step could be run with. The reason names neither the key nor the passphrase.</summary>
    /// <returns>What to warn of.</returns>
    /// <exception cref="Refusal">
    /// The key cannot be read, or not with this passphrase, or takes too much to be opened; the certificate is not one of this key.
    /// </exception>
    public static IReadOnlyList<Text> CheckKey(string privateKey, string? passphrase, string certificate, DateTimeOffset now)
    {
        if (SshKeys.TooCostly(privateKey) is { } costly) throw new Refusal(-1, costly);
        if (!SshKeys.TryRead(privateKey, passphrase, certificate, out var key, out var why)) throw new Refusal(-1, why);
        using (key)
        {
            return key.Certificate is { } certified && certified.ValidBeforeUnixSeconds < (ulong)now.ToUnixTimeSeconds()
                ?
                [
                    new Text(
                        $"证书已于 {certified.ValidBefore:yyyy-MM-dd HH:mm} UTC 过期",
                        $"The certificate has expired at {certified.ValidBefore:yyyy-MM-dd HH:mm} UTC"
                    ),
                ]
                : [];
        }
    }

    /// <summary>Whether a name holds Chinese characters, which neither an alias nor a system user may have.</summary>
    public static bool HasChinese(string? name) =>
        name is not null && name.EnumerateRunes().Any(rune => rune.Value is >= 0x4E00 and <= 0x9FFF or >= 0x3400 and <= 0x4DBF or >= 0x20000 and <= 0x3FFFF);

    private sealed record Row(
        string AliasUser,
        string ExecUser,
        int SshPort,
        byte[] UserKey,
        byte[]? Passphrase,
        string Certificate,
        string SshHost,
        string Encoding
    );
}
