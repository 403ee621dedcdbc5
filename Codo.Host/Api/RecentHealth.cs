using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Codo.Host.Api;

/// <summary>The last report of everything, at most a second old: anybody may ask for it, and each one asks PostgreSQL and Redis.</summary>
internal sealed class RecentHealth(HealthCheckService checks, TimeProvider time)
{
    private static readonly TimeSpan Age = TimeSpan.FromSeconds(1);

    private readonly Lock gate = new();
    private Task<HealthReport>? last;
    private long began;

    public Task<HealthReport> Read()
    {
        lock (gate)
        {
            if (last is null || (last.IsCompleted && (!last.IsCompletedSuccessfully || time.GetElapsedTime(began) > Age)))
            {
                began = time.GetTimestamp();
                last = checks.CheckHealthAsync(CancellationToken.None);
            }

            return last;
        }
    }
}
