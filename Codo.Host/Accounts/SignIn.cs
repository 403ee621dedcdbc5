using System.Globalization;
using System.Net;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
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
            limit.Forgive(name, address);
            var person = new SignedIn(account.UserId, account.Username, account.Nickname, account.Email, account.IsSuperuser);
            // A key that is not confirmed yet is asked for no code.
            var hasCode = account.OtpOn || demand.IsOn(account);
            await Record(context, account, hasCode ? "password, code" : "password");
            var (token, expires) = sessions.Open(context, person, account.EndedAt);
            return new Result(
                token,
                expires.UtcDateTime,
                new GetMe.Person(
                    person.UserId,
                    person.Username,
                    person.Nickname,
                    person.Email,
                    person.IsSuperuser,
                    expires.UtcDateTime,
                    hasCode
                )
            );
        }

        private async Task SecondFactor(HttpContext context, OwnAccount account, string name, string code, CancellationToken cancellation)
        {
            var needs = demand.IsOn(account);
            if (!account.OtpOn && !needs) return;
            await using var connection = await source.OpenConnectionAsync(cancellation);
            if (code.Length == 0)
            {
                // The password was right: asking for the code is no failure.
                limit.Forgive(name, context.Connection.RemoteIpAddress ?? IPAddress.None);
                if (account.OtpOn) throw new Refusal(NeedsCode, new Text("请输入一次性验证码", "Give the one-time code"), RefusalKind.Forbidden);
                var (key, uri) = OneTimeCodes.Shown(await codes.Pending(connection, null, account), account.Username);
                throw new Refusal(
                    NeedsSetUp,
                    new Text(
                        "此账号必须使用一次性验证码：请把密钥添加到验证器，然后输入它显示的验证码",
                        "This account needs one-time codes: add the key to an authenticator, then give the code that it shows"
                    ),
                    RefusalKind.Forbidden
                )
                {
                    More = new KeyToSetUp(key, uri),
                };
            }
            if (limit.TakeCode(account.UserId) is var wait && wait > TimeSpan.Zero) throw SignInLimit.TooMany(wait);
            if (!await codes.Take(connection, null, account, code))
            {
                Refused(context, account, "code", "code");
                throw new Refusal(NeedsCode, new Text("一次性验证码错误或已使用", "The one-time code is wrong, or was used before"), RefusalKind.Forbidden);
            }
            limit.ForgiveCodes(account.UserId);
        }

        // A name that is nobody's may be a password in the wrong field: it is written nowhere. A stranger comes as often as they like: the audit counts them.
        private void Refused(HttpContext context, OwnAccount? account, string how, string reason)
        {
            LogRefused(log, reason, account?.Username ?? "", context.Connection.RemoteIpAddress);
            attempts.SignInFailed(account?.Username ?? "", context.Connection.RemoteIpAddress?.ToString() ?? "", how, reason);
        }

        private async Task Record(HttpContext context, OwnAccount account, string how)
        {
            await using var connection = await source.OpenConnectionAsync();
            await using var transaction = await connection.BeginTransactionAsync();
            await Audit.Write(
                connection,
                transaction,
                Sessions.Stranger(context, account),
                "sign_in",
                "account",
                account.UserId.ToString(CultureInfo.InvariantCulture),
                after: new { how }
            );
            await transaction.CommitAsync();
        }

        [LoggerMessage(LogLevel.Warning, "Sign-in refused: {Reason}, for {Username}, from {Address}")]
        private static partial void LogRefused(ILogger log, string reason, string username, IPAddress? address);
    }
}
