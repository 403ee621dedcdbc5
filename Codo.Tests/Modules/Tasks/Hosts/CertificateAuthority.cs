using Codo.Tests.Support;

namespace Codo.Tests.Modules.Tasks.Hosts;

/// <summary>Signs keys, as ssh-keygen -s does.</summary>
internal sealed class CertificateAuthority : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("codo-ca-");
    private int made;

    public CertificateAuthority()
    {
        // sshd reads it as a user without rights would.
        File.SetUnixFileMode(folder.FullName, (UnixFileMode)0b111_101_101);
        TestSshd.Run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", In("ca"));
    }

    /// <summary>For sshd's <c>TrustedUserCAKeys</c>.</summary>
    public string PublicFile => In("ca.pub");

    /// <param name="options">Of ssh-keygen, such as <c>-n root</c>.</param>
    public (string Key, string Certificate) Certify(string options, string kind = "ed25519")
    {
        string file;
        // One key in 512 has a certificate that SSH.NET does not read, which is a test of its own.
        do
            TestSshd.Run("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", file = In($"key{++made}"));
        while (kind == "ed25519" && Convert.FromBase64String(File.ReadAllText(file + ".pub").Split(' ')[1])[^32..] is [0xFF, >= 0x80, ..]);
        TestSshd.Run("ssh-keygen", ["-q", "-s", In("ca"), "-I", "test", .. options.Split(' '), file + ".pub"]);
        return (File.ReadAllText(file), File.ReadAllText($"{file}-cert.pub").Trim());
    }

    public void Dispose() => folder.Delete(recursive: true);

    private string In(string name) => Path.Combine(folder.FullName, name);
}
