using System.Collections.Concurrent;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Dapper;
using Npgsql;

namespace Codo.Modules.Cron.Jobs;

/// <summary>
/// Job lists as they were written, for as long as no job and no row of the ledger has changed on any node. What requests ask at the same time about that is one
/// question to PostgreSQL; it is asked after each of them has come.
/// </summary>
internal sealed class JobListCache
{
    /// <summary>Longer lists are written anew each time.</summary>
    public const int MostRows = 200;

    private const int MostBytes = 1 << 20, MostKept = 64;

    private const string VersionSql = """
        SELECT last_value FROM cron.job_list_version
        """;

    // The version moves before its change is committed: while a transaction that writes is under way, what is read now may lack a change that the version
    // counts. Each such transaction holds the lock on its own number until its changes are to be seen.
    private const string IsSettledSql = """
        SELECT NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock')
        """;

    // Rights are not counted by the version: what somebody lost is shown for no longer than a token that was taken back.
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(1);

    private readonly NpgsqlDataSource source;
    private readonly TimeProvider time;
    private readonly BatchWriter<bool, long> versions;
    private readonly ConcurrentDictionary<string, (long State, long At, List List)> kept = new(StringComparer.Ordinal);

    public JobListCache(NpgsqlDataSource source, TimeProvider time) => (this.source, this.time, versions) = (source, time, new(ReadVersion, int.MaxValue));

    /// <summary>What the lists that are written from now on belong to.</summary>
    public Task<long> State() => versions.Write(true);

    /// <summary>Whether a list that is read from now on has all that the state counts.</summary>
    public async Task<bool> IsSettled(CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        return await connection.ExecuteScalarAsync<bool>(IsSettledSql);
    }

    /// <summary>The list as it was written in this state.</summary>
    public List? Find(string key, long state) =>
        kept.TryGetValue(key, out var found) && found.State == state && time.GetElapsedTime(found.At) < Longest ? found.List : null;

    /// <summary>Keeps a list, unless it is very long.</summary>
    public WrittenBody Keep(string key, long state, byte[] bytes, long count)
    {
        var body = new WrittenBody(bytes);
        if (body.Length > MostBytes) return body;
        if (kept.Count >= MostKept) kept.Clear();
        kept[key] = (state, time.GetTimestamp(), new List(body, count));
        return body;
    }

    /// <summary>A list as it was written.</summary>
    /// <param name="Count">Of all its pages.</param>
    internal sealed record List(WrittenBody Body, long Count);

    private async Task<IReadOnlyList<long>> ReadVersion(IReadOnlyList<bool> asked)
    {
        await using var connection = await source.OpenConnectionAsync();
        var version = await connection.ExecuteScalarAsync<long>(VersionSql);
        return [.. asked.Select(_ => version)];
    }
}
