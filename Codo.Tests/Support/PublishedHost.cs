using System.Diagnostics;
using Codo.Tests.Support;

[assembly: AssemblyFixture(typeof(PublishedHost))]

namespace Codo.Tests.Support;

/// <summary>The one file that publish.sh makes, made once a run for the first test that asks.</summary>
public sealed class PublishedHost : IDisposable
{
    private readonly Lazy<Task<string>> file;
    private TestFolder? folder;

    public PublishedHost() => file = new(Publish);

    /// <summary>Its path; every user of the machine may run it.</summary>
    public Task<string> File => file.Value;

    public void Dispose() => folder?.Dispose();

    private async Task<string> Publish()
    {
        folder = new TestFolder();
        var publish = new ProcessStartInfo(Path.Combine(Root(), "publish.sh"), ["--arch", "x64", "--quick", folder.Path])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        // What the test runner sets for itself must not reach the build.
        foreach (var name in publish.Environment.Keys.Where(name => name.StartsWith("MSBUILD", StringComparison.OrdinalIgnoreCase)).ToList())
            publish.Environment.Remove(name);
        using var process = Process.Start(publish)!;
        var said = await Task.WhenAll(process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync();
        return process.ExitCode == 0 ? folder.At("codo-linux-x64") : throw new InvalidOperationException($"publish.sh: {string.Concat(said)}");
    }

    /// <summary>The solution's directory.</summary>
    internal static string Root()
    {
        for (var directory = new DirectoryInfo(AppContext.BaseDirectory); directory is not null; directory = directory.Parent)
        {
            if (System.IO.File.Exists(Path.Combine(directory.FullName, "publish.sh")))
                return directory.FullName;
        }

        throw new InvalidOperationException($"There is no publish.sh above {AppContext.BaseDirectory}.");
    }
}
