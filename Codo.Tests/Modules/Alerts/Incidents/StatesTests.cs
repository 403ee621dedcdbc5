using Codo.Modules.Alerts.Channels;
using Codo.Modules.Alerts.Incidents;

namespace Codo.Tests.Modules.Alerts.Incidents;

public sealed class StatesTests
{
    private static readonly Dictionary<(IncidentState, IncidentAction), IncidentState> Incident = new()
    {
        [(IncidentState.Open, IncidentAction.Fold)] = IncidentState.Open,
        [(IncidentState.Open, IncidentAction.Acknowledge)] = IncidentState.Acknowledged,
        [(IncidentState.Open, IncidentAction.Escalate)] = IncidentState.Open,
        [(IncidentState.Open, IncidentAction.Resolve)] = IncidentState.Resolved,
        [(IncidentState.Open, IncidentAction.Recover)] = IncidentState.Resolved,
        [(IncidentState.Acknowledged, IncidentAction.Fold)] = IncidentState.Acknowledged,
        [(IncidentState.Acknowledged, IncidentAction.Resolve)] = IncidentState.Resolved,
        [(IncidentState.Acknowledged, IncidentAction.Recover)] = IncidentState.Resolved,
    };

    private static readonly Dictionary<(DeliveryState, DeliveryAction), DeliveryState> Delivery = new()
    {
        [(DeliveryState.Due, DeliveryAction.Claim)] = DeliveryState.Sending,
        [(DeliveryState.Due, DeliveryAction.Hold)] = DeliveryState.Held,
        [(DeliveryState.Due, DeliveryAction.GiveUp)] = DeliveryState.Failed,
        [(DeliveryState.Sending, DeliveryAction.Claim)] = DeliveryState.Sending,
        [(DeliveryState.Sending, DeliveryAction.Accept)] = DeliveryState.Sent,
        [(DeliveryState.Sending, DeliveryAction.Retry)] = DeliveryState.Due,
        [(DeliveryState.Sending, DeliveryAction.GiveUp)] = DeliveryState.Failed,
        [(DeliveryState.Held, DeliveryAction.Digest)] = DeliveryState.Digested,
        [(DeliveryState.Held, DeliveryAction.GiveUp)] = DeliveryState.Failed,
        [(DeliveryState.Digested, DeliveryAction.Accept)] = DeliveryState.Sent,
        [(DeliveryState.Digested, DeliveryAction.GiveUp)] = DeliveryState.Failed,
    };

    [Fact]
    public void Each_action_on_an_incident_in_each_state_goes_where_the_table_says_or_is_refused()
    {
        foreach (var state in Enum.GetValues<IncidentState>())
            foreach (var action in Enum.GetValues<IncidentAction>())
                IncidentStates.Next(state, action).ShouldBe(Incident.TryGetValue((state, action), out var to) ? to : null, $"{state} {action}");
        IncidentStates.From(IncidentAction.Recover).ShouldBe(["open", "acknowledged"]);
    }

    [Fact]
    public void Each_action_on_a_delivery_in_each_state_goes_where_the_table_says_or_is_refused()
    {
        foreach (var state in Enum.GetValues<DeliveryState>())
            foreach (var action in Enum.GetValues<DeliveryAction>())
                DeliveryStates.Next(state, action).ShouldBe(Delivery.TryGetValue((state, action), out var to) ? to : null, $"{state} {action}");
    }
}
