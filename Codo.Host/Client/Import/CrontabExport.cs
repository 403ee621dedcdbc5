using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Codo.Host.Client.Import;

/// <summary>The cron that a crontab is written for.</summary>
/// <param name="IsSystem">Lines have a column with the user, as /etc/cron.d has it.</param>
/// <param name="User">Whose crontab it is, where lines have no such column.</param>
/// <param name="Zone">The zone of the machine that cron runs on; null for cronie, which reads the zone of each line from CRON_TZ.</param>
internal sealed record CrontabTarget(bool IsSystem, string User, TimeZoneInfo? Zone);

/// <summary><c>codo export crontab</c>: the way back. What a crontab cannot say is a comment with the reason.</summary>
internal static partial class CrontabExport
{
    /// <summary>How a comment begins that says what cron runs a line without.</summary>
    public const string NotKept = "# Cron does not keep: ";

    private const int Weekday = 4;

    // crontab(5) of Debian: MAX_COMMAND of Vixie's cron, without the line end. cronie takes more than any command here has.
    private const int MostBytes = 998;

    public static Command Command(ClientContext context)
    {
        var system = new Option<bool>("--system") { Description = "With a column for the user, as /etc/cron.d has it." };
        var user = new Option<string?>("--user") { Description = "Whose crontab it is, without --system; default you.", HelpName = "NAME" };
        var zone = new Option<string?>("--time-zone") { Description = "The zone of the machine that cron runs on; default this one's.", HelpName = "ZONE" };
        var cronie = new Option<bool>("--cronie") { Description = "For cronie (RHEL, Fedora, Arch), which takes each job's zone from CRON_TZ." };
        var (tag, space) = (
            new Option<string?>("--tag") { Description = "Only jobs with this tag." },
            new Option<string?>("--space") { Description = "Only jobs in this space." }
        );
        return new Command("crontab", "Print jobs as a crontab.") { system, user, zone, cronie, tag, space }.Calls(
            context,
            async (server, parsed) =>
            {
                var target = new CrontabTarget(
                    parsed.GetValue(system),
                    parsed.GetValue(user) ?? Environment.UserName,
                    parsed.GetValue(cronie) ? null : ImportCommands.ZoneOf(parsed.GetValue(zone))
                );
                var jobs = await JobForm.Everything(server, ("tag", parsed.GetValue(tag)), ("space", parsed.GetValue(space)));
                var text = Write(jobs, target);
                context.Output.Write(context.IsTerminal ? TerminalText.Output(text) : text);
            }
        );
    }

    public static string Write(IEnumerable<JsonObject> jobs, CrontabTarget target)
    {
        var text = new StringBuilder();
        var all = jobs.ToList();
        if (target.Zone is { } zone) text.Append(CultureInfo.InvariantCulture, $"# Times are those of {zone.Id}.\n");
        // Of most files that is so, since a job that says nothing of it has it: then it is said once.
        var isAllSkip = all.Count > 0 && all.TrueForAll(job => job.Text("overlap") == "skip");
        if (isAllSkip) text.Append(NotKept).Append("overlap skip, of any job here.\n");
        foreach (var group in all.GroupBy(job => target.Zone is null ? job.Text("time_zone") : "").OrderBy(group => group.Key, StringComparer.Ordinal))
        {
            // Debian's cron ignores it: there it would promise times that do not come.
            if (target.Zone is null) text.Append(CultureInfo.InvariantCulture, $"CRON_TZ={group.Key}\n");
            foreach (var job in group.OrderBy(job => job.Text("job_id"), StringComparer.Ordinal)) Entry(text, job, target, isAllSkip);
        }
        return text.ToString();
    }

    private static void Entry(StringBuilder text, JsonObject job, CrontabTarget target, bool isAllSkip)
    {
        text.Append('\n');
        // A name may have several lines too, and each is a comment of its own: cron would run what stands in one.
        var about = $"{job.Text("job_id")}\n{job.Text("description")}";
        foreach (var line in about.Split(['\n', '\r'], StringSplitOptions.RemoveEmptyEntries)) text.Append("# ").Append(line).Append('\n');
        var (times, wrong) = Times(job.Text("cron"));
        var command = Line(job);
        var written = command.Replace("\n", " ", StringComparison.Ordinal).Replace("%", "\\%", StringComparison.Ordinal);
        var why = Unsayable(job, target) ?? wrong ?? Unsayable(job, command, target) ?? TooLong(written, target);
        // A comment too, so that nobody takes the file for complete without reading it.
        if (why is not null) text.Append("# Not in this crontab: ").Append(TerminalText.OneLine(why)).Append('\n');
        else if (Lost(job, isAllSkip) is { Length: > 0 } lost) text.Append(NotKept).Append(lost).Append(".\n");
        // Its state does not tell: a job that is paused and broken is broken.
        var isPaused = job.Text("status") == "1";
        if (isPaused) text.Append("# Paused.\n");
        var mark = why is not null || isPaused ? "#" : "";
        var user = target.IsSystem ? job.Text("run_as") + " " : "";
        text.Append(mark).Append(times).Append(' ').Append(user).Append(written).Append('\n');
    }

    private static string Lost(JsonObject job, bool isAllSkip)
    {
        var lost = new List<string>();
        if (job.Number("timeout") is > 0 and var seconds) lost.Add($"timeout {seconds} s");
        if (job.Number("retries") is > 0 and var retries) lost.Add(retries == 1 ? "1 retry" : $"{retries} retries");
        if (!isAllSkip && job.Text("overlap") is ("skip" or "queue" or "replace") and var overlap) lost.Add($"overlap {overlap}");
        return string.Join(", ", lost);
    }

