using System.Text.Json.Nodes;
using Codo.Platform.Cluster;

namespace Codo.Host.Client.Files;

/// <summary>One thing as a file declares it: its kind, its name, and the fields that a person sets.</summary>
internal sealed record Declared(DeclaredKind Kind, string Name, JsonObject Fields)
{
    /// <summary>Where it comes from, for messages.</summary>
    public string Place { get; init; } = "";
}

/// <summary>A kind of things that files can hold: how the server's become files, and how a file becomes the server's.</summary>
internal abstract class DeclaredKind
{
    public static readonly IReadOnlyList<DeclaredKind> All = [new DeclaredJobs(), new DeclaredTemplates(), new DeclaredRules()];

    /// <summary>The word in the file's field <c>kind</c>.</summary>
    public abstract string Word { get; }

    public string Folder => Word + "s";

    /// <summary>The kind as rights call it.</summary>
    public virtual string ResourceKind => Word;

    /// <summary>The field that holds the name.</summary>
    public abstract string NameField { get; }

    /// <summary>Each field with what it is where a file does not have it; null where an absent one is left as it is on the server.</summary>
    public abstract IReadOnlyList<(string Name, JsonNode? Default)> Fields { get; }

    /// <summary>Everything of the kind that the caller may see, every field filled.</summary>
    public abstract Task<List<Declared>> Read(CodoServer server, string? space);

    public abstract Task Make(CodoServer server, Declared wanted);

    public abstract Task Change(CodoServer server, Declared there, Declared wanted);

    public abstract Task Delete(CodoServer server, Declared there);

    /// <summary>Whether a thing of this space is asked for: the server tells no upper case from lower in names of spaces.</summary>
    /// <param name="asked">Null is every space.</param>
    public static bool IsIn(string space, string? asked) => asked is null || string.Equals(space, asked.Trim(), StringComparison.OrdinalIgnoreCase);

    /// <summary>The fields as a file holds them: without those that are as they are by default, in this kind's order.</summary>
    public JsonObject Short(JsonObject fields)
    {
        var form = new JsonObject { ["kind"] = Word };
        foreach (var (name, standard) in Fields)
            if (fields[name] is { } value && value.AsText().Length > 0 && !JsonNode.DeepEquals(value, standard))
                form[name] = value.DeepClone();
        return form;
    }

    /// <summary>A file's fields, every one filled; null for one that is left as it is on the server.</summary>
    /// <exception cref="ClientFailure">It has a field that the kind does not know.</exception>
    public virtual JsonObject Whole(JsonObject file, string place)
    {
        if (file.Select(field => field.Key).FirstOrDefault(name => name != "kind" && Fields.All(field => field.Name != name)) is { } unknown)
            throw new ClientFailure($"{place}: a {Word} has no field {unknown}.");
        var whole = new JsonObject();
        foreach (var (name, standard) in Fields) whole[name] = (file[name] ?? standard)?.DeepClone();
        return whole;
    }

    /// <summary>What is asked for where a file says nothing: as the server has it.</summary>
    public virtual JsonObject Filled(JsonObject wanted, JsonObject there)
    {
        var filled = new JsonObject();
        foreach (var (name, value) in wanted) filled[name] = (value ?? there[name])?.DeepClone();
        if (there["space"] is { } space && IsIn(space.AsText(), filled.Text("space"))) filled["space"] = space.DeepClone();
        return filled;
    }

    /// <summary>Whoever saved after the difference was shown is not overwritten. An older server has no versions.</summary>
    protected static void TakeVersion(JsonObject body, Declared there)
    {
        if (there.Fields["version"] is { } version) body["version"] = version.DeepClone();
    }

    /// <summary>A selector in the form in which the server keeps it; one that does not read is left for the server to refuse.</summary>
    protected static void PutIntoForm(JsonObject row)
    {
        if (row["node"] is { } node && NodeSelector.TryParse(node.AsText(), out var form, out _)) row["node"] = form;
    }
}

/// <summary>Jobs.</summary>
internal sealed class DeclaredJobs : DeclaredKind
{
    private const string Path = "/v1/cron/job/";

    public override string Word => "job";

    public override string NameField => "job_id";

    public override IReadOnlyList<(string Name, JsonNode? Default)> Fields { get; } = [.. JobForm.All, ("paused", null)];

