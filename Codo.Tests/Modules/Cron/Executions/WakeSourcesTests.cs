using Codo.Modules.Cron.Executions;
using Codo.Tests.Support;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Tests.Modules.Cron.Executions;

/// <summary>Three things make a due job fire, and each alone is enough.</summary>
public sealed class WakeSourcesTests(TestPostgres postgres)
{
    [Theory]
    [InlineData("trigger")]
    [InlineData("schedule")]
    [InlineData("poll")]
    public async Task Every_fire_comes_with_the_other_two_switched_off(string alone)
    {
        // Hangfire's own schedule looks every second, or not while the test lasts.
        await using var host = await TestHost.Start(postgres, null, ("Codo:SchedulePolling", alone == "schedule" ? "1" : "86400"));
        var sources = host.Services.GetRequiredService<WakeSources>();
        (sources.Trigger, sources.Poll) = (alone == "trigger", alone == "poll");
        await host.Make(
            new
            {
                job_id = "tick",
                cmd = "true",
                cron = "* * * * * *",
                overlap = "allow",
                misfire = "skip",
            }
        );
        await host.Make(
            new
            {
                job_id = "tock",
                cmd = "true",
                cron = "*/2 * * * * *",
                overlap = "allow",
                misfire = "skip",
            }
        );
        await Eventually.True(
            async () => await host.Count("SELECT count(*) FROM cron.cron_log WHERE status = 'success'") >= 9,
            $"the {alone} fires both",
            seconds: 60
        );
        (await host.Count("SELECT count(*) FROM cron.cron_log WHERE status = 'missed'")).ShouldBe(0);
        (
            await host.Count(
                ("SELECT count(*) FROM (SELECT nominal_at - lag(nominal_at) OVER (ORDER BY nominal_at) AS step FROM cron.cron_log WHERE job_id = 'tick') s "
                    + "WHERE step <> interval '1 second'")
            )
        ).ShouldBe(0);
    }
}
