namespace Codo.Platform.Processes;

/// <summary>What a command and every process that it waited for used, as the kernel counted it (<c>wait4</c>).</summary>
/// <param name="CpuSeconds">User and system time together, to a microsecond.</param>
/// <param name="PeakMemoryBytes">The largest resident set of any one process; null where it was below the host's own, which covers it.</param>
/// <param name="ReadBytes">Fetched from storage: what the page cache held is not in it. Null where the kernel does not count it.</param>
/// <param name="WrittenBytes">Made to be written to storage; pipes, sockets and <c>tmpfs</c> are no storage.</param>
public readonly record struct ExitUsage(double CpuSeconds, long? PeakMemoryBytes, long? ReadBytes, long? WrittenBytes);

/// <summary>What a run has used, its whole process tree; null is what was not measured.</summary>
/// <param name="CpuSeconds">User and system time of all processes.</param>
/// <param name="PeakMemoryBytes">The most memory that its processes had together at a look, or one of them at any time.</param>
/// <param name="ReadBytes">Fetched from storage.</param>
/// <param name="WrittenBytes">Made to be written to storage.</param>
/// <param name="Source">One of <see cref="FromExit"/>, <see cref="Sampled"/>, <see cref="Both"/>.</param>
public sealed record RunUsage(double? CpuSeconds, long? PeakMemoryBytes, long? ReadBytes, long? WrittenBytes, string Source)
{
    /// <summary>The kernel counted it, and nobody had looked before the end.</summary>
    public const string FromExit = "rusage";

    /// <summary>Read from <c>/proc</c> while it ran: what came after the last look is not in it.</summary>
    public const string Sampled = "sampled";

    /// <summary>The larger of both.</summary>
    public const string Both = "both";

    /// <summary>This and another attempt at the same: what adds up is known where both know it, and the peak is the larger.</summary>
    public RunUsage With(RunUsage next) =>
        new(
            CpuSeconds + next.CpuSeconds,
            PeakMemoryBytes is null || next.PeakMemoryBytes > PeakMemoryBytes ? next.PeakMemoryBytes ?? PeakMemoryBytes : PeakMemoryBytes,
            ReadBytes + next.ReadBytes,
            WrittenBytes + next.WrittenBytes,
            Source == next.Source ? Source : Both
        );
}

/// <summary>How busy a run was over a stretch of its time.</summary>
/// <param name="Seconds">From its start to the end of the stretch.</param>
/// <param name="Cores">Processors that it kept busy, on average.</param>
/// <param name="MemoryBytes">The resident sets of all processes together, at its largest.</param>
public sealed record UsagePoint(double Seconds, double Cores, long MemoryBytes);

/// <summary>A run at a look.</summary>
/// <param name="Seconds">From its start to the look.</param>
/// <param name="Cores">Processors that it kept busy since the look before; null at the first.</param>
/// <param name="Processes">How many there were.</param>
/// <param name="History">At most <see cref="RunWatch.MostPoints"/> from the start until now.</param>
public sealed record UsageSample(
    DateTime At,
    double Seconds,
    RunUsage Usage,
    double? Cores,
    long MemoryBytes,
    int Processes,
    IReadOnlyList<UsagePoint> History
);

/// <summary>One process of a run.</summary>
/// <param name="Command">Its arguments with secrets masked, at most <see cref="RunWatch.MostCommand"/> characters; its name in brackets where it has
/// none.</param>
/// <param name="State"><c>running</c>, <c>sleeping</c>, <c>disk</c> (cannot be interrupted), <c>stopped</c> or <c>zombie</c>.</param>
/// <param name="CpuSeconds">Its own, without its children's.</param>
/// <param name="MemoryBytes">Its resident set.</param>
/// <param name="Since">Its start.</param>
public sealed record RunProcess(int Pid, int Parent, string Command, string User, string State, double CpuSeconds, long MemoryBytes, DateTime Since);
