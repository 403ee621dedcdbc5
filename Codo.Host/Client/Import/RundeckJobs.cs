using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using System.Xml;
using System.Xml.Linq;

namespace Codo.Host.Client.Import;

/// <summary>
/// Jobs of Rundeck, from its exports in YAML and XML. A job becomes one job here, whose command runs the steps one after another; where it names nodes the
/// command reaches them by ssh, as Rundeck does.
/// </summary>
internal static partial class RundeckJobs
{
    private static readonly Dictionary<string, string> Weekdays = new(StringComparer.OrdinalIgnoreCase)
    {
        ["sun"] = "1",
        ["mon"] = "2",
        ["tue"] = "3",
        ["wed"] = "4",
        ["thu"] = "5",
        ["fri"] = "6",
        ["sat"] = "7",
    };

    /// <param name="name">The file, for messages.</param>
    public static List<ImportItem> Read(string name, string text, TimeZoneInfo zone)
    {
        var jobs = text.TrimStart('\uFEFF', ' ', '\n', '\r', '\t').StartsWith('<') ? FromXml(name, text) : FromYaml(name, text);
        return jobs.Count == 0 ? throw new ClientFailure($"{name} has no jobs.") : [.. jobs.Select((job, place) => Job(job, place + 1, zone))];
    }

    private static List<JsonObject> FromYaml(string name, string text) =>
        [.. Yaml.Read(name, text).SelectMany(document => document as JsonArray ?? [document?.DeepClone()]).OfType<JsonObject>()];

    private static List<JsonObject> FromXml(string name, string text)
    {
        try
        {
            using var reader = XmlReader.Create(new StringReader(text.TrimStart('\uFEFF')), new XmlReaderSettings { DtdProcessing = DtdProcessing.Prohibit });
            return [.. XDocument.Load(reader).Root!.DescendantsAndSelf("job").Select(RundeckXml.Job)];
        }
        catch (XmlException failure)
        {
            throw new ClientFailure($"{name}:{failure.LineNumber}: {TerminalText.OneLine(failure.Message)}");
        }
    }

    private static ImportItem Job(JsonObject job, int place, TimeZoneInfo machine)
    {
        var full = (job.Text("group") is { Length: > 0 } group ? group.Trim('/') + "/" : "") + job.Text("name");
        var item = new ImportItem($"job {place}", full) { IsPaused = job.Text("scheduleEnabled") == "false" || job.Text("executionEnabled") == "false" };
        try
        {
            var changes = new List<string>();
            var zone = job.Text("timeZone") is not { Length: > 0 } named ? machine
                : TimeZoneInfo.TryFindSystemTimeZoneById(named, out var own) ? own
                : throw new FormatException($"{named} is no time zone of this machine.");
            if (job["schedule"] is not JsonObject times) return item with { Refused = "It has no schedule: it was started by hand." };
            var (cron, schedule, changed) = QuartzSchedule.Read(Quartz(times), zone);
            changes.AddRange(changed);
            var (env, secrets) = Options(job, changes);
            var made = new JsonObject
            {
                ["job_id"] = ImportName.Of(job.Text("name").Replace(' ', '-'), job.Text("uuid") is { Length: > 0 } uuid ? uuid : full),
                ["cmd"] = Command(job, env, secrets.Count > 0, changes),
                ["cron"] = cron,
                ["time_zone"] = zone.Id,
                ["description"] = string.Join('\n', new[] { full, job.Text("description") }.Where(line => line.Length > 0).Distinct()),
                ["tags"] = new JsonArray("rundeck"),
                ["overlap"] = job.Text("multipleExecutions") == "true" ? "allow" : "skip",
            };
            if (Seconds(job.Text("timeout")) is { } timeout) made["timeout"] = timeout;
            if (Retries(job) is var (count, delay) && count > 0)
            {
                made["retries"] = count;
                if (delay > 0) made["retry_delay"] = delay;
            }
            if (env.Count > 0) made["env"] = env;
            if (secrets.Count > 0) made["secret_env"] = secrets;
            if (job["notification"] is JsonObject or JsonArray) changes.Add("Its notifications are alert rules here.");
            return item with { Job = made, Schedule = schedule, Changes = changes };
        }
        catch (FormatException wrong)
        {
            return item with { Refused = wrong.Message };
        }
    }

