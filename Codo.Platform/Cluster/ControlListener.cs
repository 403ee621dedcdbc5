using Npgsql;

namespace Codo.Platform.Cluster;

/// <summary>Listens on the control channel and wakes every module's poll.</summary>
internal sealed class ControlListener(Node node, WorkLoops works, ClusterSettings settings)
{
    private static readonly TimeSpan Quiet = TimeSpan.FromSeconds(5);

    /// <summary>Returns only by an exception: the connection was lost, or the host ends.</summary>
    public async Task Listen(LoopState state, CancellationToken stopping)
    {
        var text = new NpgsqlConnectionStringBuilder(settings.PostgresConnectionString) { Pooling = false, Timeout = 3, KeepAlive = 10, ApplicationName = "codo control" }.ConnectionString;
        await using var connection = new NpgsqlConnection(text);
        await connection.OpenAsync(stopping);
        connection.Notification += (_, notice) =>
        {
            if (notice.Payload.Length == 0 || notice.Payload == node.Name) works.Wake();
        };
        await using (var listen = new NpgsqlCommand($"LISTEN {Control.Channel}", connection)) await listen.ExecuteNonQueryAsync(stopping);
        // What was notified before the connection was there is found by this.
        works.Wake();
        while (true)
        {
            state.Succeeded();
            await connection.WaitAsync(Quiet, stopping);
        }
    }
}
