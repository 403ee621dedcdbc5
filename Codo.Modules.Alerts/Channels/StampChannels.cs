using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Modules.Alerts.Channels;

/// <summary>Command channels of a version that ran their programs as the host's user.</summary>
internal sealed class StampChannels : IStampRunAs
{
    private const string ChannelsSql = """
        UPDATE alerts.channel SET settings = settings || jsonb_build_object('run_as', CAST(@Name AS text)) WHERE kind = 'command'
            AND COALESCE(settings ->> 'run_as', '') = ''
        """;

    public Task<int> Stamp(NpgsqlConnection connection, NpgsqlTransaction transaction, string name) =>
        connection.ExecuteAsync(ChannelsSql, new { Name = name }, transaction);
}
