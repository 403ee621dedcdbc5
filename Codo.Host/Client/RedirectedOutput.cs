using System.Runtime.InteropServices;
using Codo.Platform.Processes;

namespace Codo.Host.Client;

/// <summary>
/// Standard output where it is a pipe or a file. .NET's own stream says nothing of a reader that has gone: what follows a run or an order would go on for
/// nobody. It throws no <see cref="IOException"/>, which means a stream of the server that was cut.
/// </summary>
internal sealed partial class RedirectedOutput : Stream
{
    private const int StandardOutput = 1;

    // Of errno(3).
    private const int Interrupted = 4, WouldBlock = 11, NoReader = 32;

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <exception cref="ClientFailure">Nobody reads it any more (without a sentence), or it cannot be written, as to a full disk.</exception>
    public override void Write(ReadOnlySpan<byte> buffer)
    {
        while (!buffer.IsEmpty)
        {
            var written = write(StandardOutput, ref MemoryMarshal.GetReference(buffer), (nuint)buffer.Length);
            if (written >= 0) buffer = buffer[(int)written..];
            else
                switch (Marshal.GetLastPInvokeError())
                {
                    case Interrupted:
                        break;
                    case WouldBlock:
                        AwaitRoom();
                        break;
                    case NoReader:
                        throw new ClientFailure("", ExitCodes.NoReader);
                    default:
                        throw new ClientFailure($"Standard output: {Marshal.GetLastPInvokeErrorMessage()}.");
                }
        }
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        Write(buffer.Span);
        return ValueTask.CompletedTask;
    }

    public override void Flush()
    {
        // Nothing is kept back here.
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    // Whoever shares the pipe may have made it one that does not wait.
    private static void AwaitRoom() => DescriptorPoll.Events(StandardOutput, DescriptorPoll.Writable, -1);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint write(int file, ref byte content, nuint length);
}
