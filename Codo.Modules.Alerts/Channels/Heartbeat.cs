using Codo.Modules.Alerts.Incidents;
using Codo.Platform.Cluster;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging;

namespace Codo.Modules.Alerts.Channels;

/// <summary>
/// Dead man's switch: asks <c>Codo:Alerts:HeartbeatUrl</c> every minute while this node is well (it has its lease, PostgreSQL answers, alerts get through).
/// </summary>
internal sealed class Heartbeat(AlertSettings settings, Outbound outbound, HealthCheckService health, Node node, ILogger<Heartbeat> log)
{
    /// <summary>The name of the health check that says whether alerts get through.</summary>
    public const string AlertsCheck = "alerts";

    private static readonly TimeSpan Period = TimeSpan.FromMinutes(1), Limit = TimeSpan.FromSeconds(10);

    private TimeSpan beatAt = TimeSpan.MinValue;

    /// <summary>Every few seconds, so that what was not well is looked at again soon; it asks once a minute.</summary>
    public async Task Tick(CancellationToken cancellation)
    {
        if (settings.HeartbeatUrl.Length == 0 || (beatAt != TimeSpan.MinValue && BootTime.Now - beatAt < Period)) return;
        if (await Beat(cancellation)) beatAt = BootTime.Now;
    }

    /// <summary>Asks once, when all is well; false when it is not, or nobody answered.</summary>
    internal async Task<bool> Beat(CancellationToken cancellation)
    {
        if (!node.Has(NodeRoles.Alerts) || !node.HoldsLease || node.Draining || node.IsHeld || node.Skew.Duration() > Node.MostSkew) return false;
        var report = await health.CheckHealthAsync(cancellation);
        if (
            report.Status == HealthStatus.Unhealthy
            || (
                report.Entries.TryGetValue(AlertsCheck, out var alerts)
                && alerts.Status != HealthStatus.Healthy
                && !alerts.Data.ContainsKey(Undeliverable.NoChannel)
            )
        )
            return false;
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(Limit);
        var answer = await outbound.Send(new HttpRequestMessage(HttpMethod.Get, settings.HeartbeatUrl), limit.Token);
        if (answer.Status is < 200 or >= 300) log.LogWarning("The heartbeat was answered with {Answer}", Outbound.Shown(answer));
        return answer.Status is >= 200 and < 300;
    }
}
