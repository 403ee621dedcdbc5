using System.Globalization;
using System.Text.Json.Serialization;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using Hangfire;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Npgsql;
using StackExchange.Redis;

namespace Codo.Host.Api;

/// <summary>
/// Whether this host is alive, and whether it can do its work: each thing that it stands on, by name. Without PostgreSQL it is not ready; what it can do
/// without is degraded, and still 200.
/// </summary>
internal static class Health
{
    public static IServiceCollection AddHealth(this IServiceCollection services)
    {
        services.AddHealthChecks()
            .AddCheck<StoredZone>("time_zone")
            .AddCheck<DatabaseRights>("database_rights", HealthStatus.Degraded, timeout: TimeSpan.FromSeconds(5))
            .AddAsyncCheck("postgresql", provider => Postgres(provider.GetRequiredService<NpgsqlDataSource>()))
            .AddAsyncCheck("redis", provider => Redis(provider.GetRequiredService<RedisClient>()))
            .AddAsyncCheck("hangfire", provider => Hangfire(provider.GetRequiredService<JobStorage>(), provider.GetRequiredService<TimeProvider>()))
            // Not degraded: whoever upgraded may want none.
            .AddAsyncCheck("quotas", async provider => HealthCheckResult.Healthy(await provider.GetRequiredService<Quotas>().InWords()))
            .AddAsyncCheck("run_as", provider => RunAs(provider.GetRequiredService<RunAsRule>()))
            .AddAsyncCheck("disk", provider => Disk(provider.GetRequiredService<Disk>()))
            .AddAsyncCheck("clock", provider => Clock(provider.GetRequiredService<Node>()))
            .AddAsyncCheck("roles", Roles)
            .AddAsyncCheck("lease", provider => Lease(provider.GetRequiredService<Node>()));
        return services.AddSingleton<RecentHealth>();
    }

    public static void MapHealth(this IEndpointRouteBuilder routes)
    {
        routes
            .MapMethods(
                "/are_you_ok/",
                ["GET", "HEAD"],
                (Delegate)(static (HttpContext context) => context.Response.WriteAsJsonAsync(new { code = 0, msg = "I'm OK" }))
            )
            .Needs(Right.Anybody)
            .WithTags("host")
            .WithSummary("Whether anybody is there, as the original answers it");
        MapReport(routes, "/healthz/live", _ => Task.FromResult(Alive), "Whether the process answers; nothing that it stands on is asked");
        MapReport(
            routes,
            "/healthz/ready",
            Ready,
            "Whether it can do its work. With a token: everything that it stands on, by name. 200 also when something is degraded"
        );
    }

    // A caller with a token has a limit of its own, and wants to see what has changed.
    private static Task<HealthReport> Ready(IServiceProvider services) => Caller.Of(services.GetRequiredService<IHttpContextAccessor>().HttpContext!) is null
        ? services.GetRequiredService<RecentHealth>().Read()
        : services.GetRequiredService<HealthCheckService>().CheckHealthAsync();

    private static readonly HealthReport Alive = new(new Dictionary<string, HealthReportEntry>(), TimeSpan.Zero);

    private static void MapReport(IEndpointRouteBuilder routes, string path, Func<IServiceProvider, Task<HealthReport>> read, string summary) =>
        routes.MapMethods(path, ["GET", "HEAD"], async (HttpContext context) =>
            {
                var report = await read(context.RequestServices);
                context.Response.Headers.CacheControl = "no-store";
                return TypedResults.Json(Report.Of(report, Caller.Of(context) is not null), statusCode: report.Status == HealthStatus.Unhealthy ? 503 : 200);
            })
            .Produces<Report>(200).Produces<Report>(503).Needs(Right.Anybody).WithTags("host").WithSummary(summary);

    private static IHealthChecksBuilder AddAsyncCheck(this IHealthChecksBuilder builder, string name, Func<IServiceProvider, Task<HealthCheckResult>> check) =>
        builder.Add(new HealthCheckRegistration(name, provider => new Check(() => check(provider)), null, null, TimeSpan.FromSeconds(5)));

    private static async Task<HealthCheckResult> Postgres(NpgsqlDataSource source)
    {
        await using var connection = await source.OpenConnectionAsync();
        return HealthCheckResult.Healthy(await connection.QuerySingleAsync<string>("SHOW server_version"));
    }

    private static async Task<HealthCheckResult> Redis(RedisClient client)
    {
        try
        {
            var redis = await client.Get(TimeSpan.FromSeconds(3), CancellationToken.None);
            if (!redis.IsConnected) return Away("");
            var took = await redis.GetDatabase().PingAsync();
            return HealthCheckResult.Healthy(took.TotalMilliseconds.ToString("0.0 ms", CultureInfo.InvariantCulture));
        }
        catch (RedisConnectionException error)
        {
            return Away($" ({error.Message})");
        }

        static HealthCheckResult Away(string why) => HealthCheckResult.Degraded($"Redis is away: the output of steps waits in the spool{why}");
    }

