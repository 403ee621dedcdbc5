using System.Collections.Concurrent;
using System.Net;
using Hangfire.Dashboard;
using Hangfire.Dashboard.Pages;
using Hangfire.States;

namespace Codo.Platform.Dashboard;

/// <summary>Pages of Codo's own in the Hangfire dashboard, and how its states look there. Hangfire keeps both in statics of the process.</summary>
public static class DashboardPages
{
    internal const string LinkKey = "Output";

    private static readonly ConcurrentDictionary<string, bool> Added = new(StringComparer.Ordinal);

    /// <summary>Adds a page that reads what it shows before it is rendered. Adding it twice does nothing.</summary>
    /// <param name="path">Such as <c>/executions</c>.</param>
    /// <param name="read">Reads the page's data with the services of the request.</param>
    public static void Add(string path, string title, Func<DashboardContext, IServiceProvider, Task<DashboardTable>> read)
    {
        if (!Added.TryAdd(path, true)) return;
        DashboardRoutes.Routes.Add(path, new TableDispatcher(path, title, read));
        NavigationMenu.Items.Add(page => new MenuItem(title, page.Url.To(path)) { Active = page.RequestPath.StartsWith(path, StringComparison.Ordinal) });
    }

    /// <summary>Teaches the dashboard Codo's states, and links jobs to their pages in the console.</summary>
    public static void AddStates()
    {
        if (!Added.TryAdd("states", true))
            return;
        foreach (
            var (name, suffix) in new[] { (DashboardState.QueuedName, "info"), (DashboardState.WaitingName, "info"), (DashboardState.RunningName, "warning") }
        )
        {
            JobHistoryRenderer.AddStateCssSuffix(name, suffix);
            JobHistoryRenderer.Register(name, Linked(JobHistoryRenderer.DefaultRenderer));
        }
        JobHistoryRenderer.Register(SucceededState.StateName, Linked(JobHistoryRenderer.SucceededRenderer));
        JobHistoryRenderer.Register(FailedState.StateName, Linked(Failure));
    }

    private static Func<HtmlHelper, IDictionary<string, string>, NonEscapedString> Linked(
        Func<HtmlHelper, IDictionary<string, string>, NonEscapedString?> rest
    ) =>
        (html, data) =>
        {
            var others = data.Where(item => item.Key != LinkKey).ToDictionary(StringComparer.Ordinal);
            var link =
                data.TryGetValue(LinkKey, out var address) && address.StartsWith('/')
                    ? $"<p><a href=\"{WebUtility.HtmlEncode(address)}\">{WebUtility.HtmlEncode(address)}</a></p>"
                    : "";
            return new NonEscapedString(rest(html, others) + link);
        };

    private static NonEscapedString Failure(HtmlHelper html, IDictionary<string, string> data) => new(
        $"<h4 class=\"exception-type\">{html.HtmlEncode(data["ExceptionType"])}</h4><p class=\"text-muted\">{html.HtmlEncode(data["ExceptionMessage"])}</p>"
        + (data.TryGetValue("ExceptionDetails", out var details) && details.Length > 0 ? $"<pre class=\"stack-trace\">{html.HtmlEncode(details)}</pre>" : ""));

    private sealed class TableDispatcher(string path, string title, Func<DashboardContext, IServiceProvider, Task<DashboardTable>> read) : IDashboardDispatcher
    {
        public async Task Dispatch(DashboardContext context)
        {
            var table = await read(context, context.GetHttpContext().RequestServices);
            // A page of Hangfire's renders synchronously, from what was read before.
            var routes = new RouteCollection();
            routes.AddRazorPage(path, _ => new TablePage(path, title, table));
            await routes.FindDispatcher(path)!.Item1.Dispatch(context);
        }
    }

    private sealed class TablePage(string path, string title, DashboardTable table) : RazorPage
    {
        public override void Execute()
        {
            Layout = new LayoutPage(title);
            WriteLiteral("<div class=\"row\"><div class=\"col-md-12\"><h1 class=\"page-header\">");
            Write(title);
            WriteLiteral("</h1>");
            if (table.Note.Length > 0) Alert(table.Note);
            if (table.Rows.Count == 0) Alert(table.Empty);
            else Rows();
            Pager();
            WriteLiteral("</div></div>");
        }

        private void Alert(string text)
        {
            WriteLiteral("<div class=\"alert alert-info\">");
            Write(text);
            WriteLiteral("</div>");
        }

        private void Rows()
        {
            WriteLiteral("<div class=\"table-responsive\"><table class=\"table\"><thead><tr>");
            foreach (var column in table.Columns) Cell("th", column);
            WriteLiteral("</tr></thead><tbody>");
            foreach (var row in table.Rows)
            {
                WriteLiteral("<tr>");
                foreach (var cell in row) Cell("td", cell);
                WriteLiteral("</tr>");
            }
            WriteLiteral("</tbody></table></div>");
        }

        private void Cell(string tag, DashboardCell cell)
        {
            WriteLiteral($"<{tag}>");
            if (cell.Address is { } address) WriteLiteral($"<a href=\"{WebUtility.HtmlEncode(cell.IsInDashboard ? Url.To(address) : address)}\">");
            if (cell.State is { } state) WriteLiteral(Html.StateLabel(state, cell.Text, hover: false).ToString());
            else Write(cell.Text);
            if (cell.Address is not null) WriteLiteral("</a>");
            WriteLiteral($"</{tag}>");
        }

        private void Pager()
        {
            if (table.Page == 1 && !table.HasMore) return;
            WriteLiteral("<ul class=\"pager\">");
            if (table.Page > 1) Link(table.Page - 1, "← Newer");
            if (table.HasMore) Link(table.Page + 1, "Older →");
            WriteLiteral("</ul>");
        }

        private void Link(int page, string text)
        {
            WriteLiteral($"<li><a href=\"{WebUtility.HtmlEncode(Url.To(path))}?page={page}\">");
            Write(text);
            WriteLiteral("</a></li>");
        }
    }
}

/// <summary>What a page of the dashboard shows.</summary>
/// <param name="Note">A sentence above the table; empty for none.</param>
/// <param name="Empty">What is said when there are no rows.</param>
/// <param name="Page">From 1.</param>
public sealed record DashboardTable(
    IReadOnlyList<string> Columns,
    IReadOnlyList<IReadOnlyList<DashboardCell>> Rows,
    string Empty,
    string Note = "",
    int Page = 1,
    bool HasMore = false
)
{
    /// <summary>The page that a request asks for.</summary>
    public static int PageOf(DashboardContext context) => int.TryParse(context.Request.GetQuery("page"), out var page) && page is > 0 and < 100_000 ? page : 1;
}

/// <summary>One cell: a text, with the state that gives it its colour, and where it leads.</summary>
public sealed record DashboardCell(string Text, string? State = null, string? Address = null, bool IsInDashboard = false)
{
    public static implicit operator DashboardCell(string text) => new(text);
}
