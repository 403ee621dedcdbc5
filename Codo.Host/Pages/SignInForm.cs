using System.Net;
using Codo.Host.Accounts;
using Codo.Platform.Http;
using Codo.Platform.Localization;

namespace Codo.Host.Pages;

/// <summary>The ways to sign in that this installation has: password, OpenID Connect, a token.</summary>
internal static class SignInForm
{
    /// <summary>The forms.</summary>
    /// <param name="next">The page that a sign-in leads to.</param>
    /// <param name="token">Why a token was refused.</param>
    /// <param name="username">What was typed.</param>
    /// <param name="refusal">Why name and password were refused.</param>
    /// <param name="text">What else to say.</param>
    public static string Of(HttpContext context, string next, string token = "", string username = "", Refusal? refusal = null, Text? text = null)
    {
        var provider = context.RequestServices.GetRequiredService<OidcSettings>();
        var hasAccounts = context.RequestServices.GetRequiredService<Revocations>().HasAccounts || refusal is not null;
        var byToken = ByToken(next, token, isFirst: !hasAccounts);
        var isOpen = token.Length > 0 ? " open" : "";
        var others = hasAccounts || provider.IsSet
            ? $"<details{isOpen}><summary>用令牌登录 With a token</summary>{byToken}</details>"
            : byToken;
        return (text is { } said ? Error(said) : "") + (hasAccounts ? ByPassword(next, username, refusal) : "") + ByProvider(provider, next) + others;
    }

    /// <summary>What a page that sent somebody here has to say, by its word in the address.</summary>
    public static Text? Known(string word) => word switch
    {
        OidcScheme.Failed => new Text("单点登录没有成功，请重试", "The sign-in with the provider did not work; try again"),
        OidcScheme.Away => new Text("单点登录服务暂时无法访问", "The sign-in provider cannot be reached"),
        OidcScheme.Disabled => new Text("账号已停用", "The account is disabled"),
        _ => null,
    };

    private static string ByProvider(OidcSettings provider, string next) =>
        provider.IsSet
            ? $"""<p><a class="button" href="{WebUtility.HtmlEncode(OidcScheme.AddressFor(next))}">{WebUtility.HtmlEncode(provider.Name)}</a></p>"""
            : "";

    private static string ByPassword(string next, string username, Refusal? refusal)
    {
        var needsCode = refusal?.Code is SignIn.NeedsCode or SignIn.NeedsSetUp;
        var setUp = refusal?.More is SignIn.KeyToSetUp key
            ? $"""<p>密钥 Key: <code>{WebUtility.HtmlEncode(key.OtpKey)}</code> · <a href="{WebUtility.HtmlEncode(key.OtpUri)}">otpauth</a></p>"""
            : "";
        return $"""
            <form method="post" action="/sign-in/"><input type="hidden" name="next" value="{WebUtility.HtmlEncode(next)}">
            <label for="username">用户名 Username</label>
            <input id="username" name="username" autocomplete="username" required maxlength="200" value="{WebUtility.HtmlEncode(username)}"{Focus(
                username.Length == 0
            )}>
            <label for="password">密码 Password</label>
            <input id="password" name="password" type="password" autocomplete="current-password" required maxlength="1000"{Focus(username.Length > 0)}>
            {setUp}
            <label for="otp">一次性验证码 One-time code{(needsCode ? "" : " <span class=\"en\">如已启用 if you use one</span>")}</label>
            <input id="otp" name="otp" inputmode="numeric" autocomplete="one-time-code" maxlength="20"{(needsCode ? " required" : "")}>
            {(refusal is null ? "" : Error(refusal.Text))}
            <p><button>登录 Sign in</button></p>
            </form>
            """;
    }

    private static string ByToken(string next, string reason, bool isFirst) => $"""
        <form method="post" action="/sign-in/"><input type="hidden" name="next" value="{WebUtility.HtmlEncode(next)}">
        <label for="token">令牌 Token</label>
        <div class="row"><input id="token" name="token" type="password" autocomplete="off" required{Focus(isFirst)}><button>登录 Sign in</button></div>
        {(reason.Length == 0 ? "" : $"<p class=\"error\">令牌无效 Not a valid token: {WebUtility.HtmlEncode(reason)}</p>")}
        <p class="en">命令 <code>codo token --user 名字 --superuser</code> 打印一个令牌；codo-admin 签发的令牌同样有效。<br>
        <code>codo token --user NAME --superuser</code> prints one; codo-admin's are good here too.</p>
        </form>
        """;

    private static string Focus(bool has) => has ? " autofocus" : "";

    private static string Error(Text text) => $"<p class=\"error\">{WebUtility.HtmlEncode(text.Zh)}<br>{WebUtility.HtmlEncode(text.En)}</p>";
}
