namespace Codo.Modules.Alerts.Channels;

/// <summary>A robot in a WeCom group; people are @ed by their telephone number.</summary>
internal sealed class WeComChannel(Outbound outbound) : IChannel
{
    // The robot refuses a text of more than 2,048 bytes.
    private const int MostBytes = 2000;

    public string Kind => "wecom";

    // The address has the robot's key in it.
    public IReadOnlyList<Field> Fields { get; } = [new("url", Secret: true)];

    public async Task<Outcome> Send(IReadOnlyDictionary<string, string> settings, Message message, CancellationToken cancellation)
    {
        var mobiles = message.People.Select(person => person.Tel).Where(tel => tel.Length > 0).Distinct(StringComparer.Ordinal).ToArray();
        var body = new { msgtype = "text", text = new { content = message.Within(MostBytes), mentioned_mobile_list = mobiles } };
        return Outbound.Judge(await outbound.Post(settings["url"], Outbound.Json(body), cancellation), "errcode", "0");
    }
}
