using Codo.Platform.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Modules.Cron;

/// <summary>The module's registration and its table of contents.</summary>
public static class CronModule
{
    public static IServiceCollection AddCron(this IServiceCollection services) => services.AddHandlers(typeof(CronModule).Assembly);

    /// <summary>Every route of the module.</summary>
    public static void MapCron(this IEndpointRouteBuilder routes)
    {
    }
}
