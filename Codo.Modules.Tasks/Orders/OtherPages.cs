using Codo.Platform.Http;
using Codo.Platform.Localization;
using Microsoft.AspNetCore.Http;

namespace Codo.Modules.Tasks.Orders;

/// <summary>
/// Pages of the original that are no part of Codo: the caller is told where to read about it. The console prints a body of status 404 as "[object Object]", so
/// the status is 200.
/// </summary>
internal static class OtherPages
{
    public static Task Refuse(HttpContext context) =>
        Failures.Write(
            context,
            404,
            404,
            new Text(
                "此页面属于 codo-task 的 other 服务，Codo 不提供，见 docs/migration.md",
                "This page belongs to codo-task's service \"other\", which Codo does not have; see docs/migration.md"
            ),
            isBusiness: true
        );
}
