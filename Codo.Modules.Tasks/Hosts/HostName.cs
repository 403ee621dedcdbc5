using System.Net;
using System.Net.Sockets;

namespace Codo.Modules.Tasks.Hosts;

/// <summary>What may stand for a host: IPv4 with four numbers, IPv6, or a DNS name. Nothing else reaches a connection.</summary>
internal static class HostName
{
    private const int MostName = 253, MostLabel = 63;

    public static bool IsValid(string host)
    {
        if (host.Contains(':', StringComparison.Ordinal)) return IPAddress.TryParse(host, out var address) && address.AddressFamily == AddressFamily.InterNetworkV6 && host[0] != '[';
        if (host.Length is 0 or > MostName) return false;
        var labels = host.Split('.');
        // What ends in a number is meant as an address: 10.0.0.999 and 10.1 are typing errors, not names.
        if (labels[^1].All(char.IsAsciiDigit) && labels[^1].Length > 0) return labels.Length == 4 && labels.All(IsOctet);
        return labels.All(IsLabel);
    }

    private static bool IsOctet(string label) => label.Length is > 0 and <= 3 && label.All(char.IsAsciiDigit) && (label.Length == 1 || label[0] != '0') && byte.TryParse(label, out _);

    // The underscore is no DNS letter, but machines are called so in /etc/hosts and in container networks.
    private static bool IsLabel(string label) =>
        label.Length is > 0 and <= MostLabel && label[0] != '-' && label[^1] != '-' && label.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '_');
}
