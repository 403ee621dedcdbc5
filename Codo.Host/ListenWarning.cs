using System.Net;
using Codo.Platform.Data;

namespace Codo.Host;

/// <summary>Says at each start what an operator may not have meant: reachable from elsewhere, and everybody with a token may run commands.</summary>
internal static class ListenWarning
{
    private static readonly string[] Operators = ["Codo:Cron:Operators", "Codo:Tasks:Operators"];

    public static void Warn(IConfiguration configuration, ILogger log, IEnumerable<string> addresses)
    {
        var beyond = addresses.Where(address => !IsLoopback(address)).ToList();
        if (beyond.Count == 0) return;
        foreach (var setting in Operators.Where(setting => (SettingsBinding.List(configuration, setting) ?? ["*"]).Contains("*")))
            log.LogWarning(
                "Listening beyond this machine ({Addresses}) with {Setting} = *: everybody with a token may change and run what it names. List usernames "
                    + "there to narrow it",
                beyond,
                setting
            );
    }

    internal static bool IsLoopback(string address) =>
        Uri.TryCreate(address, UriKind.Absolute, out var uri)
        && (uri.Host == "localhost" || (IPAddress.TryParse(uri.Host.Trim('[', ']'), out var ip) && IPAddress.IsLoopback(ip)));
}
