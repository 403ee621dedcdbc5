namespace Codo.Tests.Support;

/// <summary>Programs of this machine that a test needs.</summary>
internal static class Programs
{
    /// <summary>Where it is; the test is skipped, with this reason, where it is nowhere in PATH.</summary>
    public static string Find(string name)
    {
        var found = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Select(folder => Path.Combine(folder, name)).FirstOrDefault(File.Exists);
        Assert.SkipUnless(found is not null, $"There is no {name} on this machine: test.sh installs it.");
        return found!;
    }
}
