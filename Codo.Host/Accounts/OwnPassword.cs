using System.Net;
using Codo.Platform.Http;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>What changes an account asks for its password again: a session that was left open is not enough.</summary>
internal static class OwnPassword
{
    public static readonly Refusal Wrong = Refusal.Forbidden("密码错误", "Wrong password", -1);

    /// <exception cref="Refusal">The caller has no account here, uses an access token, or the password is wrong.</exception>
    public static async Task<OwnAccount> Demand(
        NpgsqlDataSource source,
        Passwords passwords,
        SignInLimit limit,
        HttpContext context,
        Caller caller,
        string password,
        CancellationToken cancellation
    )
    {
        if (caller.AccessTokenId is not null) throw Refusal.Forbidden("访问令牌不能修改账号", "An access token does not change the account");
        OwnAccount? account;
        await using (var connection = await source.OpenConnectionAsync(cancellation)) account = await OwnAccount.Find(connection, null, caller.UserId);
        if (account is null) throw Refusal.NotFound("你在这里没有密码账号", "You have no account with a password here");
        var address = context.Connection.RemoteIpAddress ?? IPAddress.None;
        if (limit.Take(account.Username, address) is var wait && wait > TimeSpan.Zero) throw SignInLimit.TooMany(wait);
        if (!await passwords.Check(account.PasswordHash, password, cancellation)) throw Wrong;
        limit.Forgive(account.Username, address);
        return account;
    }
}
