using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using Codo.Modules.Alerts.Incidents;

namespace Codo.Modules.Alerts.Channels;

/// <summary>SMS by Aliyun: Dysmsapi 2017-05-25, <c>SendSms</c>, with the template parameter <c>msg</c>.</summary>
internal sealed partial class AliyunSmsChannel(Outbound outbound, TimeProvider time) : IChannel
{
    // Aliyun takes 1,000 numbers a call, and 35 characters for a variable of a template unless more was granted.
    private const int MostNumbers = 1000, MostInVariable = 35;

    // What it answers where one of the numbers is none: nobody gets the message then.
    private const string NoNumber = "isv.MOBILE_NUMBER_ILLEGAL";

    // What an account answers whose templates take no link, or only so many characters, in a variable.
    private static readonly string[] TooMuch = ["isv.PARAM_NOT_SUPPORT_URL", "isv.PARAM_LENGTH_LIMIT"];

    public string Kind => "aliyun_sms";

    public IReadOnlyList<Field> Fields { get; } =
    [
        new("access_key_id"), new("access_key_secret", Secret: true), new("sign_name"), new("template_code"), new("region_id", Default: "cn-hangzhou"),
        new("endpoint", Default: "https://dysmsapi.aliyuncs.com/"),
    ];

    public async Task<Outcome> Send(IReadOnlyDictionary<string, string> settings, Message message, CancellationToken cancellation)
    {
        var numbers = message.People.Select(person => person.Tel).Where(tel => tel.Length > 0).Distinct(StringComparer.Ordinal).Take(MostNumbers).ToList();
        if (numbers.Count == 0) return Outcome.NobodyHas("tel");
        var outcome = await Fitted(settings, message, numbers, cancellation);
        if (outcome.Taken || numbers.Count == 1 || !outcome.Answer.Contains(NoNumber, StringComparison.Ordinal)) return outcome;
        // One number that is none must not keep the message from the others.
        var each = new List<Outcome>();
        foreach (var number in numbers)
        {
            try
            {
                each.Add(await Fitted(settings, message, [number], cancellation));
            }
            catch (Exception error) when (each.Exists(one => one.Taken))
            {
                // What went out is not sent again for those that it did not reach.
                each.Add(new Outcome(false, error.Message));
            }
        }
        return each.Find(one => one.Taken) is { } taken
            ? taken with { Answer = $"{taken.Answer} (for {each.Count(one => one.Taken)} of {numbers.Count} numbers)" }
            : outcome;
    }

    private async Task<Outcome> Fitted(IReadOnlyDictionary<string, string> settings, Message message, List<string> numbers, CancellationToken cancellation)
    {
        var outcome = await Call(settings, message, numbers, message.Short, cancellation);
        if (IsTooMuch(outcome)) outcome = await Call(settings, message, numbers, Excerpt.Head(message.Title, MostInVariable - 1), cancellation);
        // The name of a job may hold what the gateway takes for a link.
        var plain = WithoutAddresses(message.Title);
        return IsTooMuch(outcome) && plain != message.Title
            ? await Call(settings, message, numbers, Excerpt.Head(plain, MostInVariable - 1), cancellation)
            : outcome;
    }

    /// <summary>The text with a star in the place of every address, domain and IP address.</summary>
    internal static string WithoutAddresses(string text) => Address().Replace(text, "*");

    private static bool IsTooMuch(Outcome outcome) => !outcome.Taken && TooMuch.Any(code => outcome.Answer.Contains(code, StringComparison.Ordinal));

    [GeneratedRegex(
        @"[A-Za-z][A-Za-z0-9+.-]*://[^\s，。）】]+"
        + @"|(?<![A-Za-z0-9.-])(?:[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?\.)+(?:[A-Za-z]{2,24}|[0-9]{1,3})(?::[0-9]{1,5})?(?:/[^\s，。）】]*)?",
        RegexOptions.CultureInvariant)]
    private static partial Regex Address();

    /// <summary>The signature of Aliyun's RPC style, version 1.0.</summary>
    [System.Diagnostics.CodeAnalysis.SuppressMessage("Security", "CA5350", Justification = "HMAC-SHA1 is what Aliyun's RPC signature is made of.")]
    public static string Sign(string method, IReadOnlyDictionary<string, string> parameters, string secret) =>
        Convert.ToBase64String(HMACSHA1.HashData(Encoding.UTF8.GetBytes(secret + "&"), Encoding.UTF8.GetBytes($"{method}&%2F&{Encode(Query(parameters))}")));

    private async Task<Outcome> Call(
        IReadOnlyDictionary<string, string> settings,
        Message message,
        List<string> numbers,
        string text,
        CancellationToken cancellation
    )
    {
        var parameters = new Dictionary<string, string>
        {
            ["AccessKeyId"] = settings["access_key_id"],
            ["Action"] = "SendSms",
            ["Format"] = "JSON",
            ["OutId"] = message.DeliveryId.ToString(CultureInfo.InvariantCulture),
            ["PhoneNumbers"] = string.Join(',', numbers),
            ["RegionId"] = settings["region_id"],
            ["SignName"] = settings["sign_name"],
            ["SignatureMethod"] = "HMAC-SHA1",
            ["SignatureNonce"] = Guid.NewGuid().ToString(),
            ["SignatureVersion"] = "1.0",
            ["TemplateCode"] = settings["template_code"],
            ["TemplateParam"] = Encoding.UTF8.GetString(Outbound.Json(new { msg = text })),
            ["Timestamp"] = time.GetUtcNow().ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture),
            ["Version"] = "2017-05-25",
        };
        var url = $"{settings["endpoint"]}?Signature={Encode(Sign("GET", parameters, settings["access_key_secret"]))}&{Query(parameters)}";
        return Outbound.Judge(await outbound.Send(new HttpRequestMessage(HttpMethod.Get, url), cancellation), "Code", "OK");
    }

    private static string Query(IReadOnlyDictionary<string, string> parameters) =>
        string.Join('&', parameters.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => $"{Encode(pair.Key)}={Encode(pair.Value)}"));

    // RFC 3986: unreserved characters stay, ~ among them.
    private static string Encode(string text) => Uri.EscapeDataString(text);
}
