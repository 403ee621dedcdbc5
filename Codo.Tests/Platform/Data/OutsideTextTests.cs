using System.Text;
using Codo.Platform.Data;
using Codo.Platform.Localization;
using CsCheck;

namespace Codo.Tests.Platform.Data;

public sealed class OutsideTextTests
{
    [Theory]
    [InlineData(null, "")]
    [InlineData("plain 主机 😀", "plain 主机 😀")]
    [InlineData("a\0b", "a␀b")]
    [InlineData("\u001b[31mred\u001b[0m", "␛[31mred␛[0m")]
    [InlineData("one\r\ntwo\n\tthree\rfour", "one\ntwo\n\tthree␍four")]
    [InlineData("del\u007f c1\u0085", "del␡ c1\uFFFD")]
    public void Shows_what_cannot_be_stored_or_printed(string? text, string clean) => OutsideText.Clean(text).ShouldBe(clean);

    [Fact]
    public void Replaces_halves_of_surrogate_pairs()
    {
        OutsideText.Clean("a\ud83d").ShouldBe("a\uFFFD");
        OutsideText.Clean("\ude00\ud83d\ude00\ud83db").ShouldBe("\uFFFD\ud83d\ude00\uFFFDb");
        OutsideText.Storable("\u001b[31m\0\ud83d\r\n").ShouldBe("\u001b[31m␀\uFFFD\r\n");
    }

    [Fact]
    public void Cuts_between_characters()
    {
        OutsideText.Clean("abcdef", 3).ShouldBe("abc…");
        OutsideText.Clean("ab😀", 3).ShouldBe("ab…");
        OutsideText.Clean("abc", 3).ShouldBe("abc");
        OutsideText.Clean(new Text("a\0", "b\0")).ShouldBe(new Text("a␀", "b␀"));
    }

    [Fact]
    public void The_beginning_of_a_text_ends_between_characters()
    {
        OutsideText.Head("ab😀c", 3).ShouldBe("ab");
        OutsideText.Head("ab😀c", 4).ShouldBe("ab😀");
        OutsideText.Head("ab😀", 4).ShouldBe("ab😀");
        OutsideText.Head("", 4).ShouldBe("");
    }

    [Fact]
    public void Whatever_comes_can_be_stored() => Gen.String[Gen.Char["ab\0\r\n\t\u001b\u0085\ud83d\ude00"], 0, 40].Sample(text =>
    {
        var strict = new UTF8Encoding(false, throwOnInvalidBytes: true);
        foreach (var clean in new[] { OutsideText.Clean(text), OutsideText.Storable(text) })
        {
            clean.ShouldNotContain('\0');
            strict.GetBytes(clean);
        }

        OutsideText.Clean(OutsideText.Clean(text)).ShouldBe(OutsideText.Clean(text));
        OutsideText.Clean(text, 10).Length.ShouldBeLessThanOrEqualTo(11);
    });
}
