using System.Diagnostics;
using Codo.Platform.Data;
using Npgsql;

namespace Codo.Host.LocalServices;

/// <summary>
/// What a host needs before it can be built, from the settings or, where they are empty, brought along: data directory, PostgreSQL, Redis and secrets.
/// Disposing stops what was started here, and belongs after everything else of the host has ended.
/// </summary>
internal sealed class Installation : IAsyncDisposable
{
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(4), LongestWait = TimeSpan.FromSeconds(60);

    private readonly DataDirectory directory;
    private readonly IConfigurationManager configuration;
    private readonly CancellationTokenSource ending = new();
    private EmbeddedPostgres? postgres;
    private Task starting = Task.CompletedTask;
    private Task<EmbeddedRedis>? bringing;

    private Installation(DataDirectory directory, IConfigurationManager configuration) => (this.directory, this.configuration) = (directory, configuration);

    public string DataDirectory => directory.Path;

    public bool OwnsPostgres => postgres is not null;

    public bool OwnsRedis => bringing is not null;

    public string PostgresConnectionString { get; private set; } = "";

    public string RedisConfiguration { get; private set; } = "";

    public string TokenSecret { get; private set; } = "";

    public string MasterKey { get; private set; } = "";

    /// <summary>Whether the token secret is Codo's own: then nobody else signs tokens, and Codo has to let the first person in.</summary>
    public bool HasGeneratedTokenSecret { get; private set; }

    /// <summary>
    /// Begins to start what the settings leave empty, and writes what it found into them, so that the rest of the host has one source to read. The host is put
    /// together while they start: <see cref="PostgresStarted"/> and <see cref="RedisStarted"/> are to be awaited before anything asks them.
    /// </summary>
    /// <param name="waits">
    /// Whether an external PostgreSQL that does not answer is waited for, for a minute: where a host starts with its database's machine, or while that fails
    /// over, nobody has to change anything. A command says at once that it does not answer.
    /// </param>
    /// <exception cref="StartRefused">The operator has to change something first.</exception>
    public static async Task<Installation> Prepare(
        IConfigurationManager configuration,
        ILoggerFactory logs,
        bool waits = false,
        CancellationToken cancellation = default
    )
    {
        var place = LocalServices.DataDirectory.Locate(configuration);
        // Before anything is written there: files of root's are closed to the host that runs there.
        if (string.IsNullOrEmpty(configuration.GetConnectionString("Postgres"))) LocalServices.PostgresUser.MustBeRoots(place);
        var installation = new Installation(LocalServices.DataDirectory.Hold(place), configuration);
        try
        {
            await installation.Begin(logs, waits, cancellation);
        }
        catch
        {
            await installation.DisposeAsync();
            throw;
        }

        configuration.AddInMemoryCollection(new Dictionary<string, string?>
        {
            ["Codo:DataDirectory"] = installation.DataDirectory,
            ["ConnectionStrings:Postgres"] = installation.PostgresConnectionString,
            ["ConnectionStrings:Redis"] = installation.RedisConfiguration,
            [GeneratedSecrets.TokenSecret] = installation.TokenSecret,
            [GeneratedSecrets.MasterKey] = installation.MasterKey,
        });
        return installation;
    }

    /// <summary>Returns when PostgreSQL takes connections.</summary>
    /// <exception cref="PostgresDidNotStart">It does not start now.</exception>
    public Task PostgresStarted() => starting;

    /// <summary>Returns when Redis takes connections, and the settings say where.</summary>
    public async Task RedisStarted()
    {
        if (bringing is null) return;
        RedisConfiguration = (await bringing).Configuration;
        configuration.AddInMemoryCollection(new Dictionary<string, string?> { ["ConnectionStrings:Redis"] = RedisConfiguration });
    }

    /// <summary>Who the private PostgreSQL runs as; null where it runs as the host's own user, or is not private.</summary>
    public PostgresUser? PostgresUser => postgres?.User;

    /// <summary>Where the programs of the private PostgreSQL are; null where it is not private.</summary>
    public string? PostgresBinaries => postgres?.Binaries;

