using Codo.Host.Accounts;
using Codo.Host.Pages;
using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Codo.Platform.Ui;
using Microsoft.AspNetCore.Http.Features;

namespace Codo.Host.Auth;

/// <summary>
/// The one gate: every endpoint needs a token and its right, unless it is declared for anybody. An endpoint that declares nothing needs a superuser.
/// </summary>
internal static class Gate
{
    private static readonly Text NotSignedIn = new("你没有登录", "You are not signed in");
    private static readonly Text NoRight = new("你没有权限执行此操作", "You have no right to do this");

    /// <summary>Stands behind routing, so that it knows what is asked for.</summary>
    public static IApplicationBuilder UseGate(this IApplicationBuilder app) =>
        app.Use(
            async (HttpContext context, RequestDelegate next) =>
            {
                var endpoint = context.GetEndpoint();
                // No endpoint is a 404; routing's own 405 has no handler of ours behind it.
                var isNone = endpoint is null || endpoint.DisplayName == "405 HTTP Method Not Supported";
                var right = isNone ? Right.Anybody : endpoint!.Metadata.GetMetadata<Right>() ?? Right.Superuser;
                var tokens = context.RequestServices.GetRequiredService<Tokens>();
                var (token, source) = Tokens.Find(context.Request);
                var (caller, reason) = await tokens.Read(context, token);
                // A browser sends both cookies: one of a sign-in here that is over does not hide codo-admin's, which is still good.
                if (
                    caller is null
                    && source == TokenSource.Cookie
                    && Tokens.AuthKeyCookie(context.Request) is { } other
                    && other != token
                    && (await tokens.Read(context, other)).Caller is { } found
                )
                    caller = found;
                if (caller is null)
                {
                    LimitBody(context, StrangerLimit.MostBody);
                    var route =
                        right != Right.Anybody ? "401"
                        : isNone ? "404"
                        : (endpoint as RouteEndpoint)?.RoutePattern.RawText ?? "";
                    if (!await context.RequestServices.GetRequiredService<StrangerLimit>().Allows(context, route))
                        return;
                }
                // A page that greets a stranger may still know who comes with a token.
                else
                {
                    Caller.Set(context, caller);
                    context.RequestServices.GetRequiredService<People>().Note(caller);
                    context.RequestServices.GetRequiredService<SeenSessions>().Note(caller, context.Request.Headers.UserAgent.ToString());
                }
                using var use = caller is null ? null : context.Features.Get<ConnectionLimit.Held>()?.Use();
                if (right == Right.Anybody)
                {
                    // Another page must not sign its reader in as somebody else.
                    if (endpoint?.Metadata.GetMetadata<FromOwnPages>() is not null && !await CrossOrigin.Allows(context, TokenSource.Cookie)) return;
                    if (caller is null) await next(context);
                    else await context.RequestServices.GetRequiredService<ConcurrentRequests>().Run(context, caller, next);
                    return;
                }
                if (
                    caller is null
                    && reason == "missing"
                    && endpoint?.Metadata.GetMetadata<OpenToNetworks>() is not null
                    && context.RequestServices.GetRequiredService<OpenNetworks>().Has(context.Connection.RemoteIpAddress)
                )
                {
                    await next(context);
                    return;
                }
                if (caller is null)
                {
                    Log(context)
                        .LogWarning(
                            "Not let in: {Reason}, claims to be {Username}, from {Address}, {Method} {Path}",
                            reason,
                            tokens.ClaimedName(token),
                            context.Connection.RemoteIpAddress,
                            context.Request.Method,
                            context.Request.Path.Value
                        );
                    NoteAttempt(context, tokens, token, reason);
                    if (IsForBrowser(context, endpoint))
                        await FrontPage.Refuse(context, null, 401, reason);
                    else
                        await Failures.Write(context, 401, 401, NotSignedIn, new { reason });
                    return;
                }
                if (!await CrossOrigin.Allows(context, source))
                    return;
                if (!right.Holds(caller, context.RequestServices))
                {
                    Log(context)
                        .LogWarning(
                            "Refused: {Username} ({UserId}) has not the right {Right} for {Method} {Path}",
                            caller.Username,
                            caller.UserId,
                            right.Name,
                            context.Request.Method,
                            context.Request.Path.Value
                        );
                    context.RequestServices.GetRequiredService<RefusedAttempts>().Refused(caller, RefusedAttempts.Route(context), $"needs {right.Name}");
                    // A page has no envelope for its reader; a slice answers in the contract's way.
                    if (IsForBrowser(context, endpoint) && endpoint!.Metadata.GetMetadata<IsPage>() is not null)
                        await PageRoutes.Render<RefusedPage>(context).ExecuteAsync(context);
                    else if (IsForBrowser(context, endpoint))
                        await FrontPage.Refuse(context, caller, 403, "");
                    else
                        await Failures.Write(
                            context,
                            IsSlice(endpoint!) ? -2 : 403,
                            403,
                            NoRight,
                            new { hint = right.Missing(caller, context.RequestServices) }
                        );
                    return;
                }
                if (endpoint!.Metadata.GetMetadata<LongBody>() is { } needed)
                    LimitBody(context, Math.Max(needed.Bytes, context.RequestServices.GetRequiredService<NodeSettings>().MaxBody));
                // A slice and a page answer and are done; everything else may be a stream.
                if (IsSlice(endpoint!) || endpoint!.Metadata.GetMetadata<IsPage>() is not null)
                    await context.RequestServices.GetRequiredService<ConcurrentRequests>().Run(context, caller, next);
                else
                    await context.RequestServices.GetRequiredService<OpenStreams>().Run(context, caller, next);
            }
        );

    /// <summary>Notes a refused token: one that is not there or too old is everyday, one that is not good is an attempt to sign in.</summary>
    internal static void NoteAttempt(HttpContext context, Tokens tokens, string token, string reason)
    {
        if (reason is not ("missing" or "expired"))
            context
                .RequestServices.GetRequiredService<RefusedAttempts>()
                .SignInFailed(tokens.ClaimedName(token), context.Connection.RemoteIpAddress?.ToString() ?? "", "token", reason);
    }

    // A person who follows a link to a page gets a page.
    private static bool IsForBrowser(HttpContext context, Endpoint? endpoint) =>
        endpoint?.Metadata.GetMetadata<PagePolicy>() is not null && HttpMethods.IsGet(context.Request.Method)
        && context.Request.Headers.Accept.Any(accept => accept?.Contains("text/html", StringComparison.OrdinalIgnoreCase) == true);

    private static bool IsSlice(Endpoint endpoint) => endpoint.Metadata.GetMetadata<SliceOf>() is not null;

    private static void LimitBody(HttpContext context, long most)
    {
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit) limit.MaxRequestBodySize = most;
    }

    private static ILogger Log(HttpContext context) => context.RequestServices.GetRequiredService<ILoggerFactory>().CreateLogger("Codo.Auth");
}
