using System.ComponentModel.DataAnnotations;
using Codo.Platform.Data;

namespace Codo.Modules.Alerts;

/// <summary>The section <c>Codo:Alerts</c>.</summary>
internal sealed class AlertSettings
{
    /// <summary>
    /// An address that is asked every minute while this node is well, so that somebody outside hears when it no longer is; empty asks nobody.
    /// </summary>
    [WebAddress(ErrorMessage = "It must be an address such as https://hc.example.com/1, or empty.")]
    public string HeartbeatUrl { get; set; } = "";

    /// <summary>Days that resolved incidents are kept, with their deliveries.</summary>
    [Range(1, 36_500)]
    public int RetentionDays { get; set; } = 90;

    /// <summary>Tries of a delivery after the first.</summary>
    [Range(0, 20)]
    public int Retries { get; set; } = 4;

    /// <summary>Seconds before the second try; each further pause is six times as long.</summary>
    [Range(1, 3600)]
    public int RetryDelay { get; set; } = 5;
}