    /// <summary>Brings the schema up to this version; in a private PostgreSQL objects and rights are settled around it.</summary>
    public Task Migrate(Func<Task<bool>> isCurrent, Func<Task> migrate) => postgres?.Migrate(isCurrent, migrate) ?? migrate();

    public async ValueTask DisposeAsync()
    {
        // A host that could not be put together: what is being started is given up, and ended when it has come so far.
        await ending.CancelAsync();
        await starting.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (bringing is not null)
        {
            await ((Task)bringing).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (bringing.IsCompletedSuccessfully) (await bringing).Dispose();
        }

        if (postgres is not null)
            await postgres.DisposeAsync();
        ending.Dispose();
        directory.Dispose();
    }

    private async Task Begin(ILoggerFactory logs, bool waits, CancellationToken cancellation)
    {
        // The key is made before the database is. A new one opens nothing, and would be taken for the right one by the next backup of the keys.
        if (
            string.IsNullOrEmpty(configuration[GeneratedSecrets.MasterKey])
            && string.IsNullOrEmpty(configuration.GetConnectionString("Postgres"))
            && !GeneratedSecrets.IsKept(DataDirectory, GeneratedSecrets.MasterKey)
            && File.Exists(Path.Combine(DataDirectory, "postgres", "PG_VERSION"))
        )
            throw new StartRefused(
                $"The master key of the database in {DataDirectory} is not here: Codo__MasterKey is not set, and there is no "
                    + $"{GeneratedSecrets.PathOf(DataDirectory, GeneratedSecrets.MasterKey)}. Give this command the settings of the host, or put the file back."
            );
        HasGeneratedTokenSecret = string.IsNullOrEmpty(configuration[GeneratedSecrets.TokenSecret]);
        TokenSecret = GeneratedSecrets.Resolve(configuration, GeneratedSecrets.TokenSecret, DataDirectory);
        GeneratedSecrets.NoteInUse(DataDirectory, TokenSecret);
        MasterKey = GeneratedSecrets.Resolve(configuration, GeneratedSecrets.MasterKey, DataDirectory);

        if (configuration.GetConnectionString("Redis") is { Length: > 0 } shared)
            RedisConfiguration = SharedRedis.Readable(shared);
        else bringing = Task.Run(EmbeddedRedis.Start, CancellationToken.None);
        if (configuration.GetConnectionString("Postgres") is { Length: > 0 } external)
        {
            PostgresConnectionString = Readable(external);
            await Reach(PostgresConnectionString, waits ? logs.CreateLogger("Codo.Postgres") : null, cancellation);
        }
        else
        {
            postgres = await EmbeddedPostgres.Prepare(directory, logs.CreateLogger("Codo.Postgres"), cancellation);
            PostgresConnectionString = postgres.ConnectionString;
            starting = Task.Run(() => postgres.Start(ending.Token), CancellationToken.None);
        }
    }

    // Not for ever: who starts a service waits for its start, as a package's installation does, and the service manager begins another one.
    private static async Task Reach(string connectionString, ILogger? log, CancellationToken cancellation)
    {
        var began = Stopwatch.GetTimestamp();
        for (var pause = TimeSpan.FromSeconds(0.5); ; pause = pause < LongestPause ? pause * 2 : LongestPause)
            try
            {
                await SessionCheck.Verify(connectionString);
                return;
            }
            catch (Exception failure) when (log is not null && DatabaseErrors.IsAway(failure) && Stopwatch.GetElapsedTime(began) < LongestWait)
            {
                log.LogWarning("PostgreSQL does not answer ({Failure}); the start waits for it", DatabaseErrors.Causes(failure));
                await Task.Delay(pause, cancellation);
            }
    }

    private static string Readable(string connectionString)
    {
        try
        {
            return new NpgsqlConnectionStringBuilder(connectionString).ConnectionString.Length > 0 ? Postgres.ForPrimary(connectionString) : "";
        }
        catch (ArgumentException failure)
        {
            // The text itself may hold a password and is not repeated.
            throw new StartRefused($"ConnectionStrings:Postgres: {failure.Message} It is of the form Host=db;Database=codo;Username=codo;Password=….");
        }
    }
}
