using System.Reflection;
using System.Text.Json;
using Codo.Host.LocalServices;
using Microsoft.Extensions.Configuration.CommandLine;
using Microsoft.Extensions.Configuration.EnvironmentVariables;
using Microsoft.Extensions.Configuration.Json;
using Microsoft.Extensions.Configuration.Memory;

namespace Codo.Host.Commands;

/// <summary>Where settings come from, each over the one before it. The working directory is anybody's, so nothing in it counts; a settings file there is
/// refused rather than passed over, because a host that leaves out the settings that somebody meant starts on an empty database.</summary>
internal static class SettingSources
{
    /// <summary>The file of this machine's administrator.</summary>
    private const string OfMachine = "/etc/codo/appsettings.json";

    private const string Named = "--config";

    /// <exception cref="StartRefused">A file is not JSON, is not there although it was named, or lies in the working directory.</exception>
    public static TConfiguration Add<TConfiguration>(TConfiguration configuration, IEnumerable<string> arguments)
        where TConfiguration : IConfigurationBuilder
    {
        configuration.Sources.Clear();
        var (named, settings) = TakeNamed([.. arguments]);
        RefusePlanted(named);
        // The file at the solution's root is inside the binary, so that one file is a whole installation.
        configuration.AddJsonStream(Assembly.GetExecutingAssembly().GetManifestResourceStream("appsettings.json")!);
        foreach (var file in (string[])[BesideBinary, OfMachine])
            if (File.Exists(file))
                configuration.Add(new SettingsFile { Path = file, Stream = Read(file) });
        foreach (var file in named)
            configuration.Add(
                new SettingsFile
                {
                    Path = file,
                    Stream = File.Exists(file) ? Read(file) : throw new StartRefused($"{Named}: there is no file {file}."),
                }
            );

        configuration.AddEnvironmentVariables("DOTNET_");
        configuration.AddEnvironmentVariables("ASPNETCORE_");
        configuration.AddEnvironmentVariables();
        configuration.AddCommandLine(settings);
        return configuration;
    }

    /// <summary>Where the value of a setting comes from.</summary>
    /// <param name="name">Such as <c>Codo:Cron:MaxParallel</c>.</param>
    /// <returns>A word of <see cref="SettingSource"/>, and the file or the variable; empty for the others.</returns>
    public static (SettingSource Source, string From) Of(IConfigurationRoot configuration, string name)
    {
        var found = SettingSource.Default;
        var from = "";
        foreach (var provider in configuration.Providers)
        {
            if (!provider.TryGet(name, out var value) || value is null) continue;
            switch (provider)
            {
                case JsonStreamConfigurationProvider { Source: SettingsFile file }:
                    (found, from) = (SettingSource.File, file.Path);
                    break;
                case EnvironmentVariablesConfigurationProvider:
                    (found, from) = (SettingSource.Environment, Variable(name));
                    break;
                case CommandLineConfigurationProvider:
                    (found, from) = (SettingSource.CommandLine, "");
                    break;
                // What the host found or generated where the settings left a place empty; where they did not, it repeats them.
                case MemoryConfigurationProvider when found == SettingSource.Default:
                    (found, from) = (SettingSource.Host, "");
                    break;
            }
        }
        return (found, from);
    }

    private static string Variable(string name)
    {
        var variable = name.Replace(":", "__", StringComparison.Ordinal);
        string[] all = [variable, "ASPNETCORE_" + variable, "DOTNET_" + variable];
        var set = Environment.GetEnvironmentVariables().Keys.Cast<string>().ToList();
        return all.Select(one => set.Find(key => string.Equals(key, one, StringComparison.OrdinalIgnoreCase))).FirstOrDefault(key => key is not null)
            ?? variable;
    }

    private static string BesideBinary => Path.Combine(AppContext.BaseDirectory, "appsettings.json");

    private static (List<string> Files, string[] Settings) TakeNamed(string[] arguments)
    {
        var (files, settings) = (new List<string>(), new List<string>());
        for (var i = 0; i < arguments.Length; i++)
        {
            if (arguments[i].StartsWith(Named + "=", StringComparison.Ordinal)) files.Add(Path.GetFullPath(arguments[i][(Named.Length + 1)..]));
            else if (arguments[i] == Named && i + 1 < arguments.Length) files.Add(Path.GetFullPath(arguments[++i]));
            else settings.Add(arguments[i]);
        }

        return (files, [.. settings]);
    }

    private static void RefusePlanted(List<string> named)
    {
        var here = Path.Combine(Environment.CurrentDirectory, "appsettings.json");
        if (!File.Exists(here) || named.Contains(here) || here is OfMachine || here == BesideBinary)
            return;
        throw new StartRefused(
            ($"{here} is not read: anybody may have put it there. Give it with {Named} {here} if it is yours, move it to {OfMachine}, or start Codo in "
                + $"another directory.")
        );
    }

    private static MemoryStream Read(string file)
    {
        var content = File.ReadAllBytes(file);
        try
        {
            using var parsed = JsonDocument.Parse(content, new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
            return new MemoryStream(content);
        }
        catch (JsonException failure)
        {
            throw new StartRefused($"The settings in {file} are not JSON: {failure.Message}");
        }
    }
}

/// <summary>Where a value comes from.</summary>
internal enum SettingSource
{
    /// <summary>Codo's own default.</summary>
    Default,

    /// <summary>A file of settings.</summary>
    File,

    /// <summary>A variable of the environment.</summary>
    Environment,

    /// <summary>An argument of the command line.</summary>
    CommandLine,

    /// <summary>The host found or generated it at its start.</summary>
    Host,
}

/// <summary>A file of settings that was read whole at the start, with its path.</summary>
internal sealed class SettingsFile : JsonStreamConfigurationSource
{
    public string Path { get; init; } = "";
}
