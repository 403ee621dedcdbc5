using System.Diagnostics.Metrics;
using Codo.Platform.Telemetry;

namespace Codo.Modules.Tasks.Execution;

/// <summary>Steps that this node has run, for metrics.</summary>
internal static class StepMetrics
{
    private static readonly Histogram<double> Took = CodoTelemetry.Meter.CreateHistogram(
        "codo.step.duration",
        "s",
        "One attempt of a step on one host, its connection included, by outcome",
        advice: CodoTelemetry.Seconds
    );

    public static void Ended(StepEnd end, TimeSpan took) => Took.Record(took.TotalSeconds, new KeyValuePair<string, object?>("outcome", end.Outcome));
}
