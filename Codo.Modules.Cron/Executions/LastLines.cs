using Codo.Platform.Http;
using Dapper;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>The last line of the output of each of some executions that a page shows: of a long output the ledger has the beginning alone.</summary>
internal static class LastLines
{
    internal sealed record Query(long[] LogIds) : IRequest<Result>;

    /// <param name="Data">By log id; an execution that said nothing has none.</param>
    internal sealed record Result(IReadOnlyDictionary<long, string> Data) : Answer(Messages.Fetched);

    internal sealed class Handler(NpgsqlDataSource source) : IRequestHandler<Query, Result>
    {
        // Of the newest attempt, its last 8 pieces: a line that is written slowly lies in several. At most 20,000 characters are read.
        private const string TailsSql = """
            SELECT l.log_id, (SELECT right(string_agg(t.text, '' ORDER BY t.from_byte), 20000) FROM (
                SELECT o.from_byte, o.text FROM cron.output o WHERE o.log_id = l.log_id AND o.nominal_at = l.nominal_at
                    AND o.attempt = (SELECT max(a.attempt) FROM cron.attempt a WHERE a.log_id = l.log_id AND a.nominal_at = l.nominal_at)
                ORDER BY o.from_byte DESC LIMIT 8) t) AS tail
            FROM cron.cron_log l WHERE l.log_id = ANY(@LogIds)
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var tails = await connection.QueryAsync<(long LogId, string? Tail)>(TailsSql, query);
            return new Result(
                tails
                    .Select(row => (row.LogId, Text: row.Tail?.TrimEnd() ?? ""))
                    .Where(row => row.Text.Length > 0)
                    .ToDictionary(row => row.LogId, row => row.Text.Split('\n')[^1])
            );
        }
    }
}
