using System.CommandLine;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Codo.Host.Client;

/// <summary>Writes what a command found in the form that <c>-o</c> names.</summary>
internal static class Printer
{
    private static readonly string[] Formats = ["wide", "json", "yaml", "name"];

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary><c>-o json|yaml|wide|name</c>.</summary>
    public static Option<string?> Format()
    {
        var format = new Option<string?>("--output", "-o")
        {
            Description = "json, yaml (the API's fields), wide (all columns) or name (one a line).",
            HelpName = "FORMAT",
        };
        format.Validators.Add(given =>
        {
            if (given.GetValueOrDefault<string?>() is { } word && !Formats.Contains(word)) given.AddError($"-o is one of {string.Join(", ", Formats)}.");
        });
        format.CompletionSources.Add(Formats);
        return format;
    }

    /// <summary>Writes rows; a table where no format is named.</summary>
    /// <param name="what">What there is none of, in the plural.</param>
    public static void List(
        ClientContext context,
        string? format,
        IReadOnlyList<JsonObject> rows,
        string what,
        Func<JsonObject,
        string> name,
        params Column<JsonObject>[] columns
    )
    {
        switch (format)
        {
            case "json" or "yaml":
                Whole(context, format, new JsonArray([.. rows.Select(row => row.DeepClone())]));
                break;
            case "name":
                foreach (var row in rows) context.Output.WriteLine(Name(context, name(row)));
                break;
            case null when rows.Count == 0:
                context.Error.WriteLine($"No {what}.");
                break;
            default:
                Table.Write(context, rows, columns, format == "wide");
                break;
        }
    }

    /// <summary>Writes one thing; facts a line each where no format is named.</summary>
    public static void One(ClientContext context, string? format, JsonObject thing, string name, Action facts)
    {
        if (format is "json" or "yaml") Whole(context, format, thing);
        else if (format == "name") context.Output.WriteLine(Name(context, name));
        else facts();
    }

    // What reads a pipe takes the name to the server again.
    private static string Name(ClientContext context, string name) => context.IsTerminal ? TerminalText.OneLine(name) : TerminalText.Name(name);

    public static void Whole(ClientContext context, string format, JsonNode node)
    {
        if (format == "json") context.Output.WriteLine(node.ToJsonString(Indented));
        else context.Output.Write(Yaml.Write(node));
    }

    /// <summary>Lines of a name and a value, the values aligned; what has no value is left out.</summary>
    public static void Facts(ClientContext context, params (string Name, string Value)[] facts)
    {
        var known = facts.Where(fact => fact.Value.Length > 0).ToList();
        if (known.Count == 0) return;
        var width = known.Max(fact => fact.Name.Length) + 1;
        foreach (var (name, value) in known)
        {
            var lines = value.TrimEnd('\n').Split('\n');
            var first = TerminalText.OneLine(lines[0]);
            context.Output.WriteLine(
                $"{context.Paint(name + ":", Colors.Bold)}{new string(' ', width - name.Length)}{context.Paint(first, Colors.OfStatus(first))}"
            );
            foreach (var line in lines.Skip(1)) context.Output.WriteLine(new string(' ', width + 1) + TerminalText.OneLine(line));
        }
    }
}
