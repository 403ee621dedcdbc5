using Codo.Host.Auth;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using MediatR;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>Ends the sign-in of this request: its token is refused on every node from now on, and the browser forgets the cookie.</summary>
internal static class SignOut
{
    internal sealed record Command : IRequest<Answer>;

    internal sealed class Handler(NpgsqlDataSource source, Revocations revocations, IHttpContextAccessor http, Caller caller) : IRequestHandler<Command, Answer>
    {
        private const string EndSql = """
            INSERT INTO accounts.revocation (jti, until, by_id, reason) VALUES (@TokenId, CAST(@Expires AS timestamptz), @UserId, 'signed out')
            """;

        public async Task<Answer> Handle(Command request, CancellationToken cancellationToken)
        {
            SessionCookie.Delete(http.HttpContext!);
            if (caller.TokenId.Length > 0 && caller.AccessTokenId is null)
            {
                await using (var connection = await source.OpenConnectionAsync(cancellationToken))
                await using (var transaction = await connection.BeginTransactionAsync(cancellationToken))
                {
                    // Kept a little longer than the token: clocks differ. One that ends with the calendar is refused for good.
                    var until = caller.Expires is { } end && end < DateTimeOffset.MaxValue.AddHours(-1) ? end.UtcDateTime.AddHours(1) : (DateTime?)null;
                    await connection.ExecuteAsync(EndSql, new { caller.TokenId, Expires = until, caller.UserId }, transaction);
                    await Audit.Write(connection, transaction, caller, "sign_out", "account", $"{caller.UserId}");
                    await Revocations.Announce(connection, transaction);
                    await transaction.CommitAsync(cancellationToken);
                }

                await revocations.Refresh(cancellationToken);
            }

            return new Answer(new Text("已退出", "Signed out"));
        }
    }
}