    public override async Task<List<Declared>> Read(CodoServer server, string? space) =>
        [
            .. (await JobForm.Everything(server, ("space", space))).Select(job =>
            {
                var fields = JobForm.Whole(job);
                // Only a pause is declared: an export does not let a job run that somebody paused since.
                // Not by its state: a job that is paused and broken is broken.
                fields["paused"] = job.Text("status") == "1" ? true : null;
                // For the change; no file has it.
                fields["version"] = job["version"]?.DeepClone();
                return new Declared(this, job.Text("job_id"), fields);
            }),
        ];

    /// <summary>Expressions, selectors and lists of secrets are as the server keeps them, or they would differ from it ever after.</summary>
    public override JsonObject Whole(JsonObject file, string place)
    {
        JobForm.DemandTexts(file, "env", place);
        var whole = base.Whole(file, place);
        if (whole["cron"] is JsonValue) whole["cron"] = string.Join(' ', whole.Text("cron").Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
        PutIntoForm(whole);
        if (whole["secret_env"] is JsonArray)
        {
            var names = whole.Texts("secret_env").Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal);
            whole["secret_env"] = new JsonArray([.. names.Select(name => JsonValue.Create(name))]);
        }
        return whole;
    }

    /// <summary>A job that runs has no pause to be declared: <c>paused: false</c> is as it is.</summary>
    public override JsonObject Filled(JsonObject wanted, JsonObject there)
    {
        var filled = base.Filled(wanted, there);
        if (there["paused"] is null && filled.Text("paused") == "false") filled["paused"] = null;
        return filled;
    }

    public override Task Make(CodoServer server, Declared wanted) => JobForm.Save(server, HttpMethod.Post, (JsonObject)wanted.Fields.DeepClone());

    public override async Task Change(CodoServer server, Declared there, Declared wanted)
    {
        var body = JobForm.Changes(there.Fields, wanted.Fields);
        body.Remove("paused");
        // A pause first: what is changed with it never fires; it stays where the change itself is then refused. An end of one last, for the same reason.
        // Neither counts the version on.
        var isPaused = wanted.Fields.IsTrue("paused");
        if (isPaused) await Pause(server, wanted);
        if (body.Count > 0)
        {
            body["job_id"] = wanted.Name;
            TakeVersion(body, there);
            await server.Ask(HttpMethod.Put, Path, body);
        }
        if (!isPaused) await Pause(server, wanted);
    }

    public override Task Delete(CodoServer server, Declared there) => server.Ask(HttpMethod.Delete, Path, new JsonObject { ["job_id"] = there.Name });

    private static async Task Pause(CodoServer server, Declared wanted)
    {
        if (wanted.Fields["paused"] is { } paused)
            await server.Ask(HttpMethod.Patch, Path, new JsonObject { ["job_id"] = wanted.Name, ["paused"] = paused.DeepClone() });
    }
}

/// <summary>Templates with their steps, groups and users.</summary>
internal sealed class DeclaredTemplates : DeclaredKind
{
    private const string Path = "/v2/task_layout/temp/", Details = "/v2/task_layout/details/";

    private static readonly (string Name, JsonNode? Default)[] StepFields =
    [
        ("group", null),
        ("level", null),
        ("command_name", null),
        ("command", null),
        ("args", ""),
        ("trigger", "order"),
        ("exec_user", "root"),
        ("force_host", ""),
        ("run_as", ""),
        ("node", ""),
        ("pty", false),
        ("interpreter", ""),
        ("timeout", 1800),
        ("retries", 0),
        ("retry_delay", 1),
        ("on_error", "stop"),
    ];

    private static readonly (string Name, JsonNode? Default)[] GroupFields = [
        ("group", null),
        ("batch", ""),
        ("batch_pause", 0),
        ("max_failures", 0),
        ("next", "auto")
    ];

    public override string Word => "template";

    public override string NameField => "temp_name";

    public override IReadOnlyList<(string Name, JsonNode? Default)> Fields { get; } =
    [
        ("temp_name", null),
        ("space", null),
        ("temp_args", new JsonArray()),
        ("users", null),
        ("groups", new JsonArray()),
        ("steps", new JsonArray()),
    ];

    public override async Task<List<Declared>> Read(CodoServer server, string? space)
    {
        var found = new List<Declared>();
        foreach (var row in (await server.Get(Path, ("space", space))).Rows("data"))
        {
            var all = await server.Get(Details, ("temp_id", row.Text("temp_id")));
            var steps = all["data"].Rows("temp_list").ToList();
            var fields = new JsonObject
            {
                ["temp_name"] = row.Text("temp_name"),
                ["space"] = all.Text("space"),
                ["temp_args"] = all["temp_args"]?.DeepClone() ?? new JsonArray(),
                ["users"] = all["temp_user"]?.DeepClone() ?? new JsonArray(),
                ["groups"] = new JsonArray([.. all.Rows("groups").Select(group => Some(group, GroupFields)).Where(group => group.Count > 1)]),
                ["steps"] = new JsonArray([.. steps.Select(step => Some(step, StepFields))]),
                // For the change; no file has them.
                ["ids"] = new JsonArray([.. steps.Select(step => step["id"]!.DeepClone())]),
                ["temp_id"] = row["temp_id"]!.DeepClone(),
                ["version"] = all["version"]?.DeepClone(),
            };
            found.Add(new Declared(this, row.Text("temp_name"), fields));
        }
        return found;
    }

