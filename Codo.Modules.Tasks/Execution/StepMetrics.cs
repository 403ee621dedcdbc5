using System.Diagnostics.Metrics;
using Codo.Platform.Telemetry;

namespace Codo.Modules.Tasks.Execution;

/// <summary>Steps and lanes that this node has run, for metrics.</summary>
internal static class StepMetrics
{
    private static readonly Histogram<double> Took = CodoTelemetry.Meter.CreateHistogram(
        "codo.step.duration",
        "s",
        "One attempt of a step on one host, its connection included, by outcome",
        advice: CodoTelemetry.Seconds
    );

    private static readonly Histogram<double> Carried = CodoTelemetry.Meter.CreateHistogram(
        "codo.lane.duration",
        "s",
        "How long this node carried a lane: from its claim until it was over, waited for a person or a time, or went to another node",
        advice: CodoTelemetry.Seconds
    );

    public static void Left(TimeSpan carried) => Carried.Record(carried.TotalSeconds);

    public static void Ended(StepEnd end, TimeSpan took) => Took.Record(took.TotalSeconds, new KeyValuePair<string, object?>("outcome", end.Outcome));
}
