using System.ComponentModel.DataAnnotations;
using Codo.Platform.Data;

namespace Codo.Platform.Cluster;

/// <summary>The section <c>Codo</c>: what the host itself needs.</summary>
public sealed class NodeSettings
{
    /// <summary>Where the private PostgreSQL, the generated secrets and the spools live.</summary>
    public string DataDirectory { get; set; } = "";

    /// <summary>An IANA name; empty takes the machine's at the first start and the stored one afterwards.</summary>
    public string TimeZone { get; set; } = "";

    /// <summary>The address under which people reach Codo; links and the cross-origin rule use it.</summary>
    [WebAddress]
    public string PublicUrl { get; set; } = "";

    /// <summary>
    /// The user of the operating system that new jobs, local steps and command channels run as; empty is codo-run where the host may switch users, else the
    /// host's own.
    /// </summary>
    [RegularExpression("[A-Za-z_][A-Za-z0-9_.-]{0,31}[$]?", ErrorMessage = "It must be the name of a user, such as codo-run, or empty.")]
    public string RunAs { get; set; } = "";

    /// <summary>Unique in the cluster; empty makes one from the machine's name and the data directory.</summary>
    [StringLength(100)]
    public string NodeName { get; set; } = "";

    /// <summary>Seconds that running work gets when the host is stopped.</summary>
    [Range(0, 86400)]
    public int ShutdownGrace { get; set; } = 30;

    /// <summary>Bytes that must be free where the data directory is; below, output is cut and new orders are refused.</summary>
    [Range(0L, long.MaxValue)]
    public long MinFreeDisk { get; set; } = 2L << 30;

    /// <summary>The number that <c>Codo:MasterKey</c> has; a new key takes the next one, and the old one goes to <c>Codo:OldMasterKeys:{number}</c>.</summary>
    [Range(1, int.MaxValue)]
    public int MasterKeyNumber { get; set; } = 1;

    /// <summary>Bytes of a request's body at most; the few routes that take long lists have more.</summary>
    [Range(1024L, 1L << 30)]
    public long MaxBody { get; set; } = 1L << 20;

    /// <summary>Seconds between two looks of Hangfire's own schedule at what is due: a fallback, since Codo triggers due jobs itself.</summary>
    [Range(1, 86400)]
    public int SchedulePolling { get; set; } = 15;

    /// <summary>Requests a second of one caller before 429.</summary>
    [Range(1, 1_000_000)]
    public int RequestsPerSecond { get; set; } = 10_000;

    /// <summary>Requests a second of one address to one route without a valid token; ten times as many at once.</summary>
    [Range(1, 1_000_000)]
    public int StrangerRequestsPerSecond { get; set; } = 20;

    /// <summary>Days that the audit is kept; a month goes when its last day is older. PostgreSQL itself drops none that ended less than 90 days ago.</summary>
    [Range(90, 36_500)]
    public int AuditRetentionDays { get; set; } = 400;

    /// <summary>Days that dead letters of the outbox are kept.</summary>
    [Range(1, 36_500)]
    public int DeadLetterRetentionDays { get; set; } = 90;

    /// <summary>Connections that are open at once; fewer where the process has too few file descriptors for as many.</summary>
    [Range(16, 1_000_000)]
    public int MaxConnections { get; set; } = 4096;

    /// <summary>Connections of one address; those of <c>Codo:KnownProxies</c> have no limit of their own.</summary>
    [Range(1, 1_000_000)]
    public int MaxConnectionsPerAddress { get; set; } = 1000;
}

/// <summary>Room on the disk that holds the data directory.</summary>
public sealed class Disk(NodeSettings settings)
{
    private long readAt = -10_000;
    private long free;

    /// <summary>Free bytes, at most a second old.</summary>
    public long Free
    {
        get
        {
            var now = Environment.TickCount64;
            if (now - Interlocked.Read(ref readAt) > 1000)
            {
                free = new DriveInfo(settings.DataDirectory.Length > 0 ? settings.DataDirectory : Path.GetTempPath()).AvailableFreeSpace;
                Interlocked.Exchange(ref readAt, now);
            }
            return Interlocked.Read(ref free);
        }
    }

    /// <summary>Whether less is free than <c>Codo:MinFreeDisk</c>.</summary>
    public bool IsLow => Free < settings.MinFreeDisk;
}
