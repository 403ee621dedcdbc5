using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>Teams; with <c>team_id</c> the people of one, to its own and to whoever grants.</summary>
internal static class ListTeams
{
    internal sealed record Query(long? TeamId, long? After, int? Limit) : IRequest<Result>;

    /// <param name="Next">What to give as <c>after</c> for the next page; null on the last one.</param>
    internal sealed record Result(IReadOnlyList<View> Data, long? Next) : Answer(Messages.Fetched);

    /// <param name="Mine">Whether the caller is in it.</param>
    internal sealed record View(long TeamId, string Name, string Description, int People, bool Mine, IReadOnlyList<Member>? Members);

    internal sealed record Member(long UserId, string Username, string Source);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => RuleFor(query => query.Limit).Within(1, Paging.MostLimit, "limit");
    }

    /// <summary>The teams of the caller.</summary>
    internal static long[] Mine(Access access) => access.Rules.TeamsOf.GetValueOrDefault(access.Caller.UserId, []);

    /// <summary>Whether the caller may know who is in teams that are not their own: superusers, and admins of a space, who grant.</summary>
    internal static async Task<bool> MayListAll(Access access)
    {
        if (access.Caller.IsSuperuser) return true;
        foreach (var space in access.Rules.Spaces.Keys)
            if (await access.May(Verbs.Admin, NamedObjects.OfSpace(space))) return true;
        return false;
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 200;

        private const string PageSql = """
            SELECT t.team_id, t.name, t.description, 
                CAST((SELECT count(DISTINCT m.user_id) FROM accounts.team_member m WHERE m.team_id = t.team_id) AS int) AS people
            FROM accounts.team t WHERE t.team_id > @After AND (CAST(@TeamId AS bigint) IS NULL OR t.team_id = @TeamId) ORDER BY t.team_id LIMIT @Limit
            """;

        private const string MembersSql = """
            SELECT m.user_id, coalesce(p.username, '') AS username, m.source FROM accounts.team_member m LEFT JOIN accounts.person p USING (user_id)
            WHERE m.team_id = @TeamId ORDER BY m.user_id, m.source LIMIT 10000
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            var limit = request.Limit ?? DefaultLimit;
            var mine = Mine(access);
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var rows = (
                await connection.QueryAsync<Row>(
                    PageSql,
                    new
                    {
                        After = request.After ?? 0,
                        request.TeamId,
                        Limit = limit,
                    }
                )
            ).AsList();
            var members =
                request.TeamId is { } team && rows.Count > 0 && (mine.Contains(team) || await MayListAll(access))
                    ? (await connection.QueryAsync<Member>(MembersSql, new { TeamId = team })).AsList()
                    : null;
            return new Result(
                [.. rows.Select(row => new View(row.TeamId, row.Name, row.Description, row.People, mine.Contains(row.TeamId), members))],
                rows.Count == limit ? rows[^1].TeamId : null
            );
        }

        private sealed record Row(long TeamId, string Name, string Description, int People);
    }
}
