using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Codo.Host.Client.Import;

/// <summary>Options of a job of Rundeck: variables with the default values, and what stands for them where Rundeck writes the value into a command.</summary>
internal static partial class RundeckOptions
{
    private const char NoQuote = '\0';

    /// <summary>
    /// Options with their default values, as the variables that Rundeck gives to a script. Secrets are in the order in which the server keeps them: in
    /// another one they would differ from it at every import.
    /// </summary>
    public static (JsonObject Variables, JsonArray Secrets) Read(JsonObject job, List<string> changes)
    {
        var (variables, secrets) = (new JsonObject(), new SortedSet<string>(StringComparer.Ordinal));
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
        return (variables, new JsonArray([.. secrets.Select(name => JsonValue.Create(name))]));
    }

    /// <summary>Shell text that sets and exports the variables: ssh carries no environment.</summary>
    public static string Exports(JsonObject variables) =>
        string.Concat(variables.Select(option => $"{option.Key}={RundeckSteps.Quote(option.Value.AsText())}; export {option.Key}\n"));

    /// <summary>
    /// A command with variables in the place of options. Rundeck writes the value into the text and quotes the word around it: it is never split, and an empty
    /// value alone is no argument.
    /// </summary>
    /// <exception cref="FormatException">It names what Rundeck alone knows, or an option where the quoting is not clear.</exception>
    public static string Insert(string command, List<string> changes)
    {
        if (Surroundings().Match(command) is { Success: true } alone) throw new FormatException($"It reads {alone.Value}, which Rundeck alone sets.");
        var made = new StringBuilder(command.Length);
        var (quote, isClear) = (NoQuote, true);
        for (var place = 0; place < command.Length;)
        {
            if (Reference().Match(command, place) is { Success: true } reference)
            {
                if (reference.Groups[1].Value != "option") throw new FormatException($"{reference.Value} is known to Rundeck alone.");
                var variable = Variable(reference.Groups[2].Value);
                if (!isClear)
                    throw new FormatException($"How {reference.Value} is quoted in its command is not clear: write the variable {variable} there instead.");
                const string Said = "Options are variables RD_OPTION_NAME, with their default values.";
                if (!changes.Contains(Said)) changes.Add(Said);
                var value = quote switch
                {
                    '"' => $"${{{variable}}}",
                    '\'' => $"'\"${variable}\"'",
                    _ => $"${{{variable}:+\"${variable}\"}}",
                };
                made.Append(value);
                place += reference.Length;
                continue;
            }

            var length = 1;
            var character = command[place];
            if (character == quote) quote = NoQuote;
            else if (quote == NoQuote && character is '\'' or '"') quote = character;
            else if (quote != '\'' && character == '\\')
            {
                if (Reference().IsMatch(command, place + 1)) isClear = false;
                else length = Math.Min(2, command.Length - place);
            }
            else if (quote != '\'' && (quote == '"' ? UnclearInQuotes() : Unclear()).IsMatch(command, place)) isClear = false;
            made.Append(command, place, length);
            place += length;
        }
        return made.ToString();
    }

    /// <summary>A field of the job with the default values in the place of options; one that there is not stays as it stands.</summary>
    public static string Fill(string text, JsonObject variables) =>
        Named().Replace(text, named => variables[Variable(named.Groups[1].Value)] is { } value ? value.AsText() : named.Value);

    /// <summary>Variables that Rundeck sets beside the options; an empty one in a path or a condition does harm.</summary>
    [GeneratedRegex(@"\bRD_(?:JOB|NODE|DATA|GLOBALS)_\w+")]
    public static partial Regex Surroundings();

    private static string Variable(string option) => "RD_OPTION_" + NoWord().Replace(option, "_").ToUpperInvariant();

    [GeneratedRegex(@"\G\$\{([a-z]+)\.([^}]+)\}")]
    private static partial Regex Reference();

    [GeneratedRegex(@"\$\{option\.([^}]+)\}")]
    private static partial Regex Named();

    // What begins a text with quoting of its own: here-documents, arithmetic, $'…', comments.
    [GeneratedRegex(@"\G(?:<<|\$\(\(|\$'|(?<![^\s;&|()])#)")]
    private static partial Regex Unclear();

    // Within double quotes a substitution has quotes of its own; a plain ${NAME} has none.
    [GeneratedRegex(@"\G(?:`|\$\(|\$\{(?![A-Za-z_][A-Za-z0-9_]*\}))")]
    private static partial Regex UnclearInQuotes();

    [GeneratedRegex("[^A-Za-z0-9]")]
    private static partial Regex NoWord();
}
