using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;

namespace Codo.Host.Client;

/// <summary><c>codo job …</c>: jobs, their runs and their output.</summary>
internal static class JobCommands
{
    private const string Path = "/v1/cron/job/", Log = "/v1/cron/log/";

    /// <summary>The ledger answers a month unless it is asked for more: what runs, or is named, may be older.</summary>
    private const string Ever = "2000-01-01";

    public static Command Command(ClientContext context) =>
        new("job", "Cron jobs.")
        {
            List(context),
            Show(context),
            Run(context),
            Logs(context),
            SetPaused(context, "pause", "Pause jobs: their due times are skipped, and the ledger says so.", true),
            SetPaused(context, "resume", "Let paused jobs run again.", false),
            Kill(context),
            Edit(context),
            History(context),
            Restore(context),
            Next(context),
        };

    private static readonly Column<JsonObject>[] Columns =
    [
        new("NAME", job => job.Text("job_id"), Shrinks: true),
        new("STATE", job => job.Text("state") is "running" ? "scheduled" : job.Text("state"), Color: Colors.OfStatus),
        new("SCHEDULE", job => job.Text("cron")),
        new("NEXT", job => job.Text("next_run_time") is "None" ? "-" : job.Text("next_run_time")),
        new("LAST", job => job.Text("last_status"), Color: Colors.OfStatus),
        new("LAST TIME", job => job.Text("last_exec_time")),
        new("TOOK", job => Fields.Seconds(job.Text("last_seconds")), Wide: true),
        new("SPACE", job => job.Text("space"), Wide: true),
        new("RUN AS", job => job.Text("run_as"), Wide: true),
        new("NODES", job => job.Text("node"), Wide: true),
        new("OWNERS", job => job.Text("owners"), Wide: true),
        new("TAGS", job => job.Text("tags"), Wide: true),
        new("COMMAND", job => job.Text("cmd"), Shrinks: true),
    ];

    private static Command List(ClientContext context)
    {
        var (search, tag, status) = (
            new Option<string?>("--search", "-S") { Description = "A text in the id, the command or the description.", HelpName = "TEXT" },
            new Option<string?>("--tag") { Description = "Only jobs with this tag." },
            new Option<string?>("--status")
            {
                Description = "running, paused, broken, or words of the ledger for the newest run (faild,timeout).",
                HelpName = "WORDS",
            }
        );
        var (owner, space) = (
            new Option<string?>("--owner") { Description = "Only jobs of this person." },
            new Option<string?>("--space") { Description = "Only jobs in this space." }
        );
        var (limit, format) = (ClientOptions.Limit(), Printer.Format());
        return new Command("list", "List jobs, the next to run first.") { search, tag, status, owner, space, limit, format }.Calls(
            context,
            async (server, parsed) =>
            {
                // The original's numbers for what everybody calls otherwise.
                var words = parsed.GetValue(status)?.Replace("paused", "1", StringComparison.Ordinal);
                if (words == "active" || words == "enabled") words = "0";
                var (rows, count) = await Rows(
                    server,
                    parsed.GetValue(limit),
                    ("q", parsed.GetValue(search)),
                    ("tag", parsed.GetValue(tag)),
                    ("status", words),
                    ("owner", parsed.GetValue(owner)),
                    ("space", parsed.GetValue(space))
                );
                Printer.List(context, parsed.GetValue(format), rows, "jobs", job => job.Text("job_id"), Columns);
                ClientOptions.TellRest(context, rows.Count, count, "jobs");
            }
        );
    }

    // Several pages of jobs that are sorted by their next times leave out what fires between two of them: such a list is read by name, and sorted here.
    private static async Task<(List<JsonObject> Rows, long Count)> Rows(CodoServer server, int most, params (string Name, object? Value)[] query)
    {
        if (most <= CodoServer.PageRows) return await server.List(Path, most, query);
        var all = await server.ListByName(Path, "job_id", query);
        return ([.. all.OrderBy(job => job.Text("status") == "1").ThenBy(NextTime).Take(most)], all.Count);
    }

