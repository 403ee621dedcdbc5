using System.Buffers.Binary;
using Codo.Modules.Tasks.Hosts;
using Codo.Tests.Support;

namespace Codo.Tests.Modules.Tasks.Hosts;

public sealed class SshKeysTests
{
    [Theory]
    [InlineData("-t ed25519")]
    [InlineData("-t rsa -b 2048")]
    [InlineData("-t rsa -b 2048 -m PEM")]
    [InlineData("-t rsa -b 2048 -m PKCS8")]
    [InlineData("-t ecdsa -b 256")]
    [InlineData("-t ecdsa -b 384 -m PEM")]
    [InlineData("-t ecdsa -b 521 -m PKCS8")]
    public void Reads_each_kind_with_and_without_a_passphrase(string kind)
    {
        SshKeys.TryRead(Make(kind, ""), null, out _, out var why).ShouldBeTrue(why.En);
        SshKeys.TryRead(Make(kind, ""), "not needed", out _, out why).ShouldBeTrue(why.En);

        var locked = Make(kind, "pass phrase");
        SshKeys.TryRead(locked, "pass phrase", out var key, out why).ShouldBeTrue(why.En);
        key.ShouldNotBeNull();
        SshKeys.TryRead(locked, "", out _, out why).ShouldBeFalse();
        why.En.ShouldContain("passphrase is needed");
        SshKeys.TryRead(locked, "wrong", out key, out why).ShouldBeFalse();
        key.ShouldBeNull();
        why.En.ShouldContain("passphrase is wrong");
    }

    [Fact]
    public void Reads_a_key_as_a_browser_sends_it() =>
        SshKeys.TryRead("  " + Make("-t ed25519", "").TrimEnd().Replace("\n", "\r\n", StringComparison.Ordinal), null, out _, out _).ShouldBeTrue();

    [Theory]
    [InlineData("\uFEFF{0}")]
    [InlineData("\uFEFF  \r\n{0}\r\n\r\n  ")]
    [InlineData("{0}\u200B")]
    public void Takes_off_what_an_editor_puts_around_a_key(string around)
    {
        foreach (var key in new[] { Make("-t ed25519", ""), ForeignKeys.PuttyThree, ForeignKeys.SshCom })
        {
            SshKeys.TryRead(around.Replace("{0}", key, StringComparison.Ordinal), null, out _, out var why).ShouldBeTrue(why.En);
            SshKeys
                .TryRead(around.Replace("{0}", key.Replace("\n", "\r\n", StringComparison.Ordinal), StringComparison.Ordinal), null, out _, out why)
                .ShouldBeTrue(why.En);
        }

        var indented = string.Concat(Make("-t ed25519", "").Split('\n').Select(line => $"    {line} \n"));
        SshKeys.TryRead(indented, null, out _, out var reason).ShouldBeTrue(reason.En);
        // Blanks behind a comment are a part of it.
        foreach (var key in new[] { ForeignKeys.PuttyTwo, ForeignKeys.PuttyThree })
        {
            indented = string.Concat(
                key.Split('\n').Select(line => $"    {line.TrimEnd()}{(line.StartsWith("Comment:", StringComparison.Ordinal) ? "" : " ")}\n")
            );
            SshKeys.TryRead(indented, null, out _, out reason).ShouldBeTrue(reason.En);
        }
    }

    [Theory]
    [InlineData(ForeignKeys.PuttyTwo, ForeignKeys.PuttyTwoLocked)]
    [InlineData(ForeignKeys.PuttyThree, ForeignKeys.PuttyThreeLocked)]
    [InlineData(ForeignKeys.SshCom, ForeignKeys.SshComLocked)]
    public void Reads_keys_of_other_programs(string open, string locked)
    {
        SshKeys.TryRead(open, null, out _, out var why).ShouldBeTrue(why.En);
        SshKeys.TryRead(locked, "pass phrase", out _, out why).ShouldBeTrue(why.En);
        SshKeys.TryRead(locked, null, out _, out why).ShouldBeFalse();
        why.En.ShouldContain("passphrase is needed");
        SshKeys.TryRead(locked, "wrong", out _, out why).ShouldBeFalse();
        why.En.ShouldContain("passphrase is wrong");
    }

