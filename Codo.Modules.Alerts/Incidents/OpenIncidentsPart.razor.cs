using Codo.Platform.Http;

namespace Codo.Modules.Alerts.Incidents;

/// <summary>Incidents that nobody has taken on.</summary>
public sealed partial class OpenIncidentsPart
{
    private const int Most = 8;

    private ListIncidents.Result found = null!;

    /// <inheritdoc/>
    protected override async Task Load() => found = await Send(new ListIncidents.Query(1, Most, null, "open", null, null, null, null));

    private string? WhyNot(IncidentView row) => IncidentVisibility.WhyNot(Caller.Of(Context)!, Context.RequestServices, row.MayAct)?.ToString();
}
