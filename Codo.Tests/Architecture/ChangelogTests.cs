using System.Xml.Linq;
using Codo.Tests.Support;

namespace Codo.Tests.Architecture;

public sealed class ChangelogTests
{
    [Fact]
    public void The_version_that_is_built_has_a_heading()
    {
        var root = PublishedHost.Root();
        var version = XDocument.Load(Path.Combine(root, "Directory.Build.props")).Descendants("Version").Single().Value;
        var heading = $"## [{version}]";
        File.ReadAllLines(Path.Combine(root, "CHANGELOG.md")).ShouldContain(line => line.StartsWith(heading, StringComparison.Ordinal));
    }
}