    private static async Task<HealthCheckResult> Hangfire(JobStorage storage, TimeProvider time)
    {
        var servers = await Task.Run(() =>
            storage.GetMonitoringApi().Servers().Count(server => server.Heartbeat > time.GetUtcNow().UtcDateTime.AddMinutes(-2))
        );
        return servers > 0
            ? HealthCheckResult.Healthy($"{servers} servers")
            : HealthCheckResult.Degraded("no Hangfire server has reported for two minutes: schedules are fired by the sweep alone");
    }

    private static async Task<HealthCheckResult> RunAs(RunAsRule rule)
    {
        var (isDegraded, detail) = await rule.Check(CancellationToken.None);
        return isDegraded ? HealthCheckResult.Degraded(detail) : HealthCheckResult.Healthy(detail);
    }

    private static Task<HealthCheckResult> Disk(Disk disk) => Task.FromResult(disk.IsLow
        ? HealthCheckResult.Degraded($"{disk.Free >> 20} MiB free, less than Codo:MinFreeDisk: output is cut and new orders are refused")
        : HealthCheckResult.Healthy($"{disk.Free >> 20} MiB free"));

    private static Task<HealthCheckResult> Clock(Node node) => Task.FromResult(node.Skew.Duration() > Node.MostSkew
        ? HealthCheckResult.Degraded($"{node.Skew.TotalSeconds:0} s off PostgreSQL's clock: nothing new starts here")
        : HealthCheckResult.Healthy($"{node.Skew.TotalMilliseconds:0} ms off PostgreSQL's"));

    private static Task<HealthCheckResult> Lease(Node node) => Task.FromResult(node.HoldsLease
        ? HealthCheckResult.Healthy($"{node.Name}, incarnation {node.Incarnation}{(node.IsDrained ? ", drained: it takes no new work" : "")}")
        : HealthCheckResult.Degraded("the lease is lost: nothing new starts here"));

    // A drained node has its roles: whoever drained the last one was warned. This node may not have joined yet.
    private const string RolesSql = """
        SELECT DISTINCT unnest(roles) FROM platform.node
        WHERE stopped_at IS NULL AND fenced < incarnation AND heartbeat_at >= clock_timestamp() - CAST(@Lease AS interval)
            AND clock_skew BETWEEN - CAST(@MostSkew AS interval) AND CAST(@MostSkew AS interval)
        """;

    private static async Task<HealthCheckResult> Roles(IServiceProvider services)
    {
        var node = services.GetRequiredService<Node>();
        await using var connection = await services.GetRequiredService<NpgsqlDataSource>().OpenConnectionAsync();
        var found = await connection.QueryAsync<string>(RolesSql, new { Node.Lease, Node.MostSkew });
        var missing = NodeRoles.All.Except(node.Roles).Except(found).ToList();
        return missing.Count == 0
            ? HealthCheckResult.Healthy("this node: " + string.Join(", ", node.Roles))
            : HealthCheckResult.Degraded($"no live node has the role {string.Join(", ", missing)} (Codo:Node:Roles): its work waits");
    }

    /// <param name="Code">0, or 503 where something without which no work is done is away.</param>
    /// <param name="Msg">The worst of the checks: <c>healthy</c>, <c>degraded</c> or <c>unhealthy</c>.</param>
    /// <param name="Checks">Only with a token: versions, sizes and names of nodes are no stranger's business.</param>
    internal sealed record Report(
        int Code,
        string Msg,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyDictionary<string, Part>? Checks
    )
    {
        public static Report Of(HealthReport report, bool withChecks) => new(
            report.Status == HealthStatus.Unhealthy ? 503 : 0, Word(report.Status),
            withChecks ? report.Entries.ToDictionary(entry => entry.Key, entry => new Part(Word(entry.Value.Status), entry.Value.Description ?? "")) : null);

        private static string Word(HealthStatus status) => status.ToString().ToLowerInvariant();
    }

    internal sealed record Part(string Status, string Detail);

    private sealed class Check(Func<Task<HealthCheckResult>> check) : IHealthCheck
    {
        public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
        {
            try
            {
                return await check().WaitAsync(cancellationToken);
            }
            catch (Exception error)
            {
                // PostgreSQL is what everything else stands on; without the others Codo still does a part of its work.
                return context.Registration.Name == "postgresql" ? HealthCheckResult.Unhealthy(error.Message) : HealthCheckResult.Degraded(error.Message);
            }
        }
    }
}
