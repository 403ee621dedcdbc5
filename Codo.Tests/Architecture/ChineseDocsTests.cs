using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;

namespace Codo.Tests.Architecture;

/// <summary>Each section of <c>docs/zh/</c> carries a digest of the English section that it was made from; one that is behind is named here.</summary>
public sealed partial class ChineseDocsTests
{
    [Theory]
    [InlineData("operations")]
    [InlineData("jobs")]
    [InlineData("orders")]
    [InlineData("alerts")]
    [InlineData("migration")]
    public void No_section_is_behind_its_English_one(string name)
    {
        var english = Sections(File.ReadAllText(Path.Combine(Docs(), name + ".md")));
        var chinese = Sections(File.ReadAllText(Path.Combine(Docs(), "zh", name + ".md")));
        chinese.Count.ShouldBe(english.Count, $"docs/zh/{name}.md has other sections than docs/{name}.md: {string.Join(" | ", english.Select(Title))}");
        var behind = english
            .Zip(chinese)
            .Where(pair => Mark().Match(pair.Second).Groups[1].Value != Digest(pair.First))
            .Select(pair => $"{Title(pair.Second)} ({Title(pair.First)}): bring it up to date, then write <!-- en {Digest(pair.First)} --> under its heading")
            .ToList();
        behind.ShouldBeEmpty($"docs/zh/{name}.md");
    }

    [Fact]
    public void A_change_of_a_section_changes_its_digest_and_no_other()
    {
        var before = Sections("# A\n\nx\n\n## B\n\ny\n\n```sh\n## no heading\n```\n\n## C\n\nz\n");
        before.Count.ShouldBe(3);
        var after = Sections("# A\n\nx\n\n## B\n\ny!\n\n```sh\n## no heading\n```\n\n## C\n\nz\n");
        before.Zip(after).Select(pair => Digest(pair.First) == Digest(pair.Second)).ShouldBe([true, false, true]);
    }

    /// <summary>The head of the page, and each part under a heading of the second level.</summary>
    private static List<string> Sections(string text)
    {
        var sections = new List<StringBuilder> { new() };
        var isCode = false;
        foreach (var line in text.Split('\n'))
        {
            if (line.TrimStart().StartsWith("```", StringComparison.Ordinal)) isCode = !isCode;
            if (!isCode && line.StartsWith("## ", StringComparison.Ordinal)) sections.Add(new StringBuilder());
            sections[^1].Append(line).Append('\n');
        }
        return [.. sections.Select(section => section.ToString())];
    }

    // Of the words alone: where lines break says nothing.
    private static string Digest(string section) =>
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Blanks().Replace(section, " ").Trim())))[..12];

    private static string Title(string section) => section.Split('\n').First(line => line.StartsWith('#')).TrimStart('#', ' ');

    private static string Docs([CallerFilePath] string file = "") => Path.Combine(Path.GetDirectoryName(file)!, "../../docs");

    [GeneratedRegex("<!-- en ([0-9a-f]{12}) -->")]
    private static partial Regex Mark();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Blanks();
}
