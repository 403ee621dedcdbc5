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
        var file = In($"key{++made}");
        TestSshd.Run("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", file);
        TestSshd.Run("ssh-keygen", ["-q", "-s", In("ca"), "-I", "test", .. options.Split(' '), file + ".pub"]);
        return (File.ReadAllText(file), File.ReadAllText($"{file}-cert.pub").Trim());
    }

    public void Dispose() => folder.Delete(recursive: true);

    private string In(string name) => Path.Combine(folder.FullName, name);
}
