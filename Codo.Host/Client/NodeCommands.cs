using System.CommandLine;
using System.Text.Json.Nodes;

namespace Codo.Host.Client;

/// <summary><c>codo node …</c>.</summary>
internal static class NodeCommands
{
    private const string Path = "/v2/nodes/";

    public static Command Command(ClientContext context) =>
        new("node", "Nodes: who is there, and who takes work (superusers).") { List(context), Drain(context), Undrain(context), Forget(context) };

    private static Command List(ClientContext context)
    {
        var format = Printer.Format();
        return new Command("list", "List the nodes.") { format }.Calls(
            context,
            async (server, parsed) =>
                Printer.List(
                    context,
                    parsed.GetValue(format),
                    [.. (await server.Get(Path)).Rows("data")],
                    "nodes",
                    row => row.Text("name"),
                    new("NAME", row => row.Text("name")),
                    new("STATE", row => row.Text("state"), Color: Colors.OfStatus),
                    new("WORK", row => row.Text("drained_at").Length > 0 ? "drained" : "takes work"),
                    new("RUNNING", row => row.Text("running")),
                    new("TAGS", row => string.Join(',', row.Texts("tags"))),
                    new("ROLES", row => string.Join(',', row.Texts("roles")), Wide: true),
                    new("HEARTBEAT", row => row.Text("heartbeat_at")),
                    new("VERSION", row => row.Text("version"), Wide: true),
                    new("DRAINED BY", row => row.Text("drained_by"), Wide: true),
                    new("MACHINE", row => row.Text("machine"), Shrinks: true)
                )
        );
    }

    private static Command Drain(ClientContext context)
    {
        var name = Name();
        return new Command("drain", "Let a node take no new work; what runs there goes on.") { name }.Calls(
            context,
            async (server, parsed) =>
            {
                var answer = await server.Post(Path + "drain/", new JsonObject { ["name"] = parsed.GetRequiredValue(name) });
                context.Output.WriteLine($"{answer.Text("name")} is drained; {answer.Text("running")} runs and lanes go on there.");
            }
        );
    }

    private static Command Undrain(ClientContext context)
    {
        var name = Name();
        return new Command("undrain", "Let a drained node take work again.") { name }.Calls(
            context,
            async (server, parsed) =>
            {
                await server.Post(Path + "undrain/", new JsonObject { ["name"] = parsed.GetRequiredValue(name) });
                context.Output.WriteLine($"{parsed.GetRequiredValue(name)} takes work again.");
            }
        );
    }

    private static Command Forget(ClientContext context)
    {
        var name = Name();
        return new Command("forget", "Take a node that is gone for good off the list.") { name }.Calls(
            context,
            async (server, parsed) =>
            {
                await server.Delete(Path, new JsonObject { ["name"] = parsed.GetRequiredValue(name) });
                context.Output.WriteLine($"{parsed.GetRequiredValue(name)} is forgotten.");
            }
        );
    }

    private static Argument<string> Name() => new("NAME") { Description = "The node's name." };
}
