using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Codo.Host.Client.Import;

/// <summary><c>codo export crontab</c>: the way back. What a crontab cannot say is a comment with the reason.</summary>
internal static partial class CrontabExport
{
    public static Command Command(ClientContext context)
    {
        var system = new Option<bool>("--system") { Description = "With a column for the user, as /etc/cron.d has it." };
        var (tag, space) = (
            new Option<string?>("--tag") { Description = "Only jobs with this tag." },
            new Option<string?>("--space") { Description = "Only jobs in this space." }
        );
        return new Command("crontab", "Print jobs as a crontab.") { system, tag, space }.Calls(
            context,
            async (server, parsed) =>
            {
                var jobs = await JobForm.Everything(server, ("tag", parsed.GetValue(tag)), ("space", parsed.GetValue(space)));
                context.Output.Write(Write(jobs, parsed.GetValue(system)));
            }
        );
    }

    public static string Write(IEnumerable<JsonObject> jobs, bool isSystem)
    {
        var text = new StringBuilder();
        foreach (var zone in jobs.GroupBy(job => job.Text("time_zone")).OrderBy(zone => zone.Key, StringComparer.Ordinal))
        {
            text.Append(CultureInfo.InvariantCulture, $"CRON_TZ={zone.Key}\n");
            foreach (var job in zone.OrderBy(job => job.Text("job_id"), StringComparer.Ordinal)) Entry(text, job, isSystem);
        }
        return text.ToString();
    }

    private static void Entry(StringBuilder text, JsonObject job, bool isSystem)
    {
        text.Append('\n');
        foreach (
            var line in job.Text("description").Split('\n').Prepend(job.Text("job_id")).Where(line => line.Length > 0)
        ) text.Append("# ").Append(line).Append('\n');
        var why = Unsayable(job);
        // A comment too, so that nobody takes the file for complete without reading it.
        if (why is not null) text.Append("# Not in this crontab: ").Append(why).Append('\n');
        if (job.Text("state") == "paused") text.Append("# Paused.\n");
        var mark = why is not null || job.Text("state") == "paused" ? "#" : "";
        var fields = string.Join(' ', job.Text("cron").Split(' ').Skip(1));
        var user = isSystem ? (job.Text("run_as") is { Length: > 0 } name ? name : "root") + " " : "";
        text.Append(mark).Append(fields).Append(' ').Append(user).Append(Line(job)).Append('\n');
    }

    private static string? Unsayable(JsonObject job)
    {
        var fields = job.Text("cron").Split(' ');
        if (fields.Length != 6) return "its schedule does not read.";
        if (fields[0] != "0") return "a crontab has no seconds.";
        if (fields.Skip(1).Any(field => Names().Replace(field, "").Any(character => char.IsLetter(character) || character is '#' or '?')))
            return "a crontab knows no L, W and #.";
        // There two restrictions are alternatives, here both must hold.
        if (!fields[3].StartsWith('*') && !fields[5].StartsWith('*')) return "a crontab takes day or weekday, and the job both.";
        if (job.Text("cmd").Contains('\n', StringComparison.Ordinal) || job.Text("interpreter").Length > 0)
            return "a crontab takes one line of shell.";
        return (job["env"] as JsonObject ?? []).Any(pair => pair.Value.AsText() == "******") ? "a variable of it is secret." : null;
    }

    private static string Line(JsonObject job)
    {
        var line = new StringBuilder();
        if (job.Text("working_directory") is { Length: > 0 } folder) line.Append("cd ").Append(Quoted(folder)).Append(" && ");
        foreach (
            var (name, value) in job["env"] as JsonObject ?? []
        ) line.Append(name).Append('=').Append(Quoted(value.AsText())).Append("; export ").Append(name).Append("; ");
        line.Append(job.Text("cmd"));
        return line.ToString().Replace("\n", " ", StringComparison.Ordinal).Replace("%", "\\%", StringComparison.Ordinal);
    }

    private static string Quoted(string text) =>
        text.Length > 0 && text.All(character => char.IsAsciiLetterOrDigit(character) || "/._-:,+@".Contains(character, StringComparison.Ordinal))
            ? text
            : "'" + text.Replace("'", "'\\''", StringComparison.Ordinal) + "'";

    [GeneratedRegex("(?i)jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat")]
    private static partial Regex Names();
}
