using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Codo.Host.Client.Import;

/// <summary>The steps of a job of Rundeck as one command, in Rundeck's order: on this machine, or by ssh on each node that the job names.</summary>
internal static partial class RundeckWorkflow
{
    public static string Command(JsonObject job, JsonObject options, bool isSecret, List<string> changes)
    {
        var sequence = job["sequence"];
        var steps = sequence.Rows("commands").Select(step => Read(step, changes)).ToList();
        if (steps.Count == 0) throw new FormatException("It has no steps.");
        var isStepFirst = IsStepFirst(sequence.Text("strategy"), steps.Count);
        var nodes = Nodes(job, changes);
        var stepsGoOn = sequence.IsTrue("keepgoing");
        if (nodes.Count == 0) return Script([steps], stepsGoOn, false);
        if (isSecret) throw new FormatException("A secret option would have to go to other hosts: make it a template with an execute-user.");
        changes.Add($"It reaches {string.Join(", ", nodes)} by ssh with the keys of the user that it runs as.");
        var given = RundeckOptions.Exports(options);
        var nodesGoOn = (job["nodefilters"] as JsonObject)?["dispatch"].IsTrue("keepgoing") == true;
        return isStepFirst
            ? Script([.. steps.Select(step => nodes.Select(node => OnNode(node, step, given)).ToList())], nodesGoOn, stepsGoOn)
            : Script([.. nodes.Select(node => steps.Select(step => OnNode(node, step, given)).ToList())], stepsGoOn, nodesGoOn);
    }

    private static Part Read(JsonObject step, List<string> changes) =>
        new(step.Text("description") is { Length: > 0 } about ? $"# {TerminalText.OneLine(about)}\n" : "", RundeckSteps.Read(step, changes));

    // The braces let the shell read all of it before it runs any of it: it comes on standard input, which a step would read away.
    private static Part OnNode(string node, Part step, string given)
    {
        var script = $"{{\n{given}{step.Line}\nexit\n}} </dev/null\n";
        var mark = RundeckSteps.Mark("STEP", script);
        return step with { Line = $"ssh -o BatchMode=yes {node} sh -s <<'{mark}'", Document = $"{script}{mark}\n" };
    }

    /// <param name="rounds">The steps of a node, or the nodes of a step: a round is over before the next one begins.</param>
    /// <param name="partsGoOn">Whether what is left of a round runs after a part of it has failed.</param>
    /// <param name="roundsGoOn">Whether the next round begins after one in which a part has failed.</param>
    private static string Script(List<List<Part>> rounds, bool partsGoOn, bool roundsGoOn)
    {
        partsGoOn &= rounds[0].Count > 1;
        roundsGoOn &= rounds.Count > 1;
        if (!partsGoOn && !roundsGoOn) return "set -e\n" + string.Concat(rounds.SelectMany(round => round).Select(part => part.Then(""))).TrimEnd('\n');
        var script = new StringBuilder("failed=0\n");
        for (var round = 0; round < rounds.Count; round++)
        {
            if (round > 0 && !roundsGoOn) script.Append("[ \"$failed\" -eq 0 ] || exit \"$failed\"\n");
            var last = rounds[round].Count - 1;
            for (var part = 0; part <= last; part++) script.Append(rounds[round][part].Then(partsGoOn || part == last ? " || failed=$?" : " &&"));
        }
        return script.Append("exit \"$failed\"").ToString();
    }

    private static bool IsStepFirst(string strategy, int steps) => strategy switch
    {
        "" or "node-first" => false,
        "step-first" or "sequential" => true,
        // A single step has no other one beside it.
        "parallel" when steps == 1 => false,
        _ => throw new FormatException($"Its strategy is {strategy}: steps run one after another here, on one node after another."),
    };

    private static List<string> Nodes(JsonObject job, List<string> changes)
    {
        if (job["nodefilters"] is not JsonObject filters) return [];
        foreach (var other in (string[])["include", "exclude", "filterExclude"])
            if (filters.Text(other) is { Length: > 0 } chosen)
                throw new FormatException($"Its nodes are chosen by {other} {TerminalText.OneLine(chosen)}, which is more than names.");
        var filter = filters.Text("filter").Trim();
        if (filter.Length == 0) return [];
        var names = filter.StartsWith("name:", StringComparison.Ordinal) ? filter[5..].Trim() : filter;
        if (!Names().IsMatch(names)) throw new FormatException($"Its nodes are chosen by {filter}, which is more than names.");
        // Rundeck goes by the names, not by their order in the filter.
        var nodes = names.Split([',', ' '], StringSplitOptions.RemoveEmptyEntries).Distinct().Order(StringComparer.Ordinal).ToList();
        var dispatch = filters["dispatch"];
        if (dispatch.Text("rankOrder") == "descending") nodes.Reverse();
        if (nodes.Count == 1) return nodes;
        if (job["orchestrator"] is JsonObject orchestrator)
            throw new FormatException($"Its orchestrator {orchestrator.Text("type")} says which nodes run when.");
        if (dispatch.Number("threadcount") > 1) changes.Add("It goes over its nodes one after another; there several at once.");
        if (dispatch.Text("rankAttribute") is { Length: > 0 } rank && rank != "nodename")
            changes.Add($"It goes over its nodes by name; there by their attribute {rank}.");
        return nodes;
    }

    [GeneratedRegex(@"^[A-Za-z0-9_.-]+(?:[ ,]+[A-Za-z0-9_.-]+)*$")]
    private static partial Regex Names();

    /// <param name="About">A comment line; empty where there is none.</param>
    /// <param name="Line">A command, as far as the line that can be continued.</param>
    /// <param name="Document">The here-document that comes after that line.</param>
    private sealed record Part(string About, string Line, string Document = "")
    {
        /// <summary>The part with what the shell does after it.</summary>
        public string Then(string next) => $"{About}{Line}{next}\n{Document}";
    }
}
