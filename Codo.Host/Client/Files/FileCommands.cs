using System.CommandLine;
using Codo.Host.Client.Import;

namespace Codo.Host.Client.Files;

/// <summary><c>codo export|diff|apply DIRECTORY</c>: jobs, templates and rules as YAML for Git.</summary>
internal static class FileCommands
{
    public static Command Export(ClientContext context)
    {
        var (directory, space, kinds) = (Place(), Space(), Kinds());
        var command = new Command(
            "export",
            "Write jobs, templates and rules as YAML files, one a file."
        ) { directory, space, kinds, CrontabExport.Command(context) };
        return command.Calls(
            context,
            async (server, parsed) =>
            {
                var (place, within, words) = (parsed.GetRequiredValue(directory), parsed.GetValue(space), parsed.GetValue(kinds) ?? []);
                var all = await There(server, within, words);
                var written = DeclaredFiles.Write(place, all);
                var (removed, kept) = await new ExportScope(server, within, words).Clean(place, all);
                context.Error.WriteLine($"{all.Count} in {place}: {written} written, {removed} removed.");
                if (kept > 0) context.Warn($"{kept} more stay: their things are gone, or you may not see them.");
            }
        );
    }

    public static Command Diff(ClientContext context)
    {
        var (directory, space, prune) = (Place(), Space(), Prune());
        return new Command("diff", "Show what apply would change; ends with 2 where something differs.") { directory, space, prune }.Calls(
            context,
            async (server, parsed, _) =>
            {
                var differences = await Differences(server, parsed.GetRequiredValue(directory), parsed.GetValue(space), parsed.GetValue(prune));
                foreach (var difference in differences) difference.Show(context);
                return differences.Count > 0 ? ExitCodes.Differs : ExitCodes.Done;
            }
        );
    }

    public static Command Apply(ClientContext context)
    {
        var (directory, space, prune) = (Place(), Space(), Prune());
        var yes = new Option<bool>("--yes", "-y") { Description = "Change it without asking; needed where nobody can be asked." };
        return new Command("apply", "Make the server as the files are, after showing the difference.") { directory, space, prune, yes }.Calls(
            context,
            async (server, parsed, _) =>
            {
                var differences = await Differences(server, parsed.GetRequiredValue(directory), parsed.GetValue(space), parsed.GetValue(prune));
                foreach (var difference in differences) difference.Show(context);
                if (differences.Count == 0)
                {
                    context.Error.WriteLine("Nothing differs.");
                    return ExitCodes.Done;
                }

                if (!parsed.GetValue(yes) && !context.Confirm($"Change {differences.Count}?"))
                {
                    context.Error.WriteLine("Nothing was changed: --yes changes it without asking.");
                    return ExitCodes.Differs;
                }
                return await Change(context, server, differences);
            }
        );
    }

    private static async Task<int> Change(ClientContext context, CodoServer server, List<DeclaredDifference> differences)
    {
        var (changed, failed) = (0, 0);
        foreach (var difference in differences)
        {
            try
            {
                await (difference switch
                {
                    { There: null } => difference.Wanted!.Kind.Make(server, difference.Wanted),
                    { Wanted: null } => difference.There.Kind.Delete(server, difference.There),
                    _ => difference.Wanted.Kind.Change(server, difference.There, difference.Wanted),
                });
                changed++;
            }
            catch (Exception failure) when (failure is CodoServer.Refused or ClientFailure { ExitCode: ExitCodes.Failed })
            {
                // Also one that names what this server does not have, such as a channel, keeps none of the others from being changed.
                failed++;
                context.Error.WriteLine($"{difference.Either.Place}: {difference.Either.Kind.Word} {difference.Either.Name}: {failure.Message}");
            }
            catch (ClientFailure)
            {
                // The server is away: how far it got is said before why it goes no further.
                var left = differences.Count - changed - failed - 1;
                context.Error.WriteLine($"{changed} changed, {failed} refused, {left} not tried; {difference.Either.Name} may have been changed or not.");
                throw;
            }
        }
        context.Error.WriteLine($"{changed} changed{(failed > 0 ? $", {failed} refused" : "")}.");
        return failed > 0 ? ExitCodes.Failed : ExitCodes.Done;
    }

    private static async Task<List<DeclaredDifference>> Differences(CodoServer server, string directory, string? space, bool prune)
    {
        var wanted = DeclaredFiles.Read(directory);
        var kinds = wanted.Select(one => one.Kind.Word).Distinct().ToArray();
        if (kinds.Length == 0) kinds = ["none"];
        var there = await There(server, space, kinds);
        // Where the things are of files that do not say so.
        var everywhere = space is null || wanted.TrueForAll(one => one.Fields.Text("space").Length > 0) ? there : await There(server, null, kinds);
        return DeclaredDifference.Between(there, wanted.Where(IsAsked).ToList(), prune);

        // A file that names no space means the one in which the thing is, and default where there is none yet.
        bool IsAsked(Declared one)
        {
            var place = one.Fields.Text("space");
            if (place.Length == 0) place = everywhere.Find(other => other.Kind == one.Kind && other.Name == one.Name)?.Fields.Text("space") ?? "";
            return DeclaredKind.IsIn(place.Length == 0 ? "default" : place, space);
        }
    }

    private static async Task<List<Declared>> There(CodoServer server, string? space, string[] kinds)
    {
        var all = new List<Declared>();
        foreach (var kind in DeclaredKind.All.Where(kind => kinds.Length == 0 || kinds.Contains(kind.Word))) all.AddRange(await kind.Read(server, space));
        return all;
    }

    private static Argument<string> Place() => new("DIRECTORY") { Description = "The directory of the files." };

    private static Option<string?> Space() => new("--space") { Description = "Only what is in this space.", HelpName = "NAME" };

    private static Option<bool> Prune() => new("--prune") { Description = "What the files do not have goes, of the kinds and in the spaces that they have." };

    private static Option<string[]> Kinds()
    {
        var kinds = new Option<string[]>("--kind") { Description = "Only job, template or rule; may be repeated.", HelpName = "KIND" };
        kinds.AcceptOnlyFromAmong([.. DeclaredKind.All.Select(kind => kind.Word)]);
        return kinds;
    }
}
