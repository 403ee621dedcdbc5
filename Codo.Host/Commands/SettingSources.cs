using System.Reflection;
using System.Text.Json;
using Codo.Host.LocalServices;

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
                configuration.AddJsonStream(Read(file));
        foreach (var file in named)
            configuration.AddJsonStream(File.Exists(file) ? Read(file) : throw new StartRefused($"{Named}: there is no file {file}."));

        configuration.AddEnvironmentVariables("DOTNET_");
        configuration.AddEnvironmentVariables("ASPNETCORE_");
        configuration.AddEnvironmentVariables();
        configuration.AddCommandLine(settings);
        return configuration;
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
