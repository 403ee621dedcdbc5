using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using Codo.Host;
using Codo.Platform.Cluster;
using Dapper;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Tests.Support;

/// <summary>A whole Codo in this process, on a port of its own, with a database of its own unless it is given one.</summary>
internal sealed class TestHost : IAsyncDisposable
{
    private readonly WebApplication app;
    private readonly DirectoryInfo folder;

    private TestHost(WebApplication app, DirectoryInfo folder, string postgres)
    {
        (this.app, this.folder, Postgres) = (app, folder, postgres);
        Http = new HttpClient(new SocketsHttpHandler { UseCookies = false, AllowAutoRedirect = false })
        {
            BaseAddress = new Uri(app.Urls.First()),
            Timeout = TimeSpan.FromSeconds(60),
        };
        Source = app.Services.GetRequiredService<NpgsqlDataSource>();
    }

    /// <summary>Without a token: each request names its own.</summary>
    public HttpClient Http { get; }

    // One for all hosts of the process, and never disposed: Hangfire keeps the last host's in a static, and the workers of every other host would stand still
    // once that one is gone.
    // A run of the suite is quiet; the variable is for a person who looks for the cause of a failure.
    private static readonly ILoggerFactory Loggers = LoggerFactory.Create(logging =>
    {
        if (Environment.GetEnvironmentVariable("CODO_TEST_LOG") is not null) logging.AddSimpleConsole();
    });

    public string Postgres { get; }

    public NpgsqlDataSource Source { get; }

    public IServiceProvider Services => app.Services;

    /// <summary>Starts a host.</summary>
    /// <param name="database">The connection string of a database; null makes a new one, already migrated.</param>
    /// <param name="settings">Settings by their full name, <c>Codo:Cron:MaxParallel</c>.</param>
    public static async Task<TestHost> Start(TestPostgres postgres, string? database = null, params (string Name, string Value)[] settings)
    {
        database ??= await postgres.CreateDatabase(await postgres.Template("codo_migrated", Migrate));
        var folder = Directory.CreateTempSubdirectory("codo-host-");
        var app = Build(database, folder.FullName, settings);
        await app.Migrate();
        await app.Prepare();
        app.UseCodo();
        await app.StartAsync();
        return new TestHost(app, folder, database);
    }

    /// <summary>A database with this binary's schema.</summary>
    public static async Task Migrate(string connectionString)
    {
        await using var app = Build(connectionString, Path.GetTempPath(), []);
        await app.Migrate();
    }

    /// <summary>
    /// A host does all its upkeep when it starts, and then by the hour: once these loops have succeeded, what a test makes is touched by nobody else.
    /// </summary>
    public async Task FirstRounds(params string[] loops)
    {
        var states = Services.GetRequiredService<LoopStates>();
        foreach (var name in loops)
        {
            var loop = states.All.Single(loop => loop.Name == name);
            await Eventually.True(() => Task.FromResult(loop.HasSucceeded), $"the first round of {name} is over");
        }
    }

    /// <summary>A second host on this one's database, as after a restart.</summary>
    public async Task<TestHost> Again(params (string Name, string Value)[] settings)
    {
        var again = Directory.CreateTempSubdirectory("codo-host-");
        var app = Build(Postgres, again.FullName, settings);
        await app.Migrate();
        await app.Prepare();
        app.UseCodo();
        await app.StartAsync();
        return new TestHost(app, again, Postgres);
    }

    /// <summary>Sends a request as its user would, and reads the envelope.</summary>
    /// <param name="body">JSON text as it goes out; null sends none.</param>
    public async Task<JsonObject> Send(HttpMethod method, string path, string? body = null, string? token = null, string? language = null)
    {
        using var request = Request(method, path, body, token ?? TestTokens.Admin);
        if (language is not null) request.Headers.AcceptLanguage.ParseAdd(language);
        using var response = await Http.SendAsync(request);
        var text = await response.Content.ReadAsStringAsync();
        return JsonNode.Parse(text) as JsonObject ?? throw new InvalidOperationException($"{(int)response.StatusCode}: {text}");
    }

    /// <summary>The same with an Idempotency-Key.</summary>
    public async Task<JsonObject> PostOnce(string path, object body, string key, string? token = null)
    {
        using var request = Request(HttpMethod.Post, path, Text(body), token ?? TestTokens.Admin);
        request.Headers.Add("Idempotency-Key", key);
        using var response = await Http.SendAsync(request);
        return JsonNode.Parse(await response.Content.ReadAsStringAsync())!.AsObject();
    }

