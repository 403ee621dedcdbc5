using System.Globalization;
using Codo.Platform.Cluster;
using Codo.Platform.Dashboard;
using Codo.Platform.Localization;

namespace Codo.Host.Hangfire;

/// <summary>What is under way on all nodes, since when. Hangfire's own page of processing jobs cannot show it: its workers only start work.</summary>
internal static class RunningPage
{
    private const int Rows = 100;

    public static void Add() =>
        DashboardPages.Add(
            "/running",
            "Running",
            async (context, services) =>
            {
                var (zone, now, page) = (
                    services.GetRequiredService<Zone>(),
                    services.GetRequiredService<TimeProvider>().GetUtcNow().UtcDateTime,
                    DashboardTable.PageOf(context)
                );
                var all = new List<RunningWork>();
                foreach (var work in services.GetServices<INodeWork>())
                    all.AddRange(await work.Running(CancellationToken.None));
                var rows = all.OrderBy(row => row.Since).Skip((page - 1) * Rows).Take(Rows + 1).ToList();
                return new DashboardTable(
                    ["What", "Node", "Since", "For", "Detail"],
                    [
                        .. rows.Take(Rows)
                            .Select(row =>
                                (IReadOnlyList<DashboardCell>)
                                    [
                                        new(row.What, Address: row.Link),
                                        row.Node,
                                        zone.Text(row.Since),
                                        (now - row.Since).ToString(@"d\.hh\:mm\:ss", CultureInfo.InvariantCulture),
                                        row.Detail,
                                    ]
                            ),
                    ],
                    "没有正在执行的命令 / Nothing is under way.",
                    Page: page,
                    HasMore: rows.Count > Rows
                );
            }
        );
}
