using System.ComponentModel;
using System.Diagnostics;
using System.Text;
using Codo.Platform.Processes;
using Codo.Platform.Security;

namespace Codo.Modules.Alerts.Channels;

/// <summary>An executable of the operator's on the node that sends, with the message as JSON on its standard input. Exit status 0 is success.</summary>
internal sealed class CommandChannel(RunAsRule runAs) : IChannel
{
    private const int MostShown = 500;
    private static readonly TimeSpan Lingering = TimeSpan.FromMilliseconds(500);

    /// <summary>The setting that names the user of the operating system that the program runs as.</summary>
    public const string RunAs = "run_as";

    public string Kind => "command";

    public IReadOnlyList<Field> Fields { get; } = [new("path"), new("arguments", Required: false), new(RunAs, Required: false)];

    public async Task<Outcome> Send(IReadOnlyDictionary<string, string> settings, Message message, CancellationToken cancellation)
    {
        string[] words = [settings["path"], .. settings["arguments"].Split(' ', StringSplitOptions.RemoveEmptyEntries)];
        CommandUser user;
        try
        {
            user = runAs.Start(settings[RunAs]);
            words = [.. user.Direct(words)];
        }
        catch (CommandNotStartedException error)
        {
            return new Outcome(false, error.Message);
        }
        var start = new ProcessStartInfo(words[0], words[1..])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = "/",
        };
        CommandEnvironment.Clear(start.Environment, user);
        Process process;
        try
        {
            Descriptors.Demand();
            process = Process.Start(start)!;
        }
        catch (Exception error) when (error is Win32Exception or CommandNotStartedException)
        {
            return new Outcome(false, error.Message);
        }
        using (process)
        {
            try
            {
                var said = Task.WhenAll(Read(process.StandardOutput, cancellation), Read(process.StandardError, cancellation));
                await Feed(process, Outbound.Json(message.Facts), cancellation);
                await process.WaitForExitAsync(cancellation);
                // What it has left in the background may hold its output open, which says nothing of how it ended.
                await Task.WhenAny(said, Task.Delay(Lingering, cancellation));
                return new Outcome(
                    process.ExitCode == 0,
                    $"exit {process.ExitCode} {(said.IsCompletedSuccessfully ? string.Concat(await said).Trim() : "")}".Trim()
                );
            }
            finally
            {
                // Past its time limit it goes, with what it started.
                if (!process.HasExited) process.Kill(entireProcessTree: true);
            }
        }
    }

    private static async Task Feed(Process process, byte[] json, CancellationToken cancellation)
    {
        try
        {
            await process.StandardInput.BaseStream.WriteAsync(json, cancellation);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It has closed its input unread, which is its own affair: what counts is how it ends.
            process.StandardInput.BaseStream.Dispose();
        }
    }

    private static async Task<string> Read(StreamReader from, CancellationToken cancellation)
    {
        var text = new StringBuilder();
        var buffer = new char[1024];
        while (await from.ReadAsync(buffer.AsMemory(), cancellation) is > 0 and var count)
            if (text.Length < MostShown) text.Append(buffer, 0, Math.Min(count, MostShown - text.Length));
        return text.ToString();
    }
}
