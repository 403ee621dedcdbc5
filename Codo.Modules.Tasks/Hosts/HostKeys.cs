using System.Net;
using System.Security.Cryptography;
using Codo.Platform.Http;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Hosts;

/// <summary>A host's public key, as it is pinned or as it was offered.</summary>
/// <param name="KeyType">As SSH calls it: <c>ssh-ed25519</c>.</param>
/// <param name="Fingerprint"><c>SHA256:…</c> as ssh-keygen shows it.</param>
internal sealed record HostKey(string KeyType, string Fingerprint, byte[] Key)
{
    public static HostKey Of(string keyType, byte[] key) => new(keyType, "SHA256:" + Convert.ToBase64String(SHA256.HashData(key)).TrimEnd('='), key);

    /// <summary>Whether it is the same key, whatever algorithm it was signed with.</summary>
    public bool IsSame(HostKey other) => Key.AsSpan().SequenceEqual(other.Key);
}

/// <summary>The keys that hosts showed when they were first met. A host that shows another one later is refused until a superuser forgets the old one.</summary>
internal sealed class HostKeys(NpgsqlDataSource source)
{
    private const string FindSql = """
        SELECT key_type, fingerprint, key FROM tasks.host_keys WHERE host = @Host AND port = @Port
        """;

    // The update changes nothing: it makes the row that won a race come back, also one that this statement's snapshot does not see.
    private const string PinSql = """
        INSERT INTO tasks.host_keys (host, port, key_type, fingerprint, key, list_id) VALUES (@Host, @Port, @KeyType, @Fingerprint, @Key, CAST(@OrderId AS bigint))
        ON CONFLICT (host, port) DO UPDATE SET host = excluded.host
        RETURNING key_type, fingerprint, key
        """;

    /// <summary>The pinned key; null when the host was never met.</summary>
    public async Task<HostKey?> Find(string host, int port, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        return await connection.QuerySingleOrDefaultAsync<HostKey>(FindSql, new { Host = Name(host), Port = port });
    }

    /// <summary>Pins the key unless the host has one already.</summary>
    /// <param name="orderId">The order that met the host; null when it was met otherwise.</param>
    /// <returns>The key that is pinned now: the one given, or that of whoever was first. Compare with <see cref="HostKey.IsSame"/>.</returns>
    public async Task<HostKey> Pin(string host, int port, HostKey key, long? orderId, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        return await connection.QuerySingleAsync<HostKey>(PinSql, new { Host = Name(host), Port = port, key.KeyType, key.Fingerprint, key.Key, OrderId = orderId });
    }

    /// <summary>What to tell of a host whose key changed: both fingerprints, and the call that forgets the old one.</summary>
    public static Text Changed(string host, int port, HostKey pinned, HostKey offered) => new(
        $"主机 {Name(host)}:{port} 的密钥变了：记录的是 {pinned.KeyType} {pinned.Fingerprint}，现在是 {offered.KeyType} {offered.Fingerprint}。确认主机无误后，由超级用户调用 DELETE /v2/task/host_key/?host={Uri.EscapeDataString(Name(host))}&port={port} 忘掉旧密钥",
        $"The key of {Name(host)}:{port} has changed: {pinned.KeyType} {pinned.Fingerprint} is pinned, {offered.KeyType} {offered.Fingerprint} was offered. If the host is the right one, a superuser forgets the old key with DELETE /v2/task/host_key/?host={Uri.EscapeDataString(Name(host))}&port={port}");

    /// <summary>One spelling a host: names in small letters, IPv6 in its short form.</summary>
    public static string Name(string host) => host.Contains(':', StringComparison.Ordinal) && IPAddress.TryParse(host, out var address) ? address.ToString() : host.ToLowerInvariant();
}
