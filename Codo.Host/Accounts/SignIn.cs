using System.Globalization;
using System.Net;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>Signs in with name, password and, where the account has one, the code of a second factor.</summary>
internal static partial class SignIn
{
    /// <summary>The password was right, and a code is needed beside it.</summary>
    public const int NeedsCode = -3;

    /// <summary>The password was right; the account needs a second factor first, whose key the refusal carries.</summary>
    public const int NeedsSetUp = -4;

    internal sealed record Command(string? Username, string? Password, string? Otp) : IRequest<Result>;

    internal sealed record Result(string AuthKey, DateTime Expires, GetMe.Person Data) : Answer(new Text("登录成功", "Signed in"));

    /// <summary>What an authenticator is given, as text and as a link.</summary>
    internal sealed record KeyToSetUp(string OtpKey, string OtpUri);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command.Username).NotEmpty().Refuse("username 不能为空", "username is required").AtMost(200, "username");
            RuleFor(command => command.Password).NotEmpty().Refuse("password 不能为空", "password is required").AtMost(1000, "password");
            RuleFor(command => command.Otp).AtMost(20, "otp");
        }
    }

    internal sealed partial class Handler(
        NpgsqlDataSource source,
        Passwords passwords,
        OneTimeCodes codes,
        Sessions sessions,
        SignInLimit limit,
        SecondFactorDemand demand,
        RefusedAttempts attempts,
        IHttpContextAccessor http,
        ILogger<Handler> log
    ) : IRequestHandler<Command, Result>
    {
        // A new password waits until the sign-in is recorded and its session is open, and ends that too. After a new password there is no such row.
        private const string SamePasswordSql = """
            SELECT (SELECT max(r.revoked_at) FROM accounts.revocation r WHERE r.user_id = a.user_id) AS ended_at
            FROM accounts.own_account a WHERE a.user_id = @UserId AND a.password_hash = @PasswordHash FOR SHARE OF a
            """;

        private static readonly Text WrongCode = new("一次性验证码错误或已使用", "The one-time code is wrong, or was used before");

        private static readonly Text SetUpFirst = new(
            "此账号必须使用一次性验证码：请把密钥添加到验证器，然后输入它显示的验证码",
            "This account needs one-time codes: add the key to an authenticator, then give the code that it shows"
        );

        private static readonly Text Wrong = new("用户名或密码错误", "Wrong username or password");

        public async Task<Result> Handle(Command request, CancellationToken cancellationToken)
        {
            var (context, name) = (http.HttpContext!, request.Username!.Trim());
            var address = context.Connection.RemoteIpAddress ?? IPAddress.None;
            if (limit.Take(name, address) is var wait && wait > TimeSpan.Zero) throw SignInLimit.TooMany(wait);
            OwnAccount? account;
            await using (var connection = await source.OpenConnectionAsync(cancellationToken)) account = await OwnAccount.Find(connection, name);
            // No connection is held meanwhile: guessers in a queue would take them all.
            var isRight = await passwords.Check(account?.PasswordHash, request.Password!, cancellationToken);
            if (account is null || !isRight)
            {
                Refused(context, account, "password", account is null ? "unknown" : "password");
                throw new Refusal(-1, Wrong, RefusalKind.Forbidden);
            }
            if (account.Disabled)
            {
                Refused(context, account, "password", "disabled");
                throw Refusal.Forbidden("账号已停用", "The account is disabled");
            }
            await SecondFactor(context, account, name, request.Otp?.Trim() ?? "", cancellationToken);
            var person = new SignedIn(account.UserId, account.Username, account.Nickname, account.Email, account.IsSuperuser);
            // A key that is not confirmed yet is asked for no code.
            var hasCode = account.OtpOn || demand.IsOn(account);
            if (await Open(context, account, person, hasCode ? "password, code" : "password") is not { } session)
            {
                Refused(context, account, "password", "password");
                throw new Refusal(-1, Wrong, RefusalKind.Forbidden);
            }
            limit.Forgive(name, address);
            return new Result(
                session.Token,
                session.Expires.UtcDateTime,
                new GetMe.Person(
                    person.UserId,
                    person.Username,
                    person.Nickname,
                    person.Email,
                    person.IsSuperuser,
                    session.Expires.UtcDateTime,
                    hasCode
                )
            );
        }

        private async Task SecondFactor(HttpContext context, OwnAccount account, string name, string code, CancellationToken cancellation)
        {
            var needs = demand.IsOn(account);
            if (!account.OtpOn && !needs) return;
            await using var connection = await source.OpenConnectionAsync(cancellation);
            // Before there is a key no code can be right.
            if (code.Length == 0 || account.OtpKey is null)
            {
                // The password was right: asking for the code is no failure.
                limit.Forgive(name, context.Connection.RemoteIpAddress ?? IPAddress.None);
                throw account.OtpOn
                    ? new Refusal(NeedsCode, new Text("请输入一次性验证码", "Give the one-time code"), RefusalKind.Forbidden)
                    : await ToSetUp(connection, account, SetUpFirst);
            }
            if (limit.TakeCode(account.UserId) is var wait && wait > TimeSpan.Zero) throw SignInLimit.TooMany(wait);
            if (!await codes.Take(connection, null, account, code))
            {
                Refused(context, account, "code", "code");
                // A mistyped digit does not take the key off the page.
                throw account.OtpOn ? new Refusal(NeedsCode, WrongCode, RefusalKind.Forbidden) : await ToSetUp(connection, account, WrongCode);
            }
            limit.ForgiveCodes(account.UserId);
        }

        private async Task<Refusal> ToSetUp(NpgsqlConnection connection, OwnAccount account, Text text)
        {
            var (key, uri) = OneTimeCodes.Shown(await codes.Pending(connection, null, account), account.Username);
            return new Refusal(NeedsSetUp, text, RefusalKind.Forbidden) { More = new KeyToSetUp(key, uri) };
        }

        // A name that is nobody's may be a password in the wrong field: it is written nowhere. A stranger comes as often as they like: the audit counts them.
        private void Refused(HttpContext context, OwnAccount? account, string how, string reason)
        {
            LogRefused(log, reason, account?.Username ?? "", context.Connection.RemoteIpAddress);
            attempts.SignInFailed(account?.Username ?? "", context.Connection.RemoteIpAddress?.ToString() ?? "", how, reason);
        }

        // Null where the account has another password by now than the one that was checked.
        private async Task<(string Token, DateTimeOffset Expires)?> Open(HttpContext context, OwnAccount account, SignedIn person, string how)
        {
            await using var connection = await source.OpenConnectionAsync();
            await using var transaction = await connection.BeginTransactionAsync();
            var password = new { account.UserId, account.PasswordHash };
            if (await connection.QuerySingleOrDefaultAsync<SamePassword>(SamePasswordSql, password, transaction) is not { } same) return null;
            await Audit.Write(
                connection,
                transaction,
                Sessions.Stranger(context, account),
                "sign_in",
                "account",
                account.UserId.ToString(CultureInfo.InvariantCulture),
                after: new { how }
            );
            var session = await sessions.Open(connection, transaction, context, person, same.EndedAt);
            await transaction.CommitAsync();
            return session;
        }

        private sealed record SamePassword(DateTime? EndedAt);

        [LoggerMessage(LogLevel.Warning, "Sign-in refused: {Reason}, for {Username}, from {Address}")]
        private static partial void LogRefused(ILogger log, string reason, string username, IPAddress? address);
    }
}
