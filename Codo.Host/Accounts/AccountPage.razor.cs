namespace Codo.Host.Accounts;

/// <summary>The caller's own account: access tokens, password, one-time codes.</summary>
public sealed partial class AccountPage
{
    private GetMe.Person me = null!;
    private List<ListAccessTokens.Row> tokens = [];

    /// <inheritdoc/>
    protected override async Task Load()
    {
        me = (await Send(new GetMe.Query())).Data;
        tokens = (await Send(new ListAccessTokens.Query(null))).Data;
    }
}
