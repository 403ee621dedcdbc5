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
    internal sealed record Result(IReadOnlyList<Row> Data, int Count, bool More, bool Partial) : Answer(Say.Fetched);

    /// <param name="Lines">At most 20 of <paramref name="LineCount"/>, the first ones.</param>
    internal sealed record Row(long LogId, string JobId, string Status, DateTime ExecTime, int LineCount, IReadOnlyList<Match> Lines);

    /// <param name="Line">From 1; null in a reason, and where what comes before was not read.</param>
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

        // Of an output that the ledger's row does not hold whole, the first piece that has the text.
        private const string TextsSql = $"""
            SELECT l.log_id, l.job_id, l.status, l.exec_time, l.cause_zh, l.cause_en, l.task_log, CASE WHEN {LedgerSearch.Deep} THEN
                (SELECT CASE WHEN o.from_byte = 0 THEN '1' ELSE '0' END || o.text FROM cron.output o WHERE {LedgerSearch.OutputMatches}
                    ORDER BY o.attempt DESC, o.from_byte LIMIT 1) END AS piece
            FROM cron.cron_log l WHERE l.log_id = ANY(CAST(@Ids AS bigint[])) ORDER BY l.exec_time DESC, l.log_id DESC
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
            var rows = await connection.QueryAsync<Texts>(TextsSql, new { Ids = page, Pattern = LedgerSearch.PatternOf(text) }, reading);
            // What is not looked through lies behind the next page.
            return new Result([.. rows.Select(row => RowOf(row, text, query.Context))], found.Keys.Count, hasMore, found.IsPartial && !hasMore);
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
            var lines = Matches(row.TaskLog, sought, context, isFromStart: true);
            if (lines.Count == 0 && row.Piece is { Length: > 0 } piece) lines = Matches(piece[1..], sought, context, piece[0] == '1');
            // One of both languages has it.
            var cause = new Text(row.CauseZh, row.CauseEn).ToString();
            if (!cause.Contains(sought, StringComparison.OrdinalIgnoreCase)) cause = cause == row.CauseZh ? row.CauseEn : row.CauseZh;
            lines.AddRange(Matches(cause, sought, context is null ? null : 0, isFromStart: false));
            return new Row(row.LogId, row.JobId, row.Status, row.ExecTime, lines.Count, [.. lines.Take(MostLines)]);
        }

        private sealed record Texts(
            long LogId,
            string JobId,
            string Status,
            DateTime ExecTime,
            string CauseZh,
            string CauseEn,
            string TaskLog,
            string? Piece
        );
    }
}
