using Codo.Platform.Processes;
using Dapper;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Platform.Security;

/// <summary>Tables whose rows name the user that they run as. Each module stamps its own.</summary>
public interface IStampRunAs
{
    /// <summary>Writes the name into every row that has none.</summary>
    /// <returns>How many rows.</returns>
    Task<int> Stamp(NpgsqlConnection connection, NpgsqlTransaction transaction, string name);
}

/// <summary>
/// After an upgrade from a version that ran every command as the host's user, the first host to start writes that user into what is there, so that it runs as
/// before.
/// </summary>
public static class RunAsStamp
{
    // Deleted in the transaction that stamps: of hosts that start at once the others wait here, and find nothing.
    private const string TakeSql = """
        DELETE FROM platform.setting WHERE key = 'stamp.run_as' AND value = 'due'
        """;

    private const string ToLookAtSql = """
        INSERT INTO platform.setting (key, value) VALUES ('look.run_as', @Name) ON CONFLICT (key) DO UPDATE SET value = excluded.value
        """;

    private const string SeenSql = """
        DELETE FROM platform.setting WHERE key = 'look.run_as' RETURNING value
        """;

    /// <summary>
    /// What the package, or whoever does the same by hand, writes into the data directory of an installation that ran as another user before: commands go on as
    /// that user.
    /// </summary>
    private const string RanAs = "ran-as";

    /// <summary>Stamps, exactly once after the migration. To be called after migrating and before anything runs.</summary>
    public static async Task Run(NpgsqlDataSource source, string dataDirectory, IEnumerable<IStampRunAs> modules, ILogger log)
    {
        await using var connection = await source.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        if (await connection.ExecuteAsync(TakeSql, transaction: transaction) == 0) return;
        var before = Path.Combine(dataDirectory, RanAs);
        var (name, rows) = (File.Exists(before) ? (await File.ReadAllTextAsync(before)).Trim() : SystemUser.Own.Name, 0);
        foreach (var module in modules) rows += await module.Stamp(connection, transaction, name);
        if (rows > 0) await connection.ExecuteAsync(ToLookAtSql, new { Name = name }, transaction);
        await Audit.Write(connection, transaction, Http.Caller.Codo, "stamp", "run_as", name, after: new { rows });
        await transaction.CommitAsync();
        if (rows > 0)
            log.LogWarning(
                "run_as is {Name} now on the {Rows} jobs, steps and channels that were there: they run as before. Look at them, then POST /v2/nodes/run_as/",
                name,
                rows
            );
    }

    /// <summary>A person has looked; returns what was stamped, null when nothing was to be looked at.</summary>
    public static Task<string?> Seen(NpgsqlConnection connection, NpgsqlTransaction transaction) =>
        connection.ExecuteScalarAsync<string?>(SeenSql, transaction: transaction);
}
