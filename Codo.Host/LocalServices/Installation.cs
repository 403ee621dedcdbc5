using Npgsql;

namespace Codo.Host.LocalServices;

/// <summary>
/// What a host needs before it can be built, from the settings or, where they are empty, brought along: data directory, PostgreSQL, Redis and secrets.
/// Disposing stops what was started here, and belongs after everything else of the host has ended.
/// </summary>
internal sealed class Installation : IAsyncDisposable
{
    private readonly DataDirectory directory;
    private EmbeddedPostgres? postgres;
    private EmbeddedRedis? redis;

    private Installation(DataDirectory directory) => this.directory = directory;

    public string DataDirectory => directory.Path;

    public bool OwnsPostgres => postgres is not null;

    public bool OwnsRedis => redis is not null;

    public string PostgresConnectionString { get; private set; } = "";

    public string RedisConfiguration { get; private set; } = "";

    public string TokenSecret { get; private set; } = "";

    public string MasterKey { get; private set; } = "";

    /// <summary>Whether the token secret is Codo's own: then nobody else signs tokens, and Codo has to let the first person in.</summary>
    public bool HasGeneratedTokenSecret { get; private set; }

    /// <summary>Starts what the settings leave empty, and writes what it found into them, so that the rest of the host has one source to read.</summary>
    /// <exception cref="StartRefused">The operator has to change something first.</exception>
    public static async Task<Installation> Prepare(IConfigurationManager configuration, ILoggerFactory logs, CancellationToken cancellation = default)
    {
        var installation = new Installation(LocalServices.DataDirectory.Hold(LocalServices.DataDirectory.Locate(configuration)));
        try
        {
            await installation.Start(configuration, logs, cancellation);
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

    /// <summary>Who the private PostgreSQL runs as; null where it runs as the host's own user, or is not private.</summary>
    public PostgresUser? PostgresUser => postgres?.User;

    /// <summary>Brings the schema up to this version; in a private PostgreSQL objects and rights are settled around it.</summary>
    public Task Migrate(Func<Task<bool>> isCurrent, Func<Task> migrate) => postgres?.Migrate(isCurrent, migrate) ?? migrate();

    public async ValueTask DisposeAsync()
    {
        redis?.Dispose();
        if (postgres is not null)
            await postgres.DisposeAsync();
        directory.Dispose();
    }

    private async Task Start(IConfiguration configuration, ILoggerFactory logs, CancellationToken cancellation)
    {
        HasGeneratedTokenSecret = string.IsNullOrEmpty(configuration[GeneratedSecrets.TokenSecret]);
        TokenSecret = GeneratedSecrets.Resolve(configuration, GeneratedSecrets.TokenSecret, DataDirectory);
        GeneratedSecrets.NoteInUse(DataDirectory, TokenSecret);
        MasterKey = GeneratedSecrets.Resolve(configuration, GeneratedSecrets.MasterKey, DataDirectory);

        if (configuration.GetConnectionString("Redis") is { Length: > 0 } shared)
            RedisConfiguration = SharedRedis.Readable(shared);
        else
        {
            redis = EmbeddedRedis.Start();
            RedisConfiguration = redis.Configuration;
        }

        if (configuration.GetConnectionString("Postgres") is { Length: > 0 } external)
            PostgresConnectionString = Readable(external);
        else
        {
            postgres = await EmbeddedPostgres.Start(directory, logs.CreateLogger("Codo.Postgres"), cancellation);
            PostgresConnectionString = postgres.ConnectionString;
        }
    }

    private static string Readable(string connectionString)
    {
        try
        {
            return new NpgsqlConnectionStringBuilder(connectionString).ConnectionString.Length > 0 ? connectionString : "";
        }
        catch (ArgumentException failure)
        {
            // The text itself may hold a password and is not repeated.
            throw new StartRefused($"ConnectionStrings:Postgres: {failure.Message} It is of the form Host=db;Database=codo;Username=codo;Password=….");
        }
    }
}
