using System.Globalization;
using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Hangfire.Dashboard;
using Hangfire.Dashboard.Pages;

namespace Codo.Host.Hangfire;

/// <summary>What is under way, where, since when. Hangfire's own page of processing jobs cannot show it: its jobs only start work.</summary>
internal sealed class RunningPage : RazorPage
{
    // The dashboard's routes are one list a process.
    private static readonly Lazy<bool> Registered = new(() =>
    {
        DashboardRoutes.Routes.AddRazorPage("/running", _ => new RunningPage());
        NavigationMenu.Items.Add(page => new MenuItem("Running", page.Url.To("/running")) { Active = page.RequestPath.StartsWith("/running", StringComparison.Ordinal) });
        return true;
    });

    public static void Register() => _ = Registered.Value;

    public override void Execute()
    {
        Layout = new LayoutPage("Running");
        var services = Context.GetHttpContext().RequestServices;
        var zone = services.GetRequiredService<Zone>();
        // A Razor page of Hangfire's is synchronous; the queries behind it are short.
        var rows = services.GetServices<INodeWork>().SelectMany(work => work.Running(CancellationToken.None).GetAwaiter().GetResult()).OrderBy(row => row.Since).ToList();
        WriteLiteral("<div class=\"row\"><div class=\"col-md-12\"><h1 class=\"page-header\">Running</h1>");
        if (rows.Count == 0) WriteLiteral("<div class=\"alert alert-info\">没有正在执行的命令 / Nothing is under way.</div>");
        else Table(rows, zone);
        WriteLiteral("</div></div>");
    }

    private void Table(List<RunningWork> rows, Zone zone)
    {
        WriteLiteral("<div class=\"table-responsive\"><table class=\"table\"><thead><tr><th>What</th><th>Node</th><th>Since</th><th>For</th><th>Detail</th></tr></thead><tbody>");
        var now = Context.GetHttpContext().RequestServices.GetRequiredService<TimeProvider>().GetUtcNow().UtcDateTime;
        foreach (var row in rows)
        {
            WriteLiteral("<tr>");
            foreach (var cell in new[] { row.What, row.Node, zone.Text(row.Since), (now - row.Since).ToString(@"d\.hh\:mm\:ss", CultureInfo.InvariantCulture), row.Detail })
            {
                WriteLiteral("<td>");
                Write(cell);
                WriteLiteral("</td>");
            }
            WriteLiteral("</tr>");
        }
        WriteLiteral("</tbody></table></div>");
    }
}
