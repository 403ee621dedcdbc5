using System.Text;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>The whole output of an execution, or what has come since the last time it was asked for.</summary>
internal static class ReadOutput
{
    internal sealed record Query(long? LogId, long? After, int? Attempt) : IRequest<Result>;

    /// <param name="From">The byte that <paramref name="Data"/> begins with. It is before the one asked for where that is no beginning of a character, or lies
    /// among bytes that are not text.</param>
    /// <param name="After">The value to ask with next.</param>
    /// <param name="Ended">Nothing more will come: of the attempt that was asked for, else of the whole execution, its further attempts included.</param>
    internal sealed record Result(long LogId, int Attempt, string Status, string Data, long From, long After, bool Ended, Text Cause)
        : Answer(Messages.Fetched);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator()
        {
            RuleFor(query => query.LogId).NotNull().Refuse("log_id 不能为空", "log_id is missing");
            RuleFor(query => query.After).Must(after => after is null or >= 0).Refuse("after 不能小于 0", "after is below 0");
            RuleFor(query => query.Attempt).Within(1, int.MaxValue, "attempt");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Query, Result>
    {
        /// <summary>Bytes and pieces of one answer, of which the last piece may bring more; a reader that is far behind asks again.</summary>
        private const int MostBytes = 2_500_000, MostPieces = 4096;

        private const string RowSql = """
            SELECT l.job, l.nominal_at, l.status, l.cause_zh, l.cause_en, a.attempt, a.ended_at IS NOT NULL AS ended
            FROM cron.cron_log l LEFT JOIN LATERAL (
                SELECT attempt, ended_at FROM cron.attempt a
                WHERE a.log_id = l.log_id AND a.nominal_at = l.nominal_at AND (CAST(@Attempt AS int) IS NULL OR a.attempt = @Attempt)
                    ORDER BY attempt DESC LIMIT 1) a ON true
            WHERE l.log_id = @LogId
            """;

        // Bytes are counted and not pieces: what a command says line by line is in many small ones.
        private const string PiecesSql = """
            SELECT from_byte, next_byte, text FROM (
                SELECT from_byte, next_byte, text, sum(next_byte - from_byte) OVER (ORDER BY from_byte) - (next_byte - from_byte) AS passed FROM (
                    SELECT from_byte, next_byte, text FROM cron.output
                    WHERE log_id = @LogId AND nominal_at = @NominalAt AND attempt = @Attempt AND next_byte > @After ORDER BY from_byte LIMIT @MostPieces) o) s
            WHERE passed < @MostBytes ORDER BY from_byte
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            var absent = Refusal.NotFound($"日志 {request.LogId} 不存在", $"There is no log {request.LogId}");
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var row = await connection.QuerySingleOrDefaultAsync<Row>(RowSql, new { request.LogId, request.Attempt })
                ?? throw absent;
            await access.Demand(Verbs.See, await JobAccess.OfRow(connection, row.Job), absent);
            if (request.Attempt is not null && row.Attempt is null)
                throw Refusal.NotFound($"日志 {request.LogId} 没有第 {request.Attempt} 次尝试", $"Log {request.LogId} has no attempt {request.Attempt}");
            var after = request.After ?? 0;
            var pieces = (
                await connection.QueryAsync<Piece>(
                    PiecesSql,
                    new
                    {
                        request.LogId,
                        row.NominalAt,
                        Attempt = row.Attempt ?? 0,
                        After = after,
                        MostPieces,
                        MostBytes,
                    }
                )
            ).AsList();
            var isCut = pieces.Count == MostPieces || pieces.Sum(piece => (double)piece.NextByte - piece.FromByte) >= MostBytes;
            if (pieces is [var first, ..] && first.FromByte < after)
                pieces[0] = first.From(after);
            var from = pieces.Count == 0 ? after : Math.Min(after, pieces[0].FromByte);
            var text = new StringBuilder();
            foreach (var piece in pieces)
            {
                if (piece.FromByte > after) text.Append('\n').Append(OutputBuffer.Gap(piece.FromByte - after)).Append('\n');
                text.Append(piece.Text);
                after = piece.NextByte;
            }

            // Between two attempts the newest has ended, and the execution has not; one that never started has no attempt.
            var isOver = request.Attempt is null ? row.Status is not ("queued" or "running") : row.Ended;
            var ended = isOver && !isCut;
            return new Result(request.LogId!.Value, row.Attempt ?? 0, row.Status, text.ToString(), from, after, ended, new Text(row.CauseZh, row.CauseEn));
        }

        private sealed record Row(long Job, DateTime NominalAt, string Status, string CauseZh, string CauseEn, int? Attempt, bool Ended);

        private sealed record Piece(long FromByte, long NextByte, string Text)
        {
            /// <summary>What is left of it from a byte on: the whole of it where bytes were replaced, so that none can be counted any more.</summary>
            public Piece From(long after)
            {
                var bytes = Encoding.UTF8.GetBytes(Text);
                if (bytes.Length != NextByte - FromByte) return this;
                var skip = (int)(after - FromByte);
                while ((bytes[skip] & 0b1100_0000) == 0b1000_0000) skip--;
                return new Piece(FromByte + skip, NextByte, Encoding.UTF8.GetString(bytes.AsSpan(skip)));
            }
        }
    }
}
