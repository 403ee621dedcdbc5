using System.Globalization;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Localization;
using Microsoft.AspNetCore.Components;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Codo.Platform.Ui;

/// <summary>
/// What stands around every page: sidebar, header, messages. A request with <c>X-Codo-Part</c> gets the figures and the content alone, for a page that is open
/// and takes over what changed.
/// </summary>
public sealed partial class Shell
{
    private readonly List<(HeaderFigure Figure, long Count)> counts = [];

    [Parameter]
    public Page Page { get; set; } = null!;

    [Parameter]
    public string Title { get; set; } = "";

    /// <summary>Steps above the title: a name and its address.</summary>
    [Parameter]
    public IReadOnlyList<(string Name, string Path)> Trail { get; set; } = [];

    /// <summary>The request that answers what the page shows, such as <c>/v1/cron/job/</c>.</summary>
    [Parameter]
    public string? Api { get; set; }

    /// <summary>Modules that the page needs beside the common one.</summary>
    [Parameter]
    public IReadOnlyList<string> Scripts { get; set; } = [];

    /// <summary>The page takes all of the window, without a scroll of its own.</summary>
    [Parameter]
    public bool Full { get; set; }

    /// <summary>Buttons beside the title.</summary>
    [Parameter]
    public RenderFragment? Actions { get; set; }

    /// <summary>What follows the title in its line, such as a state.</summary>
    [Parameter]
    public RenderFragment? Beside { get; set; }

    [Parameter]
    public RenderFragment? ChildContent { get; set; }

    [Inject]
    private Assets Files { get; set; } = null!;

    [Inject]
    private IEnumerable<NavigationItem> Items { get; set; } = null!;

    [Inject]
    private IEnumerable<HeaderFigure> AllFigures { get; set; } = null!;

    [Inject]
    private LiveTopics Live { get; set; } = null!;

    private static string ReleaseQuestion =>
        new Text(
            "解除暂停\n定时任务、订单与告警从现在起继续。请先查看未结束的订单：备份之后在原系统执行过的步骤会再次执行",
            "Release this installation\nSchedules, orders and alerts go on from now. Look at the open orders first: steps that ran after the backup would run "
                + "again"
        ).ToString();

    private Held? Held => Page.Context.RequestServices.GetRequiredService<Hold>().Current;

    private static bool English => Language.English;

    private bool IsPart => Page.Context.Request.Headers.ContainsKey("X-Codo-Part");

    private string Theme => Page.Context.Request.Cookies["codo_theme"] is ("light" or "dark") and { } theme ? theme : "auto";

    private string Now => Page.Time.GetUtcNow().ToUnixTimeMilliseconds().ToString(CultureInfo.InvariantCulture);

    private string Offset => ((int)Page.Zone.Info.GetUtcOffset(Page.Time.GetUtcNow()).TotalMinutes).ToString(CultureInfo.InvariantCulture);

    // The page's own, and those of the header.
    private string Topics { get; set; } = "";

    private IEnumerable<(Text Name, List<NavigationItem> Items)> Groups =>
        Items
            .Where(item => !item.SuperuserOnly || Page.Caller.IsSuperuser)
            .GroupBy(item => item.Group)
            .OrderBy(group => group.Key)
            .Select(group => (NameOf(group.Key), group.OrderBy(item => item.Rank).ToList()));

    public override async Task SetParametersAsync(ParameterView parameters)
    {
        parameters.SetParameterProperties(this);
        var figures = AllFigures.OrderBy(figure => figure.Rank).ToList();
        IReadOnlyList<string> versions = [];
        if (Page.Problem is not { Status: 503 })
        {
            try
            {
                var aborted = Page.Context.RequestAborted;
                versions = await Live.Versions(figures.Select(figure => figure.Topic).Distinct().Except(Page.Topics), Page.Access, aborted);
                await using var connection = await Page.Context.RequestServices.GetRequiredService<NpgsqlDataSource>().OpenConnectionAsync(aborted);
                foreach (var figure in figures) counts.Add((figure, await figure.Count(connection, Page.Access)));
            }
            catch (Exception error) when (DatabaseErrors.IsTransient(error))
            {
                // The page says so by its own state; a header without figures is still a header.
                counts.Clear();
            }
        }
        Topics = string.Join(' ', Page.Versions.Concat(versions));
        StateHasChanged();
    }

    private bool IsCurrent(NavigationItem item) =>
        item.Path == "/" ? Page.Context.Request.Path == "/" : Page.Context.Request.Path.StartsWithSegments(item.Path, StringComparison.Ordinal);

    private static Text NameOf(NavigationGroup group) =>
        group switch
        {
            NavigationGroup.Overview => new Text("概览", "Overview"),
            NavigationGroup.Schedules => new Text("定时", "Schedules"),
            NavigationGroup.Work => new Text("作业", "Orders"),
            NavigationGroup.Library => new Text("编排", "Library"),
            NavigationGroup.Watch => new Text("告警", "Alerts"),
            _ => new Text("系统", "System"),
        };

    private (string Icon, string Title) ProblemBadge =>
        Page.Problem!.Status switch
        {
            403 => ("hand", new Text("你没有权限查看", "You may not see this").ToString()),
            404 => ("search", new Text("没有找到", "Not found").ToString()),
            503 => ("server", new Text("暂时不可用", "Not available now").ToString()),
            500 => ("warning", new Text("出错了", "Something failed").ToString()),
            _ => ("warning", new Text("请求不正确", "The request is not right").ToString()),
        };
}
