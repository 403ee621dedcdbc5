using System.Reflection;
using Codo.Host.Accounts;
using Codo.Host.Api;
using Codo.Host.Auth;
using Codo.Host.Hangfire;
using Codo.Host.LocalServices;
using Codo.Host.Operations;
using Codo.Host.Pages;
using Codo.Host.Telemetry;
using Codo.Modules.Alerts;
using Codo.Modules.Cron;
using Codo.Modules.Tasks;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Codo.Platform.Security;
using Codo.Platform.Ui;
using Hangfire.PostgreSql;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Npgsql;
using StackExchange.Redis;

namespace Codo.Host;

/// <summary>The whole product on one screen: what is registered, what is prepared before it listens, and what stands in front of a route.</summary>
internal static class Composition
{
    private static readonly Assembly[] Migrated =
    [
        typeof(Migrator).Assembly,
        typeof(CronModule).Assembly,
        typeof(TasksModule).Assembly,
        typeof(AlertsModule).Assembly,
        typeof(Composition).Assembly,
    ];

    /// <summary>This binary's version and migrations.</summary>
    public static Schema Schema { get; } = Schema.Of(Migrated);

    public static void AddCodo(this WebApplicationBuilder builder)
    {
        var (services, configuration) = (builder.Services, builder.Configuration);
        var postgres = configuration.GetConnectionString("Postgres")!;
        var settings = SettingsBinding.Check<NodeSettings>(configuration, "Codo");
        services.AddSettings<NodeSettings>("Codo").AddSingleton<Disk>();
        // Read by everything that asks for the time: PostgreSQL's clock decides what is due, late or old.
        services
            .AddSingleton<DatabaseClock>()
            .AddSingleton<TimeProvider>(provider => provider.GetRequiredService<DatabaseClock>())
            .AddSingleton<Zone>()
            .AddSingleton<StoredZone>()
            .AddLoop<StoredZone>("time zone", TimeSpan.FromHours(1), (stored, stopping) => stored.Remember(stopping));
        services.AddSingleton(provider => Json.Options(provider.GetRequiredService<Zone>()));
        services.AddHttpContextAccessor().AddScoped(CallerOfThisScope);
        services
            .AddMediator()
            .AddHandlers(typeof(Composition).Assembly)
            .AddKnownProxies(configuration)
            .AddSingleton<StrangerLimit>()
            .AddSingleton<OpenStreams>()
            .AddSingleton<ConcurrentRequests>();
        services.AddPostgres(postgres);
        services
            .AddSingleton<IConnectionMultiplexer>(_ => ConnectionMultiplexer.Connect(RedisOptions(configuration.GetConnectionString("Redis")!)))
            .AddSingleton<RedisClient>();
        services.AddSingleton(Secrets(configuration));
        services.AddSingleton(new SigningKeys(configuration)).AddSingleton<Tokens>();
        services.AddSingleton<UsageSampler>();
        services.AddSingleton<RunAsRule>().AddSingleton<RiskRules>().AddSingleton<TeamDirectory>();
        services.AddSettings<QuotaSettings>("Codo:Quotas").AddSingleton<Quotas>();
        var node = NodeName(settings);
        services.AddAccounts().AddOidc(configuration).AddRights().AddCron().AddTasks().AddAlerts().AddOperations().AddTelemetry(configuration, node);
        services.AddSingleton(Schema);
        var member = SettingsBinding.Check<MemberSettings>(configuration, "Codo:Node");
        services.AddSettings<MemberSettings>("Codo:Node");
        services.AddCluster(new Node(node, member), new ClusterSettings(postgres, TimeSpan.FromSeconds(settings.ShutdownGrace)));
        services.AddCodoHangfire(postgres);
        services.AddHealth().AddDescription();
        services.AddPages().AddHostNavigation();
        services.Configure<HostOptions>(options => options.ShutdownTimeout = TimeSpan.FromSeconds(settings.ShutdownGrace + 30));
        var descriptors = Descriptors.Raise();
        var most = (int)Math.Min(settings.MaxConnections, descriptors - Descriptors.Reserved(descriptors));
        var connections = new ConnectionLimit(
            most,
            most + (int)(Descriptors.Reserved(descriptors) / 8),
            settings.MaxConnectionsPerAddress,
            TrustedHosts.ProxiesOf(configuration)
        );
        services.AddSingleton(connections).AddSingleton<IConnectionListenerFactory, BoundedListeners>();
        builder.WebHost.ConfigureKestrel(kestrel => Limit(kestrel, settings, most, connections));
    }

    /// <summary>
    /// Everything else that must be true before the first request, on the migrated schema: the key, the zone, the tokens that were taken back.
    /// </summary>
    public static async Task Prepare(this WebApplication app)
    {
        var runAs = app.Services.GetRequiredService<RunAsRule>();
        if (runAs.Wrong is { } wrong) throw new StartRefused(wrong);
        var source = app.Services.GetRequiredService<NpgsqlDataSource>();
        // Before anything is audited.
        await AuditMonth.Make(source, why => app.Logger.LogWarning("{Why}", why));
        await RunAsStamp.Run(
            source,
            app.Services.GetRequiredService<NodeSettings>().DataDirectory,
            app.Services.GetServices<IStampRunAs>(),
            app.Logger
        );
        app.Logger.LogInformation("run_as: {Detail}", runAs.Detail);
        await MasterKeyCheck.Verify(source, app.Services.GetRequiredService<SecretBox>());
        await app.Services.GetRequiredService<DatabaseClock>().Measure(source, CancellationToken.None);
        await app.Services.GetRequiredService<Hold>().Load(CancellationToken.None);
        await app.Services.GetRequiredService<Revocations>().Refresh(CancellationToken.None);
        await DefaultRole.Settle(source, app.Configuration, [.. app.Services.GetServices<OperatorList>()], app.Logger);
        await app.Services.GetRequiredService<RulesReader>().Refresh(CancellationToken.None);
        DefaultRole.Warn(app.Services.GetRequiredService<CurrentRules>().Rules, app.Logger);
        await app.Services.GetRequiredService<StoredZone>().Load(app.Services.GetRequiredService<NodeSettings>().TimeZone);
    }

