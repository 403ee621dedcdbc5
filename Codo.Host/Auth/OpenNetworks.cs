using System.Net;
using IPNetwork = System.Net.IPNetwork;

namespace Codo.Host.Auth;

/// <summary>Marks a route that networks of the settings may read without a token.</summary>
internal sealed record OpenToNetworks;

/// <summary>The networks of <c>Codo:Telemetry:MetricsNetworks</c>.</summary>
internal sealed class OpenNetworks(IReadOnlyList<IPNetwork> networks)
{
    public bool Has(IPAddress? address) =>
        address is not null && networks.Any(network => network.Contains(address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address));
}
