using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using Codo.Platform.Localization;

namespace Codo.Modules.Tasks.Hosts;

/// <summary>Public host keys as <c>ssh-keyscan</c>, a <c>known_hosts</c> file or <c>/etc/ssh/ssh_host_*_key.pub</c> have them.</summary>
internal static class KnownHosts
{
    // The kinds that SSH.NET verifies, the preferred first: of several keys of one host the first kind is kept.
    private static readonly string[] Kinds = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"];

    /// <summary>A line that gives no key, and why.</summary>
    /// <param name="Line">From 1.</param>
    internal sealed record Skipped(int Line, Text Reason);

    /// <summary>Reads a public key: kind, base64 and perhaps a comment.</summary>
    public static bool TryKey(string text, [NotNullWhen(true)] out byte[]? bytes, out Text why)
    {
        bytes = null;
        why = default;
        var words = text.Trim().Trim('\uFEFF').Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
        if (words.Length < 2)
        {
            why = new Text("应为一行公钥：类型和 base64，例如 ssh-ed25519 AAAA…", "A public key is one line: its kind and base64, such as ssh-ed25519 AAAA…");
            return false;
        }

        if (!Kinds.Contains(words[0], StringComparer.Ordinal))
        {
            why = new Text($"不支持这种密钥：{words[0]}（支持 {string.Join(", ", Kinds)}）",
                $"This kind of key is not supported: {words[0]} (these are: {string.Join(", ", Kinds)})");
            return false;
        }

        var buffer = new byte[words[1].Length];
        if (Convert.TryFromBase64String(words[1], buffer, out var length) && IsWhole(buffer.AsSpan(0, length), words[0]))
        {
            bytes = buffer[..length];
            return true;
        }

        why = new Text($"密钥已损坏：不是完整的 {words[0]} 公钥", $"The key is damaged: it is no whole {words[0]} key");
        return false;
    }

    /// <summary>Reads the text of a known_hosts file. Each host and port gets one key.</summary>
    /// <param name="path">How the hosts are reached, as <see cref="HostKey.Path"/>.</param>
    public static (IReadOnlyList<HostKey> Keys, IReadOnlyList<Skipped> Skipped) Read(string text, string path)
    {
        var (keys, skipped) = (new Dictionary<(string, int), (HostKey Key, int Line)>(), new List<Skipped>());
        var number = 0;
        foreach (var line in text.Split('\n'))
        {
            number++;
            var trimmed = line.Trim().Trim('\uFEFF');
            if (trimmed.Length == 0 || trimmed.StartsWith('#')) continue;
            if (trimmed.StartsWith('@'))
            {
                skipped.Add(new Skipped(number, new Text("带标记的行（@revoked、@cert-authority）不导入",
                    "Lines with a marker (@revoked, @cert-authority) are not imported")));
                continue;
            }

            var parts = trimmed.Split((char[])[' ', '\t'], 2, StringSplitOptions.RemoveEmptyEntries);
            if (parts.Length < 2 || !TryKey(parts[1], out var bytes, out var why))
            {
                skipped.Add(new Skipped(number, parts.Length < 2 ? new Text("应为：主机 类型 base64", "It should be: host, kind, base64") : Why(parts[1])));
                continue;
            }

            foreach (var entry in parts[0].Split(',')) Add(entry, bytes);
        }

        return ([.. keys.Values.Select(kept => kept.Key)], skipped);

        static Text Why(string key)
        {
            TryKey(key, out _, out var why);
            return why;
        }

        void Add(string entry, byte[] bytes)
        {
            if (NoAddress(entry) is { } reason)
            {
                skipped.Add(new Skipped(number, reason));
                return;
            }

            var (host, port) = Address(entry);
            var key = HostKey.From(bytes, HostKeys.Name(host), port, path);
            if (!keys.TryGetValue((key.Host, port), out var other))
            {
                keys[(key.Host, port)] = (key, number);
                return;
            }

            if (HostKeys.AreSame(other.Key, key)) return;
            var better = Array.IndexOf(Kinds, key.Type) < Array.IndexOf(Kinds, other.Key.Type);
            skipped.Add(new Skipped(better ? other.Line : number, new Text(
                $"{HostKeys.Address(host, port)} 有多个密钥，采用 {(better ? key : other.Key).Type}",
                $"{HostKeys.Address(host, port)} has several keys; {(better ? key : other.Key).Type} is taken")));
            if (better) keys[(key.Host, port)] = (key, number);
        }
    }

    private static Text? NoAddress(string entry) => entry switch
    {
        _ when entry.StartsWith('|') => new Text("主机名已散列（HashKnownHosts），无法得知是哪台主机",
            "The host's name is hashed (HashKnownHosts): which one it is cannot be known"),
        _ when entry.StartsWith('!') || entry.Contains('*', StringComparison.Ordinal) || entry.Contains('?', StringComparison.Ordinal) =>
            new Text($"不支持模式：{entry}", $"Patterns are not supported: {entry}"),
        _ when Address(entry) is var (host, port) && (port is < 1 or > 65535 || !HostList.TryHost(host, out _)) =>
            new Text($"不是 IP 地址或主机名：{entry}", $"No IP address and no host name: {entry}"),
        _ => null,
    };

    private static (string Host, int Port) Address(string entry)
    {
        if (!entry.StartsWith('[')) return (entry, 22);
        var end = entry.IndexOf("]:", StringComparison.Ordinal);
        if (end < 0) return entry.EndsWith(']') ? (entry[1..^1], 22) : (entry, 0);
        return (entry[1..end], int.TryParse(entry.AsSpan(end + 2), NumberStyles.None, CultureInfo.InvariantCulture, out var port) ? port : 0);
    }

    // RFC 4253, section 6.6: a row of strings with their lengths in front, the first of them the kind.
    private static bool IsWhole(ReadOnlySpan<byte> key, string kind)
    {
        var parts = 0;
        for (var rest = key; !rest.IsEmpty; parts++)
        {
            if (rest.Length < 4) return false;
            var length = BinaryPrimitives.ReadUInt32BigEndian(rest);
            if (length == 0 || length > rest.Length - 4) return false;
            var part = rest.Slice(4, (int)length);
            if (parts == 0 && Encoding.ASCII.GetString(part) != kind) return false;
            if (parts == 1 && kind == "ssh-ed25519" && length != 32) return false;
            rest = rest[(4 + (int)length)..];
        }

        return parts == (kind == "ssh-ed25519" ? 2 : 3);
    }
}
