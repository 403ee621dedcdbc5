using System.CommandLine;
using System.Text.Json.Nodes;

namespace Codo.Host.Client;

/// <summary><c>codo search TEXT</c>: jobs, orders, output of jobs and output of orders.</summary>
internal static class SearchCommand
{
    private static readonly string[] Places = ["jobs", "runs", "orders", "logs"];

    // What the API takes.
    private const int MostRuns = 200;

    public static Command Command(ClientContext context)
    {
        var text = new Argument<string>("TEXT") { Description = "What to look for, in any case." };
        var places = new Option<string[]>("--in")
        {
            Description = "Where: jobs, runs (output of jobs), orders, logs (output of orders). Default all.",
            HelpName = "PLACES",
        };
        places.AcceptOnlyFromAmong(Places);
        var (limit, format) = (ClientOptions.Limit(20), Printer.Format());
        return new Command("search", "Look for a text in jobs, orders and output, the newest first.") { text, places, limit, format }.Calls(
            context,
            async (server, parsed) =>
            {
                var (sought, most) = (parsed.GetRequiredValue(text), parsed.GetValue(limit));
                var named = parsed.GetValue(places) is { Length: > 0 } some ? some : Places;
                var found = new List<JsonObject>();
                if (named.Contains("jobs"))
                    found.AddRange(
                        (
                            await server.Get("/v1/cron/job/", ("q", sought), ("limit", most))
                        ).Rows("data").Select(row => Hit("job", row, row.Text("job_id"), "", row.Text("cmd")))
                    );
                if (named.Contains("orders"))
                    found.AddRange(
                        (await server.Get("/v2/task/check_history/", ("search_val", sought), ("limit", most)))
                            .Rows("data")
                            .Select(row => Hit("order", row, row.Text("list_id"), row.Text("create_time"), row.Text("task_name")))
                    );
                if (named.Contains("runs"))
                {
                    var runs = await server.Get("/v1/cron/log/search/", ("q", sought), ("limit", Math.Min(most, MostRuns)));
                    found.AddRange(Told(context, runs, "runs").Select(Run));
                }
                if (named.Contains("logs"))
                    found.AddRange(
                        Told(context, await server.Get("/v2/task/log/search/", ("q", sought), ("limit", most)), "logs")
                            .Select(
                                row => Hit(
                                    "log",
                                    row,
                                    $"{row.Text("list_id")} {row.Text("host")} {row.Text("step_name")}",
                                    row.Text("exec_time"),
                                    row.Text("log_info")
                                )
                            )
                    );
                Printer.List(
                    context,
                    parsed.GetValue(format),
                    found,
                    "matches",
                    hit => hit.Text("name"),
                    new("KIND", hit => hit.Text("kind")),
                    new("NAME", hit => hit.Text("name"), Shrinks: true),
                    new("TIME", hit => hit.Text("time")),
                    new("TEXT", hit => hit.Text("text"), Shrinks: true)
                );
            }
        );
    }

    private static IEnumerable<JsonObject> Told(ClientContext context, JsonObject answer, string place)
    {
        if (answer.IsTrue("partial")) context.Warn($"The search in {place} ran out of time: older ones may have the text as well.");
        return answer.Rows("data");
    }

    // The first of the run's lines that have the text.
    private static JsonObject Run(JsonObject row) =>
        Hit(
            "run",
            row,
            $"{row.Text("job_id")} {row.Text("log_id")}",
            row.Text("exec_time"),
            row.Rows("lines").FirstOrDefault()?.Text("log_info") ?? row.Text("status")
        );

    private static JsonObject Hit(string kind, JsonObject row, string name, string time, string text) =>
        new()
        {
            ["kind"] = kind,
            ["name"] = name,
            ["time"] = time,
            ["text"] = text,
            ["row"] = row.DeepClone(),
        };
}
