using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;

namespace Codo.Host.Client;

/// <summary><c>codo order …</c>: from the submission to the end.</summary>
internal static class OrderCommands
{
    private const string ListPath = "/v2/task/list/", CheckPath = "/v2/task/check/", ApprovalPath = "/v2/task/approval/";

    /// <summary>The longest <c>--timeout</c>, 46 days: a timer of .NET takes 2^32 milliseconds.</summary>
    private const int MostSeconds = 4_000_000;

    public static Command Command(ClientContext context) =>
        new("order", "Orders: a template's steps on hosts.")
        {
            List(context),
            Show(context),
            Submit(context, "submit", "Make an order from a template.", "/v2/task/accept/"),
            Submit(context, "preview", "Show what an order would run; nothing is made.", "/v2/task/preview/"),
            Approve(context),
            Reject(context),
            Watch(context),
            Restart(context),
            NextBatch(context),
            Stop(context),
            End(context),
            Logs(context),
        };

    private static readonly Column<JsonObject>[] Columns =
    [
        new("ID", row => row.Text("list_id")),
        new("STATUS", OrderWord.Of, Color: Colors.OfStatus),
        new("NAME", row => row.Text("task_name"), Shrinks: true),
        new("TYPE", row => row.Text("task_type"), Shrinks: true),
        new("BY", row => row.Text("creator")),
        new("MADE", row => row.Text("create_time")),
        new("START", row => row.Text("start_time")),
        new("ENDED", row => row.Text("ended_at"), Wide: true),
        new("APPROVED BY", row => row.Text("executor"), Wide: true),
        new("WAITS FOR", row => row.Text("waits_for"), Wide: true),
    ];

    private static Command List(ClientContext context)
    {
        var ended = new Option<bool>("--ended") { Description = "Orders that have ended, in place of those that have not." };
        var search = new Option<string?>("--search", "-S")
        {
            Description = "With --ended: the beginning of the id, name, type, creator or executor.",
            HelpName = "TEXT",
        };
        var (limit, format) = (ClientOptions.Limit(), Printer.Format());
        return new Command("list", "List the orders that have not ended.") { ended, search, limit, format }.Calls(
            context,
            async (server, parsed) =>
            {
                var isEnded = parsed.GetValue(ended) || parsed.GetValue(search) is not null;
                var (rows, count) = await server.List(
                    isEnded ? "/v2/task/check_history/" : ListPath,
                    parsed.GetValue(limit),
                    ("search_val", parsed.GetValue(search))
                );
                Printer.List(context, parsed.GetValue(format), rows, "orders", row => row.Text("list_id"), Columns);
                ClientOptions.TellRest(context, rows.Count, count, "orders");
            }
        );
    }

    private static Command Show(ClientContext context)
    {
        var (id, format) = (Id(), Printer.Format());
        return new Command("show", "Show an order: where it stands, what it waits for, who decided.") { id, format }.Calls(
            context,
            async (server, parsed) =>
            {
                var number = parsed.GetRequiredValue(id);
                var page = (await server.Get(CheckPath, ("list_id", number)))["data"]!.AsObject();
                var grid = await server.Get("/v2/task/grid/", ("list_id", number));
                if (parsed.GetValue(format) is "json" or "yaml")
                {
                    page["groups"] = grid["groups"]?.DeepClone();
                    Printer.Whole(context, parsed.GetValue(format)!, page);
                    return;
                }

                if (parsed.GetValue(format) == "name")
                {
                    context.Output.WriteLine(number);
                    return;
                }

                Printer.Facts(
                    context,
                    ("Order", page.Text("list_id")),
                    ("Name", page.Text("task_name")),
                    ("Type", page.Text("task_type")),
                    ("Status", OrderWord.Of(page)),
                    ("Waits for", page.Text("waits_for")),
                    ("Stopped", page.Text("stopped")),
                    ("Changed", page.Text("plan_changed")),
                    ("Made", $"{page.Text("create_time")} by {page.Text("creator")}"),
                    ("Start", page.Text("start_time")),
                    ("Ended", page.Text("ended_at")),
                    ("Approvals", page.Number("approvals_needed") > 0 ? $"{page.Text("approvals_given")} of {page.Text("approvals_needed")}" : ""),
                    ("Plan", page.Text("plan_sha256")),
                    ("Details", page.Text("details")),
                    ("Description", page.Text("description")),
                    ("Risks", string.Join("\n", page.Rows("risks").Select(risk => $"{risk.Text("action")}: {risk.Text("reason")} ({risk.Text("command")})"))),
                    ("Arguments", string.Join("\n", (page["new_args"] as JsonObject ?? []).Select(pair => $"{pair.Key}={pair.Value.AsText()}")))
                );
                var board = new OrderBoard(grid);
                context.Output.WriteLine();
                Table.Write(context, board.Lanes, OrderBoard.Columns, false);
            }
        );
    }