    /// <summary>Steps and groups in one order of their fields, without those that are as they are by default.</summary>
    public override JsonObject Whole(JsonObject file, string place)
    {
        var whole = base.Whole(file, place);
        whole["steps"] = Each(whole["steps"], StepFields, place);
        whole["groups"] = new JsonArray(
            [.. Each(whole["groups"], GroupFields, place).OfType<JsonObject>().Where(group => group.Count > 1).Select(group => group.DeepClone())]
        );
        return whole;
    }

    /// <summary>A step that names no <c>run_as</c> keeps the one that the server gave it.</summary>
    public override JsonObject Filled(JsonObject wanted, JsonObject there)
    {
        var filled = base.Filled(wanted, there);
        var present = there.Rows("steps").ToList();
        filled["steps"] = new JsonArray([
            .. filled.Rows("steps").Select(step =>
            {
                var known = present.Find(other => IsSame(other, step));
                if (step["run_as"] is null && known?["run_as"] is { } user) step["run_as"] = user.DeepClone();
                return Some(step, StepFields);
            }),
        ]);
        return filled;
    }

    private static JsonArray Each(JsonNode? list, (string Name, JsonNode? Default)[] fields, string place)
    {
        var each = new JsonArray();
        foreach (var row in (list as JsonArray ?? []).OfType<JsonObject>())
        {
            if (row.Select(field => field.Key).FirstOrDefault(name => fields.All(field => field.Name != name)) is { } unknown)
                throw new ClientFailure($"{place}: a step or group has no field {unknown}.");
            var own = (JsonObject)row.DeepClone();
            own["group"] ??= 1;
            if (fields == StepFields) own["level"] ??= 1;
            PutIntoForm(own);
            each.Add(Some(own, fields));
        }
        return each;
    }

    /// <summary>Whether they are the same step, whatever it does.</summary>
    public static bool IsSame(JsonNode one, JsonNode other) =>
        ((string[])["group", "level", "command_name"]).All(name => JsonNode.DeepEquals(one[name], other[name]));

    public override async Task Make(CodoServer server, Declared wanted)
    {
        var body = new JsonObject { ["temp_name"] = wanted.Name };
        if (wanted.Fields["space"] is { } space) body["space"] = space.DeepClone();
        // No file has a number; an import may.
        if (wanted.Fields["temp_id"] is { } number) body["temp_id"] = number.DeepClone();
        var made = await server.Ask(HttpMethod.Post, Path, body);
        await Fill(server, made["temp_id"]!, null, wanted);
    }

    public override Task Change(CodoServer server, Declared there, Declared wanted) => Fill(server, there.Fields["temp_id"]!, there, wanted);

    public override Task Delete(CodoServer server, Declared there) =>
        server.Ask(HttpMethod.Delete, Path, new JsonObject { ["temp_id"] = there.Fields["temp_id"]!.DeepClone() });

    private static async Task Fill(CodoServer server, JsonNode id, Declared? there, Declared wanted)
    {
        List<(JsonNode Step, JsonNode Id)> present = there is null
            ? []
            : [.. there.Fields["steps"]!.AsArray().Zip(there.Fields["ids"]!.AsArray(), (step, number) => (step!, number!))];
        var steps = new JsonArray();
        foreach (var step in wanted.Fields["steps"]!.AsArray().Select(step => (JsonObject)step!.DeepClone()))
        {
            // A step that is the same in group, level and name stays the same step, with its history.
            var place = present.FindIndex(known => IsSame(known.Step, step));
            foreach (var (name, standard) in StepFields) step[name] ??= standard?.DeepClone();
            if (place >= 0)
            {
                step["id"] = present[place].Id.DeepClone();
                present.RemoveAt(place);
            }
            steps.Add(step);
        }

        var body = new JsonObject
        {
            ["temp_id"] = id.DeepClone(),
            ["new_temp_data"] = steps,
            ["groups"] = new JsonArray([.. wanted.Fields["groups"]!.AsArray().Select(group => group!.DeepClone())]),
            ["temp_args"] = wanted.Fields["temp_args"]!.DeepClone(),
        };
        if (wanted.Fields["space"] is { } space) body["space"] = space.DeepClone();
        if (there is not null) TakeVersion(body, there);
        await server.Ask(HttpMethod.Put, Details, body);
        // The version does not count them: whom somebody added meanwhile would go again, although nothing is asked for here.
        if (wanted.Fields["users"] is { } users && !JsonNode.DeepEquals(users, there?.Fields["users"]))
            await server.Ask(HttpMethod.Patch, Details, new JsonObject { ["temp_id"] = id.DeepClone(), ["new_user_info"] = users.DeepClone() });
    }

