using System.Globalization;
using System.Text;
using Codo.Modules.Alerts.Incidents;
using Codo.Modules.Alerts.Rules;
using Codo.Platform.Localization;

namespace Codo.Modules.Alerts.Channels;

/// <summary>What a message says, in the channel's language.</summary>
internal sealed class MessageTexts(Zone zone, PublicAddress address)
{
    private const int MostInDigest = 30;

    /// <summary>One incident: what failed, where, since when, the end of its output, and the link.</summary>
    public Message Of(long deliveryId, string reason, IncidentView.Row incident, bool english, IReadOnlyList<Contact> people)
    {
        var title = Line(reason, incident, english);
        var text = new StringBuilder(title).Append('\n');
        if (reason != "recovered")
        {
            var detail = english ? incident.DetailEn : incident.DetailZh;
            if (detail.Length > 0)
                text.Append(detail).Append('\n');
            text.Append(
                CultureInfo.InvariantCulture,
                ($"{(english ? "Since" : "自")} "
                    + $"{zone.Text(incident.Ctime)}{(incident.Count > 1 ? english ? $", {incident.Count} times" : $"，共 {incident.Count} 次" : "")}\n")
            );
            if (incident.ResolvedAt is { } ended)
                text.Append(english ? $"Over since {zone.Text(ended)}\n" : $"已于 {zone.Text(ended)} 结束\n");
            if (incident.CallUsers.Length > 0)
                text.Append(english ? "Told: " : "通知：").Append(incident.CallUsers).Append('\n');
            if (incident.Output.Length > 0)
                text.Append(english ? "Last lines of output:\n" : "最后的输出：\n").Append(incident.Output).Append('\n');
        }
        var lasted = incident.ResolvedAt is { } over ? DurationWords.Of(over - incident.Ctime, english) : "";
        if (reason == "recovered" && lasted.Length > 0)
            text.Append(
                english
                    ? $"Lasted {lasted}, from {zone.Text(incident.Ctime)} to {zone.Text(incident.ResolvedAt!.Value)}\n"
                    : $"持续 {lasted}，从 {zone.Text(incident.Ctime)} 到 {zone.Text(incident.ResolvedAt!.Value)}\n"
            );
        var link = address.Incident(incident.Id);
        text.Append(link);
        return new Message(
            deliveryId,
            title,
            text.ToString(),
            reason == "recovered" && lasted.Length > 0 ? $"{title}{(english ? ", lasted " : "，持续 ")}{lasted} {link}" : $"{title} {link}",
            people,
            new
            {
                delivery_id = deliveryId,
                reason,
                title,
                text = text.ToString(),
                url = link,
                people = people.Select(person => new
                {
                    person.Name,
                    person.Tel,
                    person.Email,
                    person.Feishu,
                }),
                incident = new
                {
                    incident.Id,
                    incident.ListId,
                    incident.Source,
                    incident.Kind,
                    incident.Subject,
                    incident.Subjects,
                    incident.State,
                    incident.Ending,
                    incident.Count,
                    first_time = Utc(incident.Ctime),
                    last_time = Utc(incident.LastTime),
                    lasted_seconds = incident.ResolvedAt is { } end ? (long?)(end - incident.Ctime).TotalSeconds : null,
                    detail = english ? incident.DetailEn : incident.DetailZh,
                    incident.Output,
                },
            }
        );
    }

    /// <summary>What the rate limit held back, a line each.</summary>
    public Message Digest(long deliveryId, IReadOnlyList<(string Reason, IncidentView.Row Incident)> held, bool english, IReadOnlyList<Contact> people)
    {
        var title = english ? $"[Codo] {held.Count} more alerts" : $"【Codo 汇总】另有 {held.Count} 条告警";
        var lines = held.Take(MostInDigest).Select(one => $"{Line(one.Reason, one.Incident, english)} {address.Incident(one.Incident.Id)}").ToList();
        if (held.Count > MostInDigest)
            lines.Add($"… +{held.Count - MostInDigest}");
        var text = title + "\n" + string.Join('\n', lines);
        return new Message(
            deliveryId,
            title,
            text,
            title,
            people,
            new
            {
                delivery_id = deliveryId,
                reason = "digest",
                title,
                text,
                incidents = held.Select(one => new
                {
                    one.Incident.Id,
                    one.Reason,
                    one.Incident.State,
                    title = english ? one.Incident.TitleEn : one.Incident.TitleZh,
                    url = address.Incident(one.Incident.Id),
                }),
            }
        );
    }

    /// <summary>What the test button sends.</summary>
    public Message Test(long deliveryId, string by, bool english, IReadOnlyList<Contact> people)
    {
        var title = english ? "[Codo] A test: this channel works" : "【Codo 测试】此渠道可用";
        var text = english ? $"{title}\nSent by {by}." : $"{title}\n由 {by} 发送。";
        return new Message(
            deliveryId,
            title,
            text,
            title,
            people,
            new
            {
                delivery_id = deliveryId,
                reason = "test",
                title,
                text,
            }
        );
    }

    private static string Line(string reason, IncidentView.Row incident, bool english) =>
        (reason, english) switch
        {
            ("recovered", false) when incident.Ending == "deleted" => $"【已关闭】{incident.TitleZh}（任务已删除）",
            ("recovered", true) when incident.Ending == "deleted" => $"[CLOSED] {incident.TitleEn} (the job was deleted)",
            ("recovered", false) when incident.Ending == "ended" => $"【已关闭】{incident.TitleZh}（订单已结束）",
            ("recovered", true) when incident.Ending == "ended" => $"[CLOSED] {incident.TitleEn} (the order has ended)",
            ("recovered", false) => $"【已恢复】{incident.TitleZh}",
            // A retry may come after the message that it is over.
            ("opened" or "repeated" or "escalated", false) when incident.ResolvedAt is not null => $"【告警，已结束】{incident.TitleZh}",
            ("opened" or "repeated" or "escalated", true) when incident.ResolvedAt is not null => $"[ALERT, OVER BY NOW] {incident.TitleEn}",
            ("repeated", false) => $"【仍未恢复】{incident.TitleZh}",
            ("escalated", false) => $"【升级】{incident.TitleZh}",
            (_, false) => $"【告警】{incident.TitleZh}",
            ("recovered", true) => $"[RECOVERED] {incident.TitleEn}",
            ("repeated", true) => $"[STILL] {incident.TitleEn}",
            ("escalated", true) => $"[ESCALATED] {incident.TitleEn}",
            (_, true) => $"[ALERT] {incident.TitleEn}",
        };

    private static string Utc(DateTime time) => time.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);
}
