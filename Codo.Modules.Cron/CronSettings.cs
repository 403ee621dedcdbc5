using System.ComponentModel.DataAnnotations;

namespace Codo.Modules.Cron;

/// <summary>The section <c>Codo:Cron</c>.</summary>
internal sealed class CronSettings
{
    /// <summary>Commands that run at once on a node; past it a fire is queued.</summary>
    [Range(1, 10_000)]
    public int MaxParallel { get; set; } = 200;

    /// <summary>Bytes of output that are kept of one run: the head and the tail, half each.</summary>
    [Range(1024, 256 << 20)]
    public int OutputLimit { get; set; } = 16 << 20;

    /// <summary>Days that the ledger is kept, counted from the due time.</summary>
    [Range(1, 36_500)]
    public int LogRetentionDays { get; set; } = 90;

    /// <summary>Days that the summaries of days and jobs are kept, which outlive the ledger.</summary>
    [Range(1, 36_500)]
    public int SummaryRetentionDays { get; set; } = 800;
}
