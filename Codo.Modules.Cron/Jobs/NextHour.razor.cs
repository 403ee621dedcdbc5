using Microsoft.AspNetCore.Components;

namespace Codo.Modules.Cron.Jobs;

/// <summary>Jobs whose next time is within an hour, the nearest first.</summary>
public sealed partial class NextHour
{
    private const int Most = 12;

    private readonly List<JobView> rows = [];
    private string count = "";

    [Inject]
    private TimeProvider Time { get; set; } = null!;

    /// <inheritdoc/>
    protected override async Task Load()
    {
        var until = Time.GetUtcNow().UtcDateTime.AddHours(1);
        await foreach (var job in (await Send(new ListJobs.Query(1, Most, null, "0", null, null, null, null))).Data)
            if (JobListPage.NextOf(job) is { } next && next <= until)
                rows.Add(job);
        count = rows.Count == Most ? $"{Most}+" : $"{rows.Count}";
    }
}
