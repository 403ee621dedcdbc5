using System.Runtime.CompilerServices;
using System.Text.Json;
using Codo.Modules.Cron.Executions;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Jobs;

/// <summary>Jobs with how each ran last, the next to run first, paused ones last; or by name.</summary>
internal static class ListJobs
{
    /// <param name="Status"><c>0</c> running, <c>1</c> paused, <c>broken</c>, or words of the ledger, several with commas: jobs whose newest row has one of
    /// them.</param>
    /// <param name="Tag">Jobs that have this tag.</param>
    /// <param name="Owner">Jobs that this person owns, or made where nobody owns them.</param>
    /// <param name="Space">Jobs in this space.</param>
    /// <param name="Q">A text in the id, the command or the description, in any case.</param>
    /// <param name="Sort"><c>job_id</c>, an order in which a job keeps its place when it fires; null is the next to run first.</param>
    /// <param name="After">With <paramref name="Sort"/>: only jobs behind this name, which need not be a job's.</param>
    internal sealed record Query(
        int? Page,
        int? Limit,
        string? JobId,
        string? Status,
        string? Tag,
        string? Owner,
        string? Q,
        string? Space,
        string? Sort = null,
        string? After = null
    ) : IRequest<Result>, IPaged;

    internal sealed record Result(IAsyncEnumerable<JobView> Data, long Count) : WrittenAnswer(Messages.Fetched);

    internal sealed class Validator : AbstractValidator<Query>
    {
        private static readonly string[] Known = ["0", "1", "broken", .. Enum.GetValues<ExecutionStatus>().Select(status => status.Word())];

        public Validator()
        {
            this.Paged();
            RuleFor(query => query.Status).Must(words => words is null || Words(words).All(word => Known.Contains(word, StringComparer.Ordinal)))
                .Refuse($"status 只能是 {string.Join(" | ", Known)}，多个用逗号分隔", $"status must be one of {string.Join(" | ", Known)}, several with commas");
            RuleFor(query => query.Q).AtMost(200, "q");
            RuleFor(query => query.Sort).OneOf("sort", ByName);
            RuleFor(query => query.After).AtMost(190, "after");
        }
    }

    private const string ByName = "job_id";