    private static Command Submit(ClientContext context, string name, string description, string path)
    {
        var template = new Argument<string?>("TEMPLATE")
        {
            Description = "The template's name or number; not needed with --file.",
            Arity = ArgumentArity.ZeroOrOne,
        };
        var file = new Option<string?>("--file", "-f")
        {
            Description = "A YAML or JSON file with the fields of /v2/task/accept/; - is standard input. Options go before it.",
            HelpName = "FILE",
        };
        var title = new Option<string?>("--name", "-n") { Description = "Name of the order; default the template's.", HelpName = "NAME" };
        var hosts = new Option<string[]>("--hosts", "-H")
        {
            Description = "Hosts with commas for every group, or GROUP=HOSTS for one; repeated, they are taken together.",
            HelpName = "HOSTS",
        };
        var values = new Option<string[]>("--arg", "-a")
        {
            Description = "A value for a word of the steps, WORD=VALUE; may be repeated.",
            HelpName = "WORD=VALUE",
        };
        var details = new Option<string?>("--details", "-d") { Description = "Free text for those who approve.", HelpName = "TEXT" };
        var at = new Option<string?>("--at")
        {
            Description = "Start time, in Codo's zone or ISO 8601; default now. Without --hold only timed steps wait for it.",
            HelpName = "TIME",
        };
        var (hold, ready) = (
            new Option<bool>("--hold") { Description = "The whole order waits for its start time." },
            new Option<bool>("--ready") { Description = "Skip the approval, which needs the right to approve." }
        );
        var key = new Option<string?>("--idempotency-key")
        {
            Description = "Sent again with the same key within a day, the order is not made twice.",
            HelpName = "KEY",
        };
        var watch = new Option<bool>("--watch", "-w") { Description = "Watch the order and end as it does." };
        var format = Printer.Format();
        var command = new Command(name, description) { template, file, title, hosts, values, details, at, hold, ready, format };
        var isPreview = name == "preview";
        if (!isPreview) command.Add(watch);
        if (!isPreview) command.Add(key);
        return command.Calls(
            context,
            async (server, parsed, cancellation) =>
            {
                var body = parsed.GetValue(file) is { } named ? await Body(context, named, cancellation) : [];
                if (parsed.GetValue(template) is { } word) await TakeTemplate(server, body, word);
                if (body["temp_id"] is null) throw new ClientFailure("Name a template, or --file with a temp_id.", ExitCodes.Usage);
                if (parsed.GetValue(title) is { } own) body["task_name"] = own;
                foreach (var (argument, value) in (parsed.GetValue(values) ?? []).Select(Pair)) Set(body, "args", argument, value);
                await TakeHosts(server, body, parsed.GetValue(hosts) ?? []);
                if (parsed.GetValue(details) is { } text) body["details"] = text;
                if (parsed.GetValue(at) is { } time) body["exec_time"] = time;
                if (parsed.GetValue(hold)) body["hold"] = true;
                // As every option: before what the file says.
                if (parsed.GetValue(ready)) body["schedule"] = "ready";
                else body["schedule"] ??= "new";
                var answer = await server.Post(path, body, isPreview ? null : parsed.GetValue(key));
                if (isPreview)
                {
                    var preview = answer["data"]!.AsObject();
                    Printer.One(context, parsed.GetValue(format), preview, preview.Text("plan_sha256"), () => Preview(context, preview));
                    return ExitCodes.Done;
                }

                var missing = answer.Number("approvals_missing");
                Printer.One(
                    context,
                    parsed.GetValue(format),
                    answer,
                    answer.Text("list_id"),
                    () => context.Output.WriteLine($"Order {answer.Text("list_id")} is made{(missing > 0 ? $" and needs {missing} approvals" : "")}.")
                );
                return parsed.GetValue(watch)
                    ? await OrderWatch.Run(context, server, answer.Number("list_id")!.Value, null, false, cancellation)
                    : ExitCodes.Done;
            }
        );
    }

