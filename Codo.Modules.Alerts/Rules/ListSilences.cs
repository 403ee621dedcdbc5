using Codo.Platform.Http;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Alerts.Rules;

/// <summary>Silences, those that end last first; also those that are over.</summary>
internal static class ListSilences
{
    internal sealed record Query(int? Page, int? Limit) : IRequest<Result>, IPaged;

    internal sealed record Result(List<View> Data, long Count) : Answer(Say.Fetched);

    internal sealed record View(long SilenceId, string Source, string Kind, string Subject, DateTime StartsAt, DateTime EndsAt, string Reason, string Creator);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => this.Paged();
    }

    internal sealed class Handler(NpgsqlDataSource source) : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 15;

        private const string ListSql = """
            SELECT silence_id, source, kind, subject, starts_at, ends_at, reason, creator FROM alerts.silence ORDER BY ends_at DESC,
                silence_id DESC LIMIT @Limit OFFSET @Offset;
            """;

        private const string CountSql = """
            SELECT count(*) FROM alerts.silence
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var both = await connection.QueryMultipleAsync(
                ListSql + CountSql,
                new { Limit = request.Limit ?? DefaultLimit, Offset = request.Offset(DefaultLimit) }
            );
            var rows = (await both.ReadAsync<View>()).AsList();
            return new Result(rows, await both.ReadSingleAsync<long>());
        }
    }
}