    private static JsonObject Some(JsonObject row, (string Name, JsonNode? Default)[] fields)
    {
        var some = new JsonObject();
        foreach (var (name, standard) in fields)
            if (row[name] is { } value && (standard is null || !JsonNode.DeepEquals(value, standard)))
                some[name] = value.DeepClone();
        return some;
    }
}

/// <summary>Alert rules. A channel is named, since its number is another one on every server.</summary>
internal sealed class DeclaredRules : DeclaredKind
{
    private const string Path = "/v2/alerts/rule/";

    public override string Word => "rule";

    public override string ResourceKind => "alert_rule";

    public override string NameField => "name";

    public override IReadOnlyList<(string Name, JsonNode? Default)> Fields { get; } =
    [
        ("name", null),
        ("enabled", true),
        ("priority", 0),
        ("source", ""),
        ("kinds", null),
        ("subject", "*"),
        ("failures", 1),
        ("waits_after", 0),
        ("runs_after", 0),
        ("involved", true),
        ("people", new JsonArray()),
        ("escalation", new JsonArray()),
        ("escalate_after", 900),
        ("repeat_after", 14_400),
        ("channels", new JsonArray()),
        ("space", null),
    ];

    public override async Task<List<Declared>> Read(CodoServer server, string? space)
    {
        var (rules, _) = await server.List(Path, int.MaxValue);
        var channels = (await Channels(server)).ToDictionary(channel => channel.Id, channel => channel.Name);
        return
        [
            .. rules
                .Where(rule => IsIn(rule.Text("space"), space))
                .Select(rule =>
                {
                    var fields = new JsonObject();
                    foreach (var (name, standard) in Fields) fields[name] = (rule[name] ?? standard)?.DeepClone();
                    fields["channels"] = new JsonArray([.. rule.Texts("channels").Select(id => JsonValue.Create(channels.GetValueOrDefault(id, id)))]);
                    fields["rule_id"] = rule["rule_id"]!.DeepClone();
                    return new Declared(this, rule.Text("name"), fields);
                }),
        ];
    }

    /// <summary>The server keeps an empty subject as <c>*</c>.</summary>
    public override JsonObject Whole(JsonObject file, string place)
    {
        var whole = base.Whole(file, place);
        if (whole.Text("subject").Length == 0) whole["subject"] = "*";
        return whole;
    }

    public override async Task Make(CodoServer server, Declared wanted) => await server.Ask(HttpMethod.Post, Path, await Body(server, wanted));

    public override async Task Change(CodoServer server, Declared there, Declared wanted)
    {
        var body = await Body(server, wanted);
        body["rule_id"] = there.Fields["rule_id"]!.DeepClone();
        await server.Ask(HttpMethod.Put, Path, body);
    }

    public override Task Delete(CodoServer server, Declared there) =>
        server.Ask(HttpMethod.Delete, Path, new JsonObject { ["rule_id"] = there.Fields["rule_id"]!.DeepClone() });

    private static async Task<JsonObject> Body(CodoServer server, Declared wanted)
    {
        var body = new JsonObject();
        foreach (var (name, value) in wanted.Fields)
            if (name is not "rule_id" && value is not null)
                body[name] = value.DeepClone();
        var channels = await Channels(server);
        body["channels"] = new JsonArray([
            .. wanted.Fields.Texts("channels").Select(name =>
                channels.FirstOrDefault(channel => channel.Name == name) is { Id.Length: > 0 } channel
                    ? JsonNode.Parse(channel.Id)
                    : throw new ClientFailure($"There is no channel {TerminalText.OneLine(name)}.")
            ),
        ]);
        return body;
    }

    private static async Task<List<(string Id, string Name)>> Channels(CodoServer server) =>
        [.. (await server.List("/v2/alerts/channel/", int.MaxValue)).Rows.Select(row => (row.Text("channel_id"), row.Text("name")))];
}
