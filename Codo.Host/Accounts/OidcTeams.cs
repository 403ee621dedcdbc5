using System.Globalization;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>The teams that a person is in by the groups of the OpenID provider; those by hand are left alone.</summary>
internal static class OidcTeams
{
    private const string PresentSql = """
        SELECT t.name FROM accounts.team_member m JOIN accounts.team t USING (team_id) WHERE m.user_id = @UserId AND m.source = 'oidc' ORDER BY lower(t.name)
        """;

    // A team without grants gives nothing.
    private const string MakeSql = """
        INSERT INTO accounts.team (name) SELECT unnest(CAST(@Teams AS text[])) ON CONFLICT DO NOTHING
        """;

    private const string LeaveSql = """
        DELETE FROM accounts.team_member m USING accounts.team t
        WHERE m.team_id = t.team_id AND m.user_id = @UserId AND m.source = 'oidc'
            AND lower(t.name) NOT IN (SELECT lower(wanted.name) FROM unnest(CAST(@Teams AS text[])) AS wanted (name))
        """;

    private const string JoinSql = """
        INSERT INTO accounts.team_member (team_id, user_id, source)
        SELECT t.team_id, CAST(@UserId AS bigint), 'oidc' FROM accounts.team t JOIN unnest(CAST(@Teams AS text[])) AS wanted (name)
            ON lower(t.name) = lower(wanted.name)
        ON CONFLICT DO NOTHING
        """;

    /// <summary>Brings the person into the teams of these groups, and out of the others.</summary>
    public static async Task Follow(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        Caller by,
        long userId,
        OidcSettings settings,
        IReadOnlySet<string> groups
    )
    {
        var teams = settings.Groups
            .Where(one => groups.Contains(one.Key) && !string.IsNullOrWhiteSpace(one.Value))
            .Select(one => one.Value.Trim())
            .Distinct(StringComparer.OrdinalIgnoreCase)
            .OrderBy(name => name.ToLowerInvariant(), StringComparer.Ordinal)
            .ToArray();
        var before = (await connection.QueryAsync<string>(PresentSql, new { UserId = userId }, transaction)).ToArray();
        // A change makes every node read the rights anew, which a sign-in alone must not.
        if (before.ToHashSet(StringComparer.OrdinalIgnoreCase).SetEquals(teams)) return;
        var change = new { UserId = userId, Teams = teams };
        await connection.ExecuteAsync(MakeSql, change, transaction);
        await connection.ExecuteAsync(LeaveSql, change, transaction);
        await connection.ExecuteAsync(JoinSql, change, transaction);
        await Audit.Write(
            connection,
            transaction,
            by,
            "teams",
            "person",
            userId.ToString(CultureInfo.InvariantCulture),
            before: new { teams = before },
            after: new { teams }
        );
    }
}
