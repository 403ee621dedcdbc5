using Codo.Platform.Cluster;
using Codo.Platform.Localization;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Modules.Alerts.Incidents;

/// <summary>
/// The address that links in messages begin with: <c>Codo:PublicUrl</c>, or else the one that this node listens on, with the machine's name where it listens on
/// every address.
/// </summary>
internal sealed class PublicAddress(NodeSettings settings, IServiceProvider services)
{
    /// <summary>Without a slash at its end; empty where nothing listens.</summary>
    public string Url => settings.PublicUrl.Length > 0 ? settings.PublicUrl.TrimEnd('/') : Listening;

    /// <summary>The page of an incident.</summary>
    public string Incident(long id) => $"{Url}/i/{id}";

    /// <summary>What an operator should know of the links; null where they are as set.</summary>
    public Text? Warning =>
        settings.PublicUrl.Length > 0
            ? null
            : new Text(
                $"Codo:PublicUrl 未设置，消息里的链接以本节点的监听地址 {Url} 开头，收到的人可能打不开",
                $"Codo:PublicUrl is not set: links in messages begin with {Url}, on which this node listens and which their readers may not reach"
            );

    private string Listening
    {
        get
        {
            if (services.GetService<IServer>()?.Features.Get<IServerAddressesFeature>()?.Addresses.FirstOrDefault() is not { } address) return "";
            // http://*:9900 and http://+:9900 are no addresses, but Kestrel takes them.
            var text = address.Replace("://*", "://0.0.0.0", StringComparison.Ordinal).Replace("://+", "://0.0.0.0", StringComparison.Ordinal);
            if (!Uri.TryCreate(text, UriKind.Absolute, out var uri)) return "";
            return uri.Host is "0.0.0.0" or "[::]" ? $"{uri.Scheme}://{Environment.MachineName}:{uri.Port}" : uri.GetLeftPart(UriPartial.Authority);
        }
    }
}
