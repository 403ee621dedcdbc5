using Codo.Host.Hangfire;
using Codo.Tests.Support;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Codo.Tests.Host.Hangfire;

/// <summary>Hangfire's commits do not wait for the disk, and those of the ledger do.</summary>
public sealed class WakeUpConnectionsTests(TestPostgres postgres)
{
    [Fact]
    public async Task A_wake_up_does_not_wait_for_the_disk_on_any_use_of_its_connection_and_the_ledger_does()
    {
        await using var host = await TestHost.Start(postgres);
        var wakeUps = host.Services.GetRequiredService<WakeUpConnections>();
        foreach (var _ in Enumerable.Range(0, 3))
        {
            await using var connection = wakeUps.GetOrCreateConnection();
            await connection.OpenAsync(TestContext.Current.CancellationToken);
            (await Setting(connection)).ShouldBe("off");
        }
        await using var ledger = await host.Source.OpenConnectionAsync(TestContext.Current.CancellationToken);
        (await Setting(ledger)).ShouldBe("on");
    }

    private static async Task<string> Setting(NpgsqlConnection connection)
    {
        await using var command = new NpgsqlCommand("SHOW synchronous_commit", connection);
        return (string)(await command.ExecuteScalarAsync(TestContext.Current.CancellationToken))!;
    }
}
