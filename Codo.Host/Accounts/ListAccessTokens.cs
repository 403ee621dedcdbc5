using Codo.Platform.Http;
using Dapper;
using MediatR;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>The access tokens of the caller; for a superuser also those of somebody else. Of each token only the last characters are known.</summary>
internal static class ListAccessTokens
{
    internal sealed record Query(long? UserId) : IRequest<Result>;

    internal sealed record Result(List<Row> Data) : Answer(Messages.Fetched);

    internal sealed record Row(
        long TokenId,
        string Name,
        string Hint,
        List<string> Scopes,
        List<string> Networks,
        DateTime CreateTime,
        DateTime Expires,
        DateTime? LastUsed,
        string? LastUsedFrom,
        DateTime? Revoked
    );

    internal sealed class Handler(NpgsqlDataSource source, Caller caller) : IRequestHandler<Query, Result>
    {
        // What is over is shown for as long as somebody may ask what it was.
        private const string ListSql = """
            SELECT token_id, name, hint, array_to_string(scopes, ',') AS scopes, array_to_string(networks, ',') AS networks, created_at, expires_at,
                last_used_at, last_used_from, revoked_at
            FROM accounts.access_token WHERE user_id = @UserId AND coalesce(revoked_at, expires_at) > clock_timestamp() - interval '30 days'
            ORDER BY token_id DESC LIMIT 1000
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            var userId = request.UserId ?? caller.UserId;
            if (userId != caller.UserId && !caller.IsSuperuser)
                throw Refusal.Forbidden("只能查看自己的访问令牌", "You see your own access tokens only");
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            return new Result(
                [
                    .. (await connection.QueryAsync<Stored>(ListSql, new { UserId = userId })).Select(row => new Row(
                        row.TokenId,
                        row.Name,
                        row.Hint,
                        Words(row.Scopes),
                        Words(row.Networks),
                        row.CreatedAt,
                        row.ExpiresAt,
                        row.LastUsedAt,
                        row.LastUsedFrom,
                        row.RevokedAt
                    )),
                ]
            );
        }

        private static List<string> Words(string joined) => [.. joined.Split(',', StringSplitOptions.RemoveEmptyEntries)];

        private sealed record Stored(
            long TokenId,
            string Name,
            string Hint,
            string Scopes,
            string Networks,
            DateTime CreatedAt,
            DateTime ExpiresAt,
            DateTime? LastUsedAt,
            string? LastUsedFrom,
            DateTime? RevokedAt
        );
    }
}
