using System.Collections;
using Codo.Platform.Data;

namespace Codo.Host.Commands;

/// <summary>
/// Which settings there are. One that nothing reads, such as a misspelt one, is named at the start: what somebody meant by it does not hold. It is no reason
/// not to start, since an older version may have had it, or a newer one may.
/// </summary>
internal static class SettingNames
{
    private const string Root = "Codo:";

    // Each an array or one text with commas.
    private static readonly string[] Lists =
    [
        "Codo:AllowRunAs",
        "Codo:AllowedHosts",
        "Codo:Auth:TokenSecrets",
        "Codo:Cron:Operators",
        "Codo:Cron:SecretNames",
        "Codo:KnownProxies",
        "Codo:Tasks:Operators",
        "Codo:Tasks:ReadySubmitters",
        "Codo:Tasks:SecretNames",
        "Codo:Telemetry:MetricsNetworks",
    ];

    // Read by their names, beside the classes of the sections: those with others below them, and those that are one value.
    private static readonly string[] Above = [.. Lists, "Codo:Auth:AllowedOrigins", "Codo:OldMasterKeys"];
    private static readonly string[] Single = ["Codo:Auth:DefaultRole", "Codo:Auth:TokenSecret", "Codo:MasterKey", "Codo:ShowToken"];

    /// <summary>Reads every list once: some of them are read again only when a request needs them.</summary>
    /// <exception cref="Microsoft.Extensions.Options.OptionsValidationException">One is set in both ways.</exception>
    public static void CheckLists(IConfiguration configuration)
    {
        foreach (var list in Lists) SettingsBinding.List(configuration, list);
    }

    /// <summary>Those of the names under <c>Codo:</c> that nothing reads.</summary>
    public static IEnumerable<string> Unread(IEnumerable<string> names, IEnumerable<SettingsSection> sections)
    {
        var properties = sections
            .SelectMany(section => section.Type.GetProperties(), (section, property) => (Name: $"{section.Name}:{property.Name}", Property: property))
            .Where(one => one.Property.CanWrite)
            .ToArray();
        string[] above = [.. Above, .. properties.Where(one => IsMany(one.Property.PropertyType)).Select(one => one.Name)];
        var whole = properties.Select(one => one.Name).Concat(Above).Concat(Single).ToHashSet(StringComparer.OrdinalIgnoreCase);
        return names.Where(name =>
            name.StartsWith(Root, StringComparison.OrdinalIgnoreCase)
            && !whole.Contains(name)
            && !above.Any(one => name.StartsWith(one + ":", StringComparison.OrdinalIgnoreCase))
        );
    }

    /// <summary>Says of each that is set and not read where it comes from.</summary>
    public static void Warn(IConfigurationRoot configuration, IEnumerable<SettingsSection> sections, ILogger log)
    {
        var set = configuration.AsEnumerable().Where(one => one.Value is { Length: > 0 }).Select(one => one.Key);
        foreach (var name in Unread(set, sections).Order(StringComparer.Ordinal))
        {
            var (_, from) = SettingSources.Of(configuration, name);
            log.LogWarning("{Setting} (from {From}) is no setting of Codo's: nothing reads it", name, from.Length > 0 ? from : "an argument");
        }
    }

    private static bool IsMany(Type type) => type != typeof(string) && type.IsAssignableTo(typeof(IEnumerable));
}
