using System.Globalization;
using Codo.Platform.Dashboard;
using Codo.Platform.Localization;
using Dapper;
using Hangfire.States;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>The dashboard's page of the ledger, newest first, with its own words for how each due time ended.</summary>
internal static class ExecutionsPage
{
    private const int Rows = 50;

    private const string PageSql = """
        SELECT l.log_id, l.job_id, l.status, l.trigger, l.nominal_at, l.times, l.exec_time, l.ended_at, l.exit_code, l.cause_en, l.dashboard_job
            FROM cron.cron_log l
        ORDER BY l.exec_time DESC, l.log_id DESC LIMIT @Most OFFSET @Offset
        """;

    // Of the last hour: those without a background job were left out under load.
    private const string MirroredSql = """
        SELECT count(*) FILTER (WHERE dashboard_job <> '') AS shown, count(*) AS all FROM cron.cron_log
            WHERE exec_time > (SELECT clock_timestamp() - interval '1 hour') AND status NOT IN ('skipped', 'missed')
        """;

    public static void Add() =>
        DashboardPages.Add(
            "/executions",
            "Executions",
            async (context, services) =>
            {
                var page = DashboardTable.PageOf(context);
                var source = (NpgsqlDataSource)services.GetService(typeof(NpgsqlDataSource))!;
                var zone = (Zone)services.GetService(typeof(Zone))!;
                await using var connection = await source.OpenConnectionAsync();
                var rows = (await connection.QueryAsync<Row>(PageSql, new { Most = Rows + 1, Offset = (page - 1) * Rows })).AsList();
                var (shown, all) = await connection.QuerySingleAsync<(long, long)>(MirroredSql);
                var note =
                    shown == all
                        ? ""
                        : string.Create(
                            CultureInfo.InvariantCulture,
                            ($"最近一小时 {all} 次执行中有 {shown} 次显示为后台作业；账本是完整的 / Of the last hour's {all} executions {shown} are shown as background jobs; this "
                                + $"list has all.")
                        );
                return new DashboardTable(
                    ["Log", "Job", "Status", "Trigger", "Due", "Start", "Seconds", "Exit", "Background job", "Cause"],
                    [.. rows.Take(Rows).Select(row => Cells(row, zone))],
                    "账本还是空的 / The ledger is empty.",
                    note,
                    page,
                    rows.Count > Rows
                );
            }
        );

    private static IReadOnlyList<DashboardCell> Cells(Row row, Zone zone) =>
    [
        new(row.LogId.ToString(CultureInfo.InvariantCulture), Address: ExecutionMirror.LinkOf(row.LogId)),
        row.JobId,
        new(row.Status.Word(), State: StateOf(row.Status)),
        row.Trigger,
        zone.Text(row.NominalAt) + (row.Times > 1 ? string.Create(CultureInfo.InvariantCulture, $" × {row.Times}") : ""),
        zone.Text(row.ExecTime),
        row.EndedAt is { } ended ? (ended - row.ExecTime).TotalSeconds.ToString("0.000", CultureInfo.InvariantCulture) : "",
        row.ExitCode?.ToString(CultureInfo.InvariantCulture) ?? "",
        row.DashboardJob.Length == 0 ? "" : new DashboardCell(row.DashboardJob, Address: "/jobs/details/" + row.DashboardJob, IsInDashboard: true),
        row.CauseEn,
    ];

    private static string StateOf(ExecutionStatus status) => status switch
    {
        ExecutionStatus.Queued => DashboardState.QueuedName,
        ExecutionStatus.Running => DashboardState.RunningName,
        ExecutionStatus.Success => SucceededState.StateName,
        ExecutionStatus.Skipped => DeletedState.StateName,
        _ => FailedState.StateName,
    };

    private sealed record Row(
        long LogId,
        string JobId,
        ExecutionStatus Status,
        string Trigger,
        DateTime NominalAt,
        int Times,
        DateTime ExecTime,
        DateTime? EndedAt,
        int? ExitCode,
        string CauseEn,
        string DashboardJob
    );
}
