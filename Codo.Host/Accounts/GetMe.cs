using Codo.Platform.Http;
using MediatR;

namespace Codo.Host.Accounts;

/// <summary>Who the caller is, by the token of this request.</summary>
internal static class GetMe
{
    internal sealed record Query : IRequest<Result>;

    internal sealed record Result(Person Data) : Answer(Say.Fetched);

    /// <param name="Expires">When the token of this request ends.</param>
    internal sealed record Person(long UserId, string Username, string Nickname, string Email, bool IsSuperuser, DateTime? Expires);

    internal sealed class Handler(Caller caller) : IRequestHandler<Query, Result>
    {
        public Task<Result> Handle(Query request, CancellationToken cancellationToken) =>
            Task.FromResult(
                new Result(
                    new Person(caller.UserId, caller.Username, caller.Nickname, caller.Email, caller.IsSuperuser, caller.Expires?.UtcDateTime)
                )
            );
    }
}
