using System.Net;
using System.Text.RegularExpressions;
using Codo.Host.Auth;
using Codo.Platform.Http;
using Microsoft.IdentityModel.JsonWebTokens;

namespace Codo.Host.Pages;

/// <summary>The page at <c>/</c>: what this is, where to go, and a token turned into the cookie with which a browser opens the dashboard.</summary>
internal static partial class FrontPage
{
    private static readonly string Html = Read("index.html");

    public static void MapFrontPage(this IEndpointRouteBuilder routes)
    {
        routes.MapGet("/", Show).Needs(Right.Anybody).ExcludeFromDescription();
        routes.MapPost("/sign-in/", SignIn).Needs(Right.Anybody).ExcludeFromDescription();
        routes.MapPost("/sign-out/", SignOut).Needs(Right.Anybody).ExcludeFromDescription();
    }

    /// <summary>Answers a browser that asks for a page without the right to it: the form to sign in, which leads back to the page.</summary>
    /// <param name="caller">Who asks; null for a stranger.</param>
    public static Task Refuse(HttpContext context, Caller? caller, int status, string reason)
    {
        context.Response.StatusCode = status;
        var text = caller is null ? "" : $"{Who(caller)}<p class=\"error\">此页需要超级用户的令牌 This page needs a superuser's token</p>";
        return Write(context, text + Form(caller is null && reason != "missing" ? reason : "", Next(context.Request.Path.Value ?? "/")));
    }

    private static async Task Show(HttpContext context)
    {
        var (token, _) = Tokens.Find(context.Request);
        var (caller, _) = await context.RequestServices.GetRequiredService<Tokens>().Read(context, token);
        await Write(context, caller is null ? Form("") : Who(caller));
    }

    private static async Task SignIn(HttpContext context)
    {
        // Another page must not sign its reader in as somebody else, or out.
        if (!await CrossOrigin.Allows(context, TokenSource.Cookie)) return;
        var form = context.Request.HasFormContentType ? await context.Request.ReadFormAsync(context.RequestAborted) : null;
        var token = form?["token"].ToString().Trim() ?? "";
        var (caller, reason) = await context.RequestServices.GetRequiredService<Tokens>().Read(context, token);
        if (caller is null && Next(form?["next"].ToString() ?? "") is var next && next.StartsWith("/i/", StringComparison.Ordinal))
        {
            // Back to the page that was asked for, which says why in its own language. 303: the form is not sent again.
            context.Response.StatusCode = StatusCodes.Status303SeeOther;
            context.Response.Headers.Location = $"{next}?refused={reason}";
            return;
        }
        if (caller is null)
        {
            context.Response.StatusCode = StatusCodes.Status401Unauthorized;
            await Write(context, Form(reason, Next(form?["next"].ToString() ?? "")));
            return;
        }
        context.Response.Cookies.Append("auth_key", token, new CookieOptions
        {
            HttpOnly = true,
            Path = "/",
            SameSite = SameSiteMode.Lax,
            Secure = context.Request.IsHttps,
            Expires = new JsonWebToken(token).ValidTo,
        });
        context.Response.Redirect(Next(form!["next"].ToString()));
    }

    // The page of an incident is what a link in a message leads to, and the dashboard's pages ask for a token; any other address could be somebody else's.
    private static string Next(string asked) => Pages().IsMatch(asked) ? asked : "/";

    [GeneratedRegex(@"\A(/i/[0-9]{1,19}|/hangfire(/[a-z0-9]{1,40}){0,4})\z")]
    private static partial Regex Pages();

    private static async Task SignOut(HttpContext context)
    {
        if (!await CrossOrigin.Allows(context, TokenSource.Cookie)) return;
        context.Response.Cookies.Delete("auth_key");
        context.Response.Redirect("/");
    }

    private static Task Write(HttpContext context, string session)
    {
        context.Response.ContentType = "text/html; charset=utf-8";
        context.Response.Headers.CacheControl = "no-store";
        context.Response.Headers.ContentSecurityPolicy =
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'self'; base-uri 'none'";
        return context.Response.WriteAsync(Html.Replace("{{session}}", session, StringComparison.Ordinal), context.RequestAborted);
    }

    private static string Form(string reason, string next = "/") => $"""
        <form method="post" action="/sign-in/"><input type="hidden" name="next" value="{WebUtility.HtmlEncode(next)}">
        <label for="token">令牌 Token</label>
        <div class="row"><input id="token" name="token" type="password" autocomplete="off" required autofocus><button>登录 Sign in</button></div>
        {(reason.Length == 0 ? "" : $"<p class=\"error\">令牌无效 Not a valid token: {WebUtility.HtmlEncode(reason)}</p>")}
        <p class="en">命令 <code>codo token --user 名字 --superuser</code> 打印一个令牌；codo-admin 签发的令牌同样有效。<br>
        <code>codo token --user NAME --superuser</code> prints one; codo-admin's are good here too.</p>
        </form>
        """;

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