    // What has no next time comes last.
    private static DateTimeOffset NextTime(JsonObject job) =>
        DateTimeOffset.TryParse(job.Text("next_run_time"), CultureInfo.InvariantCulture, out var time) ? time : DateTimeOffset.MaxValue;

    private static Command Show(ClientContext context)
    {
        var (id, format) = (Id(), Printer.Format());
        return new Command("show", "Show a job, its next times and its newest runs.") { id, format }.Calls(
            context,
            async (server, parsed) =>
            {
                var job = await Find(server, parsed.GetRequiredValue(id));
                if (parsed.GetValue(format) is { } form)
                {
                    Printer.One(context, form, job, job.Text("job_id"), () => Printer.List(context, form, [job], "jobs", row => row.Text("job_id"), Columns));
                    return;
                }

                Describe(context, job);
                var runs = await server.Get(Log, ("job_id", job.Text("job_id")), ("limit", 5));
                if (!runs.Rows("data").Any()) return;
                context.Output.WriteLine();
                Printer.List(context, null, [.. runs.Rows("data")], "runs", run => run.Text("log_id"), RunColumns);
            }
        );
    }

    private static readonly Column<JsonObject>[] RunColumns =
    [
        new("RUN", run => run.Text("log_id")),
        new("STATUS", run => run.Text("status"), Color: Colors.OfStatus),
        new("DUE", run => run.Text("nominal_time")),
        new("STARTED", run => run.Text("exec_time")),
        new("ENDED", run => run.Text("end_time")),
        new("EXIT", run => run.Text("exit_code")),
        new("BY", run => run.Text("by") is { Length: > 0 } by ? by : run.Text("trigger")),
    ];

    private static void Describe(ClientContext context, JsonObject job) =>
        Printer.Facts(
            context,
            ("Name", job.Text("job_id")),
            ("State", job.Text("state")),
            ("Broken", job.Text("broken")),
            ("Held", job.Text("held")),
            ("Description", job.Text("description")),
            ("Schedule", $"{job.Text("cron")} ({job.Text("time_zone")})"),
            ("In words", job.Text("cron_text")),
            ("Next", job.Text("next_run_time") is "None" ? "" : job.Text("next_run_time")),
            ("Command", job.Text("cmd")),
            ("Interpreter", job.Text("interpreter")),
            ("Run as", job.Text("run_as")),
            ("Nodes", job.Text("node")),
            ("Directory", job.Text("working_directory")),
            ("Environment", string.Join("\n", (job["env"] as JsonObject ?? []).Select(pair => $"{pair.Key}={pair.Value.AsText()}"))),
            ("Timeout", Fields.Seconds(job.Text("timeout"))),
            ("Overlap", job.Text("overlap")),
            ("Misfire", $"{job.Text("misfire")} within {Fields.Seconds(job.Text("misfire_window"))}"),
            ("Retries", job.Number("retries") > 0 ? $"{job.Text("retries")}, {Fields.Seconds(job.Text("retry_delay"))} apart" : ""),
            ("Space", job.Text("space")),
            ("Tags", job.Text("tags").Replace(",", ", ", StringComparison.Ordinal)),
            ("Owners", job.Text("owners").Replace(",", ", ", StringComparison.Ordinal)),
            ("Made", $"{job.Text("create_time")} by {job.Text("creator")}"),
            ("Changed", $"{job.Text("update_time")} by {job.Text("updater")}")
        );

    private static Command Run(ClientContext context)
    {
        var (id, follow) = (Id(), new Option<bool>("--follow", "-f") { Description = "Print the output and end as the run does: 0 for success, else 1." });
        var key = new Option<string?>("--idempotency-key")
        {
            Description = "Sent again with the same key within a day, the job is not run twice.",
            HelpName = "KEY",
        };
        return new Command("run", "Run a job now; it works on a paused job too.") { id, follow, key }.Calls(
            context,
            async (server, parsed, cancellation) =>
            {
                var made = await server.Post($"{Path}run/", new JsonObject { ["job_id"] = parsed.GetRequiredValue(id) }, parsed.GetValue(key));
                if (!parsed.GetValue(follow))
                {
                    context.Output.WriteLine($"Run {made.Text("log_id")} of {made.Text("job_id")} is to begin.");
                    return ExitCodes.Done;
                }
                var logs = new RunLogs(context, server, made.Number("log_id")!.Value);
                return await logs.Print(null, true, true, cancellation) == "success" ? ExitCodes.Done : ExitCodes.Failed;
            }
        );
    }

