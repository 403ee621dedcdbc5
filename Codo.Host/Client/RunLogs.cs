namespace Codo.Host.Client;

/// <summary>Prints the output of a run of a job: what there is, or what comes until the run ends, each attempt from its first byte to its last.</summary>
internal sealed class RunLogs(ClientContext context, CodoServer server, long run)
{
    /// <summary>How often output is asked for that is still being written.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(300);

    /// <summary>Answers how the run stands.</summary>
    /// <param name="attempt">This attempt alone; null is the newest and, where it follows, each that comes after it.</param>
    /// <param name="follow">Waits for more until the run ends.</param>
    /// <param name="fromFirst">Begins with the first attempt in place of the newest.</param>
    public async Task<string> Print(int? attempt, bool follow, bool fromFirst, CancellationToken cancellation)
    {
        var retry = new ReadRetry(context, follow);
        // Bytes count anew in each attempt. The one that is printed is named until it has ended: once a further one has begun, the newest is that one, and the
        // last lines of the one before would be left out.
        var (printed, over, after) = ((long?)attempt, 0L, 0L);
        while (true)
        {
            var (named, from) = (printed, after);
            var answer = await retry.Read(
                () => server.Get("/v1/cron/log/output/", ("log_id", run), ("after", from), ("attempt", named)),
                cancellation
            );
            var newest = answer.Number("attempt") ?? 0;
            if (named is null && newest > over)
            {
                if (over > 0)
                {
                    await context.Output.FlushAsync(cancellation);
                    context.Error.WriteLine($"Attempt {over + 1}:");
                }
                printed = over > 0 || fromFirst ? over + 1 : newest;
                after = 0;
                if (printed != newest || from > 0) continue;
            }

            var text = printed is null ? "" : answer.Text("data");
            context.Output.Write(context.IsTerminal ? TerminalText.Output(text) : text);
            var next = printed is null ? after : answer.Number("after") ?? after;
            var (status, hasEnded) = (answer.Text("status"), answer.IsTrue("ended"));
            if (hasEnded && follow && attempt is null && named is not null)
            {
                // The attempt has ended. Whether a further one comes, an answer about the whole run says.
                (printed, over, after) = (null, named.Value, next);
                continue;
            }

            if (hasEnded || (!follow && next == after))
            {
                await context.Output.FlushAsync(cancellation);
                if (answer.Text("cause") is { Length: > 0 } cause) context.Error.WriteLine($"{status}: {TerminalText.OneLine(cause)}");
                return status;
            }

            if (next == after)
            {
                await context.Output.FlushAsync(cancellation);
                await Task.Delay(Pause, context.Time, cancellation);
            }
            after = next;
        }
    }
}
