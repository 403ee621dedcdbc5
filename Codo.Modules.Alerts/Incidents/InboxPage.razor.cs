namespace Codo.Modules.Alerts.Incidents;

/// <summary>Incidents to be worked through by keys: j and k move, a acknowledges, s resolves.</summary>
public sealed partial class InboxPage
{
    private const int Limit = 50;

    private ListIncidents.Result found = null!;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Topics => ["incidents"];

    private string State => Asked("state") ?? "open";

    private string? Filter => State == "all" ? null : State;

    private string Api => Paged("/v2/alerts/incident/" + (Filter is null ? "" : "?state=" + Uri.EscapeDataString(Filter)), Limit);

    private static IEnumerable<(string Value, string Word)> States =>
        [("open", T("未处理", "Open")), ("acknowledged", T("已确认", "Acknowledged")), ("resolved", T("已解决", "Resolved")), ("all", T("全部", "All"))];

    /// <inheritdoc/>
    protected override async Task Load() => found = await Send(new ListIncidents.Query(PageNumber, Limit, null, Filter, null, null, null, null));

    private string? WhyNot(IncidentView row) => IncidentVisibility.WhyNot(Caller, Context.RequestServices, row.MayAct)?.ToString();

    private static string FirstLine(string text) => text.Split('\n', 2)[0];

    private static string Told(IncidentView row) =>
        row.CallStatus switch
        {
            "2" => T("无法通知", "Could not be told"),
            _ when row.CallUsers.Length > 0 => row.CallUsers.Replace(",", ", ", StringComparison.Ordinal),
            _ => T("没有人", "Nobody"),
        };
}
