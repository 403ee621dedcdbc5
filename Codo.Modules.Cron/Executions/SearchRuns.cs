using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>Lines of the output of jobs that contain a text, by execution, newest first.</summary>
internal static class SearchRuns
{
    private const int DefaultLimit = 50, MostLimit = 200, MostDepth = 10_000, MostContext = 5, MostLines = 20, MostText = 2000;

    /// <param name="Q">Taken literally, in any case; the reason counts as a line.</param>
    /// <param name="From">A time or a day.</param>
    /// <param name="To">A time or a day, which is meant to its end.</param>
    /// <param name="Limit">Executions a page.</param>
    /// <param name="Context">Lines of the same execution before and after each.</param>
    internal sealed record Query(string? Q, string? JobId, string? From, string? To, int? Page, int? Limit, int? Context = null)
        : IRequest<Result>,
            IPaged;

    /// <param name="Count">Executions that were found so far.</param>
    /// <param name="More">There are more, on the next page.</param>
    /// <param name="Partial">The time was over before all was looked through.</param>
    internal sealed record Result(IReadOnlyList<Row> Data, int Count, bool More, bool Partial) : Answer(Messages.Fetched);

    /// <param name="Attempt">The newest attempt whose output has the text; null where only the reason has it.</param>
    /// <param name="LinesPartial">Its output was too long for all of its lines to be counted.</param>
    /// <param name="Lines">At most 20 of <paramref name="LineCount"/>, the first ones.</param>
    internal sealed record Row(
        long LogId,
        string JobId,
        string Status,
        DateTime ExecTime,
        int? Attempt,
        int LineCount,
        bool LinesPartial,
        IReadOnlyList<Match> Lines
    );