    // Either an expression of Quartz, or its fields by name.
    private static string Quartz(JsonObject times)
    {
        if (times.Text("crontab") is { Length: > 0 } crontab) return crontab.Trim();
        // 03 is 3.
        string Or(string? text, string other) =>
            string.IsNullOrEmpty(text) ? other
            : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number.ToString(CultureInfo.InvariantCulture)
            : text;
        var time = times["time"];
        var month = times["month"] is JsonObject inner ? Or(inner.Text("month"), "*") : Or(times.Text("month"), "*");
        var weekday = times["weekday"].Text("day") is { Length: > 0 } day
            ? string.Join(',', day.Split(',').Select(word => Weekdays.GetValueOrDefault(word.Trim(), word.Trim())))
            : "";
        var days = times["dayofmonth"].Text("day") is { Length: > 0 } dates ? dates : times["month"].Text("day");
        var isByDay = days.Length > 0 && days != "?";
        return string.Join(
            ' ',
            Or(time.Text("seconds"), "0"),
            Or(time.Text("minute"), "0"),
            Or(time.Text("hour"), "0"),
            isByDay ? days : "?",
            month,
            isByDay ? "?" : Or(weekday, "*"),
            Or(times.Text("year"), "*")
        );
    }

    // Options with their default values, as the variables that Rundeck gives to a script.
    private static (JsonObject Variables, JsonArray Secrets) Options(JsonObject job, List<string> changes)
    {
        var (variables, secrets) = (new JsonObject(), new JsonArray());
        var options = job["options"] switch
        {
            JsonArray list => list.OfType<JsonObject>(),
            JsonObject map => map.Select(pair =>
            {
                var option = pair.Value as JsonObject is { } known ? (JsonObject)known.DeepClone() : [];
                option["name"] = pair.Key;
                return option;
            }),
            _ => [],
        };
        foreach (var option in options)
        {
            var (name, value) = (option.Text("name"), option.Text("value"));
            if (option.IsTrue("required") && value.Length == 0) throw new FormatException($"Its option {name} is required and has no value of its own.");
            if (option.IsTrue("secure") || option.Text("storagePath").Length > 0)
            {
                secrets.Add(Variable(name));
                changes.Add($"The option {name} is secret: {Variable(name)} has to be given here.");
            }
            variables[Variable(name)] = value;
        }
        return (variables, secrets);
    }

    private static string Variable(string option) => "RD_OPTION_" + NoWord().Replace(option, "_").ToUpperInvariant();

    private static string Command(JsonObject job, JsonObject options, bool isSecret, List<string> changes)
    {
        var sequence = job["sequence"];
        var steps = sequence.Rows("commands").ToList();
        if (steps.Count == 0) throw new FormatException("It has no steps.");
        var script = new StringBuilder(sequence.IsTrue("keepgoing") ? "" : "set -e\n");
        var nodes = Nodes(job, changes);
        if (nodes.Count > 0 && isSecret) throw new FormatException("A secret option would have to go to other hosts: make it a template with an execute-user.");
        // ssh carries no environment: the values go with the script.
        var given = string.Concat(
            options.Select(option => $"{option.Key}='{option.Value.AsText().Replace("'", "'\\''", StringComparison.Ordinal)}'; export {option.Key}\n")
        );
        foreach (var step in steps)
        {
            var lines = Step(step, changes);
            if (step.Text("description") is { Length: > 0 } about) script.Append("# ").Append(TerminalText.OneLine(about)).Append('\n');
            if (nodes.Count == 0) script.Append(lines);
            else
                foreach (var node in nodes)
                {
                    var mark = "STEP";
                    while (lines.Contains(mark, StringComparison.Ordinal)) mark += "_";
                    script.Append(CultureInfo.InvariantCulture, $"ssh -o BatchMode=yes {node} sh -s <<'{mark}'\n{given}{lines}{mark}\n");
                }
        }
        if (nodes.Count > 0) changes.Add(
            $"It reaches {string.Join(", ", nodes)} by ssh with the keys of the user that it runs as."
        );
        return script.ToString().TrimEnd('\n');
    }

