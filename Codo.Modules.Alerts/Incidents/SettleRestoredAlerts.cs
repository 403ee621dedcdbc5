using Codo.Platform.Cluster;
using Codo.Platform.Localization;
using Dapper;
using Npgsql;

namespace Codo.Modules.Alerts.Incidents;

/// <summary>Gives up what was to be told when a backup was taken: the installation that was backed up has told it.</summary>
internal sealed class SettleRestoredAlerts : ISettleRestored
{
    private const string GiveUpSql = """
        UPDATE alerts.delivery SET state = 'failed', ended_at = clock_timestamp(), answer = @Answer WHERE state IN ('due', 'sending', 'held', 'digested')
        """;

    private const string StopEscalatingSql = """
        UPDATE alerts.task_monitor SET escalate_at = NULL WHERE escalate_at IS NOT NULL
        """;

    public async Task Settle(NpgsqlConnection connection, NpgsqlTransaction transaction, Text cause)
    {
        await connection.ExecuteAsync(GiveUpSql, new { Answer = cause.En }, transaction);
        await connection.ExecuteAsync(StopEscalatingSql, transaction: transaction);
    }
}
