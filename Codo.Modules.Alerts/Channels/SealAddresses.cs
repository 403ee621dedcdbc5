using Codo.Platform.Http;
using Dapper;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Alerts.Channels;

/// <summary>Seals, once, what an earlier version stored in the open and is a secret by now: the addresses of webhooks.</summary>
internal sealed class SealAddresses(NpgsqlDataSource source, ChannelSettings settings, ILogger<SealAddresses> log) : BackgroundService
{
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(10);

    private const string OpenSql = """
        SELECT channel_id, kind, settings::text AS settings, secrets FROM alerts.channel WHERE kind = 'webhook' AND settings ->> 'url' <> ''
        """;

    // Somebody may have edited it meanwhile, and has sealed it by that.
    private const string SealSql = """
        UPDATE alerts.channel SET settings = CAST(@Sealed AS jsonb), secrets = @Secrets WHERE channel_id = @ChannelId
            AND settings = CAST(@Settings AS jsonb) AND secrets IS NOT DISTINCT FROM @Before
        """;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await Seal(stoppingToken);
                return;
            }
            catch (Exception error) when (error is not OperationCanceledException)
            {
                log.LogWarning("Addresses of webhooks could not be sealed yet, it is tried again: {Cause}", error.Message);
                await Task.Delay(Pause, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    private async Task Seal(CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        foreach (var row in (await connection.QueryAsync<Row>(OpenSql)).AsList())
        {
            var (open, secrets) = settings.Store(Caller.Codo, row.Kind, null, new Stored(row.Settings, row.Secrets));
            await connection.ExecuteAsync(SealSql, new { row.ChannelId, Sealed = open, Secrets = secrets, row.Settings, Before = row.Secrets });
        }
    }

    private sealed record Row(long ChannelId, string Kind, string Settings, byte[]? Secrets);
}
