using System.Globalization;
using Codo.Platform.Http;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>The people that Codo knows, by name: for pickers, and for whoever looks who has been here.</summary>
internal static class ListPeople
{
    internal sealed record Query(string? Q, long? After, int? Limit) : IRequest<Result>;

    /// <param name="Next">What to give as <c>after</c> for the next page; null on the last one.</param>
    internal sealed record Result(List<Row> Data, long? Next) : Answer(Messages.Fetched);

    /// <param name="Email">Shown to superusers.</param>
    internal sealed record Row(
        long UserId,
        string Username,
        string Nickname,
        string? Email,
        bool IsSuperuser,
        string Kind,
        DateTime FirstSeen,
        DateTime? LastSeen,
        bool Disabled
    );

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator()
        {
            RuleFor(query => query.Q).AtMost(200, "q");
            RuleFor(query => query.Limit).Within(1, Paging.MostLimit, "limit");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, Caller caller) : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 50;

        private const string ListSql = """
            SELECT user_id, username, nickname, CASE WHEN @IsSuperuser THEN email END AS email, is_superuser, kind, first_seen, last_seen, disabled
            FROM accounts.person
            WHERE (@Q = '' OR user_id = CAST(@Id AS bigint) OR lower(username) LIKE @Pattern ESCAPE '\' OR lower(nickname) LIKE @Pattern ESCAPE '\'
                    OR (@IsSuperuser AND lower(email) LIKE @Pattern ESCAPE '\'))
                AND (CAST(@After AS bigint) IS NULL
                    OR (lower(username), user_id) > (SELECT lower(p.username), p.user_id FROM accounts.person p WHERE p.user_id = CAST(@After AS bigint)))
            ORDER BY lower(username), user_id LIMIT @Limit
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            var (q, limit) = (request.Q?.Trim().ToLowerInvariant() ?? "", request.Limit ?? DefaultLimit);
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var rows = (
                await connection.QueryAsync<Row>(
                    ListSql,
                    new
                    {
                        Q = q,
                        Id = long.TryParse(q, NumberStyles.None, CultureInfo.InvariantCulture, out var id) ? id : (long?)null,
                        Pattern = "%" + Paging.PrefixPattern(q),
                        caller.IsSuperuser,
                        request.After,
                        Limit = limit + 1,
                    }
                )
            ).AsList();
            var isMore = rows.Count > limit;
            if (isMore) rows.RemoveAt(limit);
            return new Result(rows, isMore ? rows[^1].UserId : null);
        }
    }
}
