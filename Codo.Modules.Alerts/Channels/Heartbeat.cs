using Codo.Platform.Cluster;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Codo.Modules.Alerts.Channels;

/// <summary>Asks <c>Codo:Alerts:HeartbeatUrl</c> every minute while this node is well: it has its lease, PostgreSQL answers, and alerts get through. Who listens there hears of the node's death by its silence.</summary>
internal sealed class Heartbeat(AlertSettings settings, Outbound outbound, HealthCheckService health, Node node, TimeProvider time, ILogger<Heartbeat> log) : BackgroundService
{
    /// <summary>The name of the health check that says whether alerts get through.</summary>
    public const string AlertsCheck = "alerts";

    private static readonly TimeSpan Period = TimeSpan.FromMinutes(1), Tick = TimeSpan.FromSeconds(5), Limit = TimeSpan.FromSeconds(10);

    /// <summary>Asks once, when all is well; false when it is not, or nobody answered.</summary>
    internal async Task<bool> Beat(CancellationToken cancellation)
    {
        if (!node.MayStart) return false;
        var report = await health.CheckHealthAsync(cancellation);
        if (report.Status == HealthStatus.Unhealthy || (report.Entries.TryGetValue(AlertsCheck, out var alerts) && alerts.Status != HealthStatus.Healthy)) return false;
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(Limit);
        var answer = await outbound.Send(new HttpRequestMessage(HttpMethod.Get, settings.HeartbeatUrl), limit.Token);
        if (answer.Status is < 200 or >= 300) log.LogWarning("The heartbeat was answered with {Answer}", Outbound.Shown(answer));
        return answer.Status is >= 200 and < 300;
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (settings.HeartbeatUrl.Length == 0) return;
        using var timer = new PeriodicTimer(Tick, time);
        var due = time.GetUtcNow();
        try
        {
            do
            {
                if (time.GetUtcNow() < due) continue;
                try
                {
                    // What was not well is looked at again soon, at the start as well, when there is no lease yet.
                    if (await Beat(stoppingToken)) due = time.GetUtcNow() + Period;
                }
                catch (Exception error) when (!stoppingToken.IsCancellationRequested)
                {
                    log.LogWarning("The heartbeat could not be sent: {Cause}", error.Message);
                }
            }
            while (await timer.WaitForNextTickAsync(stoppingToken));
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            log.LogDebug("The heartbeat ends with the host");
        }
    }
}
