using Codo.Modules.Tasks.Execution;
using Codo.Platform.Cluster;
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
        .AddSingleton<LogBacklog>()
        .AddSingleton<LogFeeds>()
        .AddSingleton<LogSearch>()
        .AddSingleton<OutputComparison>()
        .AddSingleton<LogPartitionMaintenance>()
        .AddSingleton<OpenOutput>(provider => provider.GetRequiredService<StepLogs>().Open)
        .AddLoop<LogChanges>("log changes", TimeSpan.FromSeconds(5), (changes, state, stopping) => changes.Listen(state, stopping))
        .AddHostedService(provider => provider.GetRequiredService<Subscriber>())
        .AddLoop<Subscriber>("log subscriber", TimeSpan.FromSeconds(1), (subscriber, state, stopping) => subscriber.HoldOrAsk(state, stopping))
        .AddLoop<Subscriber>("log writer", TimeSpan.FromSeconds(1), (subscriber, state, stopping) => subscriber.WriteAll(state, stopping))
        .AddHostedService(provider => provider.GetRequiredService<StepLogs>())
        .AddLoop<StepLogs>("log comparison", TimeSpan.FromSeconds(5), (logs, stopping) => logs.Compare(stopping))
        .AddLoop<StepLogs>("log completion", TimeSpan.FromSeconds(5), (logs, stopping) => logs.SayWhole(stopping), logs => logs.Finished)
        .AddHostedService(provider => provider.GetRequiredService<LogPartitionMaintenance>())
        .AddLoop<LogPartitionMaintenance>("log partitions", TimeSpan.FromHours(1), (maintenance, stopping) => maintenance.Maintain(stopping))
        .AddSingleton<LogSealing>()
        .AddLoop<LogSealing>("log sealing", TimeSpan.FromMinutes(10), (sealing, state, stopping) => sealing.Seal(state.Succeeded, stopping));
}
