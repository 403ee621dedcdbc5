using System.Reflection;
using System.Text.Json;
using Codo.Host.LocalServices;

namespace Codo.Host.Commands;

/// <summary>Where settings come from, each over the one before it. The working directory counts for nothing but a settings file in it.</summary>
internal static class SettingSources
{
    public static TConfiguration Add<TConfiguration>(TConfiguration configuration, IEnumerable<string> arguments)
        where TConfiguration : IConfigurationBuilder
    {
        configuration.Sources.Clear();
        // The file at the solution's root is inside the binary, so that one file is a whole installation.
        configuration.AddJsonStream(Assembly.GetExecutingAssembly().GetManifestResourceStream("appsettings.json")!);
        foreach (var directory in (string[])[AppContext.BaseDirectory, Environment.CurrentDirectory])
        {
            var file = Path.Combine(directory, "appsettings.json");
            if (File.Exists(file))
                configuration.AddJsonStream(Read(file));
        }

        configuration.AddEnvironmentVariables("DOTNET_");
        configuration.AddEnvironmentVariables("ASPNETCORE_");
        configuration.AddEnvironmentVariables();
        configuration.AddCommandLine([.. arguments]);
        return configuration;
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
