using System.Globalization;
using System.Net;
using Codo.Host.Accounts;
using Codo.Host.Auth;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Ui;
using MediatR;

namespace Codo.Host.Pages;

/// <summary>
/// The page at <c>/</c>: what this is, where to go, and the ways to sign in; each ends in the cookie with which a browser opens every other page.
/// </summary>
internal static class FrontPage
{
    private static readonly string Html = Read("index.html");

    public static void MapFrontPage(this IEndpointRouteBuilder routes)
    {
        routes.MapGet("/", Show).Needs(Right.Anybody).ExcludeFromDescription();
        routes.MapPage<SearchPage>("/search/");
        routes.MapGet("/sign-in/", ShowForm).Needs(Right.Anybody).ExcludeFromDescription();
        routes.MapPost("/sign-in/", Enter).Needs(Right.Anybody).WithMetadata(new FromOwnPages()).ExcludeFromDescription();
        routes.MapPost("/sign-out/", Leave).Needs(Right.Anybody).WithMetadata(new FromOwnPages()).ExcludeFromDescription();
    }

    /// <summary>Answers a browser that asks for a page without the right to it: the form to sign in, which leads back to the page.</summary>
    /// <param name="caller">Who asks; null for a stranger.</param>
    public static Task Refuse(HttpContext context, Caller? caller, int status, string reason)
    {
        context.Response.StatusCode = status;
        var text = caller is null ? "" : $"{Who(caller)}<p class=\"error\">此页需要超级用户的令牌 This page needs a superuser's token</p>";
        var next = LocalPath.OrRoot(context.Request.Path.ToUriComponent() + context.Request.QueryString);
        return Write(context, text + SignInForm.Of(context, next, token: caller is null && reason != "missing" ? reason : ""));
    }

    private static Task Show(HttpContext context)
    {
        if (Caller.Of(context) is not null) return PageRoutes.Render<HomePage>(context).ExecuteAsync(context);
        // A page that is open asks so for itself again: like every other one it hears that the session is over.
        if (context.Request.Headers.ContainsKey("X-Codo-Part")) context.Response.StatusCode = StatusCodes.Status401Unauthorized;
        return Write(context, SignInForm.Of(context, "/"));
    }

    // Where other pages send a stranger, with the page that leads back.
    private static Task ShowForm(HttpContext context)
    {
        var next = LocalPath.OrRoot(context.Request.Query["next"].ToString());
        return Write(context, SignInForm.Of(context, next, text: SignInForm.Known(context.Request.Query["failed"].ToString())));
    }

    private static async Task Enter(HttpContext context)
    {
        var form = await Forms.Read(context);
        var next = LocalPath.OrRoot(form["next"].ToString());
        if (form.ContainsKey("username")) await EnterByPassword(context, form, next);
        else await EnterByToken(context, form["token"].ToString().Trim(), next);
    }

    private static async Task EnterByPassword(HttpContext context, IFormCollection form, string next)
    {
        // A form of several parts may bring a NUL, which PostgreSQL refuses.
        var (username, code) = (OutsideText.Storable(form["username"].ToString()), OutsideText.Storable(form["otp"].ToString()));
        try
        {
            // The handler sets the cookie.
            await context.RequestServices.GetRequiredService<IMediator>().Send(
                new SignIn.Command(username, form["password"].ToString(), code),
                context.RequestAborted
            );
            SeeOther(context, next);
        }
        catch (Refusal refusal)
        {
            context.Response.StatusCode = refusal.Kind == RefusalKind.TooMany ? 429 : 401;
            if (refusal.RetryAfter is { } seconds) context.Response.Headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
            await Write(context, SignInForm.Of(context, next, username: username, refusal: refusal));
        }
    }

    private static async Task EnterByToken(HttpContext context, string token, string next)
    {
        var tokens = context.RequestServices.GetRequiredService<Tokens>();
        var (caller, reason) = await tokens.Read(context, token);
        if (caller is null) Gate.NoteAttempt(context, tokens, token, reason);
        if (caller is not null)
        {
            SessionCookie.Append(context, token, caller.Expires);
            SeeOther(context, next);
        }
        // Back to the page that was asked for, which says why in its own language.
        else if (next.StartsWith("/i/", StringComparison.Ordinal))
        {
            SeeOther(context, $"{next}?refused={reason}");
        }
        else
        {
            context.Response.StatusCode = StatusCodes.Status401Unauthorized;
            await Write(context, SignInForm.Of(context, next, token: reason));
        }
    }

    private static async Task Leave(HttpContext context)
    {
        if (Caller.Of(context) is not null)
            await context.RequestServices.GetRequiredService<IMediator>().Send(new SignOut.Command(), context.RequestAborted);
        SessionCookie.Delete(context);
        context.Response.Cookies.Delete("auth_key");
        SeeOther(context, "/");
    }

    // The form is not sent again to where it leads.
    private static void SeeOther(HttpContext context, string path)
    {
        context.Response.StatusCode = StatusCodes.Status303SeeOther;
        context.Response.Headers.Location = path;
    }

    private static Task Write(HttpContext context, string session)
    {
        context.Response.ContentType = "text/html; charset=utf-8";
        context.Response.Headers.CacheControl = "no-store";
        context.Response.Headers.ContentSecurityPolicy =
            "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'self'; base-uri 'none'";
        var script = context.RequestServices.GetRequiredService<Assets>().Address("sign-in.js");
        var html = Html.Replace("{{script}}", script, StringComparison.Ordinal).Replace("{{session}}", session, StringComparison.Ordinal);
        return context.Response.WriteAsync(html, context.RequestAborted);
    }

    private static string Who(Caller caller) =>
        $"""
            <form class="who" method="post" action="/sign-out/"><div class="row"><span style="flex:1">已登录 Signed in: <strong>{WebUtility.HtmlEncode(
                caller.Nickname
            )}</strong> ({caller.UserId}){(caller.IsSuperuser ? " · 超级用户 superuser" : "")}</span>
            <button>退出 Sign out</button></div></form>
            """;

    private static string Read(string name)
    {
        using var reader = new StreamReader(typeof(FrontPage).Assembly.GetManifestResourceStream($"Codo.Host.Pages.{name}")!);
        return reader.ReadToEnd();
    }
}
