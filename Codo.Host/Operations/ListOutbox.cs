using System.Text.Json.Nodes;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Host.Operations;

/// <summary>The messages between modules that have not been published: dead letters, or those that wait.</summary>
internal static class ListOutbox
{
    internal sealed record Query(bool? Dead, int? Page, int? Limit) : IRequest<Result>, IPaged;

    /// <param name="CountIsEstimate">There are more than 10,000 messages, and no more were counted.</param>
    internal sealed record Result(List<Message> Data, long Count, bool CountIsEstimate) : Answer(Messages.Fetched);

    /// <param name="Stream">Messages of one stream are published in order.</param>
    /// <param name="DeadTime">When it was given up; null while it waits.</param>
    /// <param name="Cause">Why the last attempt failed.</param>
    internal sealed record Message(
        long MessageId,
        DateTime CreateTime,
        string Stream,
        string Kind,
        JsonNode? Payload,
        int Attempts,
        DateTime NextTryTime,
        DateTime? DeadTime,
        string Cause
    );

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => this.Paged();
    }

    internal sealed class Handler(NpgsqlDataSource source) : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 50;

        private const string ListSql = """
            SELECT message_id, at, stream, kind, payload::text AS payload, attempts, next_try_at, dead_at, cause FROM platform.outbox
            WHERE (dead_at IS NOT NULL) = @Dead ORDER BY message_id LIMIT @Limit OFFSET @Offset
            """;

        private const string RowsSql = """
            SELECT FROM platform.outbox WHERE (dead_at IS NOT NULL) = @Dead
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            var filter = new { Dead = request.Dead ?? true, Limit = request.Limit ?? DefaultLimit, Offset = request.Offset(DefaultLimit) };
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await ListReading.Begin(connection, cancellationToken);
            var rows = await connection.QueryAsync<Row>(ListSql, filter, transaction);
            var count = await ListReading.Count(connection, transaction, RowsSql, filter);
            await transaction.CommitAsync(cancellationToken);
            return new Result(
                [
                    .. rows.Select(row => new Message(
                        row.MessageId,
                        row.At,
                        row.Stream,
                        row.Kind,
                        JsonNode.Parse(row.Payload),
                        row.Attempts,
                        row.NextTryAt,
                        row.DeadAt,
                        row.Cause
                    )),
                ],
                count.Rows,
                count.IsEstimate
            );
        }

        private sealed record Row(
            long MessageId,
            DateTime At,
            string Stream,
            string Kind,
            string Payload,
            int Attempts,
            DateTime NextTryAt,
            DateTime? DeadAt,
            string Cause
        );
    }
}
