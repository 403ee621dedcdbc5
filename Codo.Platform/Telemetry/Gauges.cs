using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Platform.Telemetry;

/// <summary>A number that is read when metrics are asked for.</summary>
/// <param name="Name">As OpenTelemetry writes it: <c>codo.orders</c>.</param>
/// <param name="Unit">UCUM: <c>s</c>, <c>By</c>, or <c>{order}</c>.</param>
/// <param name="Label">The name of its one label; empty where it has none.</param>
public sealed record Gauge(string Name, string Unit, string Description, string Label = "");

/// <summary>The value of a gauge, or of one of its label's words.</summary>
public sealed record GaugeValue(string Name, string Word, double Value);

/// <summary>Numbers of one part of Codo that the database knows, all of them with one statement or two.</summary>
public interface IGaugeSource
{
    IReadOnlyList<Gauge> Gauges { get; }

    Task<IEnumerable<GaugeValue>> Read(NpgsqlConnection connection);
}

/// <summary>
/// Reads every source when metrics are asked for, at most every <see cref="Fresh"/>, so that any number of collectors costs one look. A source that fails is
/// left out, and counted; an old value is never passed off as a new one.
/// </summary>
public sealed class Gauges : IDisposable
{
    private static readonly TimeSpan Fresh = TimeSpan.FromSeconds(5);

    private readonly NpgsqlDataSource source;
    private readonly IGaugeSource[] sources;
    private readonly TimeProvider time;
    private readonly ILogger<Gauges> log;
    private readonly SemaphoreSlim one = new(1);
    private readonly ConcurrentDictionary<string, GaugeValue[]> values = new(StringComparer.Ordinal);
    private readonly Counter<long> failures;
    private long readAt;

    /// <param name="meters">The host's own: its gauges end with it.</param>
    public Gauges(NpgsqlDataSource source, IEnumerable<IGaugeSource> sources, IMeterFactory meters, TimeProvider time, ILogger<Gauges> log)
    {
        var meter = meters.Create(CodoTelemetry.Name);
        failures = meter.CreateCounter<long>("codo.gauges.failures", "{failure}", "Reads of gauges that failed");
        (this.source, this.sources, this.time, this.log) = (source, [.. sources], time, log);
        foreach (var gauge in this.sources.SelectMany(some => some.Gauges))
            meter.CreateObservableGauge(gauge.Name, () => Measure(gauge), gauge.Unit, gauge.Description);
    }

    /// <summary>Reads what is older than five seconds.</summary>
    public async Task Refresh(CancellationToken cancellation)
    {
        await one.WaitAsync(cancellation);
        try
        {
            if (readAt != 0 && time.GetElapsedTime(readAt) < Fresh) return;
            foreach (var some in sources) await Read(some, cancellation);
            readAt = time.GetTimestamp();
        }
        finally
        {
            one.Release();
        }
    }

    public void Dispose() => one.Dispose();

    private async Task Read(IGaugeSource some, CancellationToken cancellation)
    {
        try
        {
            await using var connection = await source.OpenConnectionAsync(cancellation);
            var read = (await some.Read(connection)).ToLookup(value => value.Name, StringComparer.Ordinal);
            foreach (var gauge in some.Gauges) values[gauge.Name] = [.. read[gauge.Name]];
        }
        catch (Exception error) when (error is not OperationCanceledException)
        {
            log.LogWarning(error, "Numbers for metrics could not be read by {Source}", some.GetType().Name);
            failures.Add(1);
            foreach (var gauge in some.Gauges) values.TryRemove(gauge.Name, out _);
        }
    }

    private IEnumerable<Measurement<double>> Measure(Gauge gauge) =>
        values
            .GetValueOrDefault(gauge.Name, [])
            .Select(value =>
                gauge.Label.Length == 0
                    ? new Measurement<double>(value.Value)
                    : new Measurement<double>(value.Value, new KeyValuePair<string, object?>(gauge.Label, value.Word))
            );
}

/// <summary>Registers a source of gauges.</summary>
public static class GaugeRegistration
{
    public static IServiceCollection AddGauges<T>(this IServiceCollection services)
        where T : class, IGaugeSource => services.AddSingleton<IGaugeSource, T>();
}
