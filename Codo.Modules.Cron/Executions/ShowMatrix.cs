using System.Globalization;
using System.Text;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>Jobs against time: of each slot the worst that became of a due time in it.</summary>
internal static class ShowMatrix
{
    // Slots of a minute, of ten, and of an hour.
    private static readonly Dictionary<int, int> Steps = new() { [24] = 60, [168] = 600, [720] = 3600 };

    // By the number that the statement answers, the worst last.
    private const string Letters = ".sqrkmixtf";

    /// <param name="Hours">24, 168 or 720, up to now.</param>
    /// <param name="Q">Jobs with this text in their id.</param>
    internal sealed record Query(int? Hours, string? Q, int? Page, int? Limit) : IRequest<Result>, IPaged;

    /// <param name="Step">Seconds of one slot.</param>
    internal sealed record Result(DateTime From, DateTime To, int Step, List<Row> Data, long Count) : Answer(Messages.Fetched);

    /// <param name="Cells">
    /// One letter a slot, with a number behind it where it stands for several: <c>.</c> nothing, <c>s</c> success, <c>q</c> queued, <c>r</c> running,
    /// <c>k</c> skipped, <c>m</c> missed, <c>i</c> interrupted, <c>x</c> killed, <c>t</c> timeout, <c>f</c> faild.
    /// </param>
    internal sealed record Row(string JobId, string Cells);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator()
        {
            this.Paged();
            RuleFor(query => query.Hours).Must(hours => hours is null || Steps.ContainsKey(hours.Value))
                .Refuse("hours 只能是 24 | 168 | 720", "hours must be one of 24 | 168 | 720");
            RuleFor(query => query.Q).AtMost(200, "q");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, TimeProvider time, Access access) : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 500;

        private const string Wanted = $"{JobAccess.Visible} AND (CAST(@Pattern AS text) IS NULL OR j.job_id ILIKE @Pattern ESCAPE '\\')";

        private const string CountSql = $"""
            SELECT count(*) FROM cron.job j WHERE {Wanted}
            """;

        private const string JobsSql = $"""
            SELECT j.id, j.job_id FROM cron.job j WHERE {Wanted} ORDER BY j.job_id LIMIT @Limit OFFSET @Offset
            """;

        // A stretch of due times is one row, which stands where it ends: it reaches back to its first one, and is grouped with nothing that is shorter.
        private const string CellsSql = """
            SELECT l.job,
                CAST(floor(extract(epoch FROM CASE WHEN l.times > 1 THEN least(greatest(l.nominal_at, CAST(@From AS timestamptz)), l.exec_time)
                    ELSE l.exec_time END - CAST(@From AS timestamptz)) / CAST(@Step AS int)) AS int) AS slot,
                CAST(floor(extract(epoch FROM l.exec_time - CAST(@From AS timestamptz)) / CAST(@Step AS int)) AS int) AS until,
                CAST(CASE WHEN l.times > 1 AND isfinite(l.nominal_at) THEN greatest(1, extract(epoch FROM l.exec_time - l.nominal_at)
                    / (l.times - 1) / CAST(@Step AS int)) ELSE 1 END AS float8) AS every,
                max(CASE l.status WHEN 'success' THEN 1 WHEN 'queued' THEN 2 WHEN 'running' THEN 3 WHEN 'skipped' THEN 4 WHEN 'missed' THEN 5
                    WHEN 'interrupted' THEN 6 WHEN 'killed' THEN 7 WHEN 'timeout' THEN 8 ELSE 9 END) AS worst
            FROM cron.cron_log l
            WHERE l.job_id = ANY(CAST(@JobIds AS text[])) AND l.job = ANY(CAST(@Jobs AS bigint[]))
                AND l.exec_time >= CAST(@From AS timestamptz) AND l.exec_time < CAST(@To AS timestamptz)
            GROUP BY 1, 2, 3, 4
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            var hours = request.Hours ?? 24;
            var step = Steps[hours];
            var now = time.GetUtcNow().UtcDateTime;
            var to = now.AddTicks(TimeSpan.FromSeconds(step).Ticks - (now.Ticks % TimeSpan.FromSeconds(step).Ticks));
            var from = to.AddHours(-hours);
            var asked = new DynamicParameters(JobAccess.Parameters(access));
            asked.AddDynamicParams(
                new
                {
                    Pattern = string.IsNullOrWhiteSpace(request.Q) ? null : "%" + Paging.PrefixPattern(request.Q.Trim()),
                    Limit = request.Limit ?? DefaultLimit,
                    Offset = request.Offset(DefaultLimit),
                }
            );
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var jobs = (await connection.QueryAsync<(long Id, string JobId)>(JobsSql, asked)).AsList();
            var rows = jobs.ToDictionary(job => job.Id, _ => new byte[hours * 3600 / step]);
            var cells = await connection.QueryAsync<(long Job, int Slot, int Until, double Every, int Worst)>(
                CellsSql,
                new
                {
                    From = from,
                    To = to,
                    Step = step,
                    Jobs = jobs.Select(job => job.Id).ToArray(),
                    JobIds = jobs.Select(job => job.JobId).ToArray(),
                }
            );
            // Within a stretch what ran by hand is seen.
            foreach (var (job, slot, until, every, worst) in cells.OrderBy(cell => cell.Until - cell.Slot))
            {
                var row = rows[job];
                // Due times that lie further apart than a slot leave the slots between them empty.
                for (double place = until; place > slot - 0.5; place -= every)
                {
                    var at = (int)Math.Round(place);
                    if (at == slot || at == until || row[at] == 0) row[at] = (byte)Math.Max(row[at], worst);
                }
            }
            return new Result(
                from,
                to,
                step,
                jobs.ConvertAll(job => new Row(job.JobId, Text(rows[job.Id]))),
                await connection.ExecuteScalarAsync<long>(CountSql, asked)
            );
        }

        private static string Text(byte[] cells)
        {
            var text = new StringBuilder();
            for (var at = 0; at < cells.Length;)
            {
                var end = at + 1;
                while (end < cells.Length && cells[end] == cells[at]) end++;
                text.Append(Letters[cells[at]]);
                if (end - at > 1) text.Append(CultureInfo.InvariantCulture, $"{end - at}");
                at = end;
            }
            return text.ToString();
        }
    }
}
