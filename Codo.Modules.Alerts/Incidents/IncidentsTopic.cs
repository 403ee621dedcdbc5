using Codo.Platform.Security;
using Codo.Platform.Ui;
using Dapper;
using Npgsql;

namespace Codo.Modules.Alerts.Incidents;

/// <summary>That an incident was opened, changed or resolved, or that there are others who may see it: whom a round tells, and where it has moved to.</summary>
internal sealed class IncidentsTopic(NpgsqlDataSource source, TimeProvider time) : PolledTopic(source, time)
{
    private const string VersionSql = """
        SELECT md5(COALESCE((SELECT max(id) FROM alerts.task_monitor), 0) || '.' ||
            COALESCE((SELECT string_agg(id || state || count || '.' || call_status || '.' || rounds || '.' || space_id, ',' ORDER BY id)
                FROM alerts.task_monitor WHERE state <> 'resolved'), ''))
        """;

    public override string Name => "incidents";

    protected override Task<string> Read(NpgsqlConnection connection, string argument, CancellationToken cancellation) =>
        connection.QuerySingleAsync<string>(new CommandDefinition(VersionSql, cancellationToken: cancellation));
}

/// <summary>The number in the header: incidents that the caller may see and that nobody has taken on.</summary>
internal static class OpenIncidentCount
{
    private const string CountSql = $"""
        SELECT count(*) FROM alerts.task_monitor m WHERE m.state = 'open' AND {IncidentVisibility.Visible}
        """;

    public static async Task<long> Of(NpgsqlConnection connection, Access access, IEnumerable<IResourceReader> readers) =>
        await connection.QuerySingleAsync<long>(CountSql, await IncidentVisibility.Parameters(connection, access, readers));
}