    private static Command Logs(ClientContext context)
    {
        var id = Id();
        var run = new Option<long?>("--run") { Description = "The run's number; default the newest run that has an output.", HelpName = "N" };
        var attempt = new Option<int?>("--attempt") { Description = "Which attempt of the run; default the newest.", HelpName = "N" };
        var follow = new Option<bool>("--follow", "-f") { Description = "Wait for more until the run ends." };
        return new Command("logs", "Print the output of a job's newest run.") { id, run, attempt, follow }.Calls(
            context,
            async (server, parsed, cancellation) =>
            {
                var name = parsed.GetRequiredValue(id);
                var number = parsed.GetValue(run) is { } asked ? await OfJob(server, name, asked) : await Newest(server, name);
                await new RunLogs(context, server, number).Print(parsed.GetValue(attempt), parsed.GetValue(follow), false, cancellation);
                return ExitCodes.Done;
            }
        );
    }

    private static async Task<long> Newest(CodoServer server, string id)
    {
        await Find(server, id);
        var runs = await server.Get(Log, ("job_id", id), ("status", "running,success,faild,timeout,killed,interrupted"), ("limit", 1));
        return runs.Rows("data").FirstOrDefault()?.Number("log_id")
            ?? throw new ClientFailure($"{id} has not run in the last month: --run names an older run.");
    }

    // The run, where it is one of the job's.
    private static async Task<long> OfJob(CodoServer server, string job, long run)
    {
        var found = await server.Get(Log, ("job_id", job), ("key", "log_id"), ("value", run), ("start_date", Ever), ("limit", 1));
        return found.Rows("data").FirstOrDefault()?.Number("log_id") ?? throw new ClientFailure($"{job} has no run {run}.");
    }

    private static async Task<bool> IsOpen(CodoServer server, string job, long run)
    {
        var found = await server.Get(Log, ("job_id", job), ("key", "log_id"), ("value", run), ("status", "queued,running"), ("start_date", Ever), ("limit", 1));
        return found.Rows("data").Any();
    }

    private static Command SetPaused(ClientContext context, string name, string description, bool paused)
    {
        var ids = new Argument<string[]>("NAME") { Description = "The jobs.", Arity = ArgumentArity.OneOrMore };
        return new Command(name, description) { ids }.Calls(
            context,
            (server, parsed, _) =>
                context.Each(
                    parsed.GetRequiredValue(ids),
                    async id =>
                    {
                        var answer = await server.Ask(HttpMethod.Patch, Path, new JsonObject { ["job_id"] = id, ["paused"] = paused });
                        return answer.IsTrue("paused") ? $"{id} is paused." : $"{id} runs on its schedule.";
                    }
                )
        );
    }

    private static Command Kill(ClientContext context)
    {
        var (id, run) = (Id(), new Option<long?>("--run") { Description = "Only this run.", HelpName = "N" });
        return new Command("kill", "End what runs of a job, with all its processes.") { id, run }.Calls(
            context,
            async (server, parsed, _) =>
            {
                var name = parsed.GetRequiredValue(id);
                await Find(server, name);
                List<long> runs;
                if (parsed.GetValue(run) is { } number) runs = [await OfJob(server, name, number)];
                else
                {
                    var (rows, _) = await server.List(Log, 1000, ("job_id", name), ("status", "queued,running"), ("start_date", Ever));
                    runs = [.. rows.Select(row => row.Number("log_id")!.Value)];
                }
                var failed = false;
                foreach (var each in runs)
                {
                    try
                    {
                        await server.Ask(HttpMethod.Post, $"{Path}kill/", new JsonObject { ["log_id"] = each });
                        context.Output.WriteLine($"Run {each} of {name} is being ended.");
                    }
                    catch (CodoServer.Refused refused)
                    {
                        // One that ended by itself meanwhile keeps none of the others from being ended.
                        context.Error.WriteLine($"Run {each} of {name}: {refused.Message}");
                        failed |= runs.Count == 1 || await IsOpen(server, name, each);
                    }
                }
                if (runs.Count == 0) context.Error.WriteLine($"Nothing of {name} runs.");
                return failed ? ExitCodes.Failed : ExitCodes.Done;
            }
        );
    }

