using Codo.Platform.Http;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>Begins a second factor for the caller's own account: answers the key for the authenticator. It is in force once a first code confirms it.</summary>
internal static class SetUpOtp
{
    internal sealed record Command(string? Password) : IRequest<Result>;

    internal sealed record Result(string OtpKey, string OtpUri) : Answer(Messages.Added);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(command => command.Password).NotEmpty().Refuse("password 不能为空", "password is required").AtMost(1000, "password");
    }

    internal sealed class Handler(
        NpgsqlDataSource source,
        Passwords passwords,
        OneTimeCodes codes,
        SignInLimit limit,
        IHttpContextAccessor http,
        Caller caller
    ) : IRequestHandler<Command, Result>
    {
        public async Task<Result> Handle(Command request, CancellationToken cancellationToken)
        {
            var account = await OwnPassword.Demand(source, passwords, limit, http.HttpContext!, caller, request.Password!, cancellationToken);
            if (account.OtpOn) throw OneTimeCodes.IsOn;
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var (key, uri) = OneTimeCodes.Shown(await codes.Pending(connection, null, account), account.Username);
            return new Result(key, uri);
        }
    }
}