    private static string Step(JsonObject step, List<string> changes)
    {
        if (step.Text("exec") is { Length: > 0 } exec) return With(exec, changes) + "\n";
        if (step.Text("script") is { Length: > 0 } script)
        {
            var interpreter =
                step.Text("scriptInterpreter") is { Length: > 0 } named ? named
                : script.StartsWith("#!", StringComparison.Ordinal) ? script[2..].Split('\n')[0].Trim()
                : "/bin/sh";
            var mark = "SCRIPT";
            while (script.Contains(mark, StringComparison.Ordinal)) mark += "_";
            var arguments = (Shells().IsMatch(interpreter) ? " -s --" : " -") + (step.Text("args") is { Length: > 0 } args ? " " + With(args, changes) : "");
            if (Interpreters().IsMatch(interpreter)) return $"{interpreter}{arguments} <<'{mark}'\n{Placed(script, changes).TrimEnd('\n')}\n{mark}\n";
            throw new FormatException($"A script of {interpreter} is not read from standard input.");
        }

        throw new FormatException(
            step["jobref"] is not null ? $"A step runs the job {step["jobref"].Text("name")}: one job does not start another one here."
            : step.Text("scriptfile").Length + step.Text("scripturl").Length > 0
                ? $"A step runs a file of the Rundeck server: {step.Text("scriptfile")}{step.Text("scripturl")}."
            : $"A step is of a plug-in: {step.Text("type")}."
        );
    }

    private static string With(string text, List<string> changes) =>
        Option().Replace(text, match =>
        {
            if (match.Groups[1].Value != "option") throw new FormatException($"{match.Value} is known to Rundeck alone.");
            Note(changes);
            return "\"$" + Variable(match.Groups[2].Value) + "\"";
        });

    private static string Placed(string script, List<string> changes) =>
        At().IsMatch(script)
            ? throw new FormatException($"A script has {At().Match(script).Value}, which Rundeck replaces in the text: use the variable of the option.")
            : script;

    private static void Note(List<string> changes)
    {
        const string Said = "Options are variables RD_OPTION_NAME, with their default values.";
        if (!changes.Contains(Said)) changes.Add(Said);
    }

    private static List<string> Nodes(JsonObject job, List<string> changes)
    {
        if (job["nodefilters"] is not JsonObject filters) return [];
        var filter = filters.Text("filter").Trim();
        if (filter.Length == 0) return [];
        var names = filter.StartsWith("name:", StringComparison.Ordinal) ? filter[5..].Trim() : filter;
        if (!Names().IsMatch(names)) throw new FormatException($"Its nodes are chosen by {filter}, which is more than names.");
        if (filters["dispatch"].Number("threadcount") > 1) changes.Add("It goes over its nodes one after another; there several at once.");
        return [.. names.Split([',', ' '], StringSplitOptions.RemoveEmptyEntries)];
    }

    private static int? Seconds(string text)
    {
        if (text.Length == 0 || text.Contains('$', StringComparison.Ordinal)) return null;
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds)) return seconds;
        var parts = Parts().Matches(text);
        return parts.Count == 0
            ? null
            : parts.Sum(part =>
                int.Parse(
                    part.Groups[1].ValueSpan,
                    CultureInfo.InvariantCulture
                ) * part.Groups[2].Value switch { "d" => 86_400, "h" => 3600, "m" => 60, _ => 1 }
            );
    }

    private static (int Times, int Delay) Retries(JsonObject job) =>
        job["retry"] is JsonObject retry
            ? (Seconds(retry.Text("retry")) ?? 0, Seconds(retry.Text("delay")) ?? 0)
            : (Seconds(job.Text("retry")) ?? 0, 0);

    [GeneratedRegex(@"\$\{([a-z]+)\.([^}]+)\}")]
    private static partial Regex Option();

    [GeneratedRegex(@"@option\.[^@\s]+@")]
    private static partial Regex At();

    [GeneratedRegex("[^A-Za-z0-9]")]
    private static partial Regex NoWord();

    [GeneratedRegex(@"^[A-Za-z0-9_.-]+(?:[ ,]+[A-Za-z0-9_.-]+)*$")]
    private static partial Regex Names();

    [GeneratedRegex("([0-9]+)([dhms])")]
    private static partial Regex Parts();

    [GeneratedRegex(@"(^|/|\s)(sh|bash|dash|zsh|ksh)$")]
    private static partial Regex Shells();

    [GeneratedRegex(@"(^|/|\s)(sh|bash|dash|zsh|ksh|python[0-9.]*|perl|ruby|node)$")]
    private static partial Regex Interpreters();
}

