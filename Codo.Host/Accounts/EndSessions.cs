using System.Globalization;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>
/// Ends one sign-in, one's own or for a superuser anybody's; or all of one's own but that of the request. Every node refuses them within a second, and what
/// they hold open ends. Access tokens go on.
/// </summary>
internal static class EndSessions
{
    /// <param name="Others">Instead of <paramref name="SessionId"/>: all of the caller's, without that of this request.</param>
    internal sealed record Command(long? SessionId, bool? Others) : IRequest<Answer>;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() =>
            RuleFor(command => command)
                .Must(command => command.SessionId is null == (command.Others == true))
                .Refuse("session_id 和 others 必须填一个，且只填一个", "Give session_id or others, and only one of them");
    }

    internal sealed class Handler(NpgsqlDataSource source, Revocations revocations, Caller caller) : IRequestHandler<Command, Answer>
    {
        private const string FindSql = """
            SELECT user_id, jti, expires_at FROM accounts.session WHERE session_id = @SessionId AND (user_id = @UserId OR @IsSuperuser)
            """;

        // Kept a little longer than the token: clocks differ.
        private const string EndSql = """
            INSERT INTO accounts.revocation (jti, until, by_id, reason)
            VALUES (@Jti, CAST(@ExpiresAt AS timestamptz) + interval '1 hour', @By, 'session ended')
            """;

        private const string EndOthersSql = """
            INSERT INTO accounts.revocation (user_id, sessions_only, except_jti, by_id, reason)
            VALUES (@UserId, true, @TokenId, @UserId, 'other sessions ended') RETURNING revoked_at
            """;

        public async Task<Answer> Handle(Command request, CancellationToken cancellationToken)
        {
            if (caller.AccessTokenId is not null && (request.Others == true || !caller.IsSuperuser))
                throw Refusal.Forbidden("访问令牌不能结束登录", "An access token ends no session");
            if (request.Others == true && caller.TokenId.Length == 0)
                throw Refusal.Conflict("你的令牌没有 jti，无法与其他登录区分", "Your token has no jti: it cannot be told from your other sessions");
            await using (var connection = await source.OpenConnectionAsync(cancellationToken))
            await using (var transaction = await connection.BeginTransactionAsync(cancellationToken))
            {
                var person = caller.UserId;
                if (request.SessionId is { } id)
                {
                    var session =
                        await connection.QuerySingleOrDefaultAsync<Session>(
                            FindSql,
                            new { SessionId = id, caller.UserId, caller.IsSuperuser },
                            transaction
                        ) ?? throw Refusal.NotFound("没有这个登录", "There is no such session");
                    await connection.ExecuteAsync(EndSql, new { session.Jti, session.ExpiresAt, By = caller.UserId }, transaction);
                    person = session.UserId;
                }
                else
                {
                    var revokedAt = await connection.QuerySingleAsync<DateTime>(EndOthersSql, caller, transaction);
                    await Revocations.RevokeIssuedAfter(connection, transaction, caller.UserId, revokedAt, caller.UserId, except: caller.TokenId);
                }
                await Audit.Write(
                    connection,
                    transaction,
                    caller,
                    "end_session",
                    "person",
                    person.ToString(CultureInfo.InvariantCulture),
                    after: new { session_id = request.SessionId, others = request.Others }
                );
                await Revocations.Announce(connection, transaction);
                await transaction.CommitAsync(cancellationToken);
            }

            await revocations.Refresh(cancellationToken);
            return new Answer(request.Others == true ? new Text("其他登录已结束", "The other sessions have ended") : new Text("登录已结束", "The session has ended"));
        }

        private sealed record Session(long UserId, string Jti, DateTime ExpiresAt);
    }
}