    [Fact]
    public void Reads_a_certificate_with_its_key_and_refuses_others()
    {
        using var authority = new CertificateAuthority();
        var (key, certificate) = authority.Certify("-n deploy");
        SshKeys.TryRead(key, null, $"\uFEFF {certificate}\r\n", out var read, out var why).ShouldBeTrue(why.En);
        read!.Certificate!.ValidPrincipals.ShouldBe(["deploy"]);
        SshKeys.TryRead(Make("-t ed25519", ""), null, certificate, out _, out why).ShouldBeFalse();
        why.En.ShouldContain("does not belong");
        SshKeys.TryRead(key, null, authority.Certify("-h -n host").Certificate, out _, out why).ShouldBeFalse();
        (why.En.Contains("does not belong") || why.En.Contains("is a host's")).ShouldBeTrue(why.En);
        SshKeys.TryRead(key, null, "ssh-ed25519 AAAA", out _, out why).ShouldBeFalse();
        why.En.ShouldContain("no OpenSSH certificate");
        SshKeys.TryRead(key, null, "ssh-ed25519-cert-v01@openssh.com AAAA", out _, out why).ShouldBeFalse();
        why.En.ShouldContain("certificate cannot be read");
    }

    [Theory]
    [InlineData(1000u, false)]
    [InlineData(1001u, true)]
    [InlineData(uint.MaxValue, true)]
    public void Knows_before_it_opens_a_key_how_often_its_passphrase_is_hashed(uint rounds, bool isTooMuch)
    {
        var lines = Make("-t ed25519", "pass phrase").Trim().Split('\n');
        var data = Convert.FromBase64String(string.Concat(lines[1..^1]));
        // The options of bcrypt are a salt of 16 bytes and the rounds, each behind its length.
        var at = data.AsSpan().IndexOf("bcrypt"u8) + 6 + 4 + 4 + 16;
        BinaryPrimitives.ReadUInt32BigEndian(data.AsSpan(at)).ShouldBeInRange(8u, 100u, "what ssh-keygen writes");
        BinaryPrimitives.WriteUInt32BigEndian(data.AsSpan(at), rounds);
        var why = SshKeys.TooCostly($"{lines[0]}\n{Convert.ToBase64String(data, Base64FormattingOptions.InsertLineBreaks)}\n{lines[^1]}\n");
        (why is not null).ShouldBe(isTooMuch);
        if (why is { } said) (said.Zh.StartsWith("user_key", StringComparison.Ordinal), said.En.Contains($"{rounds} rounds")).ShouldBe((true, true));
    }

    [Theory]
    [InlineData("Argon2-Memory: 8192", "Argon2-Memory: 262144", false)]
    [InlineData("Argon2-Memory: 8192", "Argon2-Memory: 262145", true)]
    [InlineData("Argon2-Memory: 8192", "Argon2-Memory: 99999999999999999999", true)]
    [InlineData("Argon2-Passes: 21", "Argon2-Passes: 100", false)]
    [InlineData("Argon2-Passes: 21", "Argon2-Passes: 101", true)]
    [InlineData("Argon2-Parallelism: 1", "Argon2-Parallelism: 64", false)]
    [InlineData("Argon2-Parallelism: 1", "Argon2-Parallelism: 65", true)]
    public void Knows_before_it_opens_a_key_of_puttys_what_its_hash_takes(string written, string other, bool isTooMuch)
    {
        var key = ForeignKeys.PuttyThreeLocked.Replace(written, other, StringComparison.Ordinal);
        key.ShouldContain(other);
        foreach (var text in new[] { key, key.Replace("\n", "\r\n", StringComparison.Ordinal) })
        {
            var why = SshKeys.TooCostly(text);
            (why is not null).ShouldBe(isTooMuch);
            if (why is { } said)
                said.En.ShouldStartWith("user_key: Argon2-Memory is at most 262144 (KiB), Argon2-Passes at most 100 and Argon2-Parallelism at most 64");
        }
    }

    [Theory]
    [InlineData("", "no private key")]
    [InlineData("nonsense", "no private key")]
    [InlineData("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUq someone", "public key")]
    [InlineData("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----", "cannot be read")]
    [InlineData("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "cannot be read")]
    public void Says_why_something_else_is_no_key(string text, string reason)
    {
        SshKeys.TryRead(text, null, out var key, out var why).ShouldBeFalse();
        key.ShouldBeNull();
        why.En.ShouldContain(reason);
    }

    private static string Make(string kind, string passphrase)
    {
        var folder = Directory.CreateTempSubdirectory("codo-key-");
        try
        {
            var file = Path.Combine(folder.FullName, "key");
            TestSshd.Run("ssh-keygen", [.. kind.Split(' '), "-q", "-N", passphrase, "-f", file]);
            return File.ReadAllText(file);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
