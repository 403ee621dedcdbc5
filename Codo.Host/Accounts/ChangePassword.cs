using Codo.Platform.Http;
using Codo.Platform.Localization;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>Gives the caller's own account another password. Every sign-in of before ends; this one goes on with a new token.</summary>
internal static class ChangePassword
{
    internal sealed record Command(string? Password, string? NewPassword) : IRequest<Result>;

    internal sealed record Result(string AuthKey, DateTime Expires) : Answer(new Text("密码已修改", "The password is changed"));

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command.Password).NotEmpty().Refuse("password 不能为空", "password is required").AtMost(1000, "password");
            RuleFor(command => command.NewPassword).NotEmpty().Refuse("new_password 不能为空", "new_password is required").AtMost(1000, "new_password");
        }
    }

    internal sealed class Handler(
        NpgsqlDataSource source,
        Passwords passwords,
        Sessions sessions,
        SignInLimit limit,
        Revocations revocations,
        IHttpContextAccessor http,
        Caller caller
    ) : IRequestHandler<Command, Result>
    {
        public async Task<Result> Handle(Command request, CancellationToken cancellationToken)
        {
            var account = await OwnPassword.Demand(source, passwords, limit, http.HttpContext!, caller, request.Password!, cancellationToken);
            if (Passwords.Wrong(account.Username, request.NewPassword!) is { } wrong) throw new Refusal(-1, wrong);
            var hash = passwords.Hash(request.NewPassword!);
            var person = new SignedIn(account.UserId, account.Username, account.Nickname, account.Email, account.IsSuperuser);
            (string Token, DateTimeOffset Expires) session;
            await using (var connection = await source.OpenConnectionAsync(cancellationToken))
            await using (var transaction = await connection.BeginTransactionAsync(cancellationToken))
            {
                var revokedAt = await OwnAccount.SetPassword(connection, transaction, caller, account.UserId, hash, account.PasswordHash);
                // Before another new password goes on, which waits for this one: it ends the session too.
                session = await sessions.Open(connection, transaction, http.HttpContext!, person, after: revokedAt);
                await transaction.CommitAsync(cancellationToken);
            }

            await revocations.Refresh(cancellationToken);
            return new Result(session.Token, session.Expires.UtcDateTime);
        }
    }
}
