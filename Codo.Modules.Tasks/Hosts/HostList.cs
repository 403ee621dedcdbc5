using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Codo.Modules.Tasks.Hosts;

/// <summary>The hosts of a group as they are sent: IPv4 and IPv6 addresses and host names (RFC 1123), with commas between them.</summary>
internal static class HostList
{
    private const int MaxName = 253, MaxLabel = 63;

    /// <summary>
    /// Reads a list: trimmed, empty entries dropped, each host once, in the order of first mention. IPv6 is rewritten in its shortest form, so that two
    /// writings of one address are one host; names keep their writing and are told apart ignoring case.
    /// </summary>
    /// <param name="text">What was sent; null is no hosts.</param>
    /// <param name="hosts">The hosts, possibly none, when the answer is true.</param>
    /// <param name="wrong">The first entry that is no host when the answer is false, cut to 100 characters.</param>
    public static bool TryParse(string? text, out IReadOnlyList<string> hosts, out string wrong)
    {
        hosts = [];
        wrong = "";
        var found = new List<string>();
        var seen = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        foreach (var entry in (text ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            if (!TryHost(entry, out var host))
            {
                wrong = entry.Length > 100 ? entry[..100] : entry;
                return false;
            }

            if (seen.Add(host))
                found.Add(host);
        }

        hosts = found;
        return true;
    }

    /// <summary>Whether this is one address or name; <paramref name="host"/> is how it is kept.</summary>
    public static bool TryHost(string text, out string host)
    {
        host = text;
        if (text.Length is 0 or > MaxName)
            return false;
        if (text.Contains(':', StringComparison.Ordinal))
        {
            // A scope (%eth0) or brackets belong to one machine's view or to URLs.
            if (!text.All(character => char.IsAsciiHexDigit(character) || character is ':' or '.')
                || !IPAddress.TryParse(text, out var address) || address.AddressFamily != AddressFamily.InterNetworkV6)
                return false;
            host = address.ToString();
            return true;
        }

        var labels = text.Split('.');
        return IsNumber(labels[^1]) ? IsIPv4(labels) : labels.All(IsLabel);
    }

    // What ends in a number is an address or nothing: resolvers read 10.1, 010.0.0.1 and 0x7f.1 as addresses too, other ones than they seem.
    private static bool IsNumber(string label) =>
        label.All(char.IsAsciiDigit) || label.StartsWith("0x", StringComparison.OrdinalIgnoreCase) && label[2..].All(char.IsAsciiHexDigit);

    private static bool IsIPv4(string[] labels) =>
        labels.Length == 4 && labels.All(label => label.Length is >= 1 and <= 3 && label.All(char.IsAsciiDigit) && (label.Length == 1 || label[0] != '0')
            && int.Parse(label, CultureInfo.InvariantCulture) <= 255);

    private static bool IsLabel(string label) =>
        label.Length is >= 1 and <= MaxLabel
        && label[0] != '-'
        && label[^1] != '-'
        && label.All(character => char.IsAsciiLetterOrDigit(character) || character == '-');
}
