using System.Text.Json;
using Codo.Modules.Alerts;
using Codo.Modules.Alerts.Channels;
using Codo.Modules.Alerts.Incidents;
using Codo.Modules.Alerts.Rules;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Events;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Codo.Tests.Support;
using Dapper;
using MediatR;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using Npgsql;
using StackExchange.Redis;

namespace Codo.Tests.Modules.Alerts;

/// <summary>
/// The module alone on a real database, with a clock that a test moves: nothing happens by itself, the test says when the courier sends and the watch looks.
/// </summary>
internal sealed class AlertBench : IAsyncDisposable
{
    private readonly ServiceProvider services;

    private AlertBench(ServiceProvider services, FakeTimeProvider time, List<RunningJob> running, List<RunningOrder> waiting) =>
        (this.services, Time, Running, Orders) = (services, time, running, waiting);

    public FakeTimeProvider Time { get; }

    public NpgsqlDataSource Source => services.GetRequiredService<NpgsqlDataSource>();

    public IncidentLog Incidents => services.GetRequiredService<IncidentLog>();

    public Watch Watch => Get<Watch>();

    public T Get<T>() where T : notnull => services.GetRequiredService<T>();

    /// <summary>What runs, as the cron module would answer it.</summary>
    public List<RunningJob> Running { get; }

    /// <summary>What orders wait for, as the tasks module would answer it.</summary>
    public List<RunningOrder> Orders { get; }

    public static async Task<AlertBench> Start(TestPostgres postgres, string redis = "127.0.0.1:1,abortConnect=false", string? database = null)
    {
        database ??= await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate));
        var time = new FakeTimeProvider(new DateTimeOffset(2026, 3, 1, 4, 0, 0, TimeSpan.Zero));
        var services = new ServiceCollection();
        DefaultTypeMap.MatchNamesWithUnderscores = true;
        var zone = new Zone { Info = TimeZoneInfo.FindSystemTimeZoneById("Asia/Shanghai") };
        services.AddLogging().AddMediator().AddAccess().AddAlerts();
        services
            .AddSingleton<IConfiguration>(new ConfigurationBuilder().AddInMemoryCollection([new("Codo:AllowRunAs", Environment.UserName)]).Build())
            .AddSingleton<TimeProvider>(time)
            .AddSingleton(zone)
            .AddSingleton(Json.Options(zone))
            .AddSingleton(new Node("bench"))
            .AddSingleton(NpgsqlDataSource.Create(database))
            .AddSingleton<RetentionGuard>()
            .AddSingleton<LoopStates>()
            .AddSingleton(new NodeSettings { PublicUrl = "https://codo.example.test/", RunAs = Environment.UserName })
            .AddSingleton<RunAsRule>()
            .AddSingleton(new SecretBox(new Dictionary<int, string> { [1] = "a-master-key-for-tests-of-more-than-32-bytes" }, 1))
            .AddSingleton<IConnectionMultiplexer>(await ConnectionMultiplexer.ConnectAsync(redis))
            .AddSingleton<RedisClient>()
            .AddScoped(_ => Caller.Codo);
        var running = new List<RunningJob>();
        services.AddSingleton<IRequestHandler<ListRunningJobs, IReadOnlyList<RunningJob>>>(new Answering(running));
        var waiting = new List<RunningOrder>();
        services.AddSingleton<IRequestHandler<ListRunningOrders, IReadOnlyList<RunningOrder>>>(new AnsweringOrders(waiting));
        return new AlertBench(services.BuildServiceProvider(), time, running, waiting);
    }

    /// <summary>Sends a command or query as Codo itself.</summary>
    public async Task<T> Send<T>(IRequest<T> request)
    {
        await using var scope = services.CreateAsyncScope();
        return await scope.ServiceProvider.GetRequiredService<IMediator>().Send(request);
    }

    public async Task Publish(INotification notification)
    {
        await using var scope = services.CreateAsyncScope();
        await scope.ServiceProvider.GetRequiredService<IMediator>().Publish(notification);
    }

    /// <summary>Sends what is due, as the courier does every second.</summary>
    public Task Deliver() => services.GetRequiredService<Courier>().SendDue();

    public async Task<long> Channel(string kind, object settings, string name = "", int rateLimit = 1000, int timeout = 5, string language = "zh") =>
        (
            await Send(
                new CreateChannel.Command(
                    name.Length > 0 ? name : $"{kind}-{Guid.NewGuid():N}",
                    kind,
                    true,
                    language,
                    rateLimit,
                    timeout,
                    JsonSerializer.SerializeToElement(settings)
                )
            )
        ).ChannelId;

    public Task Contact(string name, string tel = "", string email = "", string feishu = "", long? id = null) =>
        Send(new SaveContact.Command(name, id, tel, email, feishu));

    /// <summary>A failed execution, as cron tells it.</summary>
    public ExecutionEnded Failed(string job = "backup", int inARow = 1, string output = "line 1\nboom\n", params string[] owners)
    {
        var now = Time.GetUtcNow().UtcDateTime;
        return new ExecutionEnded(
            job,
            17,
            ExecutionOutcome.Failed,
            inARow,
            now.AddSeconds(-5),
            now.AddSeconds(-5),
            now,
            3,
            "node-a",
            Text.Same(""),
            "pg_dump db",
            output,
            owners
        );
    }

    public ExecutionEnded Succeeded(string job = "backup") =>
        Failed(job) with { Result = ExecutionOutcome.Succeeded, FailuresInARow = 0, ExitCode = 0, Output = "" };

    public async Task<List<T>> Rows<T>(string sql)
    {
        await using var connection = await Source.OpenConnectionAsync();
        return (await connection.QueryAsync<T>(sql)).AsList();
    }

    public async Task<List<string>> Deliveries() =>
        await Rows<string>("SELECT reason || ' ' || state || ' ' || array_to_string(people, ',') FROM alerts.delivery ORDER BY delivery_id");

    public async Task<IncidentView> Incident(string kind = "failed") =>
        (await Send(new ListIncidents.Query(1, 1, null, null, null, kind, null, null))).Data.Single();

    public async ValueTask DisposeAsync() => await services.DisposeAsync();

    private sealed class AnsweringOrders(List<RunningOrder> orders) : IRequestHandler<ListRunningOrders, IReadOnlyList<RunningOrder>>
    {
        public Task<IReadOnlyList<RunningOrder>> Handle(ListRunningOrders request, CancellationToken cancellationToken) =>
            Task.FromResult<IReadOnlyList<RunningOrder>>([.. orders]);
    }

    private sealed class Answering(List<RunningJob> running) : IRequestHandler<ListRunningJobs, IReadOnlyList<RunningJob>>
    {
        public Task<IReadOnlyList<RunningJob>> Handle(ListRunningJobs request, CancellationToken cancellationToken) =>
            Task.FromResult<IReadOnlyList<RunningJob>>([.. running]);
    }
}
