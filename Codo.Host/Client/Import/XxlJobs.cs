using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Codo.Host.Client.Import;

/// <summary>Jobs of xxl-job 2.x, from a dump of its MySQL database (mysqldump).</summary>
internal static partial class XxlJobs
{
    private const string TableName = "xxl_job_info";

    private static readonly Dictionary<string, string> Interpreters = new(StringComparer.Ordinal)
    {
        ["GLUE_SHELL"] = "/bin/bash",
        ["GLUE_PYTHON"] = "/usr/bin/env python3",
        ["GLUE_PYTHON2"] = "/usr/bin/env python2",
        ["GLUE_PHP"] = "/usr/bin/env php",
        ["GLUE_NODEJS"] = "/usr/bin/env node",
        ["GLUE_POWERSHELL"] = "/usr/bin/env pwsh",
    };

    public static List<ImportItem> Read(string dump, TimeZoneInfo zone)
    {
        var rows = SqlDump.Rows(dump, TableName);
        if (rows.Count == 0) throw new ClientFailure($"The file has no rows of {TableName}.");
        return [.. rows.Select(row => Job(row, zone))];
    }

    private static ImportItem Job(Dictionary<string, string?> row, TimeZoneInfo zone)
    {
        string Of(string column) => row.GetValueOrDefault(column) ?? "";
        var id = Of("id");
        // Before 2.3 a job has job_cron alone.
        var type = row.ContainsKey("schedule_type") ? Of("schedule_type") : "CRON";
        var conf = row.ContainsKey("schedule_conf") ? Of("schedule_conf") : Of("job_cron");
        var item = new ImportItem(
            $"job {id}",
            $"{type} {conf} {Of("glue_type")} {Of("executor_handler")} {Of("job_desc")}".Replace("  ", " ", StringComparison.Ordinal)
        )
        {
            IsPaused = Of("trigger_status") != "1",
        };
        if (Of("glue_type") == "BEAN")
            return item with
            {
                Refused = $"It is bound to code: the handler {Of("executor_handler")} of an executor. A command that does the same can take its schedule.",
            };
        if (!Interpreters.TryGetValue(Of("glue_type"), out var interpreter)) return item with
        {
            Refused = $"{Of("glue_type")} runs within an executor's Java.",
        };
        try
        {
            var changes = new List<string>();
            var (cron, schedule) = Schedule(type, conf, zone, changes);
            var job = new JsonObject
            {
                ["job_id"] = $"xxl-job-{id}",
                ["cmd"] = Script(Of("glue_source"), Of("glue_type"), Of("executor_param"), changes),
                ["cron"] = cron,
                ["time_zone"] = zone.Id,
                ["interpreter"] = interpreter,
                ["description"] = string.Join(
                    '\n',
                    new[] { Of("job_desc"), Of("author") is { Length: > 0 } author ? $"Author: {author}" : "" }.Where(line => line.Length > 0)
                ),
                ["tags"] = new JsonArray("xxl-job"),
                ["misfire"] = Of("misfire_strategy") == "DO_NOTHING" ? "skip" : "once",
                ["overlap"] = Of("executor_block_strategy") switch { "DISCARD_LATER" => "skip", "COVER_EARLY" => "replace", _ => "queue" },
                ["timeout"] = Number(Of("executor_timeout")),
                ["retries"] = Math.Min(100, Number(Of("executor_fail_retry_count"))),
            };
            if (Of("misfire_strategy") == "FIRE_ONCE_NOW")
            {
                // There however late it is; here no window is longer.
                job["misfire_window"] = 7 * 86_400;
                changes.Add("A missed time is made up for within 7 days, and there however late.");
            }
            if (Of("executor_route_strategy") == "SHARDING_BROADCAST") changes.Add("It ran on every executor; here it runs once.");
            if (Of("child_jobid").Length > 0) changes.Add($"The jobs {Of("child_jobid")} that follow it are not started by it.");
            if (Of("alarm_email").Length > 0) changes.Add($"{Of("alarm_email")} is told by an alert rule, or as owner.");
            return item with { Job = job, Schedule = schedule, Changes = changes };
        }
        catch (FormatException wrong)
        {
            return item with { Refused = wrong.Message };
        }
    }

    private static (string Cron, SourceSchedule? Schedule) Schedule(string type, string conf, TimeZoneInfo zone, List<string> changes)
    {
        switch (type)
        {
            case "CRON":
                var (cron, schedule, changed) = QuartzSchedule.Read(conf, zone);
                changes.AddRange(changed);
                return (cron, schedule);
            case "FIX_RATE" when Number(conf) is > 0 and var seconds:
                var every =
                    seconds < 60 && 60 % seconds == 0 ? $"*/{seconds} * * * * *"
                    : seconds == 60 ? "0 * * * * *"
                    : seconds < 3600 && 3600 % seconds == 0 && seconds % 60 == 0 ? $"0 */{seconds / 60} * * * *"
                    : seconds == 3600 ? "0 0 * * * *"
                    : seconds < 86_400 && 86_400 % seconds == 0 && seconds % 3600 == 0 ? $"0 0 */{seconds / 3600} * * *"
                    : seconds == 86_400 ? "0 0 0 * * *"
                    : throw new FormatException($"Every {seconds} seconds is no schedule of the calendar.");
                changes.Add($"Every {seconds} seconds, counted from its start there and from the full minute, hour or day here.");
                return (every, null);
            default:
                throw new FormatException($"It has no schedule ({type}): it was started by hand or by another job.");
        }
    }

