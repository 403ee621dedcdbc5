using System.Net;
using Codo.Platform.Security;

namespace Codo.Host;

/// <summary>Says at each start what may not be meant: reachable from elsewhere, and everybody with a token may run commands.</summary>
internal static class ListenWarning
{
    public static void Warn(AccessRules rules, ILogger log, IEnumerable<string> addresses)
    {
        var beyond = addresses.Where(address => !IsLoopback(address)).ToList();
        if (beyond.Count == 0) return;
        if (rules.DefaultRole is "operator" or "editor")
            log.LogWarning(
                "Listening beyond this machine ({Addresses}) with Codo:Auth:DefaultRole = {Role}: everybody with a token may run commands here. Set it to "
                    + "viewer and grant roles",
                beyond,
                rules.DefaultRole
            );
        foreach (var list in rules.Operators.Where(list => list.Names.Contains("*")))
            log.LogWarning(
                "Listening beyond this machine ({Addresses}) with {Setting} = *: everybody with a token may change and run what it names. List usernames "
                    + "there to narrow it",
                beyond,
                list.Setting
            );
    }

    internal static bool IsLoopback(string address) =>
        Uri.TryCreate(address, UriKind.Absolute, out var uri)
        && (uri.Host == "localhost" || (IPAddress.TryParse(uri.Host.Trim('[', ']'), out var ip) && IPAddress.IsLoopback(ip)));
}
