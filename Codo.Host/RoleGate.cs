using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Localization;

namespace Codo.Host;

/// <summary>A node without the role <c>web</c> answers health and metrics alone; a balancer names the nodes with the role.</summary>
internal static class RoleGate
{
    private static readonly Text NoWeb = new(
        "此节点没有 web 角色（Codo:Node:Roles），只应答健康检查与指标；请访问其他节点",
        "This node does not have the role web (Codo:Node:Roles) and answers health and metrics alone; ask another node"
    );

    private static readonly string[] Answered = ["/healthz", "/are_you_ok", "/metrics"];

    public static IApplicationBuilder UseRoles(this IApplicationBuilder app)
    {
        if (app.ApplicationServices.GetRequiredService<Node>().Has(NodeRoles.Web)) return app;
        return app.Use((HttpContext context, RequestDelegate next) =>
            Answered.Any(path => context.Request.Path.StartsWithSegments(path, StringComparison.Ordinal))
                ? next(context)
                : Failures.Write(context, 503, 503, NoWeb)
        );
    }
}
