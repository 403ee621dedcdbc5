using System.Text.Json;
using System.Text.Json.Nodes;
using Codo.Modules.Cron.Executions;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Modules.Cron.Jobs;

/// <summary>A row of <c>cron.job_version</c>.</summary>
internal sealed class JobVersion
{
    public int Version { get; init; }
    public DateTime At { get; init; }
    public long ById { get; init; }
    public string ByName { get; init; } = "";
    public int? RestoredFrom { get; init; }
    public string? Content { get; init; }
    public byte[]? Env { get; init; }
}

/// <summary>The versions of jobs, which triggers write; what else reads and notes of them.</summary>
internal static class JobVersions
{
    private const string HeadSql = """
        SELECT id, version, env FROM cron.job WHERE job_id = @JobId
        """;

    private const string SomeSql = """
        SELECT version, at, by_id, by_name, restored_from, content::text AS content, env FROM cron.job_version WHERE job = @Job AND version = ANY(@Versions)
        """;

    private const string EnvironmentsSql = """
        SELECT DISTINCT env FROM cron.job_version WHERE job = @Job AND env IS NOT NULL
        """;

    private const string CurrentSql = """
        SELECT version FROM cron.job WHERE id = @Id
        """;

    private const string NoteSql = """
        UPDATE cron.job_version SET restored_from = @From WHERE job = @Job AND version = @Version AND restored_from IS NULL
        """;

    /// <summary>The job whose versions are asked for.</summary>
    /// <exception cref="Refusal">There is none, or the caller may not do this to it.</exception>
    public static async Task<Head> HeadOf(NpgsqlConnection connection, Access access, Verbs verb, string jobId)
    {
        await JobAccess.Demand(connection, access, verb, jobId);
        return await connection.QuerySingleOrDefaultAsync<Head>(HeadSql, new { JobId = jobId }) ?? throw JobAccess.NotFound(jobId);
    }

    /// <summary>One version.</summary>
    /// <exception cref="Refusal">The job has no such version, or it is no longer kept.</exception>
    public static async Task<JobVersion> One(NpgsqlConnection connection, long job, int version) =>
        (await Some(connection, null, job, version)).Find(one => one.Version == version)
        ?? throw Refusal.NotFound($"没有版本 {version}，或已不再保留", $"There is no version {version}, or it is no longer kept");

    /// <summary>The versions of these numbers that are kept.</summary>
    public static async Task<List<JobVersion>> Some(NpgsqlConnection connection, NpgsqlTransaction? transaction, long job, params int[] versions) =>
        (await connection.QueryAsync<JobVersion>(SomeSql, new { Job = job, Versions = versions }, transaction)).AsList();

    /// <summary>Names that the job or any of its versions marks as secrets: such a value is hidden in all of them, also after the job has lost it.</summary>
    /// <param name="env">The job's own environment.</param>
    public static async Task<IReadOnlyList<string>> Marked(
        NpgsqlConnection connection,
        NpgsqlTransaction? transaction,
        long job,
        byte[]? env,
        JobEnvironment environments
    )
    {
        var all = await connection.QueryAsync<byte[]?>(EnvironmentsSql, new { Job = job }, transaction);
        return [.. all.Append(env).SelectMany(one => environments.TryOpen(one)?.Marked ?? []).Distinct(StringComparer.Ordinal)];
    }

    /// <summary>Notes which version's content has come back as this one.</summary>
    public static Task Note(NpgsqlConnection connection, NpgsqlTransaction transaction, long job, int version, int from) =>
        connection.ExecuteAsync(NoteSql, new { Job = job, Version = version, From = from }, transaction);

    /// <summary>The refusal of a change that was made to another version than the stored one; null where it was made to that. The job is locked.</summary>
    public static async Task<Refusal?> Conflict(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        JobRow job,
        EditJob.Command request,
        int made,
        JobEnvironment environments,
        Zone zone,
        Access access
    )
    {
        var stored = await connection.ExecuteScalarAsync<int>(CurrentSql, new { job.Id }, transaction);
        if (made == stored) return null;
        var versions = await Some(connection, transaction, job.Id, made, stored);
        var marked = await Marked(connection, transaction, job.Id, job.Env, environments);
        var newest = versions.Find(one => one.Version == stored) ?? new JobVersion { Version = stored, At = job.LockedAt };
        var now = JobContent.Of(newest, marked, environments, access);
        var differences = versions.Find(one => one.Version == made) is { } before ? now.Since(JobContent.Of(before, marked, environments, access)) : [];
        var sent = JsonSerializer.SerializeToNode(request, Json.Stored)!.AsObject();
        var variables = JobFields.Variables(request.Env);
        var masked = environments.Masked(new JobVariables(variables ?? [], [.. marked.Union(request.SecretEnv ?? [])]));
        return VersionConflict.Refuse(made, stored, newest.ByName, newest.At, zone, differences, Sent);

        JsonNode? Sent(FieldDifference one) =>
            one.Field.StartsWith("env.", StringComparison.Ordinal)
                ? masked.GetValueOrDefault(one.Field["env.".Length..])
                : sent[one.Field]?.DeepClone();
    }

    /// <param name="Id">The surrogate id.</param>
    /// <param name="Version">The stored version.</param>
    internal sealed record Head(long Id, int Version, byte[]? Env);
}
