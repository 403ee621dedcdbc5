using System.Text;
using System.Text.RegularExpressions;
using Codo.Platform.Security;
using Codo.Tests.Support;

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

    [Theory]
    [InlineData("import base64,sys; print(base64.b64encode(S).decode())")]
    [InlineData(
        ("import base64,sys; print(base64.b64encode(b'u:'+S+b':tail').decode()); print(base64.b64encode(b'us:'+S+b'x').decode()); "
            + "print(base64.urlsafe_b64encode(b'u'+S).decode())")
    )]
    [InlineData("import base64,sys; print(S.hex(), S.hex().upper(), S.hex(' '), S.hex(':'), S.hex(' ', -2))")]
    [InlineData("import json; print(json.dumps(S.decode()), json.dumps(S.decode(), ensure_ascii=False), json.dumps(S.decode()).replace('/', '\\/'))")]
    [InlineData("import html; print(html.escape(S.decode()), html.escape(S.decode(), quote=False))")]
    [InlineData("print(repr(S.decode()), repr(S), [S.decode()])")]
    [InlineData(
        ("import shlex, urllib.parse; print(shlex.quote(S.decode()).replace(chr(39)+chr(34)+chr(39)+chr(34)+chr(39), chr(39)+chr(92)+chr(39)+chr(39)), "
            + "urllib.parse.quote(S.decode(), safe=''))")
    )]
    // As Codo quotes a value for a command's line.
    [InlineData(@"print(''.join(chr(39)+chr(92)+c+chr(39) if c in chr(39)+chr(92) else c for c in S.decode()))")]
    public void Masks_what_programs_make_of_a_secret(string program)
    {
        foreach (var secret in (string[])["pa/ss<w>\"o\\r&d+ünd", "it's/s3cret & mo\\re", "plain-secret-7"])
        {
            var said = TestSshd.Run("python3", "-c", $"S=bytes.fromhex('{Convert.ToHexString(Encoding.UTF8.GetBytes(secret))}'); {program}");
            var masked = Through([secret], Encoding.UTF8.GetBytes(said));
            masked.ShouldContain("******", Case.Sensitive, said);
            // What is left of a word is at most the letters that a neighbour has a part in, and quotes.
            foreach (var rest in masked.Split(' ', '\n'))
                rest.Replace("******", "", StringComparison.Ordinal).Length.ShouldBeLessThan(12, $"{said} -> {masked}");
        }
    }

    [Theory]
    [InlineData("base64")]
    [InlineData("base64 -w 64")]
    [InlineData("od -An -tx1")]
    [InlineData("xxd")]
    [InlineData("xxd -p")]
    [InlineData("xxd -u")]
    [InlineData("hexdump -C")]
    public void Masks_a_secret_that_a_program_breaks_into_lines(string program)
    {
        var name = program.Split(' ')[0];
        Assert.SkipUnless(TestSshd.Run("sh", "-c", $"command -v {name} || true").Length > 0, $"{name} is not installed.");
        const string letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        foreach (var length in (int[])[24, 64, 100])
            foreach (var writer in (string[])["echo", "printf %s"])
            {
                var secret = string.Concat(Enumerable.Range(0, length).Select(at => letters[at * 37 % 61]));
                var said = TestSshd.Run("sh", "-c", $"{writer} {secret} | {program}");
                var masked = Through([secret], Encoding.UTF8.GetBytes(said));
                // What is left is where each line begins, the line end of echo, and the secret's last piece where it has fewer than 8 letters.
                var rest = Regex.Replace(masked, @"^[0-9a-f]{8}:?|\*{6}|[\s|]", "", RegexOptions.Multiline);
                var piece = length % 16 < 8 ? secret[^(length % 16)..] : "";
                var left = (program, writer) switch
                {
                    ("base64" or "base64 -w 64", "echo") => length switch
                    {
                        24 => "Cg==",
                        64 => "go=",
                        _ when program == "base64" => "Ao=",
                        _ => Convert.ToBase64String(Encoding.ASCII.GetBytes(piece + "\n")),
                    },
                    ("xxd" or "hexdump -C", "echo") => $"0a{piece}.",
                    ("xxd -u", "echo") => $"0A{piece}.",
                    ("xxd" or "xxd -u" or "hexdump -C", _) => piece,
                    (_, "echo") => "0a",
                    _ => "",
                };
                rest.ShouldBe(left, $"{said} -> {masked}");
            }
    }

    [Fact]
    public void Holds_nothing_back_that_cannot_be_a_secret()
    {
        var mask = new SecretMask(["s3cret!"]);
        var shown = new List<byte>();
        mask.Append("a line\nand an s"u8, bytes => shown.AddRange(bytes));
        Encoding.UTF8.GetString([.. shown]).ShouldBe("a line\nand an ");
    }

    [Fact]
    public void Masks_of_the_same_secrets_share_what_they_look_for_and_nothing_of_what_they_have_read()
    {
        var (one, other) = (new SecretMask(["s3cret!", "another"]), new SecretMask(["s3cret!", "another"]));
        one.Table.ShouldBeSameAs(other.Table);
        new SecretMask(["s3cret!a", "nother"]).Table.ShouldNotBeSameAs(one.Table);
        var (first, second) = (new List<byte>(), new List<byte>());
        one.Append("s3c"u8, bytes => first.AddRange(bytes));
        other.Append("a word"u8, bytes => second.AddRange(bytes));
        one.Append("ret!"u8, bytes => first.AddRange(bytes));
        (Encoding.UTF8.GetString([.. first]), Encoding.UTF8.GetString([.. second])).ShouldBe(("******", "a word"));
    }

    [Theory]
    [InlineData("abcdefghX abcdefX abcdefghijX abcdefg", "******X ******X ******X ******g")]
    [InlineData("abcdefabcdefghij", "******")]
    [InlineData("abcdeX", "abcdeX")]
    public void Masks_the_longest_of_secrets_that_begin_alike(string text, string masked)
    {
        string[] secrets = ["abcdefghij", "abcdef", "abcdefgh", "fabcde"];
        Through(secrets, Encoding.UTF8.GetBytes(text)).ShouldBe(masked);
        Through(secrets, [.. Encoding.UTF8.GetBytes(text).Select(one => new[] { one })]).ShouldBe(masked, "byte by byte");
    }

    [Fact]
    public void A_secret_of_thousands_of_lines_that_begin_alike_does_not_make_output_slow()
    {
        var secret = string.Join('\n', Enumerable.Range(0, 6000).Select(line => $"aaaa{line:D5}"));
        var output = Encoding.UTF8.GetBytes(new string('a', 256 << 10));
        var mask = new SecretMask([secret]);
        var shown = 0;
        foreach (var part in output.Chunk(8192)) mask.Append(part, bytes => shown += bytes.Length);
        mask.Complete(bytes => shown += bytes.Length);
        shown.ShouldBe(output.Length);
        // One after the other would be 6,000 for each byte.
        mask.Compared.ShouldBeLessThan(20L * output.Length);
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
