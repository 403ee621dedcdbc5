using Codo.Platform.Http;
using MediatR;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>Who the caller is, by the token of this request.</summary>
internal static class GetMe
{
    internal sealed record Query : IRequest<Result>;

    internal sealed record Result(Person Data) : Answer(Messages.Fetched);

    /// <param name="Expires">When the token of this request ends.</param>
    /// <param name="Otp">Whether signing in asks for a one-time code; null where the caller has no account of Codo's own.</param>
    internal sealed record Person(long UserId, string Username, string Nickname, string Email, bool IsSuperuser, DateTime? Expires, bool? Otp);

    internal sealed class Handler(NpgsqlDataSource source, Caller caller) : IRequestHandler<Query, Result>
    {
        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var account = await OwnAccount.Find(connection, null, caller.UserId);
            return new Result(
                new Person(
                    caller.UserId,
                    caller.Username,
                    caller.Nickname,
                    caller.Email,
                    caller.IsSuperuser,
                    caller.Expires?.UtcDateTime,
                    account?.OtpOn
                )
            );
        }
    }
}
