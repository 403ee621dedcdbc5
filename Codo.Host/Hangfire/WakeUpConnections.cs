using Codo.Platform.Data;
using Hangfire.PostgreSql;
using Npgsql;

namespace Codo.Host.Hangfire;

/// <summary>
/// Hangfire's connections. Their commits do not wait for the disk: what Hangfire keeps are wake-ups and what its dashboard shows of the ledger, and where
/// PostgreSQL crashes at most the last half second of them is lost. Nobody depends on those: the polls of both modules need no wake-up, the mirror compares
/// itself with the ledger, and a background job that a row of Codo's names is on the disk with that row.
/// </summary>
internal sealed class WakeUpConnections(string connectionString) : IConnectionFactory, IAsyncDisposable
{
    /// <summary>Connections of this host for Hangfire (docs/operations.md has the sum).</summary>
    private const int PoolSize = 15;

    private const string NoWaitSql = "SET synchronous_commit = off";

    private readonly NpgsqlDataSource source = Create(connectionString);

    public NpgsqlConnection GetOrCreateConnection() => source.CreateConnection();

    public ValueTask DisposeAsync() => source.DisposeAsync();

    private static NpgsqlDataSource Create(string connectionString)
    {
        // The setting is made once for each connection, and a reset between two uses would take it back.
        var limited = new NpgsqlConnectionStringBuilder(Postgres.WithLimits(connectionString, PoolSize, "codo hangfire")) { NoResetOnClose = true };
        var builder = new NpgsqlDataSourceBuilder(limited.ConnectionString);
        builder.UsePhysicalConnectionInitializer(
            connection =>
            {
                using var command = new NpgsqlCommand(NoWaitSql, connection);
                command.ExecuteNonQuery();
            },
            async connection =>
            {
                await using var command = new NpgsqlCommand(NoWaitSql, connection);
                await command.ExecuteNonQueryAsync();
            }
        );
        return builder.Build();
    }
}
