using System.Globalization;
using Codo.Host.Commands;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>An account with a password, and the person whose it is.</summary>
/// <param name="IsTemplateUser">A template names the person: they edit, run and approve it without a role.</param>
/// <param name="IsApprover">An approval rule names a team of theirs.</param>
internal sealed record OwnAccount(
    long UserId,
    string Username,
    string Nickname,
    string Email,
    bool IsSuperuser,
    bool Disabled,
    string PasswordHash,
    byte[]? OtpKey,
    bool OtpOn,
    bool IsTemplateUser,
    bool IsApprover
)
{
    private const string Columns = """
        SELECT a.user_id, p.username, p.nickname, p.email, p.is_superuser, p.disabled, a.password_hash, a.otp_key, a.otp_on,
            EXISTS (SELECT FROM tasks.scheduler_temp_user u WHERE u.user_id = a.user_id) AS is_template_user,
            EXISTS (SELECT FROM tasks.approval_rule r JOIN accounts.team_member m USING (team_id) WHERE m.user_id = a.user_id) AS is_approver
        FROM accounts.own_account a JOIN accounts.person p USING (user_id)
        """;

    private const string ByNameSql = $"{Columns} WHERE a.name = lower(@Name)";

    private const string ByIdSql = $"{Columns} WHERE a.user_id = @UserId";

    // Whoever had tokens of `codo token` under that name is the same person from now on.
    private const string AddPersonSql = """
        INSERT INTO accounts.person (user_id, username, nickname, email, is_superuser, kind, managed)
        VALUES (@UserId, @Username, @Nickname, @Email, @IsSuperuser, 'own', true)
        ON CONFLICT (user_id) DO UPDATE SET username = excluded.username, nickname = excluded.nickname, email = excluded.email,
            is_superuser = excluded.is_superuser, kind = 'own', managed = true
        """;

    private const string AddSql = """
        INSERT INTO accounts.own_account (user_id, name, password_hash) VALUES (@UserId, lower(@Username), @PasswordHash) ON CONFLICT DO NOTHING
        """;

    // A second factor's key that is not confirmed was shown to whoever had the password before: the next one to set it up gets another.
    private const string SetPasswordSql = """
        UPDATE accounts.own_account SET password_hash = @PasswordHash, password_at = clock_timestamp(), otp_key = CASE WHEN otp_on THEN otp_key END
        WHERE user_id = @UserId AND (CAST(@Before AS text) IS NULL OR password_hash = @Before)
        """;

    private const string EndSessionsSql = """
        INSERT INTO accounts.revocation (user_id, sessions_only, by_id, reason) VALUES (@UserId, true, @By, 'new password') RETURNING revoked_at
        """;

    public static Task<OwnAccount?> Find(NpgsqlConnection connection, string name) =>
        connection.QuerySingleOrDefaultAsync<OwnAccount>(ByNameSql, new { Name = name });

    public static Task<OwnAccount?> Find(NpgsqlConnection connection, NpgsqlTransaction? transaction, long userId) =>
        connection.QuerySingleOrDefaultAsync<OwnAccount>(ByIdSql, new { UserId = userId }, transaction);

    /// <summary>Makes the account; false where there is one of that name.</summary>
    public static async Task<bool> Add(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        Caller by,
        string username,
        string passwordHash,
        bool isSuperuser,
        string nickname = "",
        string email = ""
    )
    {
        var account = new
        {
            UserId = IssueToken.UserId(username),
            Username = username,
            Nickname = nickname.Length > 0 ? nickname : username,
            Email = email,
            IsSuperuser = isSuperuser,
            PasswordHash = passwordHash,
        };
        await connection.ExecuteAsync(AddPersonSql, account, transaction);
        if (await connection.ExecuteAsync(AddSql, account, transaction) == 0) return false;
        await Audit.Write(
            connection,
            transaction,
            by,
            "create",
            "account",
            account.UserId.ToString(CultureInfo.InvariantCulture),
            after: new { username, is_superuser = isSuperuser }
        );
        await Revocations.Announce(connection, transaction);
        return true;
    }

    /// <summary>Gives the account another password; what was signed in with the one before is signed in no more.</summary>
    /// <param name="before">The hash of the password that was checked; null for an administrator, who checks none.</param>
    /// <returns>UTC; the time of the revocation of the person's sessions.</returns>
    /// <exception cref="Refusal">The account has another password by now than the one that was checked.</exception>
    public static async Task<DateTime> SetPassword(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        Caller by,
        long userId,
        string passwordHash,
        string? before
    )
    {
        var password = new
        {
            UserId = userId,
            PasswordHash = passwordHash,
            Before = before,
        };
        if (await connection.ExecuteAsync(SetPasswordSql, password, transaction) == 0) throw OwnPassword.Wrong;
        var revokedAt = await connection.QuerySingleAsync<DateTime>(EndSessionsSql, new { UserId = userId, By = by.UserId }, transaction);
        await Revocations.RevokeIssuedAfter(connection, transaction, userId, revokedAt, by.UserId);
        await Audit.Write(connection, transaction, by, "password", "account", userId.ToString(CultureInfo.InvariantCulture));
        await Revocations.Announce(connection, transaction);
        return revokedAt;
    }

    /// <summary>What is wrong with the name of a new account; null when nothing is.</summary>
    public static Text? WrongName(string username) =>
        username.Length is 0 or > 100 || username != username.Trim() || username.Any(letter => char.IsControl(letter) || letter is ',' or '*')
            ? new Text("用户名为 1 到 100 个字符，不含逗号和星号", "A username has 1 to 100 characters and no comma or asterisk")
            : null;
}
