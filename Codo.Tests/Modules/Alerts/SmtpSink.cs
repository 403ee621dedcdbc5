using System.Collections.Concurrent;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Codo.Tests.Modules.Alerts;

/// <summary>
/// A real SMTP server on a loopback port of its own, with a certificate of its own making: it takes mail, in the clear, after STARTTLS or over TLS, and keeps
/// it.
/// </summary>
internal sealed class SmtpSink : IAsyncDisposable
{
    private readonly TcpListener listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource stop = new();
    private readonly X509Certificate2 certificate;
    private readonly bool implicitTls;
    private readonly Task serving;

    public SmtpSink(bool implicitTls = false)
    {
        this.implicitTls = implicitTls;
        using var key = RSA.Create(2048);
        var request = new CertificateRequest("CN=smtp.example.test", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        using var made = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        certificate = X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pkcs12), null);
        listener.Start();
        serving = Serve();
    }

    public int Port => ((IPEndPoint)listener.LocalEndpoint).Port;

    /// <summary>An address that is refused.</summary>
    public string Refused { get; init; } = "none";

    public string Fingerprint => certificate.GetCertHashString(HashAlgorithmName.SHA256);

    /// <summary>Each mail with its envelope: what came after DATA, whether the connection was encrypted, and who it was for.</summary>
    public ConcurrentQueue<(string Data, bool Encrypted, List<string> To, string Login)> Mails { get; } = new();

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        listener.Stop();
        await serving.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        certificate.Dispose();
        stop.Dispose();
    }

    private async Task Serve()
    {
        while (!stop.IsCancellationRequested)
        {
            var client = await listener.AcceptTcpClientAsync(stop.Token);
            _ = Task.Run(async () =>
            {
                using (client)
                    await Talk(client.GetStream()).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            });
        }
    }

    private async Task Talk(Stream stream)
    {
        var encrypted = implicitTls;
        if (implicitTls) stream = await Encrypt(stream);
        var (to, login) = (new List<string>(), "");
        await Say(stream, "220 sink ready");
        while (await Read(stream) is { } line)
        {
            var verb = line.Split(' ')[0].ToUpperInvariant();
            switch (verb)
            {
                case "EHLO":
                    await Say(stream, encrypted ? "250-sink\r\n250 AUTH PLAIN" : "250-sink\r\n250 STARTTLS");
                    break;
                case "STARTTLS":
                    await Say(stream, "220 go ahead");
                    stream = await Encrypt(stream);
                    encrypted = true;
                    break;
                case "AUTH":
                    login = Encoding
                        .UTF8.GetString(Convert.FromBase64String(line.Split(' ').Length > 2 ? line.Split(' ')[2] : await Ask(stream)))
                        .Replace('\0', ':');
                    await Say(stream, "235 welcome");
                    break;
                case "RCPT":
                    if (line.Contains(Refused, StringComparison.Ordinal))
                    {
                        await Say(stream, $"550 <{Refused}> is unknown here");
                        break;
                    }
                    to.Add(line[(line.IndexOf('<') + 1)..line.IndexOf('>')]);
                    await Say(stream, "250 ok");
                    break;
                case "DATA":
                    await Say(stream, "354 end with a dot");
                    var data = new StringBuilder();
                    while (await Read(stream) is { } text and not ".") data.Append(text).Append('\n');
                    Mails.Enqueue((data.ToString(), encrypted, to, login));
                    await Say(stream, "250 taken");
                    break;
                case "QUIT":
                    await Say(stream, "221 bye");
                    return;
                default:
                    await Say(stream, "250 ok");
                    break;
            }
        }
    }

    private static async Task<string> Ask(Stream stream)
    {
        await Say(stream, "334 ");
        return await Read(stream) ?? "";
    }

    private async Task<Stream> Encrypt(Stream stream)
    {
        var tls = new SslStream(stream);
        await tls.AuthenticateAsServerAsync(certificate);
        return tls;
    }

    private static async Task Say(Stream stream, string text) => await stream.WriteAsync(Encoding.UTF8.GetBytes(text + "\r\n"));

    // A byte at a time: nothing of what comes after STARTTLS may be read before the handshake.
    private static async Task<string?> Read(Stream stream)
    {
        var line = new List<byte>();
        var one = new byte[1];
        while (await stream.ReadAsync(one) == 1)
        {
            if (one[0] == '\n') return Encoding.UTF8.GetString([.. line]).TrimEnd('\r');
            line.Add(one[0]);
        }
        return null;
    }
}
