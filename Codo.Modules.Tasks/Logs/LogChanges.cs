using System.Globalization;
using Codo.Platform.Cluster;
using Npgsql;

namespace Codo.Modules.Tasks.Logs;

/// <summary>Lines of one attempt were written, on whichever node.</summary>
/// <param name="Line">The last of them; 0 says that no line was written, but that something became of an attempt whose node was lost.</param>
internal sealed record LogChange(long SchedId, int Attempt, long Line, string LogKey)
{
    public static LogChange? Parse(string payload)
    {
        var parts = payload.Split(':', 4);
        return parts.Length == 4
            && long.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out var sched)
            && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out var attempt)
            && long.TryParse(parts[2], NumberStyles.None, CultureInfo.InvariantCulture, out var line)
            ? new LogChange(sched, attempt, line, parts[3])
            : null;
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{SchedId}:{Attempt}:{Line}:{LogKey}");
}

/// <summary>
/// Hears of every writing of lines, over one connection of this node: executors learn how far their lines have come, followers that there is more.
/// </summary>
internal sealed class LogChanges(ClusterSettings settings)
{
    private static readonly TimeSpan Quiet = TimeSpan.FromSeconds(30);

    /// <summary>Null says that changes may have been missed: whoever waits for one looks again. Called one after another; a handler must be quick.</summary>
    public event Action<LogChange?>? Heard;

    /// <summary>Returns only by an exception: the connection was lost, or the host ends.</summary>
    public async Task Listen(LoopState state, CancellationToken stopping)
    {
        var text = new NpgsqlConnectionStringBuilder(settings.PostgresConnectionString)
        {
            Pooling = false,
            Timeout = 3,
            KeepAlive = 5,
            ApplicationName = "codo logs",
        }.ConnectionString;
        await using var connection = new NpgsqlConnection(text);
        await connection.OpenAsync(stopping);
        connection.Notification += (_, notice) => Heard?.Invoke(LogChange.Parse(notice.Payload));
        await using (var listen = new NpgsqlCommand($"LISTEN {LogTable.Channel}", connection)) await listen.ExecuteNonQueryAsync(stopping);
        Heard?.Invoke(null);
        while (true)
        {
            state.Succeeded();
            await connection.WaitAsync(Quiet, stopping);
        }
    }
}
