using Codo.Platform.Localization;
using Codo.Platform.Ui;

namespace Codo.Host.Pages;

/// <summary>What the host adds to the sidebar: the first page, and pages that are no part of the console.</summary>
internal static class HostNavigation
{
    public static IServiceCollection AddHostNavigation(this IServiceCollection services) =>
        services
            .AddNavigation(NavigationGroup.Overview, 1, new Text("概览", "Overview"), "/", "home")
            .AddNavigation(NavigationGroup.Overview, 2, new Text("搜索输出", "Search output"), "/search", "search")
            .AddNavigation(NavigationGroup.System, 1, new Text("人员与权限", "People"), "/people", "people")
            .AddNavigationPart(NavigationGroup.System, new Text("团队", "Teams"), "/people/teams")
            .AddNavigationPart(NavigationGroup.System, new Text("空间", "Spaces"), "/people/spaces")
            .AddNavigationPart(NavigationGroup.System, new Text("授权", "Grants"), "/people/grants")
            .AddNavigationPart(NavigationGroup.System, new Text("解释权限", "Explain"), "/people/explain")
            .AddNavigationPart(NavigationGroup.System, new Text("我的账号", "My account"), "/account")
            .AddNavigation(NavigationGroup.System, 2, new Text("审计", "Audit"), "/audit", "audit", superuserOnly: true)
            .AddNavigation(NavigationGroup.System, 3, new Text("节点", "Nodes"), "/nodes", "server", superuserOnly: true)
            .AddNavigation(NavigationGroup.System, 4, new Text("设置", "Settings"), "/settings", "settings", superuserOnly: true)
            .AddNavigation(NavigationGroup.System, 10, new Text("接口文档", "API"), "/docs", "book")
            .AddNavigation(NavigationGroup.System, 11, new Text("健康状态", "Health"), "/healthz/ready", "heart")
            .AddNavigation(NavigationGroup.System, 12, new Text("后台作业", "Background jobs"), "/hangfire", "route", superuserOnly: true);
}
