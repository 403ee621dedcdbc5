using System.Runtime.InteropServices;

namespace Codo.Platform.Processes;

/// <summary>Asks the kernel what can be done with one descriptor (<c>poll(2)</c>).</summary>
public static partial class DescriptorPoll
{
    public const short Readable = 1, Writable = 4, HungUp = 16;

    /// <summary>Which of the events there are.</summary>
    /// <param name="milliseconds">How long it is waited for one; 0 not at all, -1 for ever.</param>
    public static short Events(int descriptor, short events, int milliseconds)
    {
        var asked = new Request { Descriptor = descriptor, Events = events };
        return Poll(ref asked, 1, milliseconds) > 0 ? asked.Answers : (short)0;
    }

    [LibraryImport("libc", EntryPoint = "poll")]
    private static partial int Poll(ref Request request, nuint count, int milliseconds);

    [StructLayout(LayoutKind.Sequential)]
    private struct Request
    {
        public int Descriptor;
        public short Events;
        public short Answers;
    }
}