/// <summary>The XML form as the YAML form says it.</summary>
internal static class RundeckXml
{
    public static JsonObject Job(XElement xml)
    {
        var job = new JsonObject();
        foreach (
            var name in (string[])[
                "name",
                "uuid",
                "id",
                "description",
                "timeout",
                "multipleExecutions",
                "scheduleEnabled",
                "executionEnabled",
                "timeZone",
                "retry"
            ]
        )
            if ((string?)xml.Element(name) is { Length: > 0 } value)
                job[name == "id" ? "uuid" : name] = value;
        if ((string?)(xml.Element("group") ?? xml.Element("context")?.Element("group")) is { Length: > 0 } group) job["group"] = group;
        if (
            xml.Element("retry") is { } retry && retry.Attribute("delay") is { } delay
        ) job["retry"] = new JsonObject { ["retry"] = (string)retry, ["delay"] = delay.Value };
        if (xml.Element("schedule") is { } schedule) job["schedule"] = Schedule(schedule);
        if (xml.Element("sequence") is { } sequence) job["sequence"] = Sequence(sequence);
        if ((string?)xml.Element("nodefilters")?.Element("filter") is { Length: > 0 } filter)
            job["nodefilters"] = new JsonObject
            {
                ["filter"] = filter,
                ["dispatch"] = new JsonObject { ["threadcount"] = (string?)xml.Element("dispatch")?.Element("threadcount") ?? "1" },
            };
        var options = (xml.Element("context")?.Element("options") ?? xml.Element("options"))?.Elements("option").ToList() ?? [];
        if (options.Count > 0)
            job["options"] = new JsonArray([
                .. options.Select(option => new JsonObject
                {
                    ["name"] = (string?)option.Attribute("name"),
                    ["value"] = (string?)option.Attribute("value") ?? "",
                    ["required"] = (string?)option.Attribute("required") == "true",
                    ["secure"] = (string?)option.Attribute("secure") == "true",
                }),
            ]);
        if (xml.Element("notification") is not null) job["notification"] = new JsonObject();
        return job;
    }

    private static JsonObject Schedule(XElement xml)
    {
        if (xml.Attribute("crontab") is { } crontab) return new JsonObject { ["crontab"] = crontab.Value };
        var (time, month) = (xml.Element("time"), xml.Element("month"));
        return new JsonObject
        {
            ["time"] = new JsonObject
            {
                ["hour"] = (string?)time?.Attribute("hour") ?? "",
                ["minute"] = (string?)time?.Attribute("minute") ?? "",
                ["seconds"] = (string?)time?.Attribute("seconds") ?? "",
            },
            ["month"] = (string?)month?.Attribute("month") ?? "*",
            ["weekday"] = new JsonObject { ["day"] = (string?)xml.Element("weekday")?.Attribute("day") ?? "" },
            ["dayofmonth"] = new JsonObject { ["day"] = (string?)month?.Attribute("day") ?? (string?)xml.Element("dayofmonth")?.Attribute("day") ?? "" },
            ["year"] = (string?)xml.Element("year")?.Attribute("year") ?? "*",
        };
    }

    private static JsonObject Sequence(XElement xml) =>
        new()
        {
            ["keepgoing"] = (string?)xml.Attribute("keepgoing") == "true",
            ["commands"] = new JsonArray([
                .. xml.Elements("command").Select(command =>
                {
                    var step = new JsonObject();
                    foreach (var (element, field) in (ReadOnlySpan<(string, string)>)
                        [("exec", "exec"), ("script", "script"), ("scriptargs", "args"), ("scriptinterpreter", "scriptInterpreter"),
                            ("scriptfile", "scriptfile"), ("scripturl", "scripturl"), ("description", "description")])
                        if ((string?)command.Element(element) is { Length: > 0 } value)
                            step[field] = element == "script" ? value.TrimStart('\n') : value;
                    if (command.Element("jobref") is { } reference) step["jobref"] = new JsonObject { ["name"] = (string?)reference.Attribute("name") };
                    foreach (var plugin in (string[])["node-step-plugin", "step-plugin"])
                        if (command.Element(plugin) is { } found)
                            step["type"] = (string?)found.Attribute("type");
                    return step;
                }),
            ]),
        };
}
