using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Codo.Modules.Alerts.Channels;

/// <summary>A robot in a Feishu group; people are @ed by their Feishu user id.</summary>
internal sealed class FeishuChannel(Outbound outbound, TimeProvider time) : IChannel
{
    private const int MostBytes = 18_000;

    public string Kind => "feishu";

    // The address has the robot's token in it.
    public IReadOnlyList<Field> Fields { get; } = [new("url", Secret: true), new("secret", Secret: true, Required: false)];

    public async Task<Outcome> Send(IReadOnlyDictionary<string, string> settings, Message message, CancellationToken cancellation)
    {
        // What a command printed must not call anybody: an <at> of its own loses its meaning.
        var text = message.Within(MostBytes).Replace("<at", "<\u200bat", StringComparison.OrdinalIgnoreCase);
        var calls = message
            .People.Where(person => person.Feishu.Length > 0 && !person.Feishu.Equals("all", StringComparison.OrdinalIgnoreCase))
            .Select(person => $"<at user_id=\"{person.Feishu}\"></at>")
            .Distinct(StringComparer.Ordinal)
            .ToList();
        var body = new Dictionary<string, object>
        {
            ["msg_type"] = "text",
            ["content"] = new { text = calls.Count > 0 ? string.Join(' ', calls) + "\n" + text : text },
        };
        if (settings["secret"] is { Length: > 0 } secret)
        {
            var stamp = time.GetUtcNow().ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture);
            (body["timestamp"], body["sign"]) = (stamp, Sign(stamp, secret));
        }
        var answer = await outbound.Post(settings["url"], Outbound.Json(body), cancellation);
        // Robots of the older kind answer StatusCode alone.
        return Outbound.Judge(answer, "code", "0") is { Taken: true } taken ? taken : Outbound.Judge(answer, "StatusCode", "0", unless: "code");
    }

    /// <param name="stamp">Seconds since 1970.</param>
    public static string Sign(string stamp, string secret) =>
        Convert.ToBase64String(HMACSHA256.HashData(Encoding.UTF8.GetBytes($"{stamp}\n{secret}"), Array.Empty<byte>()));
}