    /// <summary>The five fields as every cron reads them, and why that cannot be where it cannot.</summary>
    private static (string Fields, string? Why) Times(string cron)
    {
        var six = cron.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        var five = string.Join(' ', six.Skip(1));
        if (six.Length != 6) return (five, "its schedule does not read.");
        if (six[0] is not ("0" or "00")) return (five, "a crontab has no seconds.");
        if (six.Skip(1).Any(field => Names().Replace(field, "").Any(character => char.IsLetter(character) || character is '#' or '?')))
            return (five, "a crontab knows no L, W and #.");
        try
        {
            var fields = six.Skip(1).Select(Field).ToArray();
            // There two restrictions are alternatives, here both must hold.
            var isBoth = !fields[2].StartsWith('*') && !fields[Weekday].StartsWith('*');
            return (string.Join(' ', fields), isBoth ? "a crontab takes day or weekday, and the job both." : null);
        }
        catch (FormatException)
        {
            return (five, "its schedule does not read.");
        }
    }

    // N/STEP is refused by some crons and read otherwise by others, and to all of them a range that ends on sun is one that is turned round.
    private static string Field(string field, int place)
    {
        var (name, least, most, names) = ScheduleField.OfCrontab[place];
        var items = field.Split(',');
        if (!items.Any(item => Own().IsMatch(item))) return field;
        if (items.Length == 1 && Open().Match(field) is { Success: true } open)
            return string.Create(CultureInfo.InvariantCulture, $"{open.Groups[1].Value}-{most}/{open.Groups[2].Value}");
        var ended = string.Join(',', items.Select(item => UntilSunday().Replace(item, "$1-7")));
        var numbers = ScheduleField.Read(ended, name, least, most, names, isOpen: true);
        // 7 is Sunday as 0 is.
        if (place == Weekday && numbers.Remove(7)) numbers.Add(0);
        return numbers.Count == (place == Weekday ? 7 : most - least + 1) ? "*" : ScheduleField.Write(numbers);
    }

    // Of the job itself: who it runs as, and where its times are.
    private static string? Unsayable(JsonObject job, CrontabTarget target)
    {
        var (state, name, user) = (job.Text("state"), job.Text("time_zone"), job.Text("run_as"));
        if (state == "broken") return $"it is broken: {job.Text("broken")}";
        if (job.Text("node") is { Length: > 0 } node) return $"it runs on nodes that fit {node}.";
        if (!TimeZoneInfo.TryFindSystemTimeZoneById(name, out var zone)) return $"its zone {name} is none of this machine.";
        if (target.Zone is { } there && zone.Id != there.Id && !zone.HasSameRules(there))
            return $"its times are those of {name} and cron's those of {there.Id} (--time-zone names another; cronie can have both, --cronie).";
        if (target.IsSystem) return user.Length == 0 ? "it does not say who it runs as." : null;
        return user == target.User ? null : $"it runs as {user}, and this is the crontab of {target.User} (--user names another; --system has all).";
    }

    private static string? Unsayable(JsonObject job, string command, CrontabTarget target)
    {
        if (command.Contains('\n', StringComparison.Ordinal) || job.Text("interpreter").Length > 0) return "a crontab takes one line of shell.";
        if (job.Text("encoding") is not ("" or "utf-8") and var encoding) return $"it is sent and read in {encoding}.";
        // A backslash before a percent sign is taken away, and one before another backslash too by Debian's cron but not by cronie.
        if (command.Contains(@"\%", StringComparison.Ordinal)) return @"a crontab cannot say \%.";
        if (target.Zone is not null && command.Contains(@"\\", StringComparison.Ordinal)) return @"crons differ in what \\ means (--cronie is for one).";
        return (job["env"] as JsonObject ?? []).Any(pair => pair.Value.AsText() == "******") ? "a variable of it is secret." : null;
    }

    // What is longer cron cuts off without a word, or refuses with the whole file.
    private static string? TooLong(string written, CrontabTarget target) =>
        target.Zone is not null && Encoding.UTF8.GetByteCount(written) > MostBytes
            ? $"cron takes {MostBytes} bytes of a command (--cronie is for one that takes more)."
            : null;

    // Whatever the command is, nothing of it runs where its directory is not there.
    private static string Line(JsonObject job)
    {
        var line = new StringBuilder();
        if (job.Text("working_directory") is { Length: > 0 } folder) line.Append("cd ").Append(Quoted(folder)).Append(" || exit; ");
        foreach (
            var (name, value) in job["env"] as JsonObject ?? []
        ) line.Append(name).Append('=').Append(Quoted(value.AsText())).Append("; export ").Append(name).Append("; ");
        return line.Append(job.Text("cmd")).ToString();
    }

    private static string Quoted(string text) =>
        text.Length > 0 && text.All(character => char.IsAsciiLetterOrDigit(character) || "/._-:,+@".Contains(character, StringComparison.Ordinal))
            ? text
            : "'" + text.Replace("'", "'\\''", StringComparison.Ordinal) + "'";

    [GeneratedRegex("(?i)jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat")]
    private static partial Regex Names();

    // What Codo reads and crons do not, or not so.
    [GeneratedRegex(@"^[^*/-]+/|-sun(?:/|$)", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex Own();

    [GeneratedRegex(@"^(\d+)/(\d+)$")]
    private static partial Regex Open();

    // A range from Sunday to Sunday is that day alone.
    [GeneratedRegex(@"^(?!(?:sun|0+)-)(\w+)-sun(?=/|$)", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex UntilSunday();
}
