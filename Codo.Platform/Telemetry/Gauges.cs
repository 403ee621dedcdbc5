using System.Collections.Concurrent;
using System.Data;
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

    Task<IEnumerable<GaugeValue>> Read(NpgsqlConnection connection, CancellationToken cancellation);
}

/// <summary>Numbers of this node, which are there without a database.</summary>
public interface INodeGaugeSource
{
    IReadOnlyList<Gauge> Gauges { get; }

    Task<IEnumerable<GaugeValue>> Read();
}

/// <summary>
/// Reads every source when metrics are asked for, at most every <see cref="Fresh"/>, so that any number of collectors costs one look. A source that fails is
/// left out, and counted; an old value is never passed off as a new one. The node's own come first: they are looked at when the database does not answer.
/// </summary>
public sealed class Gauges : IDisposable
{
    private static readonly TimeSpan Fresh = TimeSpan.FromSeconds(5);

    // For all that the database is asked, together: Prometheus gives a scrape ten seconds unless it is told otherwise.
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(3),
        // To end a statement then; of a server from which nothing is heard that takes many seconds.
        LongestEnd = TimeSpan.FromSeconds(0.5);

    private readonly NpgsqlDataSource source;
    private readonly IGaugeSource[] sources;
    private readonly INodeGaugeSource[] nodeSources;
    private readonly TimeProvider time;
    private readonly ILogger<Gauges> log;
    private readonly SemaphoreSlim one = new(1);
    private readonly ConcurrentDictionary<string, GaugeValue[]> values = new(StringComparer.Ordinal);
    private readonly Counter<long> failures;
    private long readAt;

    /// <param name="meters">The host's own: its gauges end with it.</param>
    public Gauges(
        NpgsqlDataSource source,
        IEnumerable<IGaugeSource> sources,
        IEnumerable<INodeGaugeSource> nodeSources,
        IMeterFactory meters,
        TimeProvider time,
        ILogger<Gauges> log
    )
    {
        var meter = meters.Create(CodoTelemetry.Name);
        failures = meter.CreateCounter<long>("codo.gauges.failures", "{failure}", "Reads of gauges that failed");
        (this.source, this.sources, this.nodeSources, this.time, this.log) = (source, [.. sources], [.. nodeSources], time, log);
        foreach (var gauge in this.nodeSources.SelectMany(some => some.Gauges).Concat(this.sources.SelectMany(some => some.Gauges)))
            meter.CreateObservableGauge(gauge.Name, () => Measure(gauge), gauge.Unit, gauge.Description);
    }

    /// <summary>Reads what is older than five seconds.</summary>
    public async Task Refresh(CancellationToken cancellation)
    {
        await one.WaitAsync(cancellation);
        try
        {
            if (readAt != 0 && time.GetElapsedTime(readAt) < Fresh) return;
            foreach (var some in nodeSources) await Read(some);
            await ReadDatabase(cancellation);
            readAt = time.GetTimestamp();
        }
        finally
        {
            one.Release();
        }
    }

    public void Dispose() => one.Dispose();

    private async Task Read(INodeGaugeSource some)
    {
        try
        {
            var read = (await some.Read()).ToLookup(value => value.Name, StringComparer.Ordinal);
            foreach (var gauge in some.Gauges) values[gauge.Name] = [.. read[gauge.Name]];
        }
        catch (Exception error)
        {
            Failed(some.GetType().Name, error);
            foreach (var gauge in some.Gauges) values.TryRemove(gauge.Name, out _);
        }
    }

    private async Task ReadDatabase(CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(Limit);
        // What comes later is written into what nobody reads any more.
        var read = new ConcurrentDictionary<string, GaugeValue[]>(StringComparer.Ordinal);
        try
        {
            await ReadDatabase(read, limit.Token).WaitAsync(Limit + LongestEnd, cancellation);
        }
        catch (Exception error) when (!cancellation.IsCancellationRequested)
        {
            var missing = sources.Where(some => some.Gauges.Any(gauge => !read.ContainsKey(gauge.Name))).Select(some => some.GetType().Name);
            Failed(string.Join(", ", missing), error);
        }
        foreach (var gauge in sources.SelectMany(some => some.Gauges))
        {
            if (read.TryGetValue(gauge.Name, out var found)) values[gauge.Name] = found;
            else values.TryRemove(gauge.Name, out _);
        }
    }

    private async Task ReadDatabase(ConcurrentDictionary<string, GaugeValue[]> read, CancellationToken limit)
    {
        await using var connection = await source.OpenConnectionAsync(limit);
        foreach (var some in sources)
        {
            try
            {
                var found = (await some.Read(connection, limit)).ToLookup(value => value.Name, StringComparer.Ordinal);
                foreach (var gauge in some.Gauges) read[gauge.Name] = [.. found[gauge.Name]];
            }
            catch (Exception error) when (connection.State == ConnectionState.Open && !limit.IsCancellationRequested)
            {
                // The statement's own trouble: the others are asked all the same.
                Failed(some.GetType().Name, error);
            }
        }
    }

    private void Failed(string who, Exception error)
    {
        log.LogWarning(error, "Numbers for metrics could not be read by {Source}", who);
        failures.Add(1);
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
