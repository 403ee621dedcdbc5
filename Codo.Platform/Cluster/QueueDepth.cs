using Codo.Platform.Localization;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Platform.Cluster;

/// <summary>Something in PostgreSQL that work waits in, for the page of the nodes.</summary>
/// <param name="Name">As the API names it.</param>
/// <param name="Words">What waits there.</param>
/// <param name="Sql">A statement without parameters that answers how many wait.</param>
public sealed record QueueDepth(string Name, Text Words, string Sql);

/// <summary>How a module names its queues.</summary>
public static class QueueRegistration
{
    public static IServiceCollection AddQueue(this IServiceCollection services, string name, Text words, string sql) =>
        services.AddSingleton(new QueueDepth(name, words, sql));
}
