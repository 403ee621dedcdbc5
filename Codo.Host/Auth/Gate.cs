using Codo.Platform.Http;

namespace Codo.Host.Auth;

/// <summary>The one gate: every endpoint needs a token and its right, unless it is declared for anybody. An endpoint that declares nothing needs a superuser.</summary>
internal static class Gate
{
    private static readonly Text NotSignedIn = new("你没有登录", "You are not signed in");
    private static readonly Text NoRight = new("你没有权限执行此操作", "You have no right to do this");

    /// <summary>Stands behind routing, so that it knows what is asked for.</summary>
    public static IApplicationBuilder UseGate(this IApplicationBuilder app) => app.Use(async (HttpContext context, RequestDelegate next) =>
    {
        var endpoint = context.GetEndpoint();
        // No endpoint is a 404; routing's own 405 has no handler of ours behind it.
        if (endpoint is null || endpoint.DisplayName == "405 HTTP Method Not Supported")
        {
            await next(context);
            return;
        }
        var right = endpoint.Metadata.GetMetadata<Right>() ?? Right.Superuser;
        if (right == Right.Anybody)
        {
            // A page that greets a stranger may still know who comes with a token.
            if (Tokens.Find(context.Request).Token is { Length: > 0 } shown && (await context.RequestServices.GetRequiredService<Tokens>().Read(context, shown)).Caller is { } known) Caller.Set(context, known);
            await next(context);
            return;
        }
        var tokens = context.RequestServices.GetRequiredService<Tokens>();
        var (token, source) = Tokens.Find(context.Request);
        var (caller, reason) = await tokens.Read(context, token);
        if (caller is null)
        {
            Log(context).LogWarning("Not let in: {Reason}, claims to be {Username}, from {Address}, {Method} {Path}",
                reason, tokens.ClaimedName(token), context.Connection.RemoteIpAddress, context.Request.Method, context.Request.Path.Value);
            await Failures.Write(context, 401, 401, NotSignedIn, new { reason });
            return;
        }
        Caller.Set(context, caller);
        if (!await CrossOrigin.Allows(context, source)) return;
        if (!right.Holds(caller, context.RequestServices))
        {
            Log(context).LogWarning("Refused: {Username} ({UserId}) has not the right {Right} for {Method} {Path}", caller.Username, caller.UserId, right.Name, context.Request.Method, context.Request.Path.Value);
            // A page has no envelope for its reader; a slice answers in the contract's way.
            var isSlice = endpoint.Metadata.GetMetadata<SliceOf>() is not null;
            await Failures.Write(context, isSlice ? -2 : 403, 403, NoRight);
            return;
        }
        await next(context);
    });

    private static ILogger Log(HttpContext context) => context.RequestServices.GetRequiredService<ILoggerFactory>().CreateLogger("Codo.Auth");
}
