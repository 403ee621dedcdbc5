using System.Diagnostics.Metrics;
using Codo.Platform.Telemetry;

namespace Codo.Modules.Tasks.Logs;

/// <summary>Lines of steps on their way through this node, for metrics.</summary>
internal static class LogMetrics
{
    private static readonly Counter<long> Lines = CodoTelemetry.Meter.CreateCounter<long>(
        "codo.log.lines",
        "{line}",
        "Lines of steps: read from commands, stored from pub/sub, replayed from the spool"
    );

    public static void Read() => Lines.Add(1, new KeyValuePair<string, object?>("stage", "read"));

    public static void Stored(int lines) => Lines.Add(lines, new KeyValuePair<string, object?>("stage", "stored"));

    public static void Replayed(int lines) => Lines.Add(lines, new KeyValuePair<string, object?>("stage", "replayed"));
}
