using Codo.Platform.Localization;

namespace Codo.Modules.Alerts.Incidents;

/// <summary>An incident's state as its badge says it.</summary>
internal sealed record IncidentBadge(string Tone, string Icon, Text Word)
{
    public static IncidentBadge Of(string state) =>
        state switch
        {
            "open" => new("bad", "bell", new Text("未处理", "Open")),
            "acknowledged" => new("warn", "hand", new Text("已确认", "Acknowledged")),
            _ => new("ok", "check", new Text("已解决", "Resolved")),
        };
}