    public Task<JsonObject> Get(string path, string? token = null) => Send(HttpMethod.Get, path, null, token);

    public Task<JsonObject> Post(string path, object body, string? token = null) => Send(HttpMethod.Post, path, Text(body), token);

    public Task<JsonObject> Put(string path, object body, string? token = null) => Send(HttpMethod.Put, path, Text(body), token);

    public Task<JsonObject> Patch(string path, object body, string? token = null) => Send(HttpMethod.Patch, path, Text(body), token);

    public Task<JsonObject> Delete(string path, object body, string? token = null) => Send(HttpMethod.Delete, path, Text(body), token);

    /// <summary>One number from the database.</summary>
    public async Task<long> Count(string sql)
    {
        await using var command = Source.CreateCommand(sql);
        return Convert.ToInt64(await command.ExecuteScalarAsync(), System.Globalization.CultureInfo.InvariantCulture);
    }

    /// <summary>A request that a test wants to shape itself.</summary>
    public static HttpRequestMessage Request(HttpMethod method, string path, string? body, string? token)
    {
        var request = new HttpRequestMessage(method, path);
        if (token is not null) request.Headers.Add("auth-key", token);
        if (body is not null)
        {
            request.Content = new ByteArrayContent(Encoding.UTF8.GetBytes(body));
            request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        }
        return request;
    }

    /// <summary>One row, or one value, of the host's database.</summary>
    public async Task<T> Ask<T>(string sql, object? parameters = null)
    {
        await using var connection = await Source.OpenConnectionAsync();
        return await connection.QuerySingleAsync<T>(sql, parameters);
    }

    /// <summary>Ends, as one that has waited for too long, each statement that waits for what the connection holds, until this is over.</summary>
    public Task CancelBehind(NpgsqlConnection holder, Task until, string what) =>
        Eventually.True(
            async () =>
            {
                await Ask<long>(
                    """
                    SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity
                    WHERE datname = current_database() AND CAST(@Holder AS int) = ANY(pg_blocking_pids(pid))
                    """,
                    new { Holder = holder.ProcessID }
                );
                return until.IsCompleted;
            },
            what
        );

    /// <summary>A page of the console, as HTML.</summary>
    public async Task<(int Status, string Html)> Page(string path, string token, string? language = null)
    {
        using var request = Request(HttpMethod.Get, path, null, token);
        request.Headers.Add("Accept", "text/html");
        if (language is not null) request.Headers.AcceptLanguage.ParseAdd(language);
        using var response = await Http.SendAsync(request);
        return ((int)response.StatusCode, await response.Content.ReadAsStringAsync());
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await app.StopAsync();
        await app.DisposeAsync();
        // Hangfire's pool is the process's and would keep its connections: after some dozens of hosts PostgreSQL has none left.
        NpgsqlConnection.ClearAllPools();
        folder.Delete(recursive: true);
    }

    private static string Text(object body) => body as string ?? System.Text.Json.JsonSerializer.Serialize(body);

    private static WebApplication Build(string postgres, string folder, (string Name, string Value)[] settings)
    {
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { EnvironmentName = "Testing", ContentRootPath = folder });
        builder.Configuration.Sources.Clear();
        builder.Configuration.AddInMemoryCollection(new Dictionary<string, string?>
        {
            ["ConnectionStrings:Postgres"] = postgres,
            ["ConnectionStrings:Redis"] = "127.0.0.1:1,abortConnect=false",
            ["Codo:DataDirectory"] = folder,
            ["Codo:Auth:TokenSecret"] = TestTokens.Secret,
            ["Codo:MasterKey"] = "a-master-key-for-tests-of-more-than-32-bytes",
            ["Codo:TimeZone"] = "Asia/Shanghai",
            ["Codo:ShutdownGrace"] = "0",
            ["Codo:MinFreeDisk"] = "0",
            // Commands of most tests write into the folders of whoever runs the tests.
            ["Codo:RunAs"] = Environment.UserName,
            ["Codo:AllowRunAs"] = Environment.UserName,
            // Most tests of orders declare no words; those of the rule itself set it to false.
            ["Codo:Tasks:AnyWord"] = "true",
        });
        builder.Configuration.AddInMemoryCollection(settings.ToDictionary(setting => setting.Name, setting => (string?)setting.Value));
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.AddCodo();
        builder.Services.AddSingleton(Loggers);
        return builder.Build();
    }
}
