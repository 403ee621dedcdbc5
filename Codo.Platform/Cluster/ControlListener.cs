using Npgsql;

namespace Codo.Platform.Cluster;

/// <summary>What looks at once, beside the polls of the modules, when this node is notified on the control channel.</summary>
public sealed record ControlWake(WakeSignal Signal);

/// <summary>Listens on the control channel and wakes every module's poll.</summary>
internal sealed class ControlListener(Node node, WorkLoops works, IEnumerable<ControlWake> others, ClusterSettings settings)
{
    private static readonly TimeSpan Quiet = TimeSpan.FromSeconds(30);

    /// <summary>Returns only by an exception: the connection was lost, or the host ends.</summary>
    public async Task Listen(LoopState state, CancellationToken stopping)
    {
        var text = new NpgsqlConnectionStringBuilder(settings.PostgresConnectionString)
        {
            Pooling = false,
            Timeout = 3,
            KeepAlive = 10,
            ApplicationName = "codo control",
        }.ConnectionString;
        await using var connection = new NpgsqlConnection(text);
        await connection.OpenAsync(stopping);
        connection.Notification += (_, notice) =>
        {
            if (notice.Payload.Length == 0 || notice.Payload == node.Name) Wake();
        };
        await using (var listen = new NpgsqlCommand($"LISTEN {Control.Channel}", connection)) await listen.ExecuteNonQueryAsync(stopping);
        // What was notified before the connection was there is found by this.
        Wake();
        while (true)
        {
            state.Succeeded();
            await connection.WaitAsync(Quiet, stopping);
        }
    }

    private void Wake()
    {
        works.Wake();
        foreach (var other in others) other.Signal.Set();
    }
}
