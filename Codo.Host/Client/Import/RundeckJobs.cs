using System.Globalization;
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

    // Seconds of a job's time limit at most.
    private const int Longest = 30 * 86_400;

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
            var (env, secrets) = RundeckOptions.Read(job, changes);
            var made = new JsonObject
            {
                ["job_id"] = ImportName.Of(job.Text("name").Replace(' ', '-'), job.Text("uuid") is { Length: > 0 } uuid ? uuid : full),
                ["cmd"] = RundeckWorkflow.Command(job, env, secrets.Count > 0, changes),
                ["cron"] = cron,
                ["time_zone"] = zone.Id,
                ["description"] = string.Join('\n', new[] { full, job.Text("description") }.Where(line => line.Length > 0).Distinct()),
                ["tags"] = new JsonArray("rundeck"),
                ["overlap"] = job.Text("multipleExecutions") == "true" ? "allow" : "skip",
            };
            if (Amount("timeout", job.Text("timeout"), env, changes) is { } timeout) made["timeout"] = timeout;
            var (count, pause) = job["retry"] is JsonObject retry ? (retry.Text("retry"), retry.Text("delay")) : (job.Text("retry"), "");
            var delay = Amount("delay of retries", pause, env, changes);
            if (Amount("number of retries", count, env, changes) is > 0 and var retries)
            {
                made["retries"] = retries;
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

    // A duration or a number, in which an option may stand; null if empty or unreadable.
    private static int? Amount(string what, string text, JsonObject options, List<string> changes)
    {
        var value = RundeckOptions.Fill(text, options).Trim();
        if (value.Length == 0) return null;
        var amount = Seconds(value);
        if (amount is null) changes.Add($"Its {what} {text} is not read: the job has none here.");
        else if (value != text.Trim()) changes.Add($"Its {what} {text} is taken from the option's default value: {value}.");
        return amount;
    }

    /// <exception cref="FormatException">It is longer than any time of a job here may be.</exception>
    private static int? Seconds(string text)
    {
        if (!Time().IsMatch(text)) return null;
        var seconds = 0L;
        foreach (Match part in Parts().Matches(text))
        {
            var unit = part.Groups[2].Value switch { "d" => 86_400, "h" => 3600, "m" => 60, _ => 1 };
            // TryParse fails when the number overflows.
            var isNumber = long.TryParse(part.Groups[1].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out var count);
            if (isNumber && count <= Longest) seconds += count * unit;
            if (!isNumber || count > Longest || seconds > Longest) throw new FormatException($"{text} is longer than 30 days.");
        }
        return (int)seconds;
    }

    // A number without a unit is seconds.
    [GeneratedRegex(@"^(?:[0-9]+|[0-9]+[dhms](?:\s*[0-9]+[dhms])*)$")]
    private static partial Regex Time();

    [GeneratedRegex("([0-9]+)([dhms]?)")]
    private static partial Regex Parts();
}
