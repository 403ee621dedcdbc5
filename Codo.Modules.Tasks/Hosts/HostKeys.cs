using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Hosts;

/// <summary>The key with which a host proves who it is.</summary>
/// <param name="Type">As in a known_hosts file, such as <c>ssh-ed25519</c> or <c>ssh-rsa</c>.</param>
/// <param name="Fingerprint">As <c>ssh-keygen -l</c> shows it: <c>SHA256:…</c>.</param>
/// <param name="Bytes">The public key itself, in the protocol's form.</param>
internal sealed record HostKey(string Host, int Port, string Type, string Fingerprint, byte[] Bytes)
{
    /// <summary>The bastions over which the host is reached, <c>host:port</c> from the first to the last, with commas between; empty when it is reached
    /// directly.
    /// One address may be another machine on another way.</summary>
    public string Path { get; init; } = "";

    /// <summary>A key from its bytes.</summary>
    public static HostKey From(byte[] bytes, string host, int port, string path = "") =>
        new(host, port, TypeOf(bytes), $"SHA256:{Convert.ToBase64String(SHA256.HashData(bytes)).TrimEnd('=')}", bytes) { Path = path };

    // A string with its length in front (RFC 4253, section 6.6). It is the host's word, so it may be anything.
    private static string TypeOf(byte[] bytes)
    {
        if (bytes.Length < 4) return "";
        var length = BinaryPrimitives.ReadUInt32BigEndian(bytes);
        return length > bytes.Length - 4 ? "" : OutsideText.Clean(Encoding.ASCII.GetString(bytes, 4, (int)length), 100);
    }
}

/// <summary>
/// The keys that hosts showed when they were first met. A host that shows another one later is refused until a superuser forgets the old one.
/// </summary>
internal sealed class HostKeys(NpgsqlDataSource source)
{
    private const string FindSql = """
        SELECT path, host, port, key_type, fingerprint, key FROM tasks.host_keys WHERE path = @Path AND host = @Host AND port = @Port
        """;

    // The update changes nothing: it makes the row that won a race come back, also one that this statement's snapshot does not see.
    private const string PinSql = """
        INSERT INTO tasks.host_keys (path, host, port, key_type, fingerprint, key, list_id) VALUES (@Path, @Host, @Port, @Type, @Fingerprint, @Bytes,
            CAST(@OrderId AS bigint))
        ON CONFLICT (path, host, port) DO UPDATE SET host = excluded.host
        RETURNING path, host, port, key_type, fingerprint, key
        """;

