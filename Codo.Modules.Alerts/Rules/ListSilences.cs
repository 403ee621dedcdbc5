using System.Text.Json.Serialization;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Alerts.Rules;

/// <summary>Silences, those that end last first; also those that are over.</summary>
internal static class ListSilences
{
    internal sealed record Query(int? Page, int? Limit) : IRequest<Result>, IPaged;

    /// <param name="CountIsEstimate">There are more than 10,000 silences, and no more were counted.</param>
    internal sealed record Result(List<View> Data, long Count, bool CountIsEstimate) : Answer(Messages.Fetched);

    internal sealed record View(
        long SilenceId,
        string Source,
        string Kind,
        string Subject,
        DateTime StartsAt,
        DateTime EndsAt,
        string Reason,
        string Creator,
        [property: JsonIgnore] long SpaceId
    )
    {
        public string Space { get; init; } = "";
    }

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => this.Paged();
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 15;

        private const string From = """
            FROM alerts.silence WHERE @SeesAll OR space_id = ANY(@Spaces)
            """;

        private const string ListSql = $"""
            SELECT silence_id, source, kind, subject, starts_at, ends_at, reason, creator, space_id {From}
            ORDER BY ends_at DESC, silence_id DESC LIMIT @Limit OFFSET @Offset
            """;

        private const string RowsSql = $"""
            SELECT {From}
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            var sight = access.Sees(ResourceKind.Rule);
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var asked = new { SeesAll = sight.All, sight.Spaces, Limit = request.Limit ?? DefaultLimit, Offset = request.Offset(DefaultLimit) };
            await using var transaction = await ListReading.Begin(connection, cancellationToken);
            var rows = (await connection.QueryAsync<View>(ListSql, asked, transaction)).Select(row => row with { Space = access.NameOf(row.SpaceId) }).ToList();
            var count = await ListReading.Count(connection, transaction, RowsSql, asked);
            await transaction.CommitAsync(cancellationToken);
            return new Result(rows, count.Rows, count.IsEstimate);
        }
    }
}
