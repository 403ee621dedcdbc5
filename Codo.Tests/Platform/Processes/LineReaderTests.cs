using System.Text;
using Codo.Platform.Processes;
using CsCheck;

namespace Codo.Tests.Platform.Processes;

public sealed class LineReaderTests
{
    private static readonly byte[] Odd = [(byte)'a', 0xFF, 0xC3, 0xA9, 0xF0, 0x9F, 0x99, 0x82, (byte)'\n', (byte)'\r', 0];

    [Theory]
    [InlineData("", new string[0])]
    [InlineData("a", new[] { "a" })]
    [InlineData("a\n", new[] { "a" })]
    [InlineData("a\nb", new[] { "a", "b" })]
    [InlineData("a\n\nb\n", new[] { "a", "", "b" })]
    [InlineData("\n", new[] { "" })]
    [InlineData("a\r\nb\r\n", new[] { "a", "b" })]
    [InlineData("\r\n\r\n", new[] { "", "" })]
    [InlineData("10%\r20%\r30%\n", new[] { "10%", "20%", "30%" })]
    [InlineData("\r10%\r20%", new[] { "10%", "20%" })]
    [InlineData("a\r\r\nb", new[] { "a", "b" })]
    [InlineData("a\r", new[] { "a" })]
    [InlineData("你好\n🙂\n", new[] { "你好", "🙂" })]
    [InlineData("a\0b\n", new[] { "a␀b" })]
    public void Cuts_at_every_kind_of_line_end_whatever_the_pieces(string text, string[] lines)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        for (var size = 1; size <= Math.Max(1, bytes.Length); size++)
            Read(bytes.Chunk(size)).Select(line => line.Text).ShouldBe(lines, $"in pieces of {size}");
    }

    [Fact]
    public void Replaces_invalid_bytes_the_same_way_whatever_the_pieces() =>
        Gen.Select(Gen.Int[0, Odd.Length - 1].Select(i => Odd[i]).Array[0, 40], Gen.Int[1, 10]).Sample((bytes, size) =>
        {
            var whole = Read([bytes]);
            return whole.SequenceEqual(Read(bytes.Chunk(size))) && whole.All(line => !line.Text.Contains('\0'));
        });

    [Fact]
    public void Gives_a_line_out_as_soon_as_its_end_is_there()
    {
        var lines = new List<string>();
        var reader = new LineReader(line => lines.Add(line.Text));
        reader.Append("50%\r"u8);
        lines.ShouldBe(["50%"]);
        reader.Append("\nnext\n"u8);
        lines.ShouldBe(["50%", "next"]);
    }

    [Fact]
    public void Passes_a_line_without_end_on_in_marked_pieces_cut_between_characters()
    {
        var text = new string('你', 1_000_000);
        var lines = Read(Encoding.UTF8.GetBytes(text + "\nshort\n").Chunk(16_384));
        lines.Select(line => line.Continues).ShouldBe([true, true, false, false]);
        lines.ShouldAllBe(line => Encoding.UTF8.GetByteCount(line.Text) <= LineReader.MaxLineBytes);
        string.Concat(lines.Take(3).Select(line => line.Text)).ShouldBe(text);
        lines[3].Text.ShouldBe("short");
    }

    [Fact]
    public void Does_not_mark_a_line_that_just_fits() =>
        Read([new byte[LineReader.MaxLineBytes - 1].Append((byte)'x').Append((byte)'\n').ToArray()]).Single().Continues.ShouldBeFalse();

    private static List<OutputLine> Read(IEnumerable<byte[]> pieces)
    {
        var lines = new List<OutputLine>();
        var reader = new LineReader(lines.Add);
        foreach (var piece in pieces) reader.Append(piece);
        reader.Complete();
        return lines;
    }
}