    private static string[] Words(string text) => text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);

    internal sealed class Handler(
        NpgsqlDataSource source,
        JobEnvironment environments,
        JobListCache cache,
        JsonSerializerOptions json,
        Access access
    )
        : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 15;

        // A job holds up to 200 KiB of texts.
        private const int Some = 10;

        // Whether cron.job_last may be behind the ledger: something of the job is under way, or has not been added up yet.
        private const string IsLive = """
            (EXISTS (SELECT FROM cron.active_execution a WHERE a.job = j.id) OR EXISTS (SELECT FROM cron.summary_delta d WHERE d.job = j.id)
                OR (EXISTS (SELECT FROM cron.summary_rebuild) AND NOT EXISTS (SELECT FROM cron.job_last s WHERE s.job = j.id)))
            """;

        private const string Where = $"""
            WHERE {JobAccess.Visible} AND (CAST(@SpaceId AS bigint) IS NULL OR j.space_id = @SpaceId)
                AND (CAST(@JobId AS text) IS NULL OR j.job_id = @JobId) AND (CAST(@Paused AS boolean) IS NULL OR j.paused = @Paused) AND (NOT @Broken
                OR j.broken_at IS NOT NULL)
                AND (CAST(@Tag AS text) IS NULL OR @Tag = ANY(j.tags)) AND (CAST(@Owner AS text) IS NULL OR @Owner = ANY(j.owners) OR (cardinality(j.owners) = 0
                    AND j.creator = @Owner))
                AND (CAST(@Pattern AS text) IS NULL OR j.job_id ILIKE @Pattern ESCAPE '\' OR j.cmd ILIKE @Pattern ESCAPE '\'
                    OR j.description ILIKE @Pattern ESCAPE '\')
                AND (CAST(@Last AS text[]) IS NULL OR CASE WHEN {IsLive} THEN (SELECT l.status FROM cron.cron_log l WHERE l.job_id = j.job_id AND l.job = j.id
                    ORDER BY l.exec_time DESC, l.log_id DESC LIMIT 1) = ANY(@Last)
                    ELSE j.id IN (SELECT k.job FROM cron.job_last k WHERE k.status = ANY(@Last)) END)
            """;

        private const string PageSql = $"""
            SELECT j.id FROM cron.job j {Where} ORDER BY j.paused, j.next_run_at NULLS LAST, j.job_id LIMIT @Limit OFFSET @Offset;
            """;

        // Along the unique index of job_id. No name is empty: every job is behind the empty text.
        private const string PageByNameSql = $"""
            SELECT j.id FROM cron.job j {Where} AND j.job_id > @After ORDER BY j.job_id LIMIT @Limit OFFSET @Offset;
            """;

        private const string RowsSql = $"""
            SELECT j.id, j.job_id, {JobColumns.Content}, j.paused, j.env, j.space_id, j.creator_id, j.creator, j.create_time, j.updater_id, j.updater,
                j.update_time, j.next_run_at, j.broken_at, j.broken_zh, j.broken_en, j.held_zh, j.held_en, j.version,
                last.status AS last_status, last.exec_time AS last_exec_time, last.seconds AS last_seconds
            FROM cron.job j
            LEFT JOIN LATERAL (
                (SELECT l.status, l.exec_time,
                    CASE WHEN l.status IN ('success', 'faild', 'timeout', 'killed', 'interrupted') AND (l.status <> 'killed' OR (SELECT a.attempt
                        FROM cron.attempt a WHERE a.log_id = l.log_id AND a.attempt = 1 AND a.nominal_at = l.nominal_at) IS NOT NULL)
                        THEN round(CAST(extract(epoch FROM l.ended_at - l.exec_time) AS numeric), 3) END AS seconds
                FROM cron.cron_log l WHERE {IsLive} AND l.job_id = j.job_id AND l.job = j.id ORDER BY l.exec_time DESC, l.log_id DESC LIMIT 1)
                UNION ALL
                SELECT k.status, k.exec_time, CAST(k.seconds AS numeric) FROM cron.job_last k WHERE k.job = j.id AND NOT {IsLive}) last ON true
            WHERE j.id = ANY(@Ids)
            """;

        private const string CountSql = $"""
            SELECT count(*) FROM cron.job j {Where}
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            // What a caller may see, and a list, which differs with it.
            var key = $"{access.Caller.UserId} {access.Sees(ResourceKind.Job).Key} {Language.English} {request}";
            var state = await cache.State();
            if (cache.Find(key, state) is { } known) return new Result(Anew(request, cancellationToken), known.Count) { Body = known.Body };
            var isSettled = await cache.IsSettled(cancellationToken);
            var (result, rows) = await Read(request, cancellationToken);
            if (!isSettled || rows > JobListCache.MostRows) return result;
            using var body = new MemoryStream();
            await JsonSerializer.SerializeAsync(body, result, json, cancellationToken);
            return result with { Body = cache.Keep(key, state, body.ToArray(), result.Count) };
        }

        // What is written already is sent as it is. A page of the console asks for the rows, and they are read then.
        private async IAsyncEnumerable<JobView> Anew(Query request, [EnumeratorCancellation] CancellationToken cancellationToken)
        {
            await foreach (var job in (await Read(request, cancellationToken)).Result.Data.WithCancellation(cancellationToken)) yield return job;
        }

        private async Task<(Result Result, int Rows)> Read(Query request, CancellationToken cancellationToken)
        {
            var words = request.Status is null ? [] : Words(request.Status);
            var last = words.Where(word => word is not ("0" or "1" or "broken")).ToArray();
            var asked = new DynamicParameters(JobAccess.Parameters(access));
            asked.AddDynamicParams(new
            {
                SpaceId = request.Space is null ? (long?)null : access.SpaceOf(request.Space),
                request.JobId,
                Paused = words.Contains("0") == words.Contains("1") ? (bool?)null : words.Contains("1"),
                Broken = words.Contains("broken"),
                request.Tag,
                request.Owner,
                Pattern = request.Q is null ? null : "%" + Paging.PrefixPattern(request.Q),
                Last = last.Length == 0 ? null : last,
                Limit = request.Limit ?? DefaultLimit,
                Offset = request.Offset(DefaultLimit),
                After = request.After ?? "",
            });
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var isByName = request.Sort == ByName || request.After is not null;
            await using var both = await connection.QueryMultipleAsync((isByName ? PageByNameSql : PageSql) + CountSql, asked);
            var ids = (await both.ReadAsync<long>()).AsList();
            var count = await both.ReadSingleAsync<long>();
            if (request is { JobId: not null, Status: null, Tag: null, Owner: null, Q: null, Space: null } && count == 0)
                throw JobAccess.NotFound(request.JobId);
            var data = Chunks.Read(ids, (some, cancellation) => Read(some, request.JobId is null, cancellation), Some, cancellationToken);
            return (new Result(data, count), ids.Count);
        }

        private async Task<IEnumerable<(long, JobView)>> Read(long[] ids, bool inList, CancellationToken cancellation)
        {
            await using var connection = await source.OpenConnectionAsync(cancellation);
            return (await connection.QueryAsync<JobView.Row>(RowsSql, new { Ids = ids })).Select(row =>
                (row.Id, JobView.Of(row, environments, access.NameOf(row.SpaceId), inList))
            );
        }
    }
}
