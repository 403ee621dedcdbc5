using Microsoft.Extensions.Configuration;
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

    /// <summary>A list setting: an array (<c>X:0</c>, <c>X:1</c>) or one text with commas; null when it is not set. The binder is not used for these: it would add to a default instead of replacing it.</summary>
    public static IReadOnlyList<string>? List(IConfiguration configuration, string setting)
    {
        var section = configuration.GetSection(setting);
        if (!section.Exists()) return null;
        return section.Value?.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)
            ?? section.GetChildren().Select(child => child.Value ?? "").Where(value => value.Length > 0).ToArray();
    }
}
