using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Codo.Host.Client.Import;

/// <summary>Lines that run the scripts of a directory.</summary>
internal static partial class RunParts
{
    // What these change is how run-parts tells of the scripts.
    private static readonly string[] Harmless = ["--report", "--verbose", "-v", "--debug", "-d", "--exit-on-error", "--"];

    /// <summary>The job, or one for each script where the directory is on this machine.</summary>
    public static List<JsonObject> Split(JsonObject job, List<string> changes)
    {
        var command = job.Text("cmd");
        var calls = Call().Matches(command);
        if (calls.Count == 0) return [job];
        var folder = calls[0].Groups["folder"].Value;
        var scripts = new List<string>();
        if (Whole(calls, command) is { } whole) changes.Add($"{whole}: the line stays one job.");
        else if (!Directory.Exists(folder)) changes.Add($"{folder} is not on this machine: the line stays one job.");
        else
        {
            scripts = Scripts(folder, changes);
            if (scripts.Count == 0) changes.Add($"{folder} has no script that Debian's run-parts would run: the line stays one job.");
        }

        if (scripts.Count == 0) return [job];
        changes.Add($"A job for each of the {scripts.Count} scripts of {folder}; they run at once and no longer one after another.");
        var (before, after) = (command[..calls[0].Index], command[(calls[0].Index + calls[0].Length)..]);
        if ((before + after).Trim().Length > 0) changes.Add("What stands beside run-parts in the line runs with each of them.");
        return
        [
            .. scripts.Select(script =>
            {
                var own = (JsonObject)job.DeepClone();
                own["cmd"] = before + script + after;
                own["job_id"] = ImportName.Of(System.IO.Path.GetFileName(script), job.Text("run_as"), script);
                return own;
            }),
        ];
    }

    // Why a line cannot be taken apart; null where it can.
    private static string? Whole(MatchCollection calls, string command) =>
        calls.Count > 1 ? "It runs two directories"
        : Lock().IsMatch(command) ? "Its lock lets only one of the scripts run at a time"
        : calls[0].Groups["option"].Captures.Select(option => option.Value).FirstOrDefault(option => !Harmless.Contains(option)) is { } other
            ? $"run-parts {other} changes what runs, or how"
        : null;

    // Those that Debian's run-parts(8) takes: their names have letters, digits, hyphens and underscores alone, and they may be run. RHEL's takes names with
    // dots too, so nothing is left out without a word.
    private static List<string> Scripts(string folder, List<string> changes)
    {
        var files = Directory.GetFiles(folder).Order(StringComparer.Ordinal).ToList();
        var named = files.Where(file => Name().IsMatch(System.IO.Path.GetFileName(file))).ToList();
        var scripts = named.Where(file => (File.GetUnixFileMode(file) & UnixFileMode.UserExecute) != 0).ToList();
        if (scripts.Count == 0) return scripts;
        if (named.Count < files.Count) changes.Add($"Left out of {folder} for their names, as Debian's run-parts does: {Names(files.Except(named))}.");
        if (scripts.Count < named.Count) changes.Add($"Left out of {folder} because they are not executable: {Names(named.Except(scripts))}.");
        return scripts;
    }

    private static string Names(IEnumerable<string> files) => string.Join(", ", files.Select(System.IO.Path.GetFileName));

    [GeneratedRegex("""(?<![\w./-])(?:/[\w./-]*/)?run-parts(?:\s+(?<option>-\S+))*\s+(?<folder>/[^\s;(){}&|<>"'`$*?]+)(?=[\s;)}&|<>"'`]|$)""")]
    private static partial Regex Call();

    [GeneratedRegex(@"(?<![\w.-])flock\s")]
    private static partial Regex Lock();

    [GeneratedRegex("^[A-Za-z0-9_-]+$")]
    private static partial Regex Name();
}
