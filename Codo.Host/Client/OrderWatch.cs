using System.Globalization;
using Spectre.Console;

namespace Codo.Host.Client;

/// <summary>Follows an order to its end: a table that changes in place on a terminal, a line for each change elsewhere.</summary>
internal static class OrderWatch
{
    /// <summary>Answers the order's exit code.</summary>
    public static async Task<int> Run(ClientContext context, CodoServer server, long id, int? seconds, bool untilEnded, CancellationToken cancellation)
    {
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using var limit = new CancellationTokenSource(seconds is { } most ? TimeSpan.FromSeconds(most) : Timeout.InfiniteTimeSpan, context.Time);
        using var joined = limit.Token.Register(ending.Cancel);
        IProgressView view = context.IsTerminal && context.Variable("TERM") != "dumb" ? new LiveView(context) : new LineView(context);
        try
        {
            return await view.Show(follow => Follow(context, server, id, untilEnded, follow, ending.Token));
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested)
        {
            await context.Error.WriteLineAsync($"Order {id} has not ended within {seconds} seconds.");
            return ExitCodes.TimedOut;
        }
    }

    private static async Task<int> Follow(ClientContext context, CodoServer server, long id, bool untilEnded, IProgressView view, CancellationToken ending)
    {
        string? last = null;
        OrderBoard? board = null;
        var retry = new ReadRetry(context);
        while (true)
        {
            try
            {
                await foreach (var told in server.Events($"/v2/task/stream/{CodoServer.Query(("list_id", id))}", last, ending))
                {
                    retry.Answered();
                    last = told.Id ?? last;
                    if (told.Name == "grid")
                    {
                        board = new OrderBoard(told.Data.AsObject());
                        view.Begin(id, board);
                    }
                    else if (told.Name == "lanes" && board is not null) view.Changed(board, board.Take(told.Data.AsArray()));
                    else if (told.Name == "order" && board is not null)
                    {
                        board.Order = told.Data.AsObject();
                        view.Changed(board, []);
                    }
                    if (board is { HasEnded: true })
                        return view.End(board, board.IsDone ? "is done" : "has ended with steps that are not done");
                    // Asked again: a stream may begin with how things stood a moment ago, before a restart.
                    if (!untilEnded && board is { IsStuck: true } && await retry.Read(() => Stuck(server, id), ending) is { } stuck)
                        return view.End(stuck, "has failed and waits for a restart or its end");
                }
                retry.Answered();
            }
            catch (IOException)
            {
                // The stream was open until now. Asked again below, from the last event on.
                retry.Answered();
            }
            catch (ClientFailure failure) when (retry.Allows(failure))
            {
                // Asked again below.
            }

            await retry.Rest(ending);
        }
    }

    // The order as it stands, which may be further than the stream has told; null where it goes on.
    private static async Task<OrderBoard?> Stuck(CodoServer server, long id)
    {
        if (!(await Read(server, id)).IsStuck) return null;
        // A pause between two batches looks the same. An older server does not tell the two apart.
        var next = (await server.Get("/v2/task/check/", ("list_id", id)))["data"]?["next_batch"];
        // Once more: the pause may have ended between the two answers.
        return !next.IsTrue("goes_on") && await Read(server, id) is { IsStuck: true } still ? still : null;
    }

    private static async Task<OrderBoard> Read(CodoServer server, long id) => new(await server.Get("/v2/task/grid/", ("list_id", id)));

    /// <summary>How the progress is shown.</summary>
    private interface IProgressView
    {
        Task<int> Show(Func<IProgressView, Task<int>> follow);

        void Begin(long id, OrderBoard board);

        void Changed(OrderBoard board, List<OrderLane> lanes);

        int End(OrderBoard board, string how);
    }

    private static int Code(OrderBoard board) => board is { HasEnded: true, IsDone: true } ? ExitCodes.Done : ExitCodes.Failed;

    private static string Sum(OrderBoard board) =>
        string.Join(", ", board.Lanes.GroupBy(lane => lane.State).OrderBy(state => state.Key).Select(state => $"{state.Count()} {state.Key}"));

    private sealed class LineView(ClientContext context) : IProgressView
    {
        private long order;
        private string standing = "";

        public Task<int> Show(Func<IProgressView, Task<int>> follow) => follow(this);

        public void Begin(long id, OrderBoard board)
        {
            order = id;
            var hosts = board.Lanes.Count == 1 ? "1 host" : $"{board.Lanes.Count} hosts";
            context.Output.WriteLine($"Order {id}, {TerminalText.OneLine(board.Order.Text("task_name"))}: {hosts}, {Sum(board)}");
            Standing(board);
            context.Output.Flush();
        }

