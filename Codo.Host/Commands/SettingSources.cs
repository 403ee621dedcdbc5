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

    /// <exception cref="StartRefused">
    /// A file does not read, is not there although it was named, or lies in the working directory.
    /// </exception>
    public static TConfiguration Add<TConfiguration>(TConfiguration configuration, IEnumerable<string> arguments)
        where TConfiguration : IConfigurationBuilder
    {
        configuration.Sources.Clear();
        var (named, settings) = TakeNamed([.. arguments]);
        RefusePlanted(named);
        // The file at the solution's root is inside the binary, so that one file is a whole installation.
        var inside = Inside();
        configuration.AddJsonStream(new MemoryStream(inside));
        foreach (var file in (string[])[BesideBinary, OfMachine])
            if (File.Exists(file)) AddFile(configuration, file);
        foreach (var file in named)
        {
            if (!File.Exists(file)) throw new StartRefused($"{Named}: there is no file {file}.");
            // The checkout's, which run.sh names, is what is inside: what it leaves empty must not hide the file of the machine.
            AddFile(configuration, file, unlessItIs: inside);
        }

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

    private static byte[] Inside()
    {
        using var resource = Assembly.GetExecutingAssembly().GetManifestResourceStream("appsettings.json")!;
        var content = new byte[resource.Length];
        resource.ReadExactly(content);
        return content;
    }

    private static void AddFile(IConfigurationBuilder configuration, string file, byte[]? unlessItIs = null)
    {
        var content = Read(file);
        if (unlessItIs is null || !content.AsSpan().SequenceEqual(unlessItIs))
            configuration.Add(new SettingsFile { Path = file, Stream = new MemoryStream(content) });
    }

    private static byte[] Read(string file)
    {
        byte[] content;
        try
        {
            content = File.ReadAllBytes(file);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new StartRefused($"The settings in {file} cannot be read by the user {Environment.UserName}: {failure.Message}");
        }
        try
        {
            // As it is read later: a list, or an object with a name twice, is JSON and no settings.
            using var stream = new MemoryStream(content);
            new ConfigurationBuilder().AddJsonStream(stream).Build();
            return content;
        }
        catch (Exception failure) when (failure is JsonException or FormatException)
        {
            throw new StartRefused($"The settings in {file} are not one object of JSON: {(failure.InnerException ?? failure).Message}");
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
