using Codo.Platform.Http;
using Dapper;
using MediatR;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>The sign-ins of the caller that are good and were used; for a superuser also those of somebody else.</summary>
internal static class ListSessions
{
    internal sealed record Query(long? UserId) : IRequest<Result>;

    internal sealed record Result(IReadOnlyList<Row> Data) : Answer(Messages.Fetched);

    /// <param name="Created">When its token was issued; when it was first seen, where the token does not say.</param>
    /// <param name="Browser">In words, such as <c>Firefox, Linux</c>.</param>
    /// <param name="Current">It is the one of this request.</param>
    internal sealed record Row(long SessionId, DateTime Created, DateTime LastSeen, string Address, string Browser, DateTime Expires, bool Current);

    internal sealed class Handler(NpgsqlDataSource source, Caller caller) : IRequestHandler<Query, Result>
    {
        private const string ListSql = """
            SELECT s.session_id, COALESCE(s.issued_at, s.first_seen) AS created, s.last_seen, s.last_from, s.user_agent, s.expires_at,
                s.user_id = @CallerId AND s.jti = @TokenId AS current
            FROM accounts.session s
            WHERE s.user_id = @UserId AND s.expires_at > clock_timestamp() AND NOT EXISTS (
                SELECT FROM accounts.revocation r WHERE r.jti = s.jti OR (r.user_id = s.user_id AND r.except_jti IS DISTINCT FROM s.jti
                    AND (s.issued_at IS NULL OR s.issued_at <= r.revoked_at)))
            ORDER BY current DESC, s.last_seen DESC LIMIT 200
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            var userId = request.UserId ?? caller.UserId;
            if (userId != caller.UserId && !caller.IsSuperuser) throw Refusal.Forbidden("只能查看自己的登录", "You see your own sessions only");
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var rows = await connection.QueryAsync<Stored>(ListSql, new { UserId = userId, CallerId = caller.UserId, caller.TokenId });
            return new Result(
                [
                    .. rows.Select(row => new Row(
                        row.SessionId,
                        row.Created,
                        row.LastSeen,
                        row.LastFrom,
                        BrowserName.Of(row.UserAgent),
                        row.ExpiresAt,
                        row.Current
                    )),
                ]
            );
        }

        private sealed record Stored(
            long SessionId,
            DateTime Created,
            DateTime LastSeen,
            string LastFrom,
            string UserAgent,
            DateTime ExpiresAt,
            bool Current
        );
    }
}
