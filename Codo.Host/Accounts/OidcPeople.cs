using System.Buffers.Binary;
using System.Globalization;
using System.Security.Claims;
using System.Security.Cryptography;
using System.Text;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>Who comes from the OpenID provider: one person for each subject, whose names, mark and teams follow the claims of each sign-in.</summary>
internal sealed class OidcPeople(
    NpgsqlDataSource source,
    OidcSettings settings,
    Sessions sessions,
    Revocations revocations,
    RefusedAttempts attempts
)
{
    private const int MostWord = 200, Tries = 100;

    private const string FindSql = """
        SELECT i.user_id, p.username, p.nickname, p.email, p.is_superuser, p.disabled,
            (SELECT max(r.revoked_at) FROM accounts.revocation r WHERE r.user_id = i.user_id) AS ended_at
        FROM accounts.oidc_identity i JOIN accounts.person p USING (user_id) WHERE i.issuer = @Issuer AND i.subject = @Subject FOR UPDATE OF p
        """;

    private const string AddPersonSql = """
        INSERT INTO accounts.person (user_id, username, kind, managed) VALUES (@UserId, '', 'oidc', true) ON CONFLICT DO NOTHING
        """;

    private const string AddIdentitySql = """
        INSERT INTO accounts.oidc_identity (issuer, subject, user_id) VALUES (@Issuer, @Subject, @UserId) ON CONFLICT (issuer, subject) DO NOTHING
        """;

    // Two who come at once with one name are told apart as well.
    private const string LockNameSql = """
        SELECT pg_advisory_xact_lock(hashtextextended('accounts.person.username ' || lower(@Username), 0))
        """;

    private const string IsTakenSql = """
        SELECT EXISTS (SELECT FROM accounts.person WHERE lower(username) = lower(@Username) AND user_id <> @UserId)
            OR EXISTS (SELECT FROM accounts.own_account WHERE name = lower(@Username))
        """;

    private const string UpdateSql = """
        UPDATE accounts.person SET username = @Username, nickname = @Nickname, email = @Email, is_superuser = @IsSuperuser WHERE user_id = @UserId
        """;

    private const string EndSessionsSql = """
        INSERT INTO accounts.revocation (user_id, sessions_only, by_id, reason) VALUES (@UserId, true, 0, 'no superuser any more') RETURNING revoked_at
        """;

    /// <summary>Signs the person of the claims in; false where the person is disabled.</summary>
    public async Task<bool> SignIn(HttpContext context, ClaimsPrincipal claims, string issuer)
    {
        var subject = claims.FindFirstValue("sub") ?? throw new InvalidOperationException("The provider's token has no sub.");
        SignedIn person;
        DateTime? revokedAt;
        bool isDemoted;
        await using (var connection = await source.OpenConnectionAsync(context.RequestAborted))
        {
            await MakeWhereMissing(connection, issuer, subject);
            await using var transaction = await connection.BeginTransactionAsync(context.RequestAborted);
            var before = await connection.QuerySingleAsync<Row>(FindSql, new { Issuer = issuer, Subject = subject }, transaction);
            if (before.Disabled)
            {
                var address = context.Connection.RemoteIpAddress?.ToString() ?? "";
                attempts.SignInFailed(before.Username, address, "openid connect", "disabled");
                return false;
            }

            person = await Named(connection, transaction, claims, before.UserId, issuer, subject);
            var isChanged = person != new SignedIn(before.UserId, before.Username, before.Nickname, before.Email, before.IsSuperuser);
            if (isChanged) await connection.ExecuteAsync(UpdateSql, person, transaction);
            // What was signed in as a superuser says so until it ends.
            isDemoted = before.IsSuperuser && !person.IsSuperuser;
            revokedAt = isDemoted ? await connection.QuerySingleAsync<DateTime>(EndSessionsSql, person, transaction) : before.EndedAt;
            if (isDemoted) await Revocations.RevokeIssuedAfter(connection, transaction, person.UserId, revokedAt!.Value, by: 0);
            await Write(connection, transaction, context, person.UserId, person.Username);
            if (isChanged) await Revocations.Announce(connection, transaction);
            var groups = claims.FindAll(settings.GroupsClaim).Select(claim => claim.Value).ToHashSet(StringComparer.Ordinal);
            await OidcTeams.Follow(connection, transaction, ByProvider(context, person), person.UserId, settings, groups);
            await sessions.Open(connection, transaction, context, person, revokedAt);
            await transaction.CommitAsync();
        }

        if (isDemoted) await revocations.Refresh(context.RequestAborted);
        return true;
    }

    // The id is the identity's own, as that of a name is; where another person has it, the next one that is free.
    private static async Task MakeWhereMissing(NpgsqlConnection connection, string issuer, string subject)
    {
        await using var transaction = await connection.BeginTransactionAsync();
        if (await connection.QuerySingleOrDefaultAsync<Row>(FindSql, new { Issuer = issuer, Subject = subject }, transaction) is not null) return;
        for (var tried = 0; tried < Tries; tried++)
        {
            var userId = IdOf(issuer, subject) + tried;
            if (await connection.ExecuteAsync(AddPersonSql, new { UserId = userId }, transaction) == 0) continue;
            // Two first sign-ins at once: the other one made it.
            if (await connection.ExecuteAsync(AddIdentitySql, new { Issuer = issuer, Subject = subject, UserId = userId }, transaction) == 1)
                await transaction.CommitAsync();
            return;
        }

        throw new InvalidOperationException("No id is free for a person of the OpenID provider.");
    }

    private async Task<SignedIn> Named(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        ClaimsPrincipal claims,
        long userId,
        string issuer,
        string subject
    )
    {
        var email = Word(claims, settings.EmailClaim);
        var username = Word(claims, settings.UsernameClaim) is { Length: > 0 } named ? named : email.Length > 0 ? email : OutsideText.Clean(subject, MostWord);
        // Rights may hang on names (Codo:Cron:Operators): nobody takes that of somebody else by choosing it at the provider.
        await connection.ExecuteAsync(LockNameSql, new { Username = username }, transaction);
        if (await IsTaken(username))
        {
            username = $"{username}@{new Uri(issuer).Host}";
            // The provider may have two people of that name.
            if (await IsTaken(username)) username += $"#{IdOf(issuer, subject) - People.FirstOwnId:x10}";
        }
        var nickname = Word(claims, settings.NicknameClaim);
        var isSuperuser = settings.SuperuserGroup.Length > 0 && claims.FindAll(settings.GroupsClaim).Any(claim => claim.Value == settings.SuperuserGroup);
        return new SignedIn(userId, username, nickname.Length > 0 ? nickname : username, email, isSuperuser);

        Task<bool> IsTaken(string name) => connection.ExecuteScalarAsync<bool>(IsTakenSql, new { Username = name, UserId = userId }, transaction);
    }

    private static string Word(ClaimsPrincipal claims, string type) => OutsideText.Clean(claims.FindFirstValue(type), MostWord).Trim();

    private static long IdOf(string issuer, string subject)
    {
        Span<byte> number = stackalloc byte[8];
        SHA256.HashData(Encoding.UTF8.GetBytes($"{issuer}\n{subject}")).AsSpan(0, 5).CopyTo(number[3..]);
        return People.FirstOwnId + BinaryPrimitives.ReadInt64BigEndian(number);
    }

    private static Caller ByProvider(HttpContext context, SignedIn person) =>
        Sessions.Stranger(context) with { UserId = person.UserId, Username = person.Username, Nickname = person.Nickname };

    private static Task Write(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        HttpContext context,
        long userId,
        string username
    ) =>
        Audit.Write(
            connection,
            transaction,
            Sessions.Stranger(context) with { UserId = userId, Username = username, Nickname = username },
            "sign_in",
            "account",
            userId.ToString(CultureInfo.InvariantCulture),
            after: new { how = "openid connect" }
        );

    private sealed record Row(long UserId, string Username, string Nickname, string Email, bool IsSuperuser, bool Disabled, DateTime? EndedAt);
}
