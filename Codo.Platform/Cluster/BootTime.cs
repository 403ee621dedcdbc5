using System.Runtime.InteropServices;

namespace Codo.Platform.Cluster;

/// <summary>
/// Time since the machine was booted, suspend included (<c>CLOCK_BOOTTIME</c>). No change of the wall clock moves it.
/// <see cref="System.Diagnostics.Stopwatch"/> stands still while the machine sleeps.
/// </summary>
public static partial class BootTime
{
    private const int ClockBootTime = 7;

    /// <summary>Since boot; 100 ns resolution.</summary>
    public static TimeSpan Now
    {
        get
        {
            // It fails for an unknown clock only, and Linux has this one since 2.6.39.
            if (Read(ClockBootTime, out var time) != 0) throw new PlatformNotSupportedException("clock_gettime(CLOCK_BOOTTIME) failed");
            return TimeSpan.FromTicks((time.Seconds * TimeSpan.TicksPerSecond) + (time.Nanoseconds / 100));
        }
    }

    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    private static partial int Read(int clock, out ClockTime time);

    [StructLayout(LayoutKind.Sequential)]
    private struct ClockTime
    {
        public long Seconds;
        public long Nanoseconds;
    }
}
