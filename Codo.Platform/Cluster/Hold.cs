using System.Globalization;
using Codo.Platform.Localization;
using Dapper;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Platform.Cluster;

/// <summary>
/// A restored installation is held, so that a drill never runs production twice: nothing fires, no order goes on and nobody is told until a superuser releases
/// it. Only a restore writes the row, before any host starts, so a node that knows of no hold at its start never gets one. One that was cut off meanwhile
/// does not join what was restored (<see cref="RefuseAnother"/>).
/// </summary>
public sealed class Hold(NpgsqlDataSource source, Node node, ILogger<Hold> log) : IHealthCheck
{
    private const string OpenSql = """
        SELECT since, backup_at, releasers FROM platform.hold WHERE released_at IS NULL
        """;

    // As text, to be compared: the number is the backup's and may come twice, and a time need not be one that can be read.
    private const string LatestSql = """
        SELECT CAST(hold_id AS text) || ' ' || CAST(since AS text) FROM platform.hold ORDER BY hold_id DESC LIMIT 1
        """;

    private const string SetSql = """
        INSERT INTO platform.hold (backup_at, releasers) VALUES (@BackupAt, @Releasers)
        """;

    private const string ReleaseSql = """
        UPDATE platform.hold SET released_at = clock_timestamp(), released_by = @By WHERE released_at IS NULL
        """;

    private const string ForgetOpenSql = """
        DELETE FROM platform.hold WHERE released_at IS NULL
        """;

    private volatile Held? current;
    private string? latest;

    /// <summary>The hold that is in force, as this node knows it; null where nothing is held.</summary>
    public Held? Current => current;

    /// <summary>Whether the database was ever restored: then due times may lie in a hold.</summary>
    public bool WasRestored { get; private set; }

    /// <summary>Woken by the control channel.</summary>
    public WakeSignal Wake { get; } = new();

    /// <summary>Reads the row; to be called before anything starts.</summary>
    public async Task Load(CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        latest = await connection.ExecuteScalarAsync<string?>(LatestSql);
        WasRestored = latest is not null;
        await Read(connection);
        if (current is { } held) log.LogWarning("{Hold}", held.Detail.En);
    }

    /// <summary>Refuses a database that was restored since <see cref="Load"/>: what this node knows and runs belongs to the one before.</summary>
    /// <exception cref="InstallationWasRestored"/>
    internal async Task RefuseAnother(NpgsqlConnection connection, NpgsqlTransaction transaction)
    {
        if (await connection.ExecuteScalarAsync<string?>(LatestSql, transaction: transaction) != latest) throw new InstallationWasRestored();
    }

    /// <summary>Looks whether it was released; where nothing is held there is nothing to look at, and the answer is false.</summary>
    public async Task<bool> Refresh(CancellationToken cancellation)
    {
        if (current is null) return false;
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await Read(connection);
        if (current is null) log.LogWarning("The installation was released: schedules, orders and alerts go on");
        return true;
    }

    /// <summary>Holds the installation, as the last act of a restore.</summary>
    /// <param name="backupAt">UTC.</param>
    public static async Task Set(NpgsqlConnection connection, NpgsqlTransaction transaction, DateTime backupAt, string[] releasers)
    {
        // The backup may be one of an installation that was held itself.
        await connection.ExecuteAsync(ForgetOpenSql, transaction: transaction);
        await connection.ExecuteAsync(SetSql, new { BackupAt = backupAt, Releasers = releasers }, transaction);
    }

    /// <summary>Releases it; false when nothing is held.</summary>
    public static async Task<bool> Release(NpgsqlConnection connection, NpgsqlTransaction transaction, string by) =>
        await connection.ExecuteAsync(ReleaseSql, new { By = by.Length > 0 ? by : "?" }, transaction) > 0;

    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        Task.FromResult(current is { } held ? HealthCheckResult.Degraded(held.Detail.En) : HealthCheckResult.Healthy("nothing is held"));

    private async Task Read(NpgsqlConnection connection)
    {
        current = await connection.QuerySingleOrDefaultAsync<Held>(OpenSql);
        node.Hold(current is not null);
    }
}

/// <summary>The database was restored while this node ran, and was cut off from it. Started anew, the node reads what holds the installation.</summary>
public sealed class InstallationWasRestored() : Exception(
    "The database was restored from a backup while this node was cut off from it: start the node anew. / 此节点与数据库断开期间，数据库已由备份恢复：请重新启动此节点。");

/// <summary>A hold that is in force.</summary>
public sealed record Held
{
    /// <summary>When the restore was done, UTC.</summary>
    public DateTime Since { get; init; }

    /// <summary>When the backup's snapshot was taken, UTC.</summary>
    public DateTime BackupAt { get; init; }

    /// <summary>Names of superusers.</summary>
    public string[] Releasers { get; init; } = [];

    /// <summary>What is held, since when, and who can release it.</summary>
    public Text Detail
    {
        get
        {
            var (zh, en) = Releasers.Length == 0 ? ("", "") : ($"（如 {string.Join("、", Releasers)}）", $" (such as {string.Join(", ", Releasers)})");
            return new Text(
                ($"此安装于 {Stamp(Since)} UTC 由 {Stamp(BackupAt)} UTC 的备份恢复，现已暂停：不触发任务、不推进订单、不发送告警，"
                    + $"直到超级用户{zh}解除：POST /v2/hold/release/ 或 codo release"),
                ($"Restored at {Stamp(Since)} UTC from the backup of {Stamp(BackupAt)} UTC, and held: nothing fires, no order goes on and nobody "
                    + $"is told until a superuser{en} releases it by POST /v2/hold/release/ or codo release")
            );
        }
    }

    private static string Stamp(DateTime utc) => utc.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);
}

/// <summary>Tables of a module whose rows say that something is under way. After a restore they speak of another time, and often of another machine.</summary>
public interface ISettleRestored
{
    /// <summary>
    /// Ends what was under way or about to start when the backup was taken, without touching a process and without telling anybody: it belongs to the
    /// installation that was backed up.
    /// </summary>
    /// <param name="cause">What the rows say.</param>
    Task Settle(NpgsqlConnection connection, NpgsqlTransaction transaction, Text cause);
}
