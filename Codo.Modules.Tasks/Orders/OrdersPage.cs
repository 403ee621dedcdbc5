using System.Globalization;
using Codo.Modules.Tasks.Execution;
using Codo.Platform.Dashboard;
using Codo.Platform.Localization;
using Dapper;
using Hangfire.States;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>The dashboard's page of orders, newest first.</summary>
internal static class OrdersPage
{
    private const int Rows = 50;

    // OFFSET 0, so that attempts are looked up order by order: the planner would read those of all orders.
    private const string PageSql = $"""
        SELECT o.list_id, o.task_name, o.creator, o.schedule, o.status, {OrderMirror.ShownState} AS shown, o.create_time, o.begins_at, o.ended_at,
            coalesce(d.background_job, o.dashboard_job) AS background_job,
            o.schedule = 'OK' AND o.status <> 3
                AND EXISTS (SELECT FROM tasks.scheduler_task_info i JOIN tasks.attempt a USING (sched_id) WHERE i.list_id = o.list_id OFFSET 0) AS has_begun
        FROM tasks.scheduler_task_list o
        LEFT JOIN tasks.dashboard_job d USING (list_id) ORDER BY o.list_id DESC LIMIT @Most OFFSET @Offset
        """;

    public static void Add() => DashboardPages.Add("/orders", "Orders", async (context, services) =>
    {
        var page = DashboardTable.PageOf(context);
        var source = (NpgsqlDataSource)services.GetService(typeof(NpgsqlDataSource))!;
        var zone = (Zone)services.GetService(typeof(Zone))!;
        await using var connection = await source.OpenConnectionAsync();
        var rows = (await connection.QueryAsync<Row>(PageSql, new { Most = Rows + 1, Offset = (page - 1) * Rows })).AsList();
        return new DashboardTable(
            ["Order", "Name", "State", "Submitter", "Submitted", "Begins", "Ended", "Background job"], [.. rows.Take(Rows).Select(row => Cells(row, zone))],
            "还没有订单 / There are no orders.", Page: page, HasMore: rows.Count > Rows);
    });

    private static IReadOnlyList<DashboardCell> Cells(Row row, Zone zone)
    {
        var (text, state) = (row.Schedule, row.Status, row.Shown) switch
        {
            ("new", _, _) => ("awaits approval", DashboardState.WaitingName),
            ("ready", _, _) => ("awaits its time", DashboardState.WaitingName),
            ("OK", 3, _) => ("succeeded", SucceededState.StateName),
            ("OK", _, _) when !row.HasBegun => ("ended before anything of it ran", DeletedState.StateName),
            ("OK", _, _) => ("ended, not every step succeeded", FailedState.StateName),
            (_, 4, _) => ("a step has failed", FailedState.StateName),
            (_, _, OrderMirror.AtInterruption) => ("a host was interrupted", FailedState.StateName),
            (_, _, OrderMirror.AtHand) => ("a step waits for a person", DashboardState.WaitingName),
            (_, _, OrderMirror.AtBatch) => ("a batch waits for a person", DashboardState.WaitingName),
            _ => ("running", DashboardState.RunningName),
        };
        return
        [
            new(row.ListId.ToString(CultureInfo.InvariantCulture), Address: OrderMirror.LinkOf(row.ListId)),
            row.TaskName,
            new(text, State: state),
            row.Creator,
            zone.Text(row.CreateTime),
            zone.Text(row.BeginsAt),
            row.EndedAt is { } ended ? zone.Text(ended) : "",
            row.BackgroundJob.Length == 0 ? "" : new DashboardCell(row.BackgroundJob, Address: "/jobs/details/" + row.BackgroundJob, IsInDashboard: true),
        ];
    }

    private sealed record Row(
        long ListId,
        string TaskName,
        string Creator,
        string Schedule,
        short Status,
        string Shown,
        DateTime CreateTime,
        DateTime BeginsAt,
        DateTime? EndedAt,
        string BackgroundJob,
        bool HasBegun
    );
}
