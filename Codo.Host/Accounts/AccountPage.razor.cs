namespace Codo.Host.Accounts;

/// <summary>The caller's own account: access tokens, password, one-time codes.</summary>
public sealed partial class AccountPage
{
    private GetMe.Person me = null!;
    private List<ListAccessTokens.Row> tokens = [];

    private string? MayNotEndOthers =>
        Caller.TokenId.Length > 0 ? null : T("你的令牌没有 jti，无法与其他登录区分", "Your token has no jti: it cannot be told from your other sessions");

    /// <inheritdoc/>
    protected override async Task Load()
    {
        me = (await Send(new GetMe.Query())).Data;
        tokens = (await Send(new ListAccessTokens.Query(null))).Data;
    }
}
