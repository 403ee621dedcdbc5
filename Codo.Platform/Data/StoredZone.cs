using System.Globalization;
using Codo.Platform.Localization;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Platform.Data;

/// <summary>
/// Codo's own time zone as it is stored, and what becomes of it when an upgrade of the machine's zone data has taken it away: the host goes on at the offset
/// that was last in force, degraded, instead of not starting.
/// </summary>
public sealed class StoredZone(NpgsqlDataSource source, Zone zone, TimeProvider time, ILogger<StoredZone> log) : IHealthCheck
{
    private const string ZoneKey = "time_zone", OffsetKey = "time_zone_offset";

    private string? missing;

    /// <summary>Reads the zone, or stores it: the setting where it is given, else the machine's at the first start.</summary>
    /// <param name="setting"><c>Codo:TimeZone</c>; empty takes what is stored.</param>
    /// <param name="local">The machine's zone; null asks the machine.</param>
    /// <exception cref="TimeZoneNotFoundException">
    /// The setting names no zone of this machine; or nothing is set or stored, and the machine's zone has no name.
    /// </exception>
    public async Task Load(string setting, TimeZoneInfo? local = null)
    {
        local ??= TimeZoneInfo.Local;
        if (setting.Length > 0) await Settings.Replace(source, ZoneKey, TimeZoneInfo.FindSystemTimeZoneById(setting).Id);
        // It would be stored under a name that no start finds again, and all times would be UTC's.
        else if (!TimeZoneInfo.TryFindSystemTimeZoneById(local.Id, out _) && await Settings.Read(source, ZoneKey) is null)
            throw new TimeZoneNotFoundException("it is not set, and the machine's time zone has no name (/etc/localtime is a copy). Set it.");
        var id = await Settings.ReadOrKeep(source, ZoneKey, local.Id);
        try
        {
            zone.Info = TimeZoneInfo.FindSystemTimeZoneById(id);
            await Remember(CancellationToken.None);
        }
        catch (Exception error) when (error is TimeZoneNotFoundException or InvalidTimeZoneException)
        {
            missing = id;
            var offset = await Settings.ReadOrKeep(source, OffsetKey, "00:00");
            zone.Info = FixedZone.At(TimeSpan.TryParse(offset, CultureInfo.InvariantCulture, out var known) ? known : TimeSpan.Zero);
            log.LogError(
                error,
                "The machine's zone data has no '{Zone}', which Codo's time zone is; Codo goes on at {Offset}. Install tzdata-legacy, or set Codo:TimeZone",
                id,
                zone.Info.Id
            );
        }
    }

    /// <summary>Stores the offset in force, for a start at which the zone is not there any more.</summary>
    public Task Remember(CancellationToken cancellation) =>
        missing is null
            ? Settings.Replace(source, OffsetKey, zone.Info.GetUtcOffset(time.GetUtcNow()).ToString("c", CultureInfo.InvariantCulture))
            : Task.CompletedTask;

    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        Task.FromResult(
            missing is null
                ? HealthCheckResult.Healthy(zone.Info.Id)
                : HealthCheckResult.Degraded(
                    ($"the machine's zone data has no '{missing}': Codo's times are at the last known offset, {zone.Info.Id}. Install tzdata-legacy, or set "
                        + $"Codo:TimeZone")
                )
        );
}

/// <summary>Zones without rules: an offset and nothing else.</summary>
public static class FixedZone
{
    private const string Prefix = "UTC";

    /// <summary>The zone of an offset, in whole minutes, called <c>UTC+05:30</c>.</summary>
    public static TimeZoneInfo At(TimeSpan offset)
    {
        var minutes = TimeSpan.FromMinutes(Math.Round(offset.TotalMinutes));
        var id = Prefix + (minutes < TimeSpan.Zero ? "-" : "+") + minutes.ToString("hh\\:mm", CultureInfo.InvariantCulture);
        return TimeZoneInfo.CreateCustomTimeZone(id, minutes, id, id);
    }

    /// <summary>The zone that <see cref="At"/> called so; null for any other name.</summary>
    public static TimeZoneInfo? Parse(string id) =>
        id.StartsWith(Prefix, StringComparison.Ordinal) && id.Length == Prefix.Length + 6 && id[Prefix.Length] is ('+' or '-')
        && TimeSpan.TryParseExact(id.AsSpan(Prefix.Length + 1), "hh\\:mm", CultureInfo.InvariantCulture, out var offset) && offset <= TimeSpan.FromHours(14)
            ? At(id[Prefix.Length] == '-' ? -offset : offset)
            : null;
}
