using Codo.Platform.Processes;

namespace Codo.Platform.Cluster;

/// <summary>Where the command of a row ran, as far as the row and its node's tell.</summary>
/// <param name="Machine">Where its node is now; empty where that is not known.</param>
/// <param name="NodeBootId">Of that machine, when the node last joined: another machine may have the same name.</param>
/// <param name="IsNodesMachine">Whether the node has been on a machine of this name since it began the run (<c>platform.node.machine_since</c>).</param>
/// <param name="BootId">The boot in which the command was started; null where the node died between the row and the command's mark.</param>
/// <param name="StartedAt">By PostgreSQL's clock.</param>
public readonly record struct RunPlace(string Machine, string? NodeBootId, bool IsNodesMachine, string? BootId, DateTime? StartedAt)
{
    /// <summary>Whether it runs on this machine if it runs at all: then what is not found here is gone.</summary>
    /// <param name="now">PostgreSQL's time.</param>
    /// <remarks>
    /// After a boot the node has joined anew: what it left before is here, and gone. Unless it has come here from another machine, which its own rows do not
    /// show: then that one may run it still. What began since this machine was booted, in another boot, did so on another machine of the name. What another
    /// node of the machine left in a boot before is not known until that one joins.
    /// </remarks>
    public bool IsHere(DateTime now) =>
        NodeBootId == RunMark.CurrentBootId
        && Machine == Environment.MachineName
        && (BootId == RunMark.CurrentBootId || (IsNodesMachine && (BootId is null || StartedAt < now - BootTime.Now)));
}
