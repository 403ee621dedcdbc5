using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>Spaces that the caller may see, with what the caller may do in each; with <c>space_id</c> one of them and what lies in it.</summary>
internal static class ListSpaces
{
    internal sealed record Query(long? After, int? Limit, long? SpaceId = null) : IRequest<Result>;

    /// <param name="Next">What to give as <c>after</c> for the next page; null on the last one.</param>
    internal sealed record Result(IReadOnlyList<View> Data, long? Next) : Answer(Messages.Fetched);

    /// <param name="Verbs">What the caller may do with the jobs in it.</param>
    /// <param name="Holds">What keeps it from being deleted; null without <c>space_id</c>, and for whoever is not its admin.</param>
    internal sealed record View(
        long SpaceId,
        string Name,
        string Description,
        bool Confirm,
        IReadOnlyList<string> Verbs,
        IReadOnlyList<HeldObjects>? Holds
    );

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => RuleFor(query => query.Limit).Within(1, Paging.MostLimit, "limit");
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 200;

        private const string PageSql = """
            SELECT space_id, name, description, confirm FROM accounts.space WHERE space_id > @After AND space_id = ANY(@Seen) ORDER BY space_id LIMIT @Limit
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            var limit = request.Limit ?? DefaultLimit;
            var seen = access.Rules.Spaces.Keys.Where(id => (request.SpaceId is null || id == request.SpaceId) && access.SeesSpace(id)).ToArray();
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var rows = (
                await connection.QueryAsync<Space>(
                    PageSql,
                    new
                    {
                        After = request.After ?? 0,
                        Seen = seen,
                        Limit = limit,
                    }
                )
            ).AsList();
            var views = new List<View>();
            foreach (var row in rows)
            {
                var verbs = new List<string>();
                foreach (var (word, verb) in Roles.Words)
                    if (await access.May(verb, Resource.Any(ResourceKind.Job, row.SpaceId))) verbs.Add(word);
                var isTold = request.SpaceId is not null && await access.May(Verbs.Admin, NamedObjects.OfSpace(row.SpaceId));
                var holds = isTold ? await SpaceUse.Of(connection, row.SpaceId) : null;
                views.Add(new View(row.SpaceId, row.Name, row.Description, row.Confirm, verbs, holds));
            }
            return new Result(views, rows.Count == limit ? rows[^1].SpaceId : null);
        }
    }
}
