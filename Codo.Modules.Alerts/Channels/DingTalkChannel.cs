using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Codo.Modules.Alerts.Channels;

/// <summary>A robot in a DingTalk group; people are @ed by their telephone number.</summary>
internal sealed class DingTalkChannel(Outbound outbound, TimeProvider time) : IChannel
{
    private const int MostBytes = 18_000;

    public string Kind => "dingtalk";

    // The address has the robot's token in it.
    public IReadOnlyList<Field> Fields { get; } = [new("url", Secret: true), new("secret", Secret: true, Required: false)];

    public async Task<Outcome> Send(IReadOnlyDictionary<string, string> settings, Message message, CancellationToken cancellation)
    {
        var url = settings["url"];
        if (settings["secret"] is { Length: > 0 } secret)
        {
            var stamp = time.GetUtcNow().ToUnixTimeMilliseconds().ToString(CultureInfo.InvariantCulture);
            url += $"{(url.Contains('?') ? '&' : '?')}timestamp={stamp}&sign={Uri.EscapeDataString(Sign(stamp, secret))}";
        }
        var mobiles = message.People.Select(person => person.Tel).Where(tel => tel.Length > 0).Distinct(StringComparer.Ordinal).ToArray();
        // DingTalk shows the @ where the number stands in the text.
        var content = (mobiles.Length > 0 ? string.Join(' ', mobiles.Select(mobile => "@" + mobile)) + "\n" : "") + message.Within(MostBytes);
        var body = new { msgtype = "text", text = new { content }, at = new Dictionary<string, object> { ["atMobiles"] = mobiles, ["isAtAll"] = false } };
        return Outbound.Judge(await outbound.Post(url, Outbound.Json(body), cancellation), "errcode", "0");
    }

    /// <param name="stamp">Milliseconds since 1970.</param>
    public static string Sign(string stamp, string secret) =>
        Convert.ToBase64String(HMACSHA256.HashData(Encoding.UTF8.GetBytes(secret), Encoding.UTF8.GetBytes($"{stamp}\n{secret}")));
}
