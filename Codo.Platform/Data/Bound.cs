using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace Codo.Platform.Data;

/// <summary>Binds a section of the settings to a class, once, checked at the start.</summary>
public static class Bound
{
    /// <summary>Registers <typeparamref name="T"/> itself; its data annotations are checked when the host starts, and a wrong value stops the start with its name.</summary>
    public static IServiceCollection AddSettings<T>(this IServiceCollection services, string section) where T : class
    {
        services.AddOptions<T>().BindConfiguration(section).ValidateDataAnnotations().ValidateOnStart();
        return services.AddSingleton(provider => provider.GetRequiredService<IOptions<T>>().Value);
    }
}