    /// <summary>Whether <see cref="Migrate(WebApplication, bool)"/> has nothing to bring.</summary>
    public static Task<bool> IsMigrated(this WebApplication app) => Migrator.IsCurrent(app.Services.GetRequiredService<NpgsqlDataSource>(), Schema);

    /// <summary>The schema alone: what <c>codo migrate</c> does.</summary>
    /// <param name="isRestoring">Whether a restore brings up what it has just loaded.</param>
    public static Task Migrate(this WebApplication app, bool isRestoring) => Migrator.Run(
        app.Services.GetRequiredService<NpgsqlDataSource>(), Schema, app.Services.GetRequiredService<Node>().Name,
        app.Services.GetRequiredService<ILogger<Program>>(),
        connection =>
        {
            PostgreSqlObjectsInstaller.Install(connection, HangfireSetup.Schema);
            HangfireSetup.SetStorage(connection);
        },
        isRestoring: isRestoring);

    /// <summary>The schema of a host that starts.</summary>
    public static Task Migrate(this WebApplication app) => app.Migrate(isRestoring: false);

    /// <summary>The migrations that this binary has.</summary>
    public static IEnumerable<string> Migrations => Schema.Migrations.Select(migration => migration.Name);

    public static void UseCodo(this WebApplication app)
    {
        // The framework would put its authentication in front of all of this where any scheme is registered; ours is used by its own routes alone.
        ((IApplicationBuilder)app).Properties["__AuthenticationMiddlewareSet"] = true;
        app.Lifetime.ApplicationStopping.Register(app.Services.GetRequiredService<ConnectionLimit>().EndSoon);
        app.UseForwardedHeaders();
        app.UseRequestPipeline();
        app.UseFailures();
        app.UseTrustedHosts();
        app.UseRoles();
        app.UseLegacyPathPrefixes();
        // Gateways cut off what is silent for a minute, some for half of one; the framework's own interval is two minutes.
        app.UseWebSockets(new WebSocketOptions { KeepAliveInterval = TimeSpan.FromSeconds(15), KeepAliveTimeout = TimeSpan.FromSeconds(60) });
        app.UseRouting();
        app.UseGate();
        app.UseRequestLimit();
        app.MapCron();
        app.MapTasks();
        app.MapAlerts();
        app.MapAccounts();
        app.MapRights();
        app.MapOperations();
        app.MapDashboard();
        app.MapHealth();
        app.MapMetrics();
        app.MapDescription();
        app.MapPages(app.Environment.IsDevelopment());
        app.MapFrontPage();
    }

    private static void Limit(KestrelServerOptions kestrel, NodeSettings settings, int most, ConnectionLimit connections)
    {
        kestrel.AddServerHeader = false;
        kestrel.Limits.MaxRequestBodySize = settings.MaxBody;
        // What a connection holds of a body that nobody reads yet, of each of some thousand connections.
        kestrel.Limits.MaxRequestBufferSize = 64 << 10;
        kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(15);
        kestrel.ConfigureEndpointDefaults(endpoint => endpoint.Use(connections.Guard));
        kestrel.Limits.MaxConcurrentUpgradedConnections = Math.Max(16, most / 2);
    }

    private static Caller CallerOfThisScope(IServiceProvider provider) =>
        provider.GetRequiredService<IHttpContextAccessor>().HttpContext is { } context
            ? Caller.Of(context) ?? throw new InvalidOperationException("The caller is known behind the gate only.")
            : Caller.Codo;

    private static ConfigurationOptions RedisOptions(string text)
    {
        var options = ConfigurationOptions.Parse(text);
        // Redis may be away at any time, at the start too: what depends on it says so in its health, and goes on when it is back.
        options.AbortOnConnectFail = false;
        options.ClientName = "codo";
        return options;
    }

    /// <summary>The master keys of the settings.</summary>
    public static SecretBox Secrets(IConfiguration configuration) => new(MasterKeys(configuration), configuration.GetValue("Codo:MasterKeyNumber", 1));

    private static Dictionary<int, string> MasterKeys(IConfiguration configuration)
    {
        var keys = configuration
            .GetSection("Codo:OldMasterKeys")
            .GetChildren()
            .ToDictionary(
                old =>
                    int.TryParse(old.Key, out var number)
                        ? number
                        : throw new StartRefused($"Codo:OldMasterKeys:{old.Key}: the name of an old key is its number, such as Codo__OldMasterKeys__1."),
                old => old.Value!
            );
        keys[configuration.GetValue("Codo:MasterKeyNumber", 1)] = configuration["Codo:MasterKey"]!;
        return keys;
    }

    // Two hosts on one machine have two data directories; the name must be the same at every start of each.
    private static string NodeName(NodeSettings settings)
    {
        if (settings.NodeName.Length > 0) return settings.NodeName;
        var hash = System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(Path.GetFullPath(settings.DataDirectory)));
        return $"{Environment.MachineName}-{Convert.ToHexStringLower(hash)[..4]}";
    }
}
