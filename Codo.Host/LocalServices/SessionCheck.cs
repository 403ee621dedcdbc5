using Npgsql;

namespace Codo.Host.LocalServices;

/// <summary>
/// Refuses a pooler in transaction mode between the host and an external PostgreSQL. Codo needs sessions: an advisory lock, LISTEN and a prepared statement
/// would be another client's after each transaction.
/// </summary>
internal static class SessionCheck
{
    /// <summary>Connections that hold a transaction open: where processes are shared, one of them gets the process that the first was given.</summary>
    private const int Others = 3;

    private const string PidSql = """
        SELECT pg_backend_pid()
        """;

    /// <exception cref="StartRefused">Server processes are shared between connections.</exception>
    public static async Task Verify(string connectionString)
    {
        var text = new NpgsqlConnectionStringBuilder(connectionString)
        {
            Pooling = false,
            Timeout = 5,
            CommandTimeout = 5,
            ApplicationName = "codo",
            MaxAutoPrepare = 0,
        }.ConnectionString;
        await using var first = new NpgsqlConnection(text);
        await first.OpenAsync();
        var given = await Pid(first);
        var others = new List<NpgsqlConnection>();
        try
        {
            for (var i = 0; i < Others; i++)
            {
                var other = new NpgsqlConnection(text);
                others.Add(other);
                await other.OpenAsync();
                // Ended with the connection.
                await other.BeginTransactionAsync();
                if (await Pid(other) == given) throw Refused();
            }

            if (await Pid(first) != given) throw Refused();
        }
        catch (Exception failure) when (failure is TimeoutException or NpgsqlException { InnerException: TimeoutException } && others.Count > 0)
        {
            // A pooler of one server process: the others hold it, and this one waits for ever. A server that stalls answers the first no more than the others.
            foreach (var other in others) await other.DisposeAsync();
            if (first.State != System.Data.ConnectionState.Open) await first.OpenAsync();
            await Pid(first);
            throw Refused();
        }
        finally
        {
            foreach (var other in others) await other.DisposeAsync();
        }
    }

    private static async Task<int> Pid(NpgsqlConnection connection)
    {
        await using var command = new NpgsqlCommand(PidSql, connection);
        return (int)(await command.ExecuteScalarAsync())!;
    }

    private static StartRefused Refused() =>
        new(
            "ConnectionStrings:Postgres leads to a pooler in transaction mode: PostgreSQL's process changes within a connection (pg_backend_pid()). Codo needs "
                + "sessions for LISTEN, advisory locks and prepared statements: connect to PostgreSQL itself, or set pool_mode = session for this database."
        );
}
