using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Platform.Cluster;

/// <summary>Makes every module's work look when it is notified, and once a second as a net for a notification that was lost.</summary>
internal sealed class ControlListener(Node node, IEnumerable<INodeWork> works, ClusterSettings settings, ILogger<ControlListener> log) : BackgroundService
{
    private static readonly TimeSpan Net = TimeSpan.FromSeconds(1);
    private readonly INodeWork[] works = [.. works];
    private readonly SemaphoreSlim asked = new(0);
    private int pending;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var looking = LookAgainAndAgain(stoppingToken);
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await Listen(stoppingToken);
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                break;
            }
            catch (Exception error)
            {
                log.LogWarning("The control channel is down, it is tried again in a second: {Cause}", error.Message);
                await Task.Delay(Net, CancellationToken.None);
            }
        }
        await looking;
    }

    private async Task Listen(CancellationToken stopping)
    {
        var text = new NpgsqlConnectionStringBuilder(settings.PostgresConnectionString) { Pooling = false, Timeout = 3, KeepAlive = 10, ApplicationName = "codo control" }.ConnectionString;
        await using var connection = new NpgsqlConnection(text);
        await connection.OpenAsync(stopping);
        connection.Notification += (_, notice) =>
        {
            if (notice.Payload.Length == 0 || notice.Payload == node.Name) Ask();
        };
        await using (var listen = new NpgsqlCommand($"LISTEN {Control.Channel}", connection)) await listen.ExecuteNonQueryAsync(stopping);
        while (true) await connection.WaitAsync(stopping);
    }

    // Many notifications in a burst are one look.
    private void Ask()
    {
        if (Interlocked.Exchange(ref pending, 1) == 0) asked.Release();
    }

    private async Task LookAgainAndAgain(CancellationToken stopping)
    {
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                await asked.WaitAsync(Net, stopping);
                Interlocked.Exchange(ref pending, 0);
                // Nothing is this node's before it has joined.
                if (node.Incarnation == 0) continue;
                foreach (var work in works) await work.Look(stopping);
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                return;
            }
            catch (Exception error)
            {
                log.LogWarning("A look at the control rows failed: {Cause}", error.Message);
                await Task.Delay(Net, CancellationToken.None);
            }
        }
    }

    public override void Dispose()
    {
        asked.Dispose();
        base.Dispose();
    }
}
