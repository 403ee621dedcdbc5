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
/// Takes the second factor from the caller's own account, against password and code. Who has lost the authenticator asks an administrator for
/// <c>codo user otp-off</c>.
/// </summary>
internal static class DropOtp
{
    internal sealed record Command(string? Password, string? Otp) : IRequest<Answer>;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command.Password).NotEmpty().Refuse("password 不能为空", "password is required").AtMost(1000, "password");
            RuleFor(command => command.Otp).NotEmpty().Refuse("otp 不能为空", "otp is required").AtMost(20, "otp");
        }
    }

    internal sealed class Handler(
        NpgsqlDataSource source,
        Passwords passwords,
        OneTimeCodes codes,
        SignInLimit limit,
        SecondFactorDemand demand,
        RefusedAttempts attempts,
        IHttpContextAccessor http,
        Caller caller
    ) : IRequestHandler<Command, Answer>
    {
        // Codes that are on without a key let nobody in: a version before could leave them so.
        private const string DropSql = """
            UPDATE accounts.own_account SET otp_key = NULL, otp_on = false, otp_step = 0
            WHERE user_id = @UserId AND (otp_key IS NOT NULL OR otp_on)
            """;

        private static readonly Refusal IsOff = Refusal.Conflict("没有启用一次性验证码", "One-time codes are not on");

        public async Task<Answer> Handle(Command request, CancellationToken cancellationToken)
        {
            var account = await OwnPassword.Demand(source, passwords, limit, http.HttpContext!, caller, request.Password!, cancellationToken);
            if (!account.OtpOn) throw IsOff;
            if (demand.IsOn(account))
                throw Refusal.Conflict("此账号必须使用一次性验证码（Codo:Auth:RequireOtp）", "This account needs one-time codes (Codo:Auth:RequireOtp)");
            if (limit.TakeCode(account.UserId) is var wait && wait > TimeSpan.Zero) throw SignInLimit.TooMany(wait);
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            if (!await codes.Take(connection, transaction, account, request.Otp!))
            {
                // As at a sign-in: whoever sits at a session that was left open is guessing.
                attempts.SignInFailed(account.Username, caller.Address, "code", "code");
                throw Refusal.Invalid("一次性验证码错误或已使用", "The one-time code is wrong, or was used before");
            }

            if (!await Drop(connection, transaction, caller, account.UserId)) throw IsOff;
            await transaction.CommitAsync(cancellationToken);
            limit.ForgiveCodes(account.UserId);
            return new Answer(new Text("已停用一次性验证码", "One-time codes are off"));
        }

        /// <summary>Takes it away, whoever asks; false when there was none.</summary>
        public static async Task<bool> Drop(NpgsqlConnection connection, NpgsqlTransaction transaction, Caller by, long userId)
        {
            if (await connection.ExecuteAsync(DropSql, new { UserId = userId }, transaction) == 0) return false;
            await Audit.Write(connection, transaction, by, "otp_off", "account", userId.ToString(CultureInfo.InvariantCulture));
            return true;
        }
    }
}
