using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Codo.Host.Client.Import;

/// <summary>How crontabs are read.</summary>
/// <param name="IsSystem">Lines have a column with the user, as /etc/crontab and /etc/cron.d have.</param>
/// <param name="User">Whose crontab it is; null where lines have that column.</param>
/// <param name="Zone">The zone of the machine that cron ran on.</param>
/// <param name="Expand">Lines of run-parts become a job for each script.</param>
internal sealed record CrontabForm(bool IsSystem, string? User, TimeZoneInfo Zone, bool Expand);

/// <summary>Reads a crontab as Vixie's cron and its descendants do (crontab(5) of Debian and of cronie).</summary>
internal static partial class Crontab
{
    private const string Tag = "crontab";

    private const string Weekdays = "-weekdays";

    private static readonly Dictionary<string, string> Nicknames = new(StringComparer.OrdinalIgnoreCase)
    {
        ["@yearly"] = "0 0 1 1 *",
        ["@annually"] = "0 0 1 1 *",
        ["@monthly"] = "0 0 1 * *",
        ["@weekly"] = "0 0 * * 0",
        ["@daily"] = "0 0 * * *",
        ["@midnight"] = "0 0 * * *",
        ["@hourly"] = "0 * * * *",
    };

    /// <summary>A file's lines. Names of jobs may come twice until all files are there (<see cref="Distinct"/>).</summary>
    public static List<ImportItem> Read(string file, string text, CrontabForm form)
    {
        var items = new List<ImportItem>();
        var variables = new Dictionary<string, string>(StringComparer.Ordinal);
        var comments = new List<string>();
        var lines = text.Replace("\r\n", "\n", StringComparison.Ordinal).Split('\n');
        for (var place = 0; place < lines.Length; place++)
        {
            var line = lines[place].TrimStart();
            var where = string.Create(CultureInfo.InvariantCulture, $"{file}:{place + 1}");
            if (line.Length == 0) comments.Clear();
            else if (line[0] == '#')
            {
                // What an export says of cron describes no job.
                if (!line.StartsWith(CrontabExport.NotKept, StringComparison.Ordinal)) comments.Add(line.TrimStart('#').Trim());
            }
            else if (Assignment().Match(line) is { Success: true } set)
            {
                variables[Unquoted(set.Groups[1].Value)] = Unquoted(set.Groups[2].Value.Trim());
                if (Ignored(Unquoted(set.Groups[1].Value)) is { } why) items.Add(new ImportItem(where, line) { Refused = why });
                comments.Clear();
            }
            else
            {
                items.AddRange(Entry(where, line, form, variables, [.. comments]));
                comments.Clear();
            }
        }
        return items;
    }