    private static async Task<JsonObject> Body(ClientContext context, string file, CancellationToken cancellation)
    {
        var text = file == "-" ? await context.Input.ReadToEndAsync(cancellation) : await InputFile.Read(file, cancellation);
        var body = Yaml.Read(file, text) is [JsonObject one] ? one : throw new ClientFailure($"{file} is no single object.", ExitCodes.Usage);
        JobForm.DemandTexts(body, "args", file, ExitCodes.Usage);
        return body;
    }

    private static async Task TakeTemplate(CodoServer server, JsonObject body, string word)
    {
        var isNumber = long.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out var number);
        var found = (await server.Get("/v2/task_layout/temp/", ("key", isNumber ? "temp_id" : "temp_name"), ("value", word))).Rows("data").FirstOrDefault();
        body["temp_id"] = found?.Number("temp_id") ?? (isNumber ? number : throw new ClientFailure($"There is no template {word}."));
        body["task_name"] ??= found?.Text("temp_name") ?? word;
    }

    // Hosts of several options are taken together; a group that is named has its own, whichever option comes first.
    private static async Task TakeHosts(CodoServer server, JsonObject body, string[] given)
    {
        var every = given.Where(text => !text.Contains('=', StringComparison.Ordinal)).ToList();
        var own = given.Except(every).Select(Pair).GroupBy(pair => pair.Name, pair => pair.Value).ToDictionary(group => group.Key, Joined);
        if (every.Count > 0)
        {
            var details = await server.Get("/v2/task_layout/details/", ("temp_id", body["temp_id"].AsText()));
            foreach (var group in details["data"].Rows("temp_list").Select(step => step.Text("group")).Distinct())
                Set(body, "hosts", group, own.GetValueOrDefault(group, Joined(every)));
        }
        foreach (var (group, hosts) in own) Set(body, "hosts", group, hosts);

        static string Joined(IEnumerable<string> hosts) => string.Join(',', hosts);
    }

    private static (string Name, string Value) Pair(string text) =>
        text.Split('=', 2) is [{ Length: > 0 } name, var value]
            ? (name, value)
            : throw new ClientFailure($"{text} is not of the form NAME=VALUE.", ExitCodes.Usage);

    private static void Set(JsonObject body, string field, string name, string value)
    {
        body[field] ??= new JsonObject();
        if (body[field] is not JsonObject pairs) throw new ClientFailure($"{field} in the file is text: write it as an object.", ExitCodes.Usage);
        pairs[name] = value;
    }

    private static void Preview(ClientContext context, JsonObject preview)
    {
        Printer.Facts(
            context,
            ("Name", preview.Text("task_name")),
            ("Start", preview.Text("start_time")),
            ("Approvals", preview.Number("approvals_missing") > 0 ? $"{preview.Text("approvals_missing")} needed" : ""),
            ("Risks", string.Join("\n", preview.Rows("risks").Select(risk => $"{risk.Text("action")}: {risk.Text("reason")} ({risk.Text("command")})"))),
            ("Plan", preview.Text("plan_sha256"))
        );
        foreach (var group in preview.Rows("groups"))
        {
            context.Output.WriteLine();
            context.Output.WriteLine(context.Paint($"Group {group.Text("task_group")}", Colors.Bold) + $": {group.Text("starts")}");
            var steps = group.Rows("hosts").SelectMany(lane => lane.Rows("steps").Select(step => (Lane: lane, Step: step))).ToList();
            Table.Write(
                context,
                steps,
                [
                    new("HOST", row => row.Lane.Text("host")),
                    new("BATCH", row => row.Lane.Text("batch")),
                    new("STEP", row => row.Step.Text("task_name"), Shrinks: true),
                    new("RUNS ON", row => row.Step.Text("runs_on")),
                    new("AS", row => row.Step.Text("exec_user")),
                    new("STARTS", row => row.Step.Text("starts"), Shrinks: true),
                    new("COMMAND", row => row.Step.Text("command_line"), Shrinks: true),
                ],
                false
            );
        }
    }

    private static Command Approve(ClientContext context)
    {
        var id = Id();
        var comment = new Option<string?>("--comment", "-c") { Description = "Why; some rules ask for it.", HelpName = "TEXT" };
        var at = new Option<string?>("--at")
        {
            Description =
                "Start time, which holds the whole order when it is more than a minute ahead (Codo:Tasks:LaterMeansHold). Default the one that the order has: "
                + "an order submitted with hold waits for it; of any other only the timed steps do, and the rest begins as soon as it is approved.",
            HelpName = "TIME",
        };
        var plan = new Option<string?>("--plan")
        {
            Description = "SHA-256 of the plan that was seen, as show and preview print it: another one is refused.",
            HelpName = "HASH",
        };
        return new Command("approve", "Approve an order.") { id, comment, at, plan }.Calls(
            context,
            async (server, parsed) =>
            {
                var body = Decision(parsed.GetRequiredValue(id), "approve", parsed.GetValue(comment));
                if (parsed.GetValue(at) is { } time) body["start_time"] = time;
                if (parsed.GetValue(plan) is { } hash) body["plan_sha256"] = hash;
                var answer = await server.Post(ApprovalPath, body);
                var missing = answer.Number("approvals_missing");
                context.Output.WriteLine(
                    missing > 0 ? $"Approved; {missing} approvals are missing." : $"Approved; it begins at {answer.Text("begins_at")}."
                );
            }
        );
    }

    private static Command Reject(ClientContext context)
    {
        var id = Id();
        var comment = new Option<string?>("--comment", "-c") { Description = "Why.", HelpName = "TEXT" };
        return new Command("reject", "Reject an order, which ends it.") { id, comment }.Calls(
            context,
            async (server, parsed) =>
            {
                await server.Post(ApprovalPath, Decision(parsed.GetRequiredValue(id), "reject", parsed.GetValue(comment)));
                context.Output.WriteLine($"Order {parsed.GetRequiredValue(id)} is rejected.");
            }
        );
    }

    private static JsonObject Decision(long id, string verdict, string? comment)
    {
        var body = new JsonObject { ["list_id"] = id, ["verdict"] = verdict };
        if (comment is not null) body["comment"] = comment;
        return body;
    }

    private static Command Watch(ClientContext context)
    {
        var id = Id();
        var timeout = new Option<int?>("--timeout") { Description = "Give up after so many seconds, with exit code 124.", HelpName = "SECONDS" };
        timeout.Validators.Add(given =>
        {
            if (
                given.Tokens is [var text]
                && (!int.TryParse(text.Value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) || number is < 1 or > MostSeconds)
            )
                given.AddError($"--timeout is a number of seconds from 1 to {MostSeconds}.");
        });
        var wait = new Option<bool>("--until-ended") { Description = "Go on while a failed order waits for a restart or its end." };
        return new Command("watch", "Watch an order; ends with 0 when every step is done, else with 1.") { id, timeout, wait }.Calls(
            context,
            (server, parsed, cancellation) =>
                OrderWatch.Run(context, server, parsed.GetRequiredValue(id), parsed.GetValue(timeout), parsed.GetValue(wait), cancellation)
        );
    }

    private static Command Restart(ClientContext context)
    {
        var (id, group, host) = (Id(), Group(), Host());
        var level = new Option<int?>("--level") { Description = "With --host: from this level on; default the step that failed.", HelpName = "N" };
        var stopped = new Option<bool>("--include-stopped") { Description = "Hosts that a person stopped as well." };
        var force = new Option<bool>("--force") { Description = "Although what is left of an interrupted command may still run." };
        return new Command("restart", "Restart every host that failed, or one host.") { id, group, host, level, stopped, force }.Calls(
            context,
            async (server, parsed) =>
            {
                var order = parsed.GetRequiredValue(id);
                var board = await Board(server, order);
                if (parsed.GetValue(host) is { } name)
                {
                    var lane = board.Find(name, parsed.GetValue(group));
                    var first = parsed.GetValue(level) is null ? await StepAt(server, order, lane) : null;
                    await Intervene(server, order, "restart", lane, parsed.GetValue(level) ?? lane.LevelAt, parsed.GetValue(force), first);
                    context.Output.WriteLine($"{name} of group {lane.Group} goes on from level {parsed.GetValue(level) ?? lane.LevelAt}.");
                    return;
                }

                var groups = board
                    .Lanes.Where(lane => lane.State is "failed" or "interrupted" || (parsed.GetValue(stopped) && lane.State == "stopped"))
                    .Select(lane => lane.Group)
                    .Where(number => parsed.GetValue(group) is null || number == parsed.GetValue(group))
                    .Distinct()
                    .ToList();
                if (groups.Count == 0) throw new ClientFailure($"No host of order {order} has failed.");
                List<string> left = [];
                foreach (var number in groups)
                {
                    var body = new JsonObject
                    {
                        ["list_id"] = order,
                        ["task_group"] = number,
                        ["hand_type"] = "restart_failed",
                        ["include_stopped"] = parsed.GetValue(stopped),
                        ["force"] = parsed.GetValue(force),
                    };
                    try
                    {
                        var stayed = (await server.Ask(HttpMethod.Patch, CheckPath, body)).Rows("not_restarted").ToList();
                        var except = stayed.Count == 0 ? "" : $", except for {stayed.Count}";
                        context.Output.WriteLine($"The failed hosts of group {number} go on{except}.");
                        left.AddRange(stayed.Select(one => TerminalText.OneLine($"{one.Text("host")} of group {number}: {one.Text("why")}")));
                    }
                    catch (CodoServer.Refused refused)
                    {
                        // One group of which no host can go on keeps no other back.
                        left.Add(groups.Count > 1 ? $"Group {number}: {refused.Message}" : refused.Message);
                    }
                }
                if (left.Count > 0) throw new ClientFailure(string.Join('\n', left));
            }
        );
    }

    private static Command NextBatch(ClientContext context)
    {
        var id = Id();
        var group = new Option<int?>("--group") { Description = "The group; default the first that is not finished.", HelpName = "N" };
        var batch = new Option<int?>("--batch")
        {
            Description = "The batch that is to begin: refused when another one waits, so that sent again it opens no further one.",
            HelpName = "N",
        };
        return new Command("next-batch", "Let the next batch of a group begin, whatever it waits for.") { id, group, batch }.Calls(
            context,
            async (server, parsed) =>
            {
                var order = parsed.GetRequiredValue(id);
                var number = parsed.GetValue(group) ?? await UnfinishedGroup(server, order);
                var body = new JsonObject { ["list_id"] = order, ["task_group"] = number, ["hand_type"] = "next_batch" };
                var asked = parsed.GetValue(batch);
                if (asked is not null) body["batch"] = asked;
                await server.Patch(CheckPath, body);
                context.Output.WriteLine(asked is null ? $"The next batch of group {number} begins." : $"Batch {asked} of group {number} begins.");
            }
        );
    }

    private static async Task<int> UnfinishedGroup(CodoServer server, long order) =>
        (await Board(server, order)).Lanes.Where(lane => lane.State is not ("done" or "stopped" or "ended")).Min(lane => (int?)lane.Group)
        ?? throw new ClientFailure($"Every group of order {order} is finished.");

    private static Command Stop(ClientContext context)
    {
        var (id, group, host) = (Id(), Group(), Host());
        host.Required = true;
        return new Command("stop", "Stop one host: what runs there is killed, and it holds up no later group.") { id, host, group }.Calls(
            context,
            async (server, parsed) =>
            {
                var order = parsed.GetRequiredValue(id);
                var lane = (await Board(server, order)).Find(parsed.GetRequiredValue(host)!, parsed.GetValue(group));
                await Intervene(server, order, "stop_one", lane, lane.LevelAt, false);
                context.Output.WriteLine($"{lane.Host} of group {lane.Group} is stopped.");
            }
        );
    }

    private static Command End(ClientContext context)
    {
        var id = Id();
        return new Command("end", "End an order: what runs is killed, and the rest never runs.") { id }.Calls(
            context,
            async (server, parsed) =>
            {
                await server.Put(ListPath, new JsonObject { ["list_id"] = parsed.GetRequiredValue(id) });
                context.Output.WriteLine($"Order {parsed.GetRequiredValue(id)} has ended.");
            }
        );
    }

    private static Command Logs(ClientContext context)
    {
        var (id, host) = (Id(), Host());
        var follow = new Option<bool>("--follow", "-f") { Description = "Go on until the order ends." };
        var plain = new Option<bool>("--no-prefix") { Description = "Lines without host and step before them." };
        var times = new Option<bool>("--timestamps") { Description = "Each line with the time at which it was read." };
        return new Command("logs", "Print the output of an order's hosts and steps.") { id, host, follow, plain, times }.Calls(
            context,
            async (server, parsed, cancellation) =>
            {
                var logs = new OrderLogs(context, server, parsed.GetRequiredValue(id), parsed.GetValue(host), !parsed.GetValue(plain), parsed.GetValue(times));
                await logs.Print(parsed.GetValue(follow), cancellation);
                return ExitCodes.Done;
            }
        );
    }

    private static async Task<OrderBoard> Board(CodoServer server, long id) => new(await server.Get("/v2/task/grid/", ("list_id", id)));

    // The id of the step that a host stands at: the grid tells none, and several steps may have one level.
    private static async Task<long?> StepAt(CodoServer server, long order, OrderLane lane)
    {
        var page = await server.Get(CheckPath, ("list_id", order), ("get_run_group", lane.Group), ("get_run_host", lane.Host));
        return page["data"].Rows("scheduler_list").ElementAtOrDefault(Math.Min(lane.At, lane.Names.Count - 1))?.Number("sched_id");
    }

    private static Task Intervene(CodoServer server, long order, string what, OrderLane lane, int level, bool force, long? step = null)
    {
        var body = new JsonObject
        {
            ["list_id"] = order,
            ["task_group"] = lane.Group,
            ["task_level"] = level,
            ["exec_ip"] = lane.Host,
            ["hand_type"] = what,
            ["force"] = force,
        };
        if (step is { } id) body["scheduler_id"] = id;
        return server.Patch(CheckPath, body);
    }

    private static Argument<long> Id() => new("ID") { Description = "The order's number." };

    private static Option<int?> Group() => new("--group") { Description = "The group; needed where the host is in several.", HelpName = "N" };

    private static Option<string?> Host() => new("--host") { Description = "The host.", HelpName = "HOST" };
}

/// <summary>Reads files that a command line names.</summary>
internal static class InputFile
{
    public static async Task<string> Read(string file, CancellationToken cancellation = default)
    {
        try
        {
            return await File.ReadAllTextAsync(file, cancellation);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new ClientFailure(TerminalText.OneLine(failure.Message));
        }
    }
}
