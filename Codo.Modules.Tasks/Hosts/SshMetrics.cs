using System.Diagnostics.Metrics;
using System.Text.Json;
using Codo.Platform.Telemetry;

namespace Codo.Modules.Tasks.Hosts;

/// <summary>This node's SSH connections, for metrics.</summary>
internal static class SshMetrics
{
    private static readonly UpDownCounter<long> Open = CodoTelemetry.Meter.CreateUpDownCounter<long>(
        "codo.ssh.connections",
        "{connection}",
        "SSH connections on which commands run"
    );

    private static readonly Counter<long> Failures = CodoTelemetry.Meter.CreateCounter<long>(
        "codo.ssh.failures",
        "{failure}",
        "Connections that could not be made or were lost, by kind"
    );

    private static readonly Histogram<double> Handshake = CodoTelemetry.Meter.CreateHistogram(
        "codo.ssh.handshake.duration",
        "s",
        "From the attempt to a connection that is logged in",
        advice: CodoTelemetry.Seconds
    );

    public static void Opened() => Open.Add(1);

    public static void LoggedIn(TimeSpan took) => Handshake.Record(took.TotalSeconds);

    public static void Closed() => Open.Add(-1);

    public static void Failed(SshFailureKind kind) =>
        Failures.Add(1, new KeyValuePair<string, object?>("kind", JsonNamingPolicy.SnakeCaseLower.ConvertName(kind.ToString())));
}
