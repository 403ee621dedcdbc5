using System.Globalization;
using Dapper;
using Npgsql;

namespace Codo.Platform.Data;

/// <summary>How long the statements of a transaction wait for a lock.</summary>
public static class LockWait
{
    private const string LimitSql = """
        SELECT set_config('lock_timeout', @Most, true)
        """;

    /// <summary>
    /// Until the transaction ends: a statement that waits for a lock longer than this fails, see <see cref="DatabaseErrors.IsLockTimeout"/>.
    /// </summary>
    public static Task Limit(NpgsqlConnection connection, NpgsqlTransaction transaction, TimeSpan most) =>
        connection.ExecuteAsync(LimitSql, new { Most = string.Create(CultureInfo.InvariantCulture, $"{most.TotalMilliseconds:0}ms") }, transaction);
}
