using Codo.Host.LocalServices;
using Serilog;
using Serilog.Events;
using Serilog.Formatting.Compact;

namespace Codo.Host;

/// <summary>
/// The host's log: one line an event, JSON, or plain text on a terminal. What frameworks say of every request and query is left out, because it holds tokens
/// and values.
/// </summary>
internal static class LoggingSetup
{
    public static IServiceCollection AddLines(this IServiceCollection services, IConfiguration configuration) => services.AddSerilog(logger =>
    {
        logger.MinimumLevel.Information()
            .MinimumLevel.Override("Microsoft", LogEventLevel.Warning)
            .MinimumLevel.Override("Microsoft.Hosting.Lifetime", LogEventLevel.Information)
            .MinimumLevel.Override("Hangfire", LogEventLevel.Warning)
            .MinimumLevel.Override("Npgsql", LogEventLevel.Warning)
            .Enrich.FromLogContext();
        foreach (var level in configuration.GetSection("Logging:LogLevel").GetChildren())
            if (!Enum.TryParse<LogLevel>(level.Value, ignoreCase: true, out var least))
                throw new StartRefused($"Logging:LogLevel:{level.Key} is '{level.Value}'. It is one of {string.Join(", ", Enum.GetNames<LogLevel>())}.");
            else if (least != LogLevel.None)
                _ = level.Key == "Default" ? logger.MinimumLevel.Is((LogEventLevel)least) : logger.MinimumLevel.Override(level.Key, (LogEventLevel)least);
        logger.WriteTo.Console(new PlainLineFormatter(Console.IsOutputRedirected ? new RenderedCompactJsonFormatter() : new PlainLineFormatter.OnTerminal()));
    });
}
