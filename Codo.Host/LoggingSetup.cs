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
    private const string Default = "Default";

    private static readonly (string Category, LogLevel Least)[] Frameworks =
    [
        ("Microsoft", LogLevel.Warning),
        ("Microsoft.Hosting.Lifetime", LogLevel.Information),
        ("Hangfire", LogLevel.Warning),
        ("Npgsql", LogLevel.Warning),
    ];

    public static IServiceCollection AddLines(this IServiceCollection services, IConfiguration configuration) => services.AddSerilog(logger =>
    {
        var named = configuration
            .GetSection("Logging:LogLevel")
            .GetChildren()
            .ToDictionary(level => level.Key, Least, StringComparer.OrdinalIgnoreCase);
        if (!named.Remove(Default, out var usual)) usual = LogLevel.Information;
        // The numbers of both are the same; None is above Serilog's highest, and lets nothing through.
        logger.MinimumLevel.Is((LogEventLevel)usual).Enrich.FromLogContext();
        // Frameworks say no more than the host itself, unless a setting names them.
        foreach (var (category, least) in Frameworks) logger.MinimumLevel.Override(category, (LogEventLevel)(least > usual ? least : usual));
        foreach (var (category, least) in named) logger.MinimumLevel.Override(category, (LogEventLevel)least);
        logger.WriteTo.Console(new PlainLineFormatter(Console.IsOutputRedirected ? new RenderedCompactJsonFormatter() : new PlainLineFormatter.OnTerminal()));
    });

    private static LogLevel Least(IConfigurationSection level) => Enum.TryParse<LogLevel>(level.Value, ignoreCase: true, out var least)
        ? least
        : throw new StartRefused($"Logging:LogLevel:{level.Key} is '{level.Value}'. It is one of {string.Join(", ", Enum.GetNames<LogLevel>())}.");
}
