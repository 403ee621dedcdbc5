using System.ComponentModel.DataAnnotations;

namespace Codo.Modules.Tasks;

/// <summary>The section <c>Codo:Tasks</c>, as far as orders and their execution need it.</summary>
internal sealed class TaskSettings
{
    /// <summary>Hosts of one group of an order at most.</summary>
    [Range(1, 10_000)]
    public int MaxHostsPerGroup { get; set; } = 100;

    /// <summary>Lanes that this node runs at once; further ones wait for a free slot here or elsewhere.</summary>
    [Range(1, 10_000)]
    public int MaxParallelHosts { get; set; } = 200;

    /// <summary>Seconds between accept and start where the order names none.</summary>
    [Range(0, 86_400)]
    public int StartDelay { get; set; }

    /// <summary>Whether steps for 127.0.0.1 may run on Codo's own machine.</summary>
    public bool AllowLocal { get; set; } = true;

    /// <summary>
    /// Whether any word of a template's arguments is a parameter, as in the original; null is false, and true on installations that are older than the rule.
    /// </summary>
    public bool? AnyWord { get; set; }

    /// <summary>Days that ended orders are kept with their steps and attempts, counted from their end.</summary>
    [Range(1, 36_500)]
    public int OrderRetentionDays { get; set; } = 400;

    /// <summary>Days after which an order that nobody approved is ended; 0 never does.</summary>
    [Range(0, 36_500)]
    public int PendingDays { get; set; } = 14;

    /// <summary>Whether an approval for a time more than a minute ahead holds the whole order, not only its timed steps.</summary>
    public bool LaterMeansHold { get; set; } = true;

    /// <summary>What becomes of a host whose key is not known.</summary>
    public HostKeyPolicy HostKeys { get; set; } = HostKeyPolicy.Pin;
}

/// <summary>What becomes of a host whose key is not known. A known host with another key is refused under both.</summary>
internal enum HostKeyPolicy
{
    /// <summary>The first contact pins its key.</summary>
    Pin,

    /// <summary>It is refused until a superuser has given its key.</summary>
    Strict,
}
