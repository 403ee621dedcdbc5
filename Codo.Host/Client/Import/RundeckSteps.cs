using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Codo.Host.Client.Import;

/// <summary>Shell text for one step of a job of Rundeck. A directory, a variable or <c>exit</c> of a step does nothing to the next step.</summary>
internal static partial class RundeckSteps
{
    /// <returns>One command of the shell, whose status is that of the step; without a line end.</returns>
    /// <exception cref="FormatException">The step is more than a command or a script; the sentence says what.</exception>
    public static string Read(JsonObject step, List<string> changes)
    {
        if (step["errorhandler"] is not null)
            throw new FormatException("A step has an error handler: put what is to happen when it fails into its own command.");
        if (step.Text("exec") is { Length: > 0 } exec) return $"/bin/sh -c {Quote(RundeckOptions.Insert(exec.Trim(), changes))}";
        if (step.Text("script") is { Length: > 0 } script) return Script(step, script, changes);
        throw new FormatException(
            step["jobref"] is not null ? $"A step runs the job {step["jobref"].Text("name")}: one job does not start another one here."
            : step.Text("scriptfile").Length + step.Text("scripturl").Length > 0
                ? $"A step runs a file of the Rundeck server: {step.Text("scriptfile")}{step.Text("scripturl")}."
            : $"A step is of a plug-in: {step.Text("type")}."
        );
    }

    public static string Quote(string word) => "'" + word.Replace("'", @"'\''", StringComparison.Ordinal) + "'";

    /// <summary>A word that ends a here-document of this text, since the text has it nowhere.</summary>
    public static string Mark(string word, string text)
    {
        while (text.Contains(word, StringComparison.Ordinal)) word += "_";
        return word;
    }

    // A file, as in Rundeck: a script on standard input ends for its shell where a command of it reads the rest.
    private static string Script(JsonObject step, string script, List<string> changes)
    {
        if (At().Match(script) is { Success: true } at)
            throw new FormatException($"A script has {at.Value}, which Rundeck replaces in the text: an option is the variable RD_OPTION_NAME.");
        if (RundeckOptions.Surroundings().Match(script) is { Success: true } alone)
            throw new FormatException($"A script reads {alone.Value}, which Rundeck alone sets.");
        if (step.IsTrue("interpreterArgsQuoted"))
            throw new FormatException($"A script and its arguments are one argument of {step.Text("scriptInterpreter")}.");
        if (step.Text("fileExtension") is { Length: > 0 } extension) changes.Add($"The file of its script does not end in {extension} here.");
        var interpreter = Interpreter(step, script, changes);
        var arguments = step.Text("args") is { Length: > 0 } args ? " " + RundeckOptions.Insert(args, changes) : "";
        // An interpreter like sudo -u name reads the file as somebody else.
        var opened = step.Text("scriptInterpreter").Trim().Contains(' ', StringComparison.Ordinal) ? "chmod 755 \"$script_file\"\n" : "";
        var mark = Mark("SCRIPT", script);
        // Not every shell runs the trap of its exit when a signal ends it.
        return $"""
            (
            script_file=$(mktemp) || exit
            trap 'rm -f "$script_file"' EXIT
            trap 'exit 143' HUP TERM
            cat >"$script_file" <<'{mark}' || exit
            {script.TrimEnd('\n')}
            {mark}
            {opened}{interpreter} "$script_file"{arguments}
            ) </dev/null
            """;
    }

    private static string Interpreter(JsonObject step, string script, List<string> changes)
    {
        if (step.Text("scriptInterpreter").Contains("${scriptfile}", StringComparison.Ordinal))
            throw new FormatException("Its interpreter puts ${scriptfile} into a line of its own: write that line as a command.");
        if (step.Text("scriptInterpreter").Trim() is { Length: > 0 } named) return RundeckOptions.Insert(named, changes);
        if (!script.StartsWith("#!", StringComparison.Ordinal)) return "/bin/sh";
        // The kernel takes all that follows the program for one argument.
        var words = script[2..].Split('\n')[0].Trim().Split([' ', '\t'], 2, StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        return string.Join(' ', words.Select(word => Plain().IsMatch(word) ? word : Quote(word)));
    }

    [GeneratedRegex(@"@(?:option|unquotedoption|job|node|data|globals)\.[^@\s]+@")]
    private static partial Regex At();

    [GeneratedRegex("^[A-Za-z0-9_./:=+-]+$")]
    private static partial Regex Plain();
}
