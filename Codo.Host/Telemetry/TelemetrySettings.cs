using System.ComponentModel.DataAnnotations;
using Codo.Platform.Data;

namespace Codo.Host.Telemetry;

/// <summary>The section <c>Codo:Telemetry</c>.</summary>
internal sealed class TelemetrySettings
{
    /// <summary>Where metrics and traces are sent (OTLP): <c>http://collector:4317</c>; empty sends none.</summary>
    [WebAddress(ErrorMessage = "It must be an address such as http://collector:4317, or empty.")]
    public string Otlp { get; set; } = "";

    /// <summary>How they are sent.</summary>
    [RegularExpression("grpc|http", ErrorMessage = "It must be grpc or http.")]
    public string OtlpProtocol { get; set; } = "grpc";
}
