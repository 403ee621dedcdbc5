using System.CommandLine;
using System.Text.Json.Nodes;

namespace Codo.Host.Client;

/// <summary><c>codo incident …</c>.</summary>
internal static class IncidentCommands
{
    private const string Path = "/v2/alerts/incident/";

    public static Command Command(ClientContext context) =>
        new("incident", "Incidents: what went wrong, and who looks after it.") { List(context), Acknowledge(context) };

    private static Command List(ClientContext context)
    {
        var state = new Option<string>("--state", "-s") { Description = "open, acknowledged, resolved or all.", DefaultValueFactory = _ => "open" };
        state.AcceptOnlyFromAmong("open", "acknowledged", "resolved", "all");
        var subject = new Option<string?>("--subject") { Description = "Only of this job, or of orders of this type.", HelpName = "NAME" };
        var order = new Option<long?>("--order") { Description = "Only of this order.", HelpName = "ID" };
        var (limit, format) = (ClientOptions.Limit(), Printer.Format());
        return new Command("list", "List incidents, the newest first.") { state, subject, order, limit, format }.Calls(
            context,
            async (server, parsed) =>
            {
                var word = parsed.GetValue(state);
                var (rows, count) = await server.List(
                    Path,
                    parsed.GetValue(limit),
                    ("state", word == "all" ? null : word),
                    ("subject", parsed.GetValue(subject)),
                    ("list_id", parsed.GetValue(order))
                );
                Printer.List(
                    context,
                    parsed.GetValue(format),
                    rows,
                    "incidents",
                    row => row.Text("id"),
                    new("ID", row => row.Text("id")),
                    new("STATE", row => row.Text("state"), Color: Colors.OfStatus),
                    new("KIND", row => row.Text("kind"), Color: Colors.OfStatus),
                    new("TIMES", row => row.Text("count")),
                    new("LAST", row => row.Text("last_time")),
                    new("FIRST", row => row.Text("first_time"), Wide: true),
                    new("ACKNOWLEDGED BY", row => row.Text("acknowledger"), Wide: true),
                    new("URL", row => row.Text("url"), Wide: true),
                    new("TITLE", row => row.Text("title"), Shrinks: true)
                );
                ClientOptions.TellRest(context, rows.Count, count, "incidents");
            }
        );
    }

    private static Command Acknowledge(ClientContext context)
    {
        var ids = new Argument<long[]>("ID") { Description = "The incidents' numbers.", Arity = ArgumentArity.OneOrMore };
        var resolve = new Option<bool>("--resolve") { Description = "Resolve them instead." };
        return new Command("ack", "Acknowledge incidents: nobody else is told of them.") { ids, resolve }.Calls(
            context,
            (server, parsed, _) =>
                context.Each(
                    parsed.GetRequiredValue(ids),
                    async id =>
                    {
                        var body = new JsonObject { ["id"] = id, ["action"] = parsed.GetValue(resolve) ? "resolve" : "acknowledge" };
                        return $"Incident {id} is {(await server.Ask(HttpMethod.Patch, Path, body)).Text("state")}.";
                    }
                )
        );
    }
}
