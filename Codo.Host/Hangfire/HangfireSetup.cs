using Codo.Platform.Cluster;
using Codo.Platform.Dashboard;
using Codo.Platform.Http;
using Hangfire;
using Hangfire.AspNetCore;
using Hangfire.PostgreSql;
using Npgsql;

namespace Codo.Host.Hangfire;

/// <summary>Hangfire as Codo runs it: a few workers, because a job only starts work; two of its defaults changed that stop a cluster.</summary>
internal static class HangfireSetup
{
    /// <summary>A host that dies while it holds the recurring-job lock stops all recurring jobs for this long; Hangfire's default is 10 minutes.</summary>
    private static readonly TimeSpan LockTimeout = TimeSpan.FromSeconds(15);

    private static PostgreSqlStorageOptions Options =>
        new()
        {
            SchemaName = Schema,
            PrepareSchemaIfNecessary = false,
            DistributedLockTimeout = LockTimeout,
            // Whoever enqueues wakes the workers of its own host at once; a job of a host that died is taken by another within this time, and the polls of both
            // modules need no Hangfire.
            QueuePollInterval = TimeSpan.FromSeconds(15),
            UseSlidingInvisibilityTimeout = true,
            InvisibilityTimeout = TimeSpan.FromSeconds(10),
        };

    public static IServiceCollection AddCodoHangfire(this IServiceCollection services, string connectionString)
    {
        services.AddSingleton(_ => new WakeUpConnections(connectionString));
        // Storage and activator are this host's own: Hangfire would keep them in statics, where the hosts of one process (the tests') take each other's jobs.
        services.AddSingleton<JobStorage>(provider => new PostgreSqlStorage(provider.GetRequiredService<WakeUpConnections>(), Options));
        services.AddSingleton<JobActivator>(provider => new AspNetCoreJobActivator(provider.GetRequiredService<IServiceScopeFactory>()));
        services.AddSingleton<BackgroundMirror>();
        services.AddHangfire(configuration => configuration
            .SetDataCompatibilityLevel(CompatibilityLevel.Version_180)
            .UseSimpleAssemblyNameTypeSerializer()
            .UseRecommendedSerializerSettings());
        // Background processes that modules register (IBackgroundProcess) run in this server.
        services.AddSingleton(provider => new BackgroundJobServerOptions
        {
            ServerName = $"{Environment.MachineName}:{Environment.ProcessId}",
            WorkerCount = 4,
            // A worker that may start nothing of a queue would take wake-ups that others wait for. The queues are called as the roles.
            Queues = [.. new[] { NodeRoles.Cron, NodeRoles.Orders }.Where(provider.GetRequiredService<Node>().Has), "default"],
            SchedulePollingInterval = TimeSpan.FromSeconds(provider.GetRequiredService<NodeSettings>().SchedulePolling),
            CancellationCheckInterval = TimeSpan.FromSeconds(5),
            StopTimeout = TimeSpan.FromSeconds(5),
            TimeZoneResolver = provider.GetRequiredService<ITimeZoneResolver>(),
        });
        return services
            .AddSingleton(provider =>
            {
                // Resolving it is what applies the configuration above.
                _ = provider.GetRequiredService<IGlobalConfiguration>();
                return ActivatorUtilities.CreateInstance<BackgroundServer>(provider);
            })
            .AddHostedService(provider => provider.GetRequiredService<BackgroundServer>())
            .AddLoop<BackgroundServer>(
                "background server",
                TimeSpan.FromMinutes(1),
                (server, stopping) => server.Follow(stopping),
                server => server.DrainChanged
            );
    }

    public const string Schema = "hangfire";

    // Written and deleted all the time: room beside each row keeps a change on its page, and vacuum comes early. Once: an operator may have chosen others.
    private const string StorageSql = """
        DO $$
        DECLARE name text;
        BEGIN
            FOREACH name IN ARRAY ARRAY['job', 'state', 'jobqueue', 'jobparameter', 'set', 'hash', 'list', 'counter', 'lock', 'server'] LOOP
                IF EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('hangfire.' || quote_ident(name)) AND reloptions IS NULL) THEN
                    EXECUTE format('ALTER TABLE hangfire.%I SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000)',
                        name);
                END IF;
            END LOOP;
        END $$
        """;

    /// <summary>How PostgreSQL keeps Hangfire's tables.</summary>
    public static void SetStorage(NpgsqlConnection connection)
    {
        using var command = new NpgsqlCommand(StorageSql, connection);
        command.ExecuteNonQuery();
    }

    // The dashboard styles elements in place, and has no script of its own in its pages.
    private const string Policy =
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; object-src 'none'; "
            + "frame-ancestors 'self'; base-uri 'none'; form-action 'self'";

    /// <summary>The dashboard is read-only: its buttons would go behind the ledger and the audit.</summary>
    public static void MapDashboard(this IEndpointRouteBuilder routes)
    {
        DashboardPages.AddStates();
        RunningPage.Add();
        routes.MapHangfireDashboard("/hangfire", new DashboardOptions
        {
            DashboardTitle = "Codo",
            AppPath = "/",
            IsReadOnlyFunc = _ => true,
            // The gate has let in superusers alone; Hangfire's own filter would shut out everybody who is not on this machine.
            Authorization = [],
            DisplayStorageConnectionString = false,
            TimeZoneResolver = routes.ServiceProvider.GetRequiredService<ITimeZoneResolver>(),
        }).Needs(Right.Superuser).WithMetadata(new PagePolicy(Policy));
    }
}
