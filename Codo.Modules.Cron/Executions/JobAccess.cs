using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>Jobs and rows of their ledger as rights know them.</summary>
internal static class JobAccess
{
    /// <summary>For a WHERE with the job as <c>j</c>; its parameters are those of <see cref="Parameters"/>.</summary>
    public const string Visible = "(@SeesAll OR j.space_id = ANY(@Spaces) OR j.job_id = ANY(@Objects))";

    /// <summary>
    /// For a WHERE with a row of the ledger as <c>l</c>. A deleted job's rows stay where the job was; of jobs that were deleted before there were spaces
    /// they are in <c>default</c>.
    /// </summary>
    public const string RowVisible = """
        (@SeesAll OR l.job IN (SELECT j.id FROM cron.job j WHERE j.space_id = ANY(@Spaces) OR j.job_id = ANY(@Objects)
                UNION ALL SELECT d.job FROM cron.deleted_job d WHERE d.space_id = ANY(@Spaces))
            OR (1 = ANY(@Spaces) AND l.job NOT IN (SELECT j.id FROM cron.job j UNION ALL SELECT d.job FROM cron.deleted_job d)))
        """;

    private const string FindSql = """
        SELECT job_id, space_id FROM cron.job WHERE job_id = @JobId
        """;

    private const string FindAllSql = """
        SELECT job_id, space_id FROM cron.job WHERE job_id = ANY(@JobIds)
        """;

    private const string OfRowSql = """
        SELECT j.job_id, coalesce(j.space_id, d.space_id, 1) AS space_id
        FROM (SELECT CAST(@Job AS bigint) AS job) r LEFT JOIN cron.job j ON j.id = r.job LEFT JOIN cron.deleted_job d ON d.job = r.job
        """;

    /// <summary>What <see cref="Visible"/> and <see cref="RowVisible"/> ask for.</summary>
    public static object Parameters(Access access)
    {
        var sight = access.Sees(ResourceKind.Job);
        return new
        {
            SeesAll = sight.All,
            sight.Spaces,
            sight.Objects,
        };
    }

    /// <summary>The job of this id; null when there is none.</summary>
    public static async Task<Resource?> Find(NpgsqlConnection connection, string jobId) =>
        await connection.QuerySingleOrDefaultAsync<Row>(FindSql, new { JobId = jobId }) is { } row ? Of(row) : null;

    /// <summary>Those of the jobs that are there.</summary>
    public static async Task<IReadOnlyList<Resource>> FindAll(NpgsqlConnection connection, string[] jobIds) =>
        [.. (await connection.QueryAsync<Row>(FindAllSql, new { JobIds = jobIds })).Select(Of)];

    /// <summary>The job that a row of the ledger belongs to, also when it is deleted.</summary>
    /// <param name="job">Its surrogate id.</param>
    public static async Task<Resource> OfRow(NpgsqlConnection connection, long job) => Of(await connection.QuerySingleAsync<Row>(OfRowSql, new { Job = job }));

    /// <summary>Refuses whoever may not do this to the job; to whom may not see it, it is not there.</summary>
    public static async Task<Resource> Demand(NpgsqlConnection connection, Access access, Verbs verb, string jobId)
    {
        var job = await Find(connection, jobId) ?? throw NotFound(jobId);
        await access.Demand(verb, job, NotFound(jobId));
        return job;
    }

    public static Refusal NotFound(string? jobId) => Refusal.NotFound($"job {jobId} Not Found!", $"job {jobId} Not Found!");

    private static Resource Of(Row row) =>
        row.JobId is null ? Resource.Any(ResourceKind.Job, row.SpaceId) : new Resource(ResourceKind.Job, row.JobId, row.SpaceId);

    private sealed record Row(string? JobId, long SpaceId);
}

/// <summary>Finds jobs for decisions that are asked about by name.</summary>
internal sealed class JobResources : IResourceReader
{
    public string Kind => ResourceKind.Job;

    public Task<Resource?> Find(NpgsqlConnection connection, string id) => JobAccess.Find(connection, id);

    public Task<IReadOnlyList<Resource>> FindAll(NpgsqlConnection connection, string[] ids) => JobAccess.FindAll(connection, ids);
}
