using System.Text.Json;
using System.Text.Json.Nodes;

namespace Codo.Host.Client;

/// <summary>The fields of a job that a person sets, as files and editors show them.</summary>
internal static class JobForm
{
    private const string Path = "/v1/cron/job/";

    /// <summary>Each with what it is where a file does not have it; null where an absent one is left as it is on the server.</summary>
    public static readonly (string Name, JsonNode? Default)[] All =
    [
        ("job_id", null),
        ("cmd", null),
        ("cron", null),
        ("time_zone", null),
        ("description", ""),
        ("run_as", null),
        ("node", ""),
        ("working_directory", ""),
        ("interpreter", ""),
        ("encoding", "utf-8"),
        ("env", new JsonObject()),
        ("secret_env", new JsonArray()),
        ("timeout", 0),
        ("overlap", "skip"),
        ("misfire", "once"),
        ("misfire_window", 60),
        ("retries", 0),
        ("retry_delay", 10),
        ("tags", new JsonArray()),
        ("owners", new JsonArray()),
        ("space", null),
    ];

    /// <summary>Every field, as the server has it.</summary>
    public static JsonObject Whole(JsonObject job)
    {
        var form = new JsonObject();
        foreach (var (name, standard) in All) form[name] = (job[name] ?? standard)?.DeepClone();
        return form;
    }

    /// <summary>All jobs of a list, by name, each whole: the list cuts long texts.</summary>
    public static async Task<List<JsonObject>> Everything(CodoServer server, params (string Name, object? Value)[] query)
    {
        var jobs = await server.ListByName(Path, "job_id", query);
        for (var place = 0; place < jobs.Count; place++)
            if (IsCut(jobs[place])) jobs[place] = (await server.Get(Path, ("job_id", jobs[place].Text("job_id")))).Rows("data").First();
        return jobs;
    }

    /// <summary>Commands would get a number as YAML reads it: 1.10 as 1.1, 0012345 as 12345.</summary>
    /// <param name="field">The one whose values are texts, by name.</param>
    /// <exception cref="ClientFailure">A value is no text.</exception>
    public static void DemandTexts(JsonObject of, string field, string place, int exitCode = ExitCodes.Failed)
    {
        foreach (var (name, value) in of[field] as JsonObject ?? [])
            if (value?.GetValueKind() != JsonValueKind.String)
                throw new ClientFailure($"{place}: {field}.{TerminalText.OneLine(name)} is no text: put it in quotes.", exitCode);
    }

    /// <summary>Makes or changes a job. One that is to be paused never fires: it is made paused.</summary>
    public static async Task Save(CodoServer server, HttpMethod method, JsonObject body)
    {
        var answer = await server.Ask(method, Path, body);
        // A server of before does not know the field, and has made it live.
        if (method == HttpMethod.Post && body.IsTrue("paused") && !answer.IsTrue("paused"))
            await server.Ask(HttpMethod.Patch, Path, new JsonObject { ["job_id"] = body.Text("job_id"), ["paused"] = true });
    }

    /// <summary>The fields of <paramref name="after"/> that differ; what it does not have is left.</summary>
    public static JsonObject Changes(JsonObject before, JsonObject after)
    {
        var changes = new JsonObject();
        foreach (var (name, value) in after)
            if (!JsonNode.DeepEquals(before[name], value))
                changes[name] = value?.DeepClone() ?? Standard(name)?.DeepClone();
        return changes;
    }

    private static bool IsCut(JsonObject job) =>
        (job["env"] as JsonObject ?? []).Select(pair => pair.Value.AsText()).Append(job.Text("cmd")).Append(job.Text("description"))
            .Any(text => text.Contains("… (+", StringComparison.Ordinal));

    private static JsonNode? Standard(string name) => All.FirstOrDefault(field => field.Name == name).Default;
}
