using System.CommandLine;
using System.Text.Json.Nodes;

namespace Codo.Host.Client;

/// <summary><c>codo release</c>: lets a restored installation go on.</summary>
internal static class ReleaseCommand
{
    public static Command Command(ClientContext context)
    {
        var yes = new Option<bool>("--yes", "-y") { Description = "Release it without asking; needed where nobody can be asked." };
        return new Command("release", "Let an installation go on that is held after a restore (superusers).") { yes }.Calls(
            context,
            async (server, parsed) =>
            {
                var hold = await server.Get("/v2/hold/");
                if (!hold.IsTrue("held"))
                {
                    context.Output.WriteLine("Nothing is held.");
                    return;
                }
                context.Output.WriteLine($"{hold.Text("detail")}.");
                if (!parsed.GetValue(yes) && !context.Confirm("Schedules, orders and alerts go on from here. Release it?"))
                    throw new ClientFailure("It stays held. --yes releases it without asking.", ExitCodes.Usage);
                context.Output.WriteLine($"{(await server.Post("/v2/hold/release/", new JsonObject())).Text("msg")}.");
            }
        );
    }
}
