using Dapper;
using Npgsql;

namespace Codo.Platform.Cluster;

/// <summary>How one node makes another look at once, instead of at its next second.</summary>
public static class Control
{
    /// <summary>The PostgreSQL notification channel; the payload is the name of the node that should look, empty for all.</summary>
    public const string Channel = "codo_control";

    private const string NotifySql = """
        SELECT pg_notify('codo_control', @Node)
        """;

    /// <summary>Part of the caller's transaction: it is sent when that commits.</summary>
    public static Task Notify(NpgsqlConnection connection, NpgsqlTransaction? transaction, string node) =>
        connection.ExecuteAsync(NotifySql, new { Node = node }, transaction);
}
