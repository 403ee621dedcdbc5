using System.ComponentModel.DataAnnotations;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace Codo.Platform.Data;

/// <summary>Binds a section of the settings to a class, once, checked at the start.</summary>
public static class SettingsBinding
{
    /// <summary>
    /// Registers <typeparamref name="T"/> itself; its data annotations are checked when the host starts, and a wrong value stops the start with its name.
    /// </summary>
    public static IServiceCollection AddSettings<T>(this IServiceCollection services, string section) where T : class
    {
        services.AddSingleton<IValidateOptions<T>>(new Checked<T>(section)).AddSingleton(new SettingsSection(section, typeof(T)));
        services.AddOptions<T>().BindConfiguration(section).ValidateOnStart();
        return services.AddSingleton(provider => provider.GetRequiredService<IOptions<T>>().Value);
    }

    /// <summary>Reads a section that is needed before the host is built; what is wrong in it is refused as at the start.</summary>
    /// <exception cref="OptionsValidationException">A value is out of bounds; the failures name the settings.</exception>
    public static T Check<T>(IConfiguration configuration, string section) where T : class, new()
    {
        var value = configuration.GetSection(section).Get<T>() ?? new T();
        var result = new Checked<T>(section).Validate(null, value);
        return result.Failed ? throw new OptionsValidationException(section, typeof(T), result.Failures) : value;
    }

    /// <summary>
    /// A list setting: an array (<c>X:0</c>, <c>X:1</c>) or one text with commas, of which the later source's is in force; null when it is not set. The binder
    /// is not used for these: it would add to a default instead of replacing it.
    /// </summary>
    /// <exception cref="OptionsValidationException">One source says both: neither is over the other.</exception>
    public static IReadOnlyList<string>? List(IConfiguration configuration, string setting)
    {
        var section = configuration.GetSection(setting);
        if (!section.Exists()) return null;
        foreach (var provider in ((IConfigurationRoot)configuration).Providers.Reverse())
        {
            var item = provider.GetChildKeys([], setting).FirstOrDefault();
            // Also an empty text is one: an array of JSON that is empty, or a variable that is to take away what a file allows.
            if (provider.TryGet(setting, out var text) && text is not null)
            {
                if (item is null) return text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
                var sentence = $"{setting} is set as one text and as a list ({setting}:{item}): keep one of them.";
                if (text.Length > 0) throw new OptionsValidationException(setting, typeof(string[]), [sentence]);
            }
            if (item is not null) break;
        }
        return [.. section.GetChildren().Select(item => item.Value ?? "").Where(value => value.Length > 0)];
    }
}

/// <summary>A section of the settings and the class that it is bound to.</summary>
/// <param name="Name">Such as <c>Codo:Cron</c>.</param>
/// <param name="Type">Registered itself, with the values in force.</param>
public sealed record SettingsSection(string Name, Type Type);

/// <summary>Checks a settings class by its annotations, and names a wrong setting as the operator writes it, <c>Codo:Cron:MaxParallel</c>.</summary>
internal sealed class Checked<T>(string section) : IValidateOptions<T> where T : class
{
    public ValidateOptionsResult Validate(string? name, T options)
    {
        var wrong = new List<ValidationResult>();
        return Validator.TryValidateObject(options, new ValidationContext(options), wrong, validateAllProperties: true)
            ? ValidateOptionsResult.Success
            : ValidateOptionsResult.Fail(wrong.Select(one => $"{section}:{string.Join(", ", one.MemberNames)}: {one.ErrorMessage}"));
    }
}
