using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>The terminal's part of a sign-in through the browser: it gives the grant that the browser brought, and its verifier, and gets the token.</summary>
internal static class FinishTerminal
{
    internal sealed record Command(string? Grant, string? Verifier) : IRequest<Result>;

    internal sealed record Result(string Token, long TokenId, DateTime Expires, string Username) : Answer(new Text("登录成功", "Signed in"));

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command.Grant).NotEmpty().Refuse("grant 不能为空", "grant is required").AtMost(100, "grant");
            RuleFor(command => command.Verifier).NotEmpty().Refuse("verifier 不能为空", "verifier is required").AtMost(200, "verifier");
        }
    }

    internal sealed class Handler(
        NpgsqlDataSource source,
        AccessTokens tokens,
        Revocations revocations,
        RefusedAttempts refused,
        IHttpContextAccessor http
    ) : IRequestHandler<Command, Result>
    {
        // Gone with the first attempt, whether the verifier is right or not.
        private const string TakeSql = """
            DELETE FROM accounts.terminal_login WHERE digest = @Digest
            RETURNING user_id, challenge, name, array_to_string(scopes, ',') AS scopes, days, of_superuser, approved_at,
                expires_at > clock_timestamp() AS is_good
            """;

        // Who was shut out, or whose tokens were taken back, since the approval.
        private const string PersonSql = """
            SELECT user_id, username, nickname, email, is_superuser FROM accounts.person p
            WHERE user_id = @UserId AND NOT disabled
                AND NOT EXISTS (SELECT FROM accounts.revocation r WHERE r.user_id = p.user_id AND r.revoked_at >= @ApprovedAt)
            """;

        public async Task<Result> Handle(Command request, CancellationToken cancellationToken)
        {
            var stranger = Sessions.Stranger(http.HttpContext!);
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var taken = await connection.QuerySingleOrDefaultAsync<Taken>(TakeSql, new { Digest = ApproveTerminal.Digest(request.Grant!) });
            if (taken is null || !taken.IsGood || taken.Challenge != TerminalChallenge.Of(request.Verifier!))
            {
                refused.SignInFailed("", stranger.Address, "terminal", taken is null ? "unknown" : taken.IsGood ? "verifier" : "expired");
                throw Over();
            }
            var token = AccessTokens.Make();
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var person = await connection.QuerySingleOrDefaultAsync<SignedIn>(PersonSql, taken, transaction) ?? throw Over();
            var caller = new Caller(person.UserId, person.Username, person.Nickname, person.Email, taken.OfSuperuser, stranger.Address, stranger.RequestId);
            var made = await CreateAccessToken.Insert(
                connection,
                transaction,
                tokens,
                caller,
                token,
                new CreateAccessToken.Command(taken.Name, [.. taken.Scopes.Split(',')], taken.Days, null)
            );
            await transaction.CommitAsync(cancellationToken);
            await revocations.Refresh(cancellationToken);
            return new Result(token, made.Id, made.Expires, person.Username);
        }

        private static Refusal Over() => Refusal.NotFound("这次登录已经失效，请重新执行 codo login", "This sign-in is over: run codo login again");

        private sealed record Taken(
            long UserId,
            string Challenge,
            string Name,
            string Scopes,
            int Days,
            bool OfSuperuser,
            DateTime ApprovedAt,
            bool IsGood
        );
    }
}
