using System.Text.Json.Nodes;
using Codo.Host.Client.Files;

namespace Codo.Host.Client.Import;

/// <summary>
/// The library and the templates of a codo-task, by its own API: commands, names of arguments, execute-users (with their keys on request), templates with
/// their steps and users. A template keeps its number where it is free here: hooks hold it.
/// </summary>
internal sealed class CodoTaskLibrary(ClientContext context, CodoServer source, CodoServer server, bool withKeys)
{
    private const string Layout = "/v2/task_layout/";

    /// <summary>Fields of a step that the original has; further ones are Codo's own.</summary>
    private static readonly string[] Theirs = ["group", "level", "command_name", "command", "args", "trigger", "exec_user", "force_host"];

    private readonly List<Entry> entries = [];

    /// <summary>One thing of the library.</summary>
    /// <param name="State">new, unchanged, changes, or refused.</param>
    /// <param name="Note">What is changed on the way, or why it is refused.</param>
    private sealed record Entry(string Kind, string Name, string State, string Note, Func<Task>? Make);

    /// <summary>Answers the exit code: 1 where the server refused something.</summary>
    public async Task<int> Run(bool apply, string? format)
    {
        await Commands();
        await Arguments();
        await ExecuteUsers();
        await Templates();
        var rows = entries
            .Select(entry => new JsonObject { ["kind"] = entry.Kind, ["name"] = entry.Name, ["state"] = entry.State, ["note"] = entry.Note })
            .ToList();
        Printer.List(
            context,
            format,
            rows,
            "library",
            row => row.Text("name"),
            new("KIND", row => row.Text("kind")),
            new("NAME", row => row.Text("name"), Shrinks: true),
            new("IN CODO", row => row.Text("state"), Color: word => word == "refused" ? Colors.Red : word == "unchanged" ? null : Colors.Green),
            new("NOTE", row => row.Text("note"), Shrinks: true)
        );
        return apply ? await Apply() : Summary();
    }

    private int Summary()
    {
        context.Error.WriteLine(
            $"{Count("new")} new, {Count("changes")} changed, {Count("unchanged")} unchanged, {Count("refused")} refused. --apply makes them."
        );
        return ExitCodes.Done;
    }

    private async Task<int> Apply()
    {
        var failed = 0;
        foreach (var entry in entries.Where(entry => entry.Make is not null))
        {
            try
            {
                await entry.Make!();
            }
            catch (CodoServer.Refused refused)
            {
                failed++;
                context.Error.WriteLine($"{entry.Kind} {entry.Name}: {refused.Message}");
            }
            catch (ClientFailure)
            {
                context.Error.WriteLine($"{entry.Kind} {entry.Name} may have been made or not, and nothing after it was: import it once more.");
                throw;
            }
        }
        context.Error.WriteLine(
            $"{Count("new")} new, {Count("changes")} changed, {Count("unchanged")} unchanged, {Count("refused")} refused, {failed} refused by the server."
        );
        return failed > 0 ? ExitCodes.Failed : ExitCodes.Done;
    }

    private int Count(string state) => entries.Count(entry => entry.State == state);

    private Task Commands() => Plain("command", "command/", "command_name", "command_id", ["command", "args", "force_host"]);

    private Task Arguments() => Plain("argument", "args/", "args_name", "args_id", ["args_self"]);

    private async Task Plain(string kind, string path, string nameField, string idField, string[] fields)
    {
        var here = await Rows(server, path);
        foreach (var row in await Rows(source, path))
        {
            var name = row.Text(nameField);
            var known = here.FirstOrDefault(other => other.Text(nameField).Equals(name, StringComparison.OrdinalIgnoreCase));
            var body = new JsonObject { [nameField] = name };
            foreach (var field in fields) body[field] = row.Text(field);
            if (known is not null && fields.All(field => known.Text(field) == row.Text(field))) entries.Add(new Entry(kind, name, "unchanged", "", null));
            else if (known is null) entries.Add(new Entry(kind, name, "new", "", () => server.Ask(HttpMethod.Post, Layout + path, body)));
            else
            {
                body[idField] = known[idField]!.DeepClone();
                entries.Add(new Entry(kind, name, "changes", "", () => server.Ask(HttpMethod.Put, Layout + path, body)));
            }
        }
    }