    private static Command Edit(ClientContext context)
    {
        var id = Id();
        return new Command("edit", "Edit a job as YAML in $VISUAL or $EDITOR.") { id }.Calls(
            context,
            async (server, parsed, cancellation) =>
            {
                var job = await Find(server, parsed.GetRequiredValue(id));
                var before = Yaml.Write(JobForm.Whole(job));
                var head = $"# Job {TerminalText.OneLine(job.Text("job_id"))}. An empty file changes nothing.\n";
                var after = await Editor.Edit(context, head + before, cancellation);
                JsonObject answer;
                try
                {
                    var body = Edited(job, after);
                    if (body.Count == 0)
                    {
                        context.Error.WriteLine("Nothing was changed.");
                        return ExitCodes.Done;
                    }

                    body["job_id"] = job.Text("job_id");
                    // Whoever saved while the editor was open is not overwritten.
                    body["version"] = job["version"]?.DeepClone();
                    answer = await server.Put(Path, body);
                }
                catch (ClientFailure)
                {
                    context.Error.Write($"What you wrote, which was not saved:\n{after.TrimEnd()}\n");
                    throw;
                }
                context.Output.WriteLine(
                    $"{job.Text("job_id")} is changed: {answer.Text("cron_text")}, next {answer.Texts("next_run_times").FirstOrDefault("never")}."
                );
                return ExitCodes.Done;
            }
        );
    }

    // What the text changes of the job; an empty one nothing.
    private static JsonObject Edited(JsonObject job, string text)
    {
        const string name = "The job";
        var documents = Yaml.Read(name, text);
        if (documents is [] or [null]) return [];
        if (documents is not [JsonObject changed]) throw new ClientFailure($"{name} is one document with fields, as it was opened.");
        if (changed.Text("job_id") != job.Text("job_id")) throw new ClientFailure("job_id cannot be changed: it is the job's name.");
        JobForm.DemandTexts(changed, "env", name);
        return JobForm.Changes(JobForm.Whole(job), changed);
    }

    private static Command History(ClientContext context)
    {
        var (id, version, with) = (
            Id(),
            new Argument<int?>("VERSION") { Description = "What this version changed.", Arity = ArgumentArity.ZeroOrOne },
            new Option<int?>("--with") { Description = "The version that it is compared with; default the one before.", HelpName = "N" }
        );
        var format = Printer.Format();
        return new Command("history", "The versions of a job, or what one of them changed.") { id, version, with, format }.Calls(
            context,
            async (server, parsed) =>
            {
                var job = parsed.GetRequiredValue(id);
                if (parsed.GetValue(version) is null && parsed.GetValue(with) is null)
                {
                    var (rows, _) = await server.List($"{Path}versions/", 200, ("job_id", job));
                    Printer.List(
                        context,
                        parsed.GetValue(format),
                        rows,
                        "versions",
                        row => row.Text("version"),
                        new("VERSION", row => row.Text("version")),
                        new("TIME", row => row.Text("at")),
                        new("WHO", row => row.Text("by")),
                        new("CHANGED", row => string.Join(", ", row.Texts("changed")), Shrinks: true),
                        new("FROM", row => row.Text("restored_from"), Wide: true)
                    );
                    return;
                }

                var one = await server.Get($"{Path}version/", ("job_id", job), ("version", parsed.GetValue(version)), ("with", parsed.GetValue(with)));
                if (parsed.GetValue(format) is ("json" or "yaml" or "name") and var form)
                {
                    Printer.One(context, form, one, one.Text("version"), () => { });
                    return;
                }

                context.Error.WriteLine($"Version {one.Text("version")} of {one.Text("at")} by {one.Text("by")}");
                foreach (var field in one.Rows("differences"))
                    context.Output.WriteLine($"{field.Text("field")}:\n{Lines(field, "old", "-")}{Lines(field, "new", "+")}".TrimEnd('\n'));
            }
        );

        static string Lines(JsonObject field, string name, string sign) =>
            field[name] is null ? "" : string.Concat(field.Text(name).Split('\n').Select(line => $"{sign} {TerminalText.OneLine(line)}\n"));
    }