    /// <summary>The pinned key; null when the host was never met.</summary>
    /// <param name="path">As <see cref="HostKey.Path"/>.</param>
    public async Task<HostKey?> Find(string host, int port, CancellationToken cancellation, string path = "")
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        return (await connection.QuerySingleOrDefaultAsync<Row>(FindSql, new { Path = path, Host = Name(host), Port = port }))?.Pinned;
    }

    /// <summary>Pins the key that a host has shown, unless it has one already.</summary>
    /// <param name="orderId">The order that met the host; null when it was met otherwise.</param>
    /// <returns>The key that is pinned now: the one given, or that of whoever was first. Compare with <see cref="AreSame"/>.</returns>
    public async Task<HostKey> Pin(HostKey shown, long? orderId, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        return (
            await connection.QuerySingleAsync<Row>(
                PinSql,
                new
                {
                    shown.Path,
                    Host = Name(shown.Host),
                    shown.Port,
                    shown.Type,
                    shown.Fingerprint,
                    shown.Bytes,
                    OrderId = orderId,
                }
            )
        ).Pinned;
    }

    /// <summary>Whether two keys are one.</summary>
    public static bool AreSame(HostKey pinned, HostKey shown) => pinned.Bytes.AsSpan().SequenceEqual(shown.Bytes);

    /// <summary>What to tell of a host whose key changed: both fingerprints, and the call that forgets the old one.</summary>
    public static Text Changed(HostKey pinned, HostKey shown)
    {
        var (host, call) = (
            Place(pinned),
            $"DELETE /v2/task/host_key/?host={Uri.EscapeDataString(pinned.Host)}&port={pinned.Port}"
                + (pinned.Path.Length == 0 ? "" : $"&path={Uri.EscapeDataString(pinned.Path)}")
        );
        return new Text(
            $"主机 {host} 的密钥变了：记录的是 {pinned.Type} {pinned.Fingerprint}，现在是 {shown.Type} {shown.Fingerprint}。确认主机无误后，由超级用户调用 {call} 忘掉旧密钥",
            ($"The key of {host} has changed: {pinned.Type} {pinned.Fingerprint} is pinned, {shown.Type} {shown.Fingerprint} was shown. If the host is the "
                + $"right one, a superuser forgets the old key with {call}")
        );
    }

    /// <summary>
    /// What to tell of a host whose key nobody has given, where <c>Codo:Tasks:HostKeys</c> is <c>strict</c>: its fingerprint, and the call that adds it.
    /// </summary>
    public static Text Unknown(HostKey shown) =>
        new(
            $"主机 {Place(shown)} 的密钥未登记（Codo:Tasks:HostKeys = strict）：它出示的是 {shown.Type} {shown.Fingerprint}。核对无误后，由超级用户调用 POST /v2/task/host_key/ 登记",
            ($"No key of {Place(shown)} is known (Codo:Tasks:HostKeys = strict): it showed {shown.Type} {shown.Fingerprint}. If that is the right one, a "
                + $"superuser adds it with POST /v2/task/host_key/")
        );

    /// <summary>The path to what lies behind a bastion.</summary>
    /// <param name="path">The bastion's own.</param>
    public static string Through(string path, string host, int port) => $"{(path.Length == 0 ? "" : path + ",")}{Address(host, port)}";

    /// <summary>
    /// A path in the one spelling in which it is stored, and looked for on the way to a host: <c>host:port</c>, the port 22 where none is given.
    /// </summary>
    /// <exception cref="Refusal">An entry is no host with a port.</exception>
    public static string NormalPath(string? path) =>
        string.Join(
            ',',
            Entries(path)
                .Select(entry =>
                    NormalEntry(entry)
                    ?? throw Refusal.Invalid(
                        $"path：{OutsideText.Clean(entry, 100)} 应为 host:port",
                        $"path: {OutsideText.Clean(entry, 100)} should be host:port"
                    )
                )
        );

    /// <summary>A path as versions before stored one that was given: not read, and without a port where none was written.</summary>
    public static string PathAsWritten(string? path) => string.Join(',', Entries(path)).ToLowerInvariant();

    /// <summary>A host and its port as people write them.</summary>
    public static string Address(string host, int port) =>
        Name(host) is var name && name.Contains(':', StringComparison.Ordinal) ? $"[{name}]:{port}" : $"{name}:{port}";

    private static string[] Entries(string? path) => (path ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);

    // host, host:port, [v6]:port, or an IPv6 address alone; null for anything else.
    private static string? NormalEntry(string entry)
    {
        var colon = entry.LastIndexOf(':');
        // The colons of an IPv6 address are its own, unless it stands in brackets.
        var hasPort = colon > 0 && (entry[colon - 1] == ']' || !entry[..colon].Contains(':', StringComparison.Ordinal));
        var (host, port) = (hasPort ? entry[..colon] : entry, 22);
        if (hasPort && !int.TryParse(entry.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out port)) return null;
        if (host.StartsWith('[') && host.EndsWith(']')) host = host[1..^1];
        return port is >= 1 and <= 65535 && HostList.TryHost(host, out var kept) ? Address(kept, port) : null;
    }

    private static string Place(HostKey key) => Address(key.Host, key.Port) + (key.Path.Length == 0 ? "" : $" (via {key.Path})");

    /// <summary>One spelling a host: names in small letters, IPv6 in its short form.</summary>
    public static string Name(string host) =>
        host.Contains(':', StringComparison.Ordinal) && IPAddress.TryParse(host, out var address) ? address.ToString() : host.ToLowerInvariant();

    private sealed record Row(string Path, string Host, int Port, string KeyType, string Fingerprint, byte[] Key)
    {
        public HostKey Pinned => new(Host, Port, KeyType, Fingerprint, Key) { Path = Path };
    }
}
