using System.Globalization;
using System.Text;

namespace Codo.Host.Client;

/// <summary>What a command of the client is run from: its streams, its environment and what its terminal can do.</summary>
internal sealed class ClientContext(TextReader input, TextWriter output, TextWriter error, Func<string, string?> variable)
{
    public TextReader Input { get; } = input;

    public TextWriter Output { get; } = output;

    public TextWriter Error { get; } = error;

    /// <summary>Whether standard output is a terminal.</summary>
    public bool IsTerminal { get; init; }

    /// <summary>Whether somebody can be asked: standard input is a terminal.</summary>
    public bool CanAsk { get; init; }

    /// <summary>Columns that a line may take; null where nothing is cut.</summary>
    public int? Width { get; init; }

    /// <summary>Lines of the terminal; null where there is none.</summary>
    public int? Height { get; init; }

    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Whether words may be coloured: on a terminal that is not dumb, unless NO_COLOR is set to anything.</summary>
    public bool HasColors => IsTerminal && string.IsNullOrEmpty(Variable("NO_COLOR")) && Variable("TERM") != "dumb";

    /// <summary>Whether the server is asked for its Chinese texts.</summary>
    public bool IsChinese => (First("LC_ALL", "LC_MESSAGES", "LANG") ?? "").StartsWith("zh", StringComparison.Ordinal);

    /// <summary>A variable of the environment; null also where it is empty.</summary>
    public string? Variable(string name) => variable(name) is { Length: > 0 } value ? value : null;

    /// <summary>Of this process.</summary>
    public static ClientContext OfProcess()
    {
        // UTF-8 without a mark, whatever the locale says: what is printed is piped into other programs.
        var utf8 = new UTF8Encoding(false);
        var to = Console.IsOutputRedirected ? new RedirectedOutput() : Console.OpenStandardOutput();
        var output = new StreamWriter(to, utf8, 16 << 10) { AutoFlush = !Console.IsOutputRedirected };
        var error = new StreamWriter(Console.OpenStandardError(), utf8, 4096) { AutoFlush = true };
        var input = new StreamReader(Console.OpenStandardInput(), utf8);
        return new ClientContext(input, output, error, Environment.GetEnvironmentVariable)
        {
            IsTerminal = !Console.IsOutputRedirected,
            CanAsk = !Console.IsInputRedirected,
            Width = Columns(),
            Height = Lines(),
        };
    }

    /// <summary>Asks for a line; without a terminal takes the next line of standard input.</summary>
    public string Ask(string prompt)
    {
        if (CanAsk) Prompt(prompt);
        return Input.ReadLine()?.Trim() ?? "";
    }

    /// <summary>The same without showing what is typed.</summary>
    public string AskSecret(string prompt)
    {
        if (!CanAsk) return Input.ReadLine() ?? "";
        Prompt(prompt);
        var typed = new StringBuilder();
        while (Console.ReadKey(intercept: true) is var key && key.Key != ConsoleKey.Enter)
        {
            if (key.Key == ConsoleKey.Backspace) typed.Length = Math.Max(0, typed.Length - 1);
            else if (key.KeyChar != '\0') typed.Append(key.KeyChar);
        }

        Error.WriteLine();
        return typed.ToString();
    }

    /// <summary>Asks whether to go on; without a terminal nobody says yes.</summary>
    public bool Confirm(string question) => CanAsk && Ask($"{question} [y/N] ") is "y" or "Y" or "yes";

    public void Warn(string sentence) => Error.WriteLine($"{Paint("warning:", Colors.Yellow)} {TerminalText.OneLine(sentence)}");

    /// <summary>The text in a colour, where colours are wanted.</summary>
    public string Paint(string text, string? color) => color is null || !HasColors ? text : $"\e[{color}m{text}\e[0m";

    // What is asked about stands before the question, also where it goes through a pipe.
    private void Prompt(string prompt)
    {
        Output.Flush();
        Error.Write(prompt);
    }

    private string? First(params string[] names) => names.Select(Variable).FirstOrDefault(value => value is not null);

    private static int? Lines()
    {
        if (Console.IsOutputRedirected) return null;
        try
        {
            return Console.WindowHeight is > 0 and var height ? height : null;
        }
        catch (IOException)
        {
            return null;
        }
    }

    private static int? Columns()
    {
        if (int.TryParse(Environment.GetEnvironmentVariable("COLUMNS"), NumberStyles.None, CultureInfo.InvariantCulture, out var columns) && columns > 0)
            return columns;
        if (Console.IsOutputRedirected) return null;
        try
        {
            return Console.WindowWidth is > 0 and var width ? width : null;
        }
        catch (IOException)
        {
            return null;
        }
    }
}

/// <summary>Colours of ECMA-48 that every terminal has.</summary>
internal static class Colors
{
    public const string Red = "31", Green = "32", Yellow = "33", Blue = "34", Gray = "90", Bold = "1";

    /// <summary>The colour of a word that says how something stands.</summary>
    public static string? OfStatus(string word) => word switch
    {
        "success" or "done" or "running" or "scheduled" or "active" or "resolved" or "enabled" => Green,
        "faild" or "failed" or "timeout" or "killed" or "interrupted" or "broken" or "missed" or "open" or "lost" or "unreachable" or "rejected" => Red,
        "paused" or "queued" or "skipped" or "waiting" or "new" or "hand" or "timed" or "ready" or "acknowledged" or "stopped" or "ended" => Yellow,
        _ => null,
    };
}