    // xxl-job gives a script its parameter, the shard and the number of shards as arguments.
    private static string Script(string source, string type, string parameter, List<string> changes)
    {
        // xxl-job runs `bash FILE`, to which a line #! is a comment. Here it would go before the job's interpreter.
        var script = Shebang().Replace(source.TrimStart('\uFEFF').Replace("\r\n", "\n", StringComparison.Ordinal), "");
        if (type != "GLUE_SHELL")
        {
            if (parameter.Length > 0) changes.Add($"Its parameter {parameter} is not given to the script.");
            return script;
        }

        // With a parameter, always set the arguments: a script may read them in ways that the pattern does not find. Without one, only a script that reads
        // arguments needs them.
        if (parameter.Length == 0 && !Arguments().IsMatch(script)) return script;
        changes.Add("Its parameter, the shard 0 and 1 shard are set before the script.");
        return $"set -- '{parameter.Replace("'", "'\\''", StringComparison.Ordinal)}' 0 1\n{script}";
    }

    private static int Number(string text) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 0;

    [GeneratedRegex(@"\A(?:#![^\n]*\n?)+")]
    private static partial Regex Shebang();

    [GeneratedRegex(@"\$\{?[1-9@*#]|\b(?:shift|getopts)\b")]
    private static partial Regex Arguments();
}

/// <summary>Rows of a table in a dump of MySQL: <c>CREATE TABLE</c> names the columns where <c>INSERT INTO</c> does not.</summary>
internal static partial class SqlDump
{
    public static List<Dictionary<string, string?>> Rows(string dump, string table)
    {
        var columns = Create(table).Match(dump) is { Success: true } create
            ? Column().Matches(create.Groups[1].Value).Select(column => column.Groups[1].Value).ToList()
            : [];
        var rows = new List<Dictionary<string, string?>>();
        foreach (Match insert in Insert(table).Matches(dump))
        {
            var named = insert.Groups[1].Success ? insert.Groups[1].Value.Split(',').Select(name => name.Trim(' ', '`', '\n', '\t')).ToList() : columns;
            var place = insert.Index + insert.Length;
            do
            {
                var values = Tuple(dump, ref place);
                if (values.Count != named.Count) throw new ClientFailure($"A row of {table} has {values.Count} values for {named.Count} columns.");
                rows.Add(named.Zip(values).ToDictionary(pair => pair.First, pair => pair.Second, StringComparer.Ordinal));
            } while (Next(dump, ref place, ','));
        }
        return rows;
    }

    private static List<string?> Tuple(string dump, ref int place)
    {
        if (!Next(dump, ref place, '(')) throw new ClientFailure("The dump does not read: a row does not begin with (.");
        var values = new List<string?>();
        do
        {
            Blanks(dump, ref place);
            values.Add(place < dump.Length && dump[place] == '\'' ? Text(dump, ref place) : Word(dump, ref place));
        } while (Next(dump, ref place, ','));
        return Next(dump, ref place, ')') ? values : throw new ClientFailure("The dump does not read: a row does not end with ).");
    }

    private static string Text(string dump, ref int place)
    {
        var text = new StringBuilder();
        for (place++; place < dump.Length; place++)
        {
            if (dump[place] == '\\' && place + 1 < dump.Length)
                text.Append(dump[++place] switch { 'n' => '\n', 'r' => '\r', 't' => '\t', '0' => '\0', 'Z' => '\u001a', 'b' => '\b', var other => other });
            else if (dump[place] != '\'') text.Append(dump[place]);
            else if (place + 1 < dump.Length && dump[place + 1] == '\'') text.Append(dump[place++]);
            else
            {
                place++;
                return text.ToString();
            }
        }
        throw new ClientFailure("The dump does not read: a text does not end.");
    }

    private static string? Word(string dump, ref int place)
    {
        var start = place;
        while (place < dump.Length && dump[place] is not (',' or ')')) place++;
        var word = dump[start..place].Trim();
        return word.Equals("NULL", StringComparison.OrdinalIgnoreCase) ? null : word;
    }

    private static bool Next(string dump, ref int place, char sought)
    {
        Blanks(dump, ref place);
        if (place >= dump.Length || dump[place] != sought) return false;
        place++;
        return true;
    }

    private static void Blanks(string dump, ref int place)
    {
        while (place < dump.Length && char.IsWhiteSpace(dump[place])) place++;
    }

    private static Regex Create(string table) =>
        new($@"CREATE TABLE (?:IF NOT EXISTS )?`?{table}`? \((.*?)\n\)", RegexOptions.Singleline | RegexOptions.IgnoreCase);

    private static Regex Insert(string table) => new($@"INSERT (?:IGNORE )?INTO `?{table}`?\s*(?:\(([^)]*)\)\s*)?VALUES", RegexOptions.IgnoreCase);

    [GeneratedRegex(@"^\s*`([^`]+)`", RegexOptions.Multiline)]
    private static partial Regex Column();
}
