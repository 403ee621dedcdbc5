using System.Security.Cryptography;
using System.Text;

namespace Codo.Modules.Tasks.Hosts;

/// <summary>
/// Finds the end of a command in its output: the launcher writes a random mark and the exit status into the same pipe when the command has ended, whatever its
/// background processes write on. The mark needs no start of a line and may arrive in pieces. The command cannot know it: it is in no environment and in no
/// process argument.
/// </summary>
/// <remarks>Not for several threads at once.</remarks>
internal sealed class EndMark
{
    /// <summary>Digits of the exit status behind the mark.</summary>
    private const int Digits = 3;

    private readonly byte[] mark;
    // The last bytes, while they may be the beginning of the mark.
    private byte[] held = [];

    public EndMark()
    {
        Text = $"\u0001codo-end {RandomNumberGenerator.GetHexString(32, lowercase: true)} ";
        mark = Encoding.ASCII.GetBytes(Text);
    }

    /// <summary>What the launcher writes in front of three digits.</summary>
    public string Text { get; }

    /// <summary>Set when the mark has come.</summary>
    public bool IsFound { get; private set; }

    /// <summary>The exit status behind the mark, 0 to 255; null when what stands there is none.</summary>
    public int? Status { get; private set; }

    /// <summary>Passes on all output but the mark, in one or two pieces.</summary>
    public void Append(ReadOnlySpan<byte> bytes, Action<ReadOnlySpan<byte>> take)
    {
        if (IsFound)
        {
            take(bytes);
            return;
        }

        if (held.Length > 0) bytes = (byte[])[.. held, .. bytes];
        held = [];
        var at = bytes.IndexOf(mark);
        if (at < 0) at = bytes.Length - BeginningAtEnd(bytes);
        else if (bytes.Length >= at + mark.Length + Digits)
        {
            IsFound = true;
            Status = Read(bytes.Slice(at + mark.Length, Digits));
            if (at > 0) take(bytes[..at]);
            if (bytes[(at + mark.Length + Digits)..] is { IsEmpty: false } late) take(late);
            return;
        }

        held = bytes[at..].ToArray();
        if (at > 0) take(bytes[..at]);
    }

    /// <summary>Nothing more comes: what was held back is output.</summary>
    public void Complete(Action<ReadOnlySpan<byte>> take)
    {
        if (held.Length > 0) take(held);
        held = [];
    }

    private int BeginningAtEnd(ReadOnlySpan<byte> bytes)
    {
        var end = bytes[^Math.Min(bytes.Length, mark.Length - 1)..];
        for (var at = end.IndexOf(mark[0]); at >= 0; at = end.IndexOf(mark[0]))
        {
            end = end[at..];
            if (mark.AsSpan().StartsWith(end)) return end.Length;
            end = end[1..];
        }

        return 0;
    }

    private static int? Read(ReadOnlySpan<byte> digits)
    {
        var status = 0;
        foreach (var digit in digits)
        {
            if (digit is < (byte)'0' or > (byte)'9') return null;
            status = (status * 10) + digit - '0';
        }

        return status <= 255 ? status : null;
    }
}