    private async Task ExecuteUsers()
    {
        var here = await Rows(server, "user/");
        foreach (var row in await Rows(source, "user/"))
        {
            var name = row.Text("alias_user");
            var key = row.Text("user_key");
            if (here.Any(other => other.Text("alias_user") == name)) entries.Add(
                new Entry("execute-user", name, "unchanged", "It is here; its key stays as it is.", null)
            );
            else if (!withKeys) entries.Add(new Entry("execute-user", name, "refused", "It needs its private key: --with-keys brings it along.", null));
            else if (!key.Contains("PRIVATE KEY", StringComparison.Ordinal))
                entries.Add(
                    new Entry(
                        "execute-user",
                        name,
                        "refused",
                        key.Length == 0 ? "It has no key, and passwords are not taken." : "The old one does not give its key.",
                        null
                    )
                );
            else
                entries.Add(
                    new Entry(
                        "execute-user",
                        name,
                        "new",
                        "with its private key",
                        () =>
                            server.Ask(
                                HttpMethod.Post,
                                Layout + "user/",
                                new JsonObject
                                {
                                    ["alias_user"] = name,
                                    ["exec_user"] = row.Text("exec_user"),
                                    ["ssh_port"] = row.Number("ssh_port") ?? 22,
                                    ["user_key"] = key,
                                    ["remarks"] = row.Text("remarks"),
                                }
                            )
                    )
                );
        }
    }

    private async Task Templates()
    {
        var kind = DeclaredKind.All.OfType<DeclaredTemplates>().Single();
        var here = await kind.Read(server, null);
        foreach (var row in await Rows(source, "temp/"))
        {
            var (id, name) = (row.Text("temp_id"), row.Text("temp_name"));
            var details = await source.Get(Layout + "details/", ("temp_id", id));
            var wanted = new Declared(kind, name, kind.Whole(Fields(details, name), name));
            if (wanted.Fields["steps"]!.AsArray().Count == 0)
            {
                entries.Add(new Entry("template", name, "refused", "It has no steps.", null));
                continue;
            }

            var known = here.FirstOrDefault(other => other.Name == name);
            var alone = known is null ? [] : Alone(known.Fields, wanted.Fields);
            var stay = alone.Count == 0 ? "" : $"Users here alone, who stay: {string.Join(", ", alone)}. ";
            if (known is not null) KeepOwn(known.Fields, wanted.Fields);
            var difference = known is null ? null : DeclaredDifference.Between([known], [wanted], prune: false).SingleOrDefault();
            if (known is null)
            {
                var isTaken = here.Any(other => other.Fields.Text("temp_id") == id);
                if (!isTaken) wanted.Fields["temp_id"] = JsonNode.Parse(id);
                var note = isTaken ? $"The number {id} is taken here: hooks that hold it need another one." : $"It keeps its number {id}.";
                entries.Add(new Entry("template", name, "new", note, () => kind.Make(server, wanted)));
            }
            else if (difference is null) entries.Add(new Entry("template", name, "unchanged", stay.TrimEnd(), null));
            else
                entries.Add(
                    new Entry(
                        "template",
                        name,
                        "changes",
                        (known.Fields.Text("temp_id") == id ? "" : $"Its number is {known.Fields.Text("temp_id")} here and {id} there. ")
                            + stay
                            + $"Changed: {string.Join(", ", Changes(known.Fields, difference.Wanted!.Fields))}.",
                        () => kind.Change(server, known, difference.Wanted!)
                    )
                );
        }
    }

