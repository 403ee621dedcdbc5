using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Codo.Platform.Data;

/// <summary>The one way to PostgreSQL: a pooled data source, with limits that turn a database that does not answer into a 503 instead of a hang.</summary>
public static class Postgres
{
    /// <summary>Connections of this host for everything but Hangfire, which has a pool of its own (docs/operations.md has the sum).</summary>
    public const int PoolSize = 30;

    /// <summary>Registers <see cref="NpgsqlDataSource"/>.</summary>
    public static IServiceCollection AddPostgres(this IServiceCollection services, string connectionString)
    {
        DefaultTypeMap.MatchNamesWithUnderscores = true;
        // Giving a connection back would otherwise have PostgreSQL parse and run seven statements that reset it, which costs as much as a request. So what a
        // session sets beyond its transaction (SET without LOCAL, an advisory lock) it takes back itself.
        return services
            .AddSingleton<KeptRules>()
            .AddSingleton(_ =>
                NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(WithLimits(connectionString, PoolSize, "codo")) { NoResetOnClose = true })
            );
    }

    /// <summary>
    /// The connection string for the server that takes writes. Of several hosts it is looked for among them, and each second anew: Npgsql would go by what it
    /// last knew of a host for 10 s, in which a standby that was promoted passes for one still.
    /// </summary>
    public static string ForPrimary(string connectionString)
    {
        var text = new NpgsqlConnectionStringBuilder(connectionString);
        if (text.Host?.Contains(',') != true) return connectionString;
        if (text.TargetSessionAttributes is not "read-write") text.TargetSessionAttributes = "primary";
        text.HostRecheckSeconds = Math.Min(text.HostRecheckSeconds, 1);
        return text.ConnectionString;
    }

    /// <summary>The connection string with a pool size, a name that the operator sees in <c>pg_stat_activity</c>, and time limits in seconds.</summary>
    public static string WithLimits(string connectionString, int poolSize, string name)
    {
        var text = new NpgsqlConnectionStringBuilder(ForPrimary(connectionString))
        {
            MaxPoolSize = poolSize,
            ApplicationName = name,
            Timeout = 5,
            CommandTimeout = 15,
            KeepAlive = 15,
            // A burst of requests leaves no servers behind for the next hour.
            ConnectionIdleLifetime = 60,
            IncludeErrorDetail = false,
            Timezone = "UTC",
            // Statements are constants and come again and again: prepared ones cost PostgreSQL two thirds.
            MaxAutoPrepare = 200,
            AutoPrepareMinUsages = 3,
        };
        // KeepAlive sends nothing while a statement runs, and some have no limit of time: where a server goes without a word the kernel finds out, in minutes.
        if (IsTcp(text.Host)) (text.TcpKeepAlive, text.TcpKeepAliveTime, text.TcpKeepAliveInterval) = (true, 30, 10);
        return text.ConnectionString;
    }

    // A socket in the file system refuses what is TCP's: Npgsql could not connect.
    private static bool IsTcp(string? hosts) => hosts?.Split(',').All(host => host.Trim() is [not ('/' or '@'), ..]) == true;
}
