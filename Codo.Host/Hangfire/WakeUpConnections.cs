using Codo.Platform.Data;
using Hangfire.PostgreSql;
using Npgsql;

namespace Codo.Host.Hangfire;

/// <summary>
/// Hangfire's connections. Their commits do not wait for the disk: Hangfire keeps wake-ups and what its dashboard shows of the ledger. When PostgreSQL crashes,
/// the last of them are lost (up to three times its <c>wal_writer_delay</c>, 0.6 s by default). Nothing depends on those: the polls of both modules need no
/// wake-up, and the mirror compares itself with the ledger. A background job whose number a row of Codo's holds is not lost, because that row's commit, which
/// comes later, writes everything before it to the disk.
/// </summary>
internal sealed class WakeUpConnections(string connectionString) : IConnectionFactory, IDisposable
{
    /// <summary>Connections of this host for Hangfire (docs/operations.md has the sum).</summary>
    private const int PoolSize = 15;

    private const string NoWaitSql = "SET synchronous_commit = off";

    private readonly NpgsqlDataSource source = Create(connectionString);

    public NpgsqlConnection GetOrCreateConnection() => source.CreateConnection();

    public void Dispose() => source.Dispose();

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