    private static Command Restore(ClientContext context)
    {
        var (id, version) = (Id(), new Argument<int>("VERSION") { Description = "The version whose content is to come back." });
        return new Command("restore", "Save the content of an old version of a job again.") { id, version }.Calls(
            context,
            async (server, parsed) =>
            {
                var body = new JsonObject { ["job_id"] = parsed.GetRequiredValue(id), ["version"] = parsed.GetRequiredValue(version) };
                var answer = await server.Post($"{Path}version/", body);
                context.Output.WriteLine($"Version {answer.Text("from")} of {answer.Text("job_id")} is back, as version {answer.Text("version")}.");
            }
        );
    }

    private static Command Next(ClientContext context)
    {
        var id = new Argument<string?>("NAME") { Description = "The job.", Arity = ArgumentArity.ZeroOrOne };
        var cron = new Option<string?>("--cron") { Description = "An expression of six fields in place of a job's.", HelpName = "EXPRESSION" };
        var zone = new Option<string?>("--time-zone") { Description = "The zone; default the job's, or Codo's own.", HelpName = "ZONE" };
        var (count, format) = (
            new Option<int>("--count", "-n") { Description = "How many times, 1 to 100.", DefaultValueFactory = _ => 10, HelpName = "N" },
            Printer.Format()
        );
        return new Command("next", "The next times of a job, or of an expression.") { id, cron, zone, count, format }.Calls(
            context,
            async (server, parsed) =>
            {
                var job = parsed.GetValue(cron) is null
                    ? await Find(server, parsed.GetValue(id) ?? throw new ClientFailure("Name a job, or --cron.", ExitCodes.Usage))
                    : null;
                var answer = await server.Get(
                    $"{Path}next/",
                    ("cron", job?.Text("cron") ?? parsed.GetValue(cron)),
                    ("time_zone", parsed.GetValue(zone) ?? job?.Text("time_zone")),
                    ("count", parsed.GetValue(count))
                );
                if (parsed.GetValue(format) is null) context.Error.WriteLine(answer.Text("cron_text"));
                Printer.List(
                    context,
                    parsed.GetValue(format),
                    [.. answer.Rows("data")],
                    "times",
                    time => time.Text("local"),
                    new("TIME", time => time.Text("local")),
                    new("UTC", time => time.Text("utc"), Wide: true),
                    new("NOTE", time => time.Text("note"))
                );
            }
        );
    }

    internal static async Task<JsonObject> Find(CodoServer server, string id) =>
        (await server.Get(Path, ("job_id", id))).Rows("data").FirstOrDefault() ?? throw new ClientFailure($"There is no job {id}.");

    private static Argument<string> Id() => new("NAME") { Description = "The job's name (job_id)." };
}

/// <summary>Lets a person change a text in an editor.</summary>
internal static class Editor
{
    public static async Task<string> Edit(ClientContext context, string text, CancellationToken cancellation)
    {
        var editor = context.Variable("VISUAL") ?? context.Variable("EDITOR") ?? "vi";
        var file = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"codo-{Guid.NewGuid():N}.yaml");
        var options = new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        };
        try
        {
            await using (var writer = new StreamWriter(file, options)) await writer.WriteAsync(text);
            // By the shell, since the variable may hold a command with arguments.
            var start = new ProcessStartInfo("/bin/sh") { ArgumentList = { "-c", $"{editor} \"$1\"", "sh", file } };
            using var process = Process.Start(start) ?? throw new ClientFailure($"{editor} cannot be started.");
            await process.WaitForExitAsync(cancellation);
            if (process.ExitCode != 0) throw new ClientFailure($"{editor} ended with {process.ExitCode}: nothing was changed.");
            return await File.ReadAllTextAsync(file, cancellation);
        }
        finally
        {
            File.Delete(file);
        }
    }
}
