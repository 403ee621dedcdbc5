using Codo.Platform.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Modules.Tasks;

/// <summary>The module's registration and its table of contents.</summary>
public static class TasksModule
{
    public static IServiceCollection AddTasks(this IServiceCollection services) => services.AddHandlers(typeof(TasksModule).Assembly);

    /// <summary>Every route of the module.</summary>
    public static void MapTasks(this IEndpointRouteBuilder routes)
    {
    }
}
