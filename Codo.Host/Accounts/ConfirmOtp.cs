using System.Globalization;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>Confirms the key with a first code: from now on a sign-in needs one.</summary>
internal static class ConfirmOtp
{
    internal sealed record Command(string? Otp) : IRequest<Answer>;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(command => command.Otp).NotEmpty().Refuse("otp 不能为空", "otp is required").AtMost(20, "otp");
    }

    internal sealed class Handler(NpgsqlDataSource source, OneTimeCodes codes, SignInLimit limit, RefusedAttempts attempts, Caller caller)
        : IRequestHandler<Command, Answer>
    {
        public async Task<Answer> Handle(Command request, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var account =
                caller.AccessTokenId is null && await OwnAccount.Find(connection, transaction, caller.UserId) is { OtpOn: false, OtpKey: not null } pending
                    ? pending
                    : throw Refusal.Conflict("没有待确认的密钥", "There is no key to confirm");
            // Counted here alone: whoever found an access token could count the owner out of signing in.
            if (limit.TakeCode(caller.UserId) is var wait && wait > TimeSpan.Zero) throw SignInLimit.TooMany(wait);
            if (!await codes.Take(connection, transaction, account, request.Otp!))
            {
                attempts.SignInFailed(account.Username, caller.Address, "code", "code");
                throw Refusal.Invalid("一次性验证码错误或已使用", "The one-time code is wrong, or was used before");
            }

            await Audit.Write(connection, transaction, caller, "otp_on", "account", account.UserId.ToString(CultureInfo.InvariantCulture));
            await transaction.CommitAsync(cancellationToken);
            limit.ForgiveCodes(caller.UserId);
            return new Answer(new Text("已启用一次性验证码", "One-time codes are on"));
        }
    }
}
