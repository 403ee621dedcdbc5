using System.Text;
using Codo.Platform.Security;

namespace Codo.Tests.Modules.Tasks.Logs;

public sealed class SecretMaskTests
{
    [Theory]
    [InlineData("password is s3cret! and on", "password is ****** and on")]
    [InlineData("s3cret!", "******")]
    [InlineData("s3cret!s3cret!", "************")]
    [InlineData("s3s3cret!t!", "s3******t!")]
    [InlineData("nearly s3cret", "nearly s3cret")]
    [InlineData("url p%C3%A4ss%20w%2Brd and p%c3%a4ss+w%2brd", "url ****** and ******")]
    [InlineData("päss w+rd", "******")]
    [InlineData("-----BEGIN KEY-----\nabcdefgh\n-----END KEY-----", "******")]
    [InlineData("  abcdefgh alone", "  ****** alone")]
    [InlineData("overlap: abcabcdefdefgh", "overlap: ******")]
    [InlineData("five! stays", "five! stays")]
    public void Masks_wherever_reads_split_it(string text, string masked)
    {
        string[] secrets = ["s3cret!", "päss w+rd", "-----BEGIN KEY-----\nabcdefgh\n-----END KEY-----", "abcabcdef", "abcdefdefgh", "five!"];
        var bytes = Encoding.UTF8.GetBytes(text);
        for (var first = 0; first <= bytes.Length; first++)
            for (var second = first; second <= bytes.Length; second++)
                Through(secrets, bytes[..first], bytes[first..second], bytes[second..]).ShouldBe(masked, $"split at {first} and {second}");
        Through(secrets, [.. bytes.Select(one => new[] { one })]).ShouldBe(masked, "byte by byte");
    }

    [Fact]
    public void Holds_nothing_back_that_cannot_be_a_secret()
    {
        var mask = new SecretMask(["s3cret!"]);
        var shown = new List<byte>();
        mask.Append("a line\nand an s"u8, bytes => shown.AddRange(bytes));
        Encoding.UTF8.GetString([.. shown]).ShouldBe("a line\nand an ");
    }

    private static string Through(string[] secrets, params byte[][] parts)
    {
        var mask = new SecretMask(secrets);
        var shown = new List<byte>();
        foreach (var part in parts) mask.Append(part, bytes => shown.AddRange(bytes));
        mask.Complete(bytes => shown.AddRange(bytes));
        return Encoding.UTF8.GetString([.. shown]);
    }
}
