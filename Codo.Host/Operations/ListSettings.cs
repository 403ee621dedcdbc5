using System.Collections;
using System.Globalization;
using Codo.Host.Commands;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using MediatR;

namespace Codo.Host.Operations;

/// <summary>The settings in force on this node, each with where it comes from. Of a secret it is said only whether it is set.</summary>
internal static class ListSettings
{
    internal sealed record Query : IRequest<Result>;

    internal sealed record Result(IReadOnlyList<Row> Data) : Answer(Messages.Fetched);

    /// <param name="Value">As text; null of a secret.</param>
    /// <param name="Secret">Whether the value is not shown.</param>
    /// <param name="Set">Whether there is a value at all.</param>
    /// <param name="Source"><c>default</c>, <c>file</c>, <c>environment</c>, <c>command_line</c>, or <c>host</c>: found or generated at the start.</param>
    /// <param name="From">The file or the variable; empty for the others.</param>
    internal sealed record Row(string Name, string? Value, bool Secret, bool Set, string Source, string From);

    internal sealed class Handler(IConfiguration configuration, IEnumerable<SettingsSection> sections, IServiceProvider services, Zone zone)
        : IRequestHandler<Query, Result>
    {
        // Everything else in the sources is other programs' environment.
        private static readonly string[] Roots = ["Codo", "ConnectionStrings", "Urls", "Logging", "Kestrel"];

        // Beside what looks like one: an address that whoever has it may use, and keys.
        private static readonly string[] Secrets = ["MasterKey", "OldMasterKeys", "HeartbeatUrl", "Postgres", "Redis"];

        // Names of secrets, and none themselves.
        private const string Patterns = "Codo:Cron:SecretNames";

        private static readonly SecretNames Names = new(SecretNames.Default);

        public Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            var root = (IConfigurationRoot)configuration;
            var values = new SortedDictionary<string, string>(StringComparer.OrdinalIgnoreCase);
            foreach (var section in sections)
                foreach (var property in section.Type.GetProperties().Where(property => property.CanWrite))
                    if (Text(property.GetValue(services.GetRequiredService(section.Type))) is { } text)
                        values[$"{section.Name}:{property.Name}"] = text;
            foreach (var (name, value) in root.AsEnumerable())
                if (value is not null && Roots.Contains(name.Split(':', 2)[0], StringComparer.OrdinalIgnoreCase)) values[name] = value;
            // The zone that was taken at the first start is in force where the setting is empty.
            if (values.TryGetValue("Codo:TimeZone", out var set) && set.Length == 0) values["Codo:TimeZone"] = zone.Info.Id;
            return Task.FromResult(new Result([.. values.Select(pair => Row(root, pair.Key, pair.Value))]));
        }

        private static Row Row(IConfigurationRoot root, string name, string value)
        {
            var (source, from) = SettingSources.Of(root, name);
            if (source == SettingSource.Default && name == "Codo:TimeZone") source = SettingSource.Host;
            var isSecret = IsSecret(name, value);
            return new Row(name, isSecret ? null : value, isSecret, value.Length > 0, Word(source), from);
        }

        private static bool IsSecret(string name, string value)
        {
            // Of several values the name is that of the list: Codo:Auth:TokenSecrets:0.
            var parts = name.Split(':');
            var isNamed = parts.Any(part => Secrets.Contains(part, StringComparer.OrdinalIgnoreCase) || Names.Match(part));
            return (isNamed && !name.StartsWith(Patterns, StringComparison.OrdinalIgnoreCase)) || SecretNames.Passwords(value).Any();
        }

        // Null of what is written as several settings.
        private static string? Text(object? value) =>
            value switch
            {
                null => "",
                bool yes => yes ? "true" : "false",
                string text => text,
                IEnumerable => null,
                Enum word => word.ToString(),
                _ => Convert.ToString(value, CultureInfo.InvariantCulture),
            };

        private static string Word(SettingSource source) =>
            source switch
            {
                SettingSource.File => "file",
                SettingSource.Environment => "environment",
                SettingSource.CommandLine => "command_line",
                SettingSource.Host => "host",
                _ => "default",
            };
    }
}
