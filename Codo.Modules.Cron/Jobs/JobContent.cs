using System.Text.Json;
using System.Text.Json.Nodes;
using Codo.Modules.Cron.Executions;
using Codo.Platform.Http;
using Codo.Platform.Security;

namespace Codo.Modules.Cron.Jobs;

/// <summary>What a version of a job says, by the names that fields have in the API.</summary>
internal sealed class JobContent
{
    private static readonly string[] BeforeEnv =
    [
        "cmd", "cron", "time_zone", "timeout", "overlap", "misfire", "misfire_window", "retries", "retry_delay",
    ];

    private static readonly string[] AfterEnv = ["working_directory", "interpreter", "encoding", "run_as", "node", "description", "tags", "owners"];

    private readonly Dictionary<string, string> env;

    private JobContent(JsonObject fields, JobVariables? variables, Dictionary<string, string> env, string space)
    {
        (Variables, this.env) = (variables, env);
        foreach (var name in BeforeEnv) Shown[name] = fields[name]?.DeepClone();
        Shown["env"] = JsonSerializer.SerializeToNode(env, Json.Stored);
        Shown["secret_env"] = JsonSerializer.SerializeToNode(variables?.Marked ?? [], Json.Stored);
        foreach (var name in AfterEnv) Shown[name] = fields[name]?.DeepClone();
        // Versions before selectors ran on every node.
        Shown["node"] ??= "";
        Shown["space"] = space;
    }

    /// <summary>Its environment; null when it does not read.</summary>
    public JobVariables? Variables { get; }

    /// <summary>As answers have it, with secret values masked.</summary>
    public JsonObject Shown { get; } = [];

    /// <param name="marked">Names that other versions mark as secrets: a value that was marked later is hidden in the versions before, too.</param>
    public static JobContent Of(JobVersion version, IEnumerable<string> marked, JobEnvironment environments, Access access)
    {
        var fields = Parse(version.Content);
        var variables = environments.TryOpen(version.Env);
        var masked = environments.Masked((variables ?? JobVariables.None) with { Marked = [.. (variables?.Marked ?? []).Union(marked)] });
        var space = fields["space_id"] is JsonValue number && number.TryGetValue<long>(out var id) ? access.NameOf(id) : "";
        return new JobContent(fields, variables, masked, space);
    }

    /// <summary>The fields that differ. Variables are compared by their values, and shown masked.</summary>
    public List<FieldDifference> Since(JobContent old)
    {
        var found = new List<FieldDifference>();
        foreach (var one in FieldDifference.Between(Without(old.Shown), Without(Shown)))
            found.Add(one);
        var (before, now) = (old.Variables?.Values ?? JobVariables.None.Values, Variables?.Values ?? JobVariables.None.Values);
        foreach (var name in now.Keys.Union(before.Keys).Where(name => before.GetValueOrDefault(name) != now.GetValueOrDefault(name)))
            found.Add(new FieldDifference("env." + name, old.env.GetValueOrDefault(name), env.GetValueOrDefault(name)));
        return found;
    }

    /// <summary>A text of the content; null where it is damaged.</summary>
    public string? Text(string name) => Shown[name] is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;

    /// <summary>The same of a number.</summary>
    public int? Number(string name) => Shown[name] is JsonValue value && value.TryGetValue<int>(out var number) ? number : null;

    /// <summary>The same of a list of texts.</summary>
    public string[]? Words(string name) =>
        Shown[name] is JsonArray list && list.All(item => item is JsonValue value && value.TryGetValue<string>(out _))
            ? [.. list.Select(item => (string)item!)]
            : null;

    private static JsonObject Without(JsonObject shown)
    {
        var rest = (JsonObject)shown.DeepClone();
        rest.Remove("env");
        return rest;
    }

    // A damaged row has no fields.
    private static JsonObject Parse(string? content)
    {
        try
        {
            return JsonNode.Parse(content ?? "") as JsonObject ?? [];
        }
        catch (JsonException)
        {
            return [];
        }
    }
}
