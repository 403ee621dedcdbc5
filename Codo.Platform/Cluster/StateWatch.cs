using Dapper;
using Npgsql;

namespace Codo.Platform.Cluster;

/// <summary>What a node keeps in memory, and reads again when another node has announced a change of it on the control channel.</summary>
/// <param name="Version">A scalar SQL expression whose value changes with it.</param>
/// <param name="Changed">Called when the value is another one than a second before, and once after the start.</param>
public sealed record WatchedState(string Version, Action Changed);

/// <summary>
/// The fallback for announcements that were lost: one statement a second asks for the versions of everything that is watched, whatever their number.
/// </summary>
internal sealed class StateWatch(NpgsqlDataSource source, IEnumerable<WatchedState> states)
{
    private readonly WatchedState[] states = [.. states];
    private string?[]? known;

    /// <summary>Compares the versions once.</summary>
    public async Task Poll(CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        var now = (await connection.ExecuteScalarAsync<string?[]>($"SELECT ARRAY[{string.Join(", ", states.Select(Text))}]"))!;
        for (var i = 0; i < states.Length; i++)
        {
            if (known is null || known[i] != now[i]) states[i].Changed();
        }
        // Last: a look that fails before is done again.
        known = now;
    }

    private static string Text(WatchedState state) => $"CAST(({state.Version}) AS text)";
}
