using System.Net;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Microsoft.AspNetCore.HttpOverrides;
using IPNetwork = System.Net.IPNetwork;

namespace Codo.Host;

/// <summary>Host names that the host answers to, and proxies whose X-Forwarded-* headers count.</summary>
internal static class TrustedHosts
{
    private const string Proxies = "Codo:KnownProxies", Names = "Codo:AllowedHosts";

    /// <summary>The addresses and networks of <c>Codo:KnownProxies</c>.</summary>
    /// <exception cref="LocalServices.StartRefused">One is neither.</exception>
    public static List<IPNetwork> ProxiesOf(IConfiguration configuration) =>
        [.. (SettingsBinding.List(configuration, Proxies) ?? []).Select(text => Network(Proxies, text))];

    public static IServiceCollection AddKnownProxies(this IServiceCollection services, IConfiguration configuration)
    {
        var proxies = ProxiesOf(configuration);
        // After all others: ASPNETCORE_FORWARDEDHEADERS_ENABLED would believe everybody.
        return services.PostConfigure<ForwardedHeadersOptions>(options =>
        {
            // Not the host: its name is not the proxy's to choose.
            options.ForwardedHeaders = proxies.Count == 0 ? ForwardedHeaders.None : ForwardedHeaders.XForwardedFor | ForwardedHeaders.XForwardedProto;
            options.ForwardLimit = null;
            options.KnownProxies.Clear();
            options.KnownIPNetworks.Clear();
            foreach (var proxy in proxies) options.KnownIPNetworks.Add(proxy);
        });
    }

    /// <summary>
    /// Once <c>Codo:PublicUrl</c> is set, a name that is neither its own nor one of <c>Codo:AllowedHosts</c> is refused: a page elsewhere whose name was
    /// pointed at this host must not be answered as if it were this host's. Addresses, loopback and names without a dot, which nobody outside can point
    /// anywhere, are always answered.
    /// </summary>
    public static IApplicationBuilder UseTrustedHosts(this IApplicationBuilder app)
    {
        var configuration = app.ApplicationServices.GetRequiredService<IConfiguration>();
        var own = Uri.TryCreate(app.ApplicationServices.GetRequiredService<NodeSettings>().PublicUrl, UriKind.Absolute, out var url) ? url.IdnHost : null;
        if (own is null) return app;
        string[] names = [own, .. SettingsBinding.List(configuration, Names) ?? []];
        return app.Use(
            async (HttpContext context, RequestDelegate next) =>
            {
                if (IsKnown(context.Request.Host.Host, names))
                    await next(context);
                else
                    await Failures.Write(
                        context,
                        400,
                        400,
                        new Text("主机名不被接受，见设置 Codo:AllowedHosts", "This host name is not answered; see the setting Codo:AllowedHosts")
                    );
            }
        );
    }

    private static bool IsKnown(string host, string[] names) =>
        !host.Contains('.', StringComparison.Ordinal)
        || IPAddress.TryParse(host.Trim('[', ']'), out _)
        || host.EndsWith(".localhost", StringComparison.OrdinalIgnoreCase)
        || names.Any(name =>
            name == "*"
            || string.Equals(host, name, StringComparison.OrdinalIgnoreCase)
            || (name.StartsWith("*.", StringComparison.Ordinal) && host.EndsWith(name[1..], StringComparison.OrdinalIgnoreCase))
        );

    /// <summary>A network, or a single address, of a setting.</summary>
    /// <exception cref="LocalServices.StartRefused">It is neither.</exception>
    public static IPNetwork Network(string setting, string text)
    {
        if (IPNetwork.TryParse(text, out var network)) return network;
        return IPAddress.TryParse(text, out var address)
            ? new IPNetwork(address, address.GetAddressBytes().Length * 8)
            : throw new LocalServices.StartRefused($"{setting}: '{text}' is neither an address nor a network such as 10.0.0.0/8.");
    }
}
