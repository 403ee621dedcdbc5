using System.ComponentModel.DataAnnotations;

namespace Codo.Modules.Tasks.Logs;

/// <summary>The section <c>Codo:Tasks</c>, as far as logs need it.</summary>
internal sealed class LogSettings
{
    /// <summary>Bytes of one attempt's output that are kept: the first half and about the last half.</summary>
    [Range(64L << 10, 16L << 30)]
    public long MaxOutputPerStep { get; set; } = 64L << 20;

    /// <summary>Bytes that all spools of this node may take together; past it output is no longer spooled, and its log is marked as incomplete.</summary>
    [Range(1L << 20, long.MaxValue)]
    public long MaxSpool { get; set; } = 4L << 30;

    /// <summary>Days that lines are kept, by their own time.</summary>
    [Range(1, 36_500)]
    public int LogRetentionDays { get; set; } = 90;

    /// <summary>Milliseconds that a search may look through lines without an index before it answers with what it has, marked as partial.</summary>
    [Range(10, 60_000)]
    public int SearchTime { get; set; } = 400;
}
