using Codo.Modules.Tasks.Execution;
using Codo.Platform.Data;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Modules.Tasks.Logs;

/// <summary>What logs are made of.</summary>
internal static class LogRegistration
{
    public static IServiceCollection AddLogs(this IServiceCollection services) => services
        .AddSettings<LogSettings>("Codo:Tasks")
        .AddSingleton<SpoolFolder>()
        .AddSingleton<LogTable>()
        .AddSingleton<TaskLogChannel>()
        .AddSingleton<LogChanges>()
        .AddSingleton<StepLogs>()
        .AddSingleton<Subscriber>()
        .AddSingleton<LogReader>()
        .AddSingleton<LogRest>()
        .AddSingleton<LogFeeds>()
        .AddSingleton<LogSearch>()
        .AddSingleton<LogUpkeep>()
        .AddSingleton<OpenOutput>(provider => provider.GetRequiredService<StepLogs>().Open)
        .AddHostedService(provider => provider.GetRequiredService<LogChanges>())
        .AddHostedService(provider => provider.GetRequiredService<Subscriber>())
        .AddHostedService(provider => provider.GetRequiredService<StepLogs>())
        .AddHostedService(provider => provider.GetRequiredService<LogUpkeep>());
}