    /// <summary>The same command twice is two jobs: the second gets a number, so that an import of the same files finds the same names.</summary>
    public static void Distinct(IEnumerable<ImportItem> items)
    {
        var seen = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var job in items.Select(item => item.Job).OfType<JsonObject>())
        {
            var name = job.Text("job_id");
            var times = seen[name] = seen.GetValueOrDefault(name) + 1;
            if (times > 1) job["job_id"] = string.Create(CultureInfo.InvariantCulture, $"{name}-{times}");
        }
    }

    /// <summary>
    /// The name of the second job of a crontab line that sets both day and weekday, given the first job's name; null if the name was not made by an import.
    /// </summary>
    public static string? SecondJobName(string name) =>
        FirstJobName().Match(name) is { Success: true } first ? first.Groups[1].Value + Weekdays + first.Groups[2].Value : null;

    private static string? Ignored(string name) => name switch
    {
        "MAILTO" or "MAILFROM" or "CONTENT_TYPE" or "CONTENT_TRANSFER_ENCODING" => "Codo mails no output: alert rules say who is told of a failure.",
        "RANDOM_DELAY" => "Codo starts jobs at their time: a job that should wait sleeps in its command.",
        "START_HOURS_RANGE" or "NO_MAIL_OUTPUT" => "It is of anacron, whose jobs have no time.",
        _ => null,
    };

    private static IEnumerable<ImportItem> Entry(
        string where,
        string line,
        CrontabForm form,
        Dictionary<string, string> variables,
        List<string> comments
    )
    {
        // Some crons take a hyphen before the minute for "do not log".
        var rest = line.StartsWith('-') ? line[1..] : line;
        if (rest.Length == 0) return [Refuse(where, line, "It is a hyphen alone.")];
        string[] fields;
        if (rest[0] == '@')
        {
            var nickname = Take(ref rest);
            if (nickname.Equals("@reboot", StringComparison.OrdinalIgnoreCase))
                return [Refuse(where, line, "The start of the machine is no time of the calendar: a systemd unit runs something then.")];
            if (!Nicknames.TryGetValue(nickname, out var meaning)) return [Refuse(where, line, $"{nickname} is not known.")];
            fields = meaning.Split(' ');
        }
        else
        {
            fields = [Take(ref rest), Take(ref rest), Take(ref rest), Take(ref rest), Take(ref rest)];
        }

        var user = form.IsSystem ? Take(ref rest) : form.User;
        if (fields.Any(field => field.Length == 0) || rest.Length == 0 || (form.IsSystem && user is { Length: 0 }))
            return [Refuse(where, line, form.IsSystem ? "It has not five fields, a user and a command." : "It has not five fields and a command.")];
        var changes = new List<string>();
        Times times;
        try
        {
            times = Times.Read(fields, line);
        }
        catch (FormatException wrong)
        {
            return [Refuse(where, line, wrong.Message)];
        }

        changes.AddRange(times.Changes);
        var zone = form.Zone;
        if (variables.TryGetValue("CRON_TZ", out var named) && named.Length > 0 && !TimeZoneInfo.TryFindSystemTimeZoneById(named, out zone!))
            return [Refuse(where, line, $"CRON_TZ={named} is no time zone of this machine.")];
        if (zone.Id != form.Zone.Id) changes.Add($"CRON_TZ={named} is taken as the zone, as cronie does; Debian's cron ignores it.");
        var job = Job(Input(rest, changes), user, zone, variables, comments, changes);
        var parts = form.Expand ? RunParts.Split(job, changes) : [job];
        return parts.SelectMany(part => Items(where, line, part, times, zone, changes));
    }

    private static IEnumerable<ImportItem> Items(string where, string line, JsonObject job, Times times, TimeZoneInfo zone, List<string> changes)
    {
        foreach (var (suffix, cron, schedule) in times.Codo(zone))
        {
            var own = (JsonObject)job.DeepClone();
            own["job_id"] = own.Text("job_id") + suffix;
            own["cron"] = cron;
            yield return new ImportItem(where, line) { Job = own, Schedule = schedule, Changes = [.. changes] };
        }
    }

    private static JsonObject Job(
        string command,
        string? user,
        TimeZoneInfo zone,
        Dictionary<string, string> variables,
        List<string> comments,
        List<string> changes
    )
    {
        var env = new JsonObject();
        var interpreter = "";
        string? folder = null;
        foreach (var (name, value) in variables)
        {
            if (name is "CRON_TZ" || Ignored(name) is not null) continue;
            if (name is "SHELL")
            {
                if (value is "/bin/sh" or "") continue;
                interpreter = value;
                changes.Add($"SHELL={value} is the job's interpreter.");
            }
            else if (name is "HOME")
            {
                folder = value;
                env[name] = value;
            }
            else
                env[name] = value;
        }

        if (folder is null && user is not null && HomeOf(user) is { } home)
        {
            folder = home;
            changes.Add($"It runs in {home}, the home of {user} on this machine.");
        }

        var job = new JsonObject
        {
            ["job_id"] = ImportName.Of(ImportName.Word(command), user ?? "", command),
            ["cmd"] = command,
            ["cron"] = "",
            ["time_zone"] = zone.Id,
            // cron starts a run beside one that still goes.
            ["overlap"] = "allow",
            ["tags"] = new JsonArray(Tag),
            ["description"] = string.Join('\n', comments.Where(comment => comment.Length > 0)),
        };
        if (user is not null) job["run_as"] = user;
        if (env.Count > 0) job["env"] = env;
        if (interpreter.Length > 0) job["interpreter"] = interpreter;
        if (folder is { Length: > 0 } && folder[0] == '/') job["working_directory"] = folder;
        return job;
    }

    // The first % ends the command; what follows it is the command's input, each further % a line end. \% is a percent sign.
    private static string Input(string text, List<string> changes)
    {
        var parts = new List<StringBuilder> { new() };
        var hasDouble = false;
        for (var place = 0; place < text.Length; place++)
        {
            var next = text[place] == '\\' && place + 1 < text.Length ? text[place + 1] : '\0';
            if (next == '%') parts[^1].Append(text[++place]);
            // Of two backslashes in the command the second escapes nothing.
            else if (next == '\\' && parts.Count == 1)
            {
                hasDouble = true;
                parts[^1].Append(text, place++, 2);
            }
            else if (text[place] == '%') parts.Add(new StringBuilder());
            else parts[^1].Append(text[place]);
        }

        if (hasDouble) changes.Add(@"\\ is taken as it is, as cronie does; Debian's cron makes one backslash of it.");
        var command = parts[0].ToString().TrimEnd();
        if (parts.Count == 1) return command;
        changes.Add("What follows % is the command's input, as a here-document.");
        var lines = parts.Skip(1).Select(part => part.ToString()).ToList();
        var mark = "INPUT";
        while (lines.Contains(mark)) mark += "_";
        return $"{{ {command}\n}} <<'{mark}'\n{string.Join('\n', lines)}\n{mark}";
    }

    private static string? HomeOf(string user)
    {
        if (!File.Exists("/etc/passwd")) return null;
        var entry = File.ReadLines("/etc/passwd").Select(line => line.Split(':')).FirstOrDefault(entry => entry.Length > 5 && entry[0] == user);
        return entry?[5] is { Length: > 1 } home && home[0] == '/' ? home : null;
    }

    private static ImportItem Refuse(string where, string line, string why) => new(where, line) { Refused = why };

    private static string Take(ref string rest)
    {
        rest = rest.TrimStart(' ', '\t');
        var end = rest.IndexOfAny([' ', '\t']);
        var word = end < 0 ? rest : rest[..end];
        rest = end < 0 ? "" : rest[end..].TrimStart(' ', '\t');
        return word;
    }

    private static string Unquoted(string text) =>
        text.Length > 1 && text[0] is '"' or '\'' && text[^1] == text[0] && text.Length > 1 ? text[1..^1] : text;

    [GeneratedRegex("""^("[^"]*"|'[^']*'|[A-Za-z_][A-Za-z0-9_]*)\s*=(.*)$""")]
    private static partial Regex Assignment();

    // The form of names that ImportName and Distinct make.
    [GeneratedRegex("^(.+-[0-9a-f]{8})(-[0-9]+)?$")]
    private static partial Regex FirstJobName();

    /// <summary>The five fields of a line.</summary>
    internal sealed class Times
    {
        // Characters of minutes and hours; an expression has 200.
        private const int MostListed = 120;

        private string[] texts = [];
        private SortedSet<int>[] sets = [];
        private bool isEither, isInterval;

        public List<string> Changes { get; } = [];

        /// <exception cref="FormatException">A field does not read; the message says why.</exception>
        public static Times Read(string[] fields, string seed)
        {
            var times = new Times { texts = [.. fields], sets = new SortedSet<int>[5] };
            for (var place = 0; place < 5; place++)
            {
                var (name, least, most, names) = ScheduleField.OfCrontab[place];
                if (fields[place].Contains('~', StringComparison.Ordinal))
                {
                    var chosen = Chosen(fields[place], least, most, seed + place);
                    times.Changes.Add($"{fields[place]} is a time that cron draws by lot; Codo always takes {chosen}.");
                    times.texts[place] = chosen;
                }
                times.sets[place] = ScheduleField.Read(times.texts[place], name, least, most, names);
            }

            // 7 is Sunday as 0 is.
            if (times.sets[4].Remove(7)) times.sets[4].Add(0);
            // crontab(5): a field that begins with * is no restriction, and two restrictions are alternatives.
            times.isEither = !fields[2].StartsWith('*') && !fields[4].StartsWith('*');
            if (times.isEither) times.Changes.Add(times.Split());
            // cron.c: a line names times of day, which come once where an hour comes twice, unless its minute or hour begins with *.
            times.isInterval = fields[0].StartsWith('*') || fields[1].StartsWith('*');
            if (!times.isInterval) times.NameEach();
            return times;
        }

        // To Codo a range or a step is an interval, which goes on where an hour comes twice; a list of times is none.
        private void NameEach()
        {
            var listed = Enumerable.Range(0, 2).Select(place => IsSpan(texts[place]) ? string.Join(',', sets[place]) : texts[place]).ToList();
            if (listed[0].Length + listed[1].Length <= MostListed) (texts[0], texts[1]) = (listed[0], listed[1]);
            else if (texts.Take(2).Any(IsSpan))
                Changes.Add("Where the clock is set back it fires in the repeated hour too; cron waits until that is over.");
        }

        private static bool IsSpan(string field) => field.AsSpan().IndexOfAny('*', '-', '/') >= 0;

        /// <summary>The expressions of six fields that together fire as the line does, each with a suffix for the job's name.</summary>
        public IEnumerable<(string Suffix, string Cron, SourceSchedule Schedule)> Codo(TimeZoneInfo zone)
        {
            SourceSchedule Schedule(Func<DateOnly, bool> day) => new([0], sets[0], sets[1], on => sets[3].Contains(on.Month) && day(on), zone, isInterval);
            bool OnDay(DateOnly on) => sets[2].Contains(on.Day);
            bool OnWeekday(DateOnly on) => sets[4].Contains((int)on.DayOfWeek);
            if (!isEither)
            {
                yield return ("", $"0 {string.Join(' ', texts)}", Schedule(on => OnDay(on) && OnWeekday(on)));
                yield break;
            }

            var others = Enumerable.Range(1, 31).Except(sets[2]).ToList();
            if (sets[4].Count == 7 || others.Count == 0)
            {
                yield return ("", $"0 {texts[0]} {texts[1]} * {texts[3]} *", Schedule(_ => true));
                yield break;
            }

            yield return ("", $"0 {texts[0]} {texts[1]} {texts[2]} {texts[3]} *", Schedule(OnDay));
            yield return (
                Weekdays,
                $"0 {texts[0]} {texts[1]} {ScheduleField.Write(others)} {texts[3]} {texts[4]}",
                Schedule(on => OnWeekday(on) && !OnDay(on))
            );
        }

        private string Split() =>
            sets[4].Count == 7 || sets[2].Count == 31
                ? "Day or weekday, which is every day."
                : "Day or weekday: two jobs, of which the second leaves out the days of the first.";

        private static string Chosen(string field, int least, int most, string seed)
        {
            var ends = field.Split('~');
            if (ends.Length != 2 || field.Contains('/', StringComparison.Ordinal) || field.Contains(',', StringComparison.Ordinal))
                throw new FormatException($"{field} is not read.");
            var from = ends[0].Length == 0 ? least : Number(ends[0], field);
            var to = ends[1].Length == 0 ? most : Number(ends[1], field);
            if (from > to || from < least || to > most) throw new FormatException($"{field} is out of range.");
            var hash = System.Security.Cryptography.SHA256.HashData(Encoding.UTF8.GetBytes(seed));
            return (from + (hash[0] * 256 + hash[1]) % (to - from + 1)).ToString(CultureInfo.InvariantCulture);
        }

        private static int Number(string text, string field) =>
            int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : throw new FormatException($"{field} is not read.");
    }
}