    // What the original does not have was set here, and another import leaves it; people who were added here stay as well.
    private static void KeepOwn(JsonObject here, JsonObject wanted)
    {
        foreach (var field in (string[])["temp_args", "groups"]) wanted[field] = null;
        var users = here.Texts("users").ToList();
        users.AddRange(wanted.Texts("users").Where(user => !users.Exists(other => IdOf(other) == IdOf(user))));
        wanted["users"] = new JsonArray([.. users.Select(user => JsonValue.Create(user))]);
        var (left, open) = (here.Rows("steps").ToList(), wanted.Rows("steps").ToList());
        open.RemoveAll(step => IsKept(step, other => DeclaredTemplates.IsSame(other, step)));
        // A step that came before them over there has counted the levels of those behind it on.
        open.RemoveAll(step => IsKept(step, other => IsAlike(other, step)));

        bool IsKept(JsonObject step, Predicate<JsonObject> isSame)
        {
            var place = left.FindIndex(isSame);
            if (place < 0) return false;
            foreach (var (name, value) in left[place])
                if (!Theirs.Contains(name))
                    step[name] = value?.DeepClone();
            left.RemoveAt(place);
            return true;
        }

        static bool IsAlike(JsonObject one, JsonObject other) =>
            ((string[])["group", "command_name"]).All(name => JsonNode.DeepEquals(one[name], other[name]));
    }

    // Added here, or taken off over there: which of the two nobody can tell.
    private static List<string> Alone(JsonObject here, JsonObject wanted)
    {
        var there = wanted.Texts("users").Select(IdOf).ToHashSet(StringComparer.Ordinal);
        return [.. here.Texts("users").Where(user => !there.Contains(IdOf(user))).Select(user => user.Split(",,,")[^1])];
    }

    private static string IdOf(string user) => user.Split(",,,")[0];

    private static List<string> Changes(JsonObject here, JsonObject wanted)
    {
        var (changes, left) = (new List<string>(), here.Rows("steps").ToList());
        foreach (var step in wanted.Rows("steps"))
        {
            var place = left.FindIndex(other => DeclaredTemplates.IsSame(other, step));
            if (place < 0) changes.Add($"step {step.Text("command_name")} is new");
            else
            {
                if (!JsonNode.DeepEquals(left[place], step)) changes.Add($"step {step.Text("command_name")}");
                left.RemoveAt(place);
            }
        }
        changes.AddRange(left.Select(step => $"step {step.Text("command_name")} goes"));
        if (!JsonNode.DeepEquals(here["users"], wanted["users"])) changes.Add("users");
        return changes.Count > 0 ? changes : ["the order of its steps"];
    }

    // The original's steps have none of Codo's own fields, and numbers as numbers or as text.
    private static JsonObject Fields(JsonObject details, string name)
    {
        var steps = details["data"].Rows("temp_list").Select(step =>
        {
            var own = new JsonObject
            {
                ["group"] = step.Number("group") ?? 1,
                ["level"] = step.Number("level") ?? 1,
                ["command_name"] = step.Text("command_name"),
                ["command"] = step.Text("command"),
            };
            foreach (var (field, standard) in (ReadOnlySpan<(string, string)>)[("args", ""), ("trigger", "order"), ("exec_user", ""), ("force_host", "")])
                if (step.Text(field) is { Length: > 0 } text && text != standard)
                    own[field] = text;
            return own;
        });
        var users = details.Texts("temp_user").Concat(details["data"].Texts("temp_user")).Where(
            user => user.Contains(",,,", StringComparison.Ordinal)
        ).Distinct();
        return new JsonObject
        {
            ["temp_name"] = name,
            ["steps"] = new JsonArray([.. steps.OrderBy(step => step.Number("group")).ThenBy(step => step.Number("level"))]),
            ["users"] = new JsonArray([.. users.Select(user => JsonValue.Create(user))]),
        };
    }

    private static async Task<List<JsonObject>> Rows(CodoServer of, string path) =>
        [.. (await of.Get(Layout + path, ("page", 1), ("limit", 1000))).Rows("data")];
}
