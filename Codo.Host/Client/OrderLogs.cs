using System.Text.Json.Nodes;

namespace Codo.Host.Client;

/// <summary>Prints the output of an order: what there is, and with <c>-f</c> what comes until the order ends. No line twice, none left out.</summary>
internal sealed class OrderLogs(ClientContext context, CodoServer server, long id, string? host, bool hasPrefix, bool hasTimes)
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(300);

    // The last line of each attempt of each step that was printed.
    private readonly Dictionary<(string SchedId, string Attempt), long> seen = [];

    // The hosts that were said to have more.
    private readonly HashSet<string> late = new(StringComparer.Ordinal);

    private bool follows;

    public async Task Print(bool follow, CancellationToken cancellation)
    {
        follows = follow;
        var retry = new ReadRetry(context, follow);
        var board = new OrderBoard(await retry.Read(() => server.Get("/v2/task/grid/", ("list_id", id)), cancellation));
        if (host is not null && board.Lanes.All(lane => lane.Host != host)) throw new ClientFailure($"The order has no host {host}.");
        if (follow && !board.HasEnded) await Follow(board, cancellation);
        // All that the stream did not bring: the lines that were stored while it closed.
        foreach (var lane in board.Lanes.Where(lane => host is null || lane.Host == host))
        {
            var levels = lane.Names.DistinctBy(step => step.Level).ToList();
            // The lines of a level tell their steps by number alone.
            var names = levels.Count < lane.Names.Count ? await StepNames(lane, retry, cancellation) : [];
            foreach (var (level, name) in levels) await Rest(lane, level, step => names.GetValueOrDefault(step, name), retry, cancellation);
        }
        await context.Output.FlushAsync(cancellation);
    }

    private async Task Follow(OrderBoard board, CancellationToken cancellation)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var watching = Watch(board, ended);
        var retry = new ReadRetry(context);
        string? last = null;
        while (!ended.IsCancellationRequested)
        {
            try
            {
                await foreach (var told in server.Events($"/v2/task/log/stream/{CodoServer.Query(("list_id", id))}", last, ended.Token))
                {
                    last = told.Id ?? last;
                    if (told.Data is JsonObject line && line.ContainsKey("log_info")) Line(line, line.Text("host"), line.Text("task_name"));
                }
                retry.Answered();
                await Task.Delay(Pause, context.Time, ended.Token);
            }
            catch (IOException)
            {
                // The stream was open until now.
                retry.Answered();
                await Task.Delay(Pause, context.Time, cancellation);
            }
            catch (ClientFailure failure) when ((failure.IsTransient && ended.IsCancellationRequested) || retry.Allows(failure))
            {
                await retry.Rest(cancellation);
            }
            catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
            {
                // The order has ended.
            }
        }
        await watching;
    }

    private async Task Watch(OrderBoard board, CancellationTokenSource ended)
    {
        var retry = new ReadRetry(context);
        try
        {
            while (!board.HasEnded)
            {
                await Task.Delay(TimeSpan.FromSeconds(1), context.Time, ended.Token);
                board.Order = (await retry.Read(() => server.Get("/v2/task/grid/", ("list_id", id)), ended.Token))["order"]!.AsObject();
            }
        }
        finally
        {
            await ended.CancelAsync();
        }
    }

    private async Task<Dictionary<string, string>> StepNames(OrderLane lane, ReadRetry retry, CancellationToken cancellation)
    {
        var page = await retry.Read(
            () => server.Get("/v2/task/check/", ("list_id", id), ("get_run_group", lane.Group), ("get_run_host", lane.Host)),
            cancellation
        );
        return page["data"].Rows("scheduler_list").ToDictionary(step => step.Text("sched_id"), step => step.Text("task_name"));
    }

    private async Task Rest(OrderLane lane, int level, Func<string, string> nameOf, ReadRetry retry, CancellationToken cancellation)
    {
        var key = $"{id}_{lane.Group}_{level}_{lane.Host}";
        string? after = null;
        while (true)
        {
            var from = after;
            var answer = await retry.Read(() => server.Get("/v2/task/log/", ("log_key", key), ("after", from)), cancellation);
            foreach (var line in answer.Rows("data")) Line(line, lane.Host, nameOf(line.Text("sched_id")));
            after = answer.Text("after");
            if (answer.Text("missing") is { Length: > 0 } missing) context.Warn(missing);
            if (answer.IsTrue("more")) continue;
            if (!answer.IsTrue("catching_up")) return;
            if (!follows)
            {
                if (late.Add(lane.Host)) context.Warn($"More lines of {lane.Host} are on their way: ask again, or use -f.");
                return;
            }
            await Task.Delay(Pause, context.Time, cancellation);
        }
    }

    private void Line(JsonObject line, string of, string step)
    {
        if (host is not null && of != host) return;
        var (attempt, number) = ((line.Text("sched_id"), line.Text("attempt")), line.Number("line") ?? 0);
        if (number <= seen.GetValueOrDefault(attempt)) return;
        seen[attempt] = number;
        var text = line.Text("log_info");
        if (context.IsTerminal) text = TerminalText.Output(text);
        var prefix = hasPrefix ? context.Paint($"{TerminalText.OneLine(of)} {TerminalText.OneLine(step)} | ", Colors.Blue) : "";
        context.Output.WriteLine($"{prefix}{(hasTimes ? line.Text("exec_time") + " " : "")}{text}");
        if (follows) context.Output.Flush();
    }
}