        public void Changed(OrderBoard board, List<OrderLane> lanes)
        {
            foreach (var lane in lanes)
            {
                var step = lane.StepAt.Length == 0 ? "" : $", step {lane.At + 1} of {lane.Steps.Length}, {TerminalText.OneLine(lane.StepAt)}";
                context.Output.WriteLine($"{Now()} group {lane.Group} {lane.Host}: {lane.State}{step}");
            }
            Standing(board);
            context.Output.Flush();
        }

        public int End(OrderBoard board, string how)
        {
            context.Output.WriteLine($"Order {order} {how}: {Sum(board)}");
            return Code(board);
        }

        private void Standing(OrderBoard board)
        {
            var waits = board.Order.Text("waits_for");
            var now = OrderWord.Of(board.Order) + (board.Order.Text("schedule") == "new" && waits.Length > 0 ? $", waits for the approval of {waits}" : "");
            if (now == standing) return;
            if (
                standing.Length > 0 || now.StartsWith("new", StringComparison.Ordinal)
            ) context.Output.WriteLine($"{Now()} order {order}: {TerminalText.OneLine(now)}");
            standing = now;
        }

        private string Now() => context.Time.GetLocalNow().ToString("HH:mm:ss", CultureInfo.InvariantCulture);
    }

    private sealed class LiveView(ClientContext context) : IProgressView
    {
        private LiveDisplayContext? live;
        private long order;
        private string last = "";

        public async Task<int> Show(Func<IProgressView, Task<int>> follow)
        {
            var console = AnsiConsole.Create(
                new AnsiConsoleSettings
                {
                    Ansi = AnsiSupport.Yes,
                    ColorSystem = context.HasColors ? ColorSystemSupport.Standard : ColorSystemSupport.NoColors,
                    Interactive = InteractionSupport.Yes,
                    Out = new AnsiConsoleOutput(context.Output),
                }
            );
            if (context.Width is { } width) console.Profile.Width = width;
            if (context.Height is { } height) console.Profile.Height = height;
            var code = await console
                .Live(new Text("…"))
                .AutoClear(false)
                .Overflow(VerticalOverflow.Crop)
                .StartAsync(shown =>
                {
                    live = shown;
                    return follow(this);
                });
            context.Output.WriteLine(last);
            return code;
        }

        public void Begin(long id, OrderBoard board)
        {
            order = id;
            Changed(board, []);
        }

        public void Changed(OrderBoard board, List<OrderLane> lanes)
        {
            var most = Math.Max(5, (context.Height ?? 24) - 8);
            // What needs a person first, then what moves, then what is to come, then what is done.
            var shown = board.Lanes.OrderBy(lane => Urgency(lane.State)).ThenBy(lane => lane.Group).Take(most).ToList();
            var table = new Spectre.Console.Table().Border(TableBorder.Rounded).AddColumns("Group", "Host", "State", "Steps", "At");
            foreach (var lane in shown)
                table.AddRow(
                    new Text(lane.Group.ToString(CultureInfo.InvariantCulture)),
                    new Text(TerminalText.OneLine(lane.Host)),
                    new Text(lane.State, Style(lane.State)),
                    Steps(lane),
                    new Text(TerminalText.OneLine(lane.StepAt)).Overflow(Overflow.Ellipsis)
                );
            var head = new Text($"Order {order}, {TerminalText.OneLine(board.Order.Text("task_name"))}: {OrderWord.Of(board.Order)} – {Sum(board)}");
            var rest = board.Lanes.Count - shown.Count;
            live!.UpdateTarget(new Rows(head, table, new Text(rest > 0 ? $"and {rest} more hosts" : "")));
            live.Refresh();
        }

        public int End(OrderBoard board, string how)
        {
            Changed(board, []);
            last = $"Order {order} {how}.";
            return Code(board);
        }

        private static Paragraph Steps(OrderLane lane)
        {
            var steps = new Paragraph();
            foreach (var step in lane.Steps.Take(40))
                steps.Append(step switch { '3' => "●", '2' => "◐", '4' or '6' => "✗", '5' => "?", _ => "○" }, Style(OrderWord.OfStep(step.ToString())));
            return steps;
        }

        private static Style Style(string state) => Colors.OfStatus(state) switch
        {
            Colors.Green => new Style(Color.Green),
            Colors.Red => new Style(Color.Red),
            Colors.Yellow => new Style(Color.Yellow),
            _ => Spectre.Console.Style.Plain,
        };

        private static int Urgency(string state) => state switch
        {
            "failed" or "interrupted" => 0,
            "hand" => 1,
            "running" => 2,
            "ready" or "timed" => 3,
            "waiting" => 4,
            _ => 5,
        };
    }
}
