using System.Security.Cryptography;
using System.Text;

namespace Codo.Modules.Alerts.Channels;

/// <summary>JSON to any address, signed with HMAC-SHA256 over the body as it goes out.</summary>
internal sealed class WebhookChannel(Outbound outbound) : IChannel
{
    /// <summary><c>sha256={hex}</c>, as many receivers know it.</summary>
    public const string SignatureHeader = "X-Codo-Signature-256";

    public string Kind => "webhook";

    // Whoever knows the address of a receiver can often post to it.
    public IReadOnlyList<Field> Fields { get; } = [new("url", Secret: true), new("secret", Secret: true, Required: false)];

    public async Task<Outcome> Send(IReadOnlyDictionary<string, string> settings, Message message, CancellationToken cancellation)
    {
        var body = Outbound.Json(message.Facts);
        (string, string)[] signed = settings["secret"] is { Length: > 0 } secret ? [(SignatureHeader, Sign(body, secret))] : [];
        var answer = await outbound.Post(settings["url"], body, cancellation, signed);
        return new Outcome(answer.Status is >= 200 and < 300, Outbound.Shown(answer));
    }

    public static string Sign(byte[] body, string secret) => "sha256=" + Convert.ToHexStringLower(HMACSHA256.HashData(Encoding.UTF8.GetBytes(secret), body));
}
