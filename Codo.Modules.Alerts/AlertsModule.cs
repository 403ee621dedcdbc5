using Codo.Platform.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Modules.Alerts;

/// <summary>The module's registration and its table of contents.</summary>
public static class AlertsModule
{
    public static IServiceCollection AddAlerts(this IServiceCollection services) => services.AddHandlers(typeof(AlertsModule).Assembly);

    /// <summary>Every route of the module.</summary>
    public static void MapAlerts(this IEndpointRouteBuilder routes)
    {
    }
}