    /// <param name="Line">From 1; null in a reason, in an attempt that is not the last, and where what comes before was not read.</param>
    /// <param name="Before">Null where no context was asked for.</param>
    internal sealed record Match(int? Line, string LogInfo, IReadOnlyList<string>? Before, IReadOnlyList<string>? After);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator(Zone zone)
        {
            this.Paged();
            RuleFor(query => query.Q).NotEmpty().Refuse("q 不能为空", "q must be given").AtMost(1000, "q");
            RuleFor(query => query.Limit).Within(1, MostLimit, "limit");
            RuleFor(query => query.Context).Within(0, MostContext, "context");
            RuleFor(query => query).Must(query => query.Offset(DefaultLimit) < MostDepth)
                .Refuse($"最多只能翻到第 {MostDepth} 条，请缩小时间范围", $"no more than {MostDepth} runs are paged through; narrow the times");
            RuleFor(query => query.From)
                .Must(text => text is null || Times.TryParseStart(text, zone.Info, out _))
                .Refuse("from " + Times.Expected.Zh, "from " + Times.Expected.En);
            RuleFor(query => query.To)
                .Must(text => text is null || Times.TryParseEnd(text, zone.Info, out _))
                .Refuse("to " + Times.Expected.Zh, "to " + Times.Expected.En);
        }
    }

    /// <summary>The lines of a text that contain another, with those around them.</summary>
    internal static List<Match> Matches(string text, string sought, int? context, bool isFromStart)
    {
        var lines = text.TrimEnd('\n').Split('\n');
        var found = new List<Match>();
        for (var at = 0; at < lines.Length; at++)
        {
            if (!lines[at].Contains(sought, StringComparison.OrdinalIgnoreCase)) continue;
            var before = context is { } some ? lines[Math.Max(0, at - some)..at].Select(Cut).ToList() : null;
            var after = context is { } most ? lines[(at + 1)..Math.Min(lines.Length, at + 1 + most)].Select(Cut).ToList() : null;
            found.Add(new Match(isFromStart ? at + 1 : null, Cut(lines[at], sought), before, after));
        }
        return found;
    }

    private static string Cut(string line) => Cut(line, "");

    // Of a long line the part that has the text.
    private static string Cut(string line, string sought)
    {
        line = line.TrimEnd('\r');
        if (line.Length <= MostText) return line;
        var start = Math.Max(0, line.IndexOf(sought, StringComparison.OrdinalIgnoreCase) - (MostText / 2));
        if (start > 0 && char.IsLowSurrogate(line[start])) start--;
        var end = Math.Min(line.Length, start + MostText);
        if (char.IsHighSurrogate(line[end - 1])) end--;
        return (start > 0 ? "…" : "") + line[start..end] + (end < line.Length ? "…" : "");
    }

    internal sealed class Handler(NpgsqlDataSource source, LedgerSearch search, Zone zone, TimeProvider time, Access access) : IRequestHandler<Query, Result>
    {
        private static readonly DateTime Ever = new(2000, 1, 1, 0, 0, 0, DateTimeKind.Utc);

        // Bytes of an output that are looked through for lines: from its beginning, so that they have numbers, or from its first match where that is far in.
        private const long MostRead = 1 << 20, MostBefore = MostRead / 2;

        // Of what the ledger's row does not hold whole, the output of the newest attempt that has the text.
        private const string TextsSql = $"""
            SELECT l.log_id, l.job_id, l.status, l.exec_time, l.cause_zh, l.cause_en, l.task_log,
                (SELECT max(a.attempt) FROM cron.attempt a WHERE a.log_id = l.log_id AND a.nominal_at = l.nominal_at) AS newest,
                f.attempt, t.output, coalesce(t.is_from_start, false) AS is_from_start,
                EXISTS (SELECT FROM cron.output m WHERE m.log_id = l.log_id AND m.nominal_at = l.nominal_at AND m.attempt = f.attempt
                    AND m.from_byte >= f.start + CAST(@MostRead AS bigint)) AS has_more
            FROM cron.cron_log l
            LEFT JOIN LATERAL (
                SELECT o.attempt, CASE WHEN o.from_byte < CAST(@MostBefore AS bigint) THEN 0 ELSE o.from_byte END AS start FROM cron.output o
                WHERE {LedgerSearch.Deep} AND {LedgerSearch.OutputMatches} ORDER BY o.attempt DESC, o.from_byte LIMIT 1) f ON true
            LEFT JOIN LATERAL (
                SELECT string_agg(p.text, '' ORDER BY p.from_byte) AS output,
                    min(p.from_byte) = 0 AND sum(p.next_byte - p.from_byte) = max(p.next_byte) AS is_from_start
                FROM cron.output p WHERE p.log_id = l.log_id AND p.nominal_at = l.nominal_at AND p.attempt = f.attempt AND p.from_byte >= f.start
                    AND p.from_byte < f.start + CAST(@MostRead AS bigint)) t ON true
            WHERE l.log_id = @LogId
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            var (offset, limit, text) = ((int)query.Offset(DefaultLimit), query.Limit ?? DefaultLimit, query.Q!);
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var found = await search.Find(connection, Filter(query), text, null, offset + limit + 1, cancellationToken);
            var page = found.Keys.Skip(offset).Take(limit).Select(key => key.LogId).ToArray();
            var hasMore = found.Keys.Count > offset + limit;
            if (page.Length == 0) return new Result([], found.Keys.Count, hasMore, found.IsPartial);
            await using var reading = await ListReading.Begin(connection, cancellationToken);
            var rows = new List<Row>();
            // One after the other: all outputs of a page together are large.
            foreach (var id in page)
            {
                var asked = new
                {
                    LogId = id,
                    Pattern = LedgerSearch.PatternOf(text),
                    MostRead,
                    MostBefore,
                };
                // Its partition may have been dropped meanwhile.
                if (await connection.QuerySingleOrDefaultAsync<Texts>(TextsSql, asked, reading) is { } row) rows.Add(RowOf(row, text, query.Context));
            }
            // What is not looked through lies behind the next page.
            return new Result(rows, found.Keys.Count, hasMore, found.IsPartial && !hasMore);
        }

        private LedgerFilter Filter(Query query)
        {
            var sight = access.Sees(ResourceKind.Job);
            var from = Times.TryParseStart(query.From, zone.Info, out var start) ? start.UtcDateTime : Ever;
            var until = Times.TryParseEnd(query.To, zone.Info, out var end) ? end.UtcDateTime : time.GetUtcNow().UtcDateTime.AddDays(1);
            return new LedgerFilter(from, until)
            {
                SeesAll = sight.All,
                Spaces = sight.Spaces,
                Objects = sight.Objects,
                JobId = query.JobId,
            };
        }

        private static Row RowOf(Texts row, string sought, int? context)
        {
            var lines = row.Output is { } output
                ? Matches(output, sought, context, isFromStart: row.IsFromStart && row.Attempt == row.Newest)
                : Matches(row.TaskLog, sought, context, isFromStart: true);
            var attempt = lines.Count == 0 ? null : row.Attempt ?? row.Newest;
            // One of both languages has it.
            var cause = new Text(row.CauseZh, row.CauseEn).ToString();
            if (!cause.Contains(sought, StringComparison.OrdinalIgnoreCase)) cause = cause == row.CauseZh ? row.CauseEn : row.CauseZh;
            lines.AddRange(Matches(cause, sought, context is null ? null : 0, isFromStart: false));
            return new Row(row.LogId, row.JobId, row.Status, row.ExecTime, attempt, lines.Count, row.HasMore, [.. lines.Take(MostLines)]);
        }

        private sealed record Texts(
            long LogId,
            string JobId,
            string Status,
            DateTime ExecTime,
            string CauseZh,
            string CauseEn,
            string TaskLog,
            int? Newest,
            int? Attempt,
            string? Output,
            bool IsFromStart,
            bool HasMore
        );
    }
}
