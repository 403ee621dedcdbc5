using System.Globalization;
using Codo.Platform.Events;
using Codo.Platform.Localization;
using Dapper;
using MediatR;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Platform.Cluster;

/// <summary>
/// Stands in front of everything that deletes history. It allows a drop only while this node holds its lease, and only by a time of PostgreSQL that agrees with
/// the time that has passed: a clock that is more than a day ahead of that would drop what nobody meant to lose. Then every drop stops, an incident is opened,
/// and a person confirms the clock (<c>POST /v2/nodes/clock/</c>) or puts it right.
/// </summary>
public sealed class RetentionGuard(NpgsqlDataSource source, Node node, IServiceScopeFactory scopes, ILogger<RetentionGuard> log)
    : IHealthCheck, IDisposable
{
    /// <summary>The key of the incident that a jump opens.</summary>
    public const string Problem = "clock";

    /// <summary>Days for which a job or a template that was deleted can be brought back.</summary>
    public const int DeletedDays = 30;

    /// <summary>Newest versions that are kept of one job or template.</summary>
    public const int KeptVersions = 200;

    private static readonly TimeSpan MostJump = TimeSpan.FromDays(1);

    // Other nodes have watched the clock while this one was away: what they saw counts as passed.
    private const string SeenSql = """
        SELECT clock_timestamp() AS now, max(clock_seen_at) AS highest, max(clock_seen_at) FILTER (WHERE name = @Name) AS seen_at,
            max(clock_boot_id) FILTER (WHERE name = @Name) AS boot_id, max(clock_boot_time) FILTER (WHERE name = @Name) AS boot_time
        FROM platform.node
        """;

    // Only over what was judged: whoever has changed it meanwhile is not overwritten.
    private const string RememberSql = """
        UPDATE platform.node SET clock_seen_at = GREATEST(clock_seen_at, @Now), clock_boot_id = @BootId, clock_boot_time = @BootTime
        WHERE name = @Name AND clock_seen_at IS NOT DISTINCT FROM @SeenAt
        """;

    private const string ConfirmSql = """
        UPDATE platform.node SET clock_seen_at = clock_timestamp(), clock_boot_id = NULL, clock_boot_time = NULL
        """;

    // One reading at a time: an older one that is told after a newer would take back what that has found.
    private readonly SemaphoreSlim reading = new(1);

    private Text? jump;

    // Whether a jump, or its end, was told of last; null before the first of the two.
    private bool? isTold;

    /// <summary>Watches the clock, so that a jump is noticed within a minute and not only when something is about to be dropped.</summary>
    public Task Watch(CancellationToken cancellation) => node.Incarnation == 0 ? Task.CompletedTask : Agrees(cancellation);

    /// <summary>Whether history may be dropped now.</summary>
    /// <returns>PostgreSQL's time, by which what is old is told; null when nothing may be dropped.</returns>
    public async Task<DateTime?> Allows(CancellationToken cancellation) =>
        // A restored installation keeps what it was restored for.
        node.IsHeld ? null : await Agrees(cancellation);

    /// <summary>Whether PostgreSQL's clock can be trusted now: what drops nothing goes on while the installation is held.</summary>
    /// <returns>PostgreSQL's time; null when the clock has jumped, and while this node does not hold its lease.</returns>
    public async Task<DateTime?> Agrees(CancellationToken cancellation)
    {
        if (!node.HoldsLease) return null;
        await reading.WaitAsync(cancellation);
        try
        {
            return await Read(cancellation);
        }
        finally
        {
            reading.Release();
        }
    }

    private async Task<DateTime?> Read(CancellationToken cancellation)
    {
        Seen seen;
        var boot = BootTime.Now;
        await using (var connection = await source.OpenConnectionAsync(cancellation))
        {
            seen = await connection.QuerySingleAsync<Seen>(SeenSql, new { node.Name });
            var passed = new
            {
                node.Name,
                seen.Now,
                seen.SeenAt,
                Machine.BootId,
                BootTime = boot,
            };
            if (!IsJump(seen, Machine.BootId, boot)) await connection.ExecuteAsync(RememberSql, passed);
        }
        var found = IsJump(seen, Machine.BootId, boot) ? Say(seen) : (Text?)null;
        await Tell(found);
        return found is null ? seen.Now : null;
    }

    /// <inheritdoc/>
    public void Dispose() => reading.Dispose();

    /// <summary>A person says that PostgreSQL's clock is right.</summary>
    public static Task Confirm(NpgsqlConnection connection, NpgsqlTransaction transaction) => connection.ExecuteAsync(ConfirmSql, transaction: transaction);

    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        Task.FromResult(
            jump is { } found ? HealthCheckResult.Degraded(found.En) : HealthCheckResult.Healthy("PostgreSQL's clock agrees with the time that has passed")
        );

    /// <summary>Whether PostgreSQL's time is more than a day ahead of what it has shown before and the time that has passed since.</summary>
    internal static bool IsJump(Seen seen, string bootId, TimeSpan boot)
    {
        if (seen.Highest is not { } highest) return false;
        // Across a reboot nobody knows how long the machine was off.
        var expected = seen.SeenAt is { } at && seen.BootId == bootId && seen.BootTime is { } then && boot > then ? at + (boot - then) : highest;
        return seen.Now > (expected > highest ? expected : highest) + MostJump;
    }

    private static Text Say(Seen seen)
    {
        var (now, before) = (Stamp(seen.Now), Stamp(seen.Highest!.Value));
        return new Text(
            $"PostgreSQL 的时钟显示 {now} UTC，而此前最后一次为 {before} UTC：跳跃超过一天。所有历史清理已停止。请校正时钟，或以 POST /v2/nodes/clock/ 确认它是正确的",
            ($"PostgreSQL's clock says {now} UTC and said {before} UTC before: a jump of more than a day. Nothing is dropped by retention. Put the clock "
                + $"right, or confirm it by POST /v2/nodes/clock/")
        );
    }

    private static string Stamp(DateTime utc) => utc.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);

    private async Task Tell(Text? found)
    {
        if (found is { } text && jump is null) log.LogError("{Jump}", text.En);
        jump = found;
        if (isTold == found.HasValue) return;
        await using var scope = scopes.CreateAsyncScope();
        var mediator = scope.ServiceProvider.GetRequiredService<IMediator>();
        if (found is { } detail)
            await mediator.Publish(
                new SystemTroubleFound(Problem, new Text("PostgreSQL 时钟异常，历史清理已停止", "PostgreSQL's clock jumped; retention is stopped"), detail)
            );
        else
            await mediator.Publish(new SystemTroubleOver(Problem));
        // Last: what could not be published is published by the next look.
        isTold = found.HasValue;
    }

    /// <summary>What PostgreSQL shows now, and has shown before.</summary>
    internal sealed record Seen
    {
        public DateTime Now { get; init; }
        public DateTime? Highest { get; init; }
        public DateTime? SeenAt { get; init; }
        public string? BootId { get; init; }
        public TimeSpan? BootTime { get; init; }
    }
}
