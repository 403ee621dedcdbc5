using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Codo.Platform.Telemetry;

/// <summary>
/// What Codo's own instruments and spans are made from, under the name <c>Codo</c>. A label has a fixed set of words: no job, host, person or text is one.
/// </summary>
public static class CodoTelemetry
{
    public const string Name = "Codo";

    public static readonly Meter Meter = new(Name);

    public static readonly ActivitySource Source = new(Name);

    /// <summary>Bounds in seconds for what takes milliseconds to a day.</summary>
    public static readonly InstrumentAdvice<double> Seconds = new()
    {
        HistogramBucketBoundaries = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14_400, 86_400],
    };

    /// <summary>The name under which a command finds the span that it belongs to (W3C Trace Context).</summary>
    public const string TraceParent = "CODO_TRACEPARENT";
}
