using System.CommandLine;
using System.Text;

namespace Codo.Host.Client;

/// <summary><c>codo help</c>: the manual page, as text or in the form of man(7), made from the commands themselves.</summary>
internal static class HelpCommand
{
    private static readonly (string Code, string Meaning)[] Codes =
    [
        ("0", "Done. An order or a run that was waited for ended well."),
        ("1", "The server refused it, there is no such thing, or what was waited for ended badly. audit verify: a day does not hold."),
        ("2", "diff: files and server differ. apply: they differ, and nothing was changed. Commands of the host: something has to be changed first."),
        ("4", "Nobody is signed in, or the token is no longer good."),
        (
            "5",
            "The server cannot be reached, cannot answer for now (HTTP 429 or 5xx), or does not answer as Codo does. order watch, order logs -f, job run -f "
                + "and job logs -f ask again for two minutes before they end so."
        ),
        ("64", "The command line is wrong."),
        ("75", "Commands of the host: the database does not answer, or another Codo has the data directory; it may work later."),
        ("124", "--timeout has passed."),
        ("130", "Ctrl-C."),
        ("141", "Whoever read standard output has gone, as head does."),
    ];

    private static readonly (string Name, string Meaning)[] Variables =
    [
        ("CODO_URL", "The server, in place of the last sign-in."),
        ("CODO_TOKEN", "The token, in place of the one that is kept; where CODO_URL is set, for that server alone."),
        ("CODO_CONFIG_DIR", "Where sign-ins are kept; else $XDG_CONFIG_HOME/codo, else ~/.config/codo."),
        ("CODO_SOURCE_TOKEN", "The token of a codo-cron or codo-task that is imported from."),
        ("NO_COLOR", "Set to anything: no colours."),
        ("COLUMNS", "Columns of the terminal."),
        ("LC_ALL, LC_MESSAGES, LANG", "The server's sentences come in Chinese where it begins with zh."),
        ("VISUAL, EDITOR", "The editor of codo job edit; else vi."),
        ("SSL_CERT_FILE, SSL_CERT_DIR", "Certificates of authorities of one's own."),
        ("HTTPS_PROXY, HTTP_PROXY, NO_PROXY", "The proxy to the server."),
    ];

    public static Command Command(ClientContext context, Func<RootCommand> root)
    {
        var names = new Argument<string[]>("COMMAND") { Description = "One command; default all.", Arity = ArgumentArity.ZeroOrMore };
        var roff = new Option<bool>("--roff") { Description = "In the form of man(7): codo help --roff | man -l -" };
        var command = new Command("help", "Print the manual page of codo, or of one command.") { names, roff };
        command.SetAction(parsed =>
        {
            Command shown = root();
            foreach (var name in parsed.GetValue(names) ?? [])
                shown =
                    shown.Subcommands.FirstOrDefault(inner => inner.Name == name && !inner.Hidden)
                    ?? throw new ClientFailure($"There is no command {name}: codo help lists them.", ExitCodes.Usage);
            context.Output.Write(parsed.GetValue(roff) ? Roff(shown) : Plain(shown));
        });
        return command;
    }

    private static string Plain(Command shown)
    {
        var text = new StringBuilder();
        foreach (var (title, entries) in Sections(shown))
        {
            text.Append(title).Append('\n');
            foreach (var (head, body) in entries)
            {
                if (head.Length > 0) text.Append("       ").Append(head).Append('\n');
                foreach (
                    var line in Wrap(body, head.Length > 0 ? 66 : 73)
                ) text.Append(head.Length > 0 ? "              " : "       ").Append(line).Append('\n');
            }
            text.Append('\n');
        }
        return text.ToString();
    }

    private static string Roff(Command shown)
    {
        var text = new StringBuilder($".TH {Name(shown).Replace(' ', '-').ToUpperInvariant()} 1\n");
        foreach (var (title, entries) in Sections(shown))
        {
            text.Append(".SH ").Append(title).Append('\n');
            foreach (var (head, body) in entries)
            {
                if (head.Length > 0) text.Append(".TP\n.B ").Append(Escaped(head)).Append('\n');
                text.Append(Escaped(body)).Append('\n');
            }
        }
        return text.ToString();
    }

    private static IEnumerable<(string Title, List<(string Head, string Body)> Entries)> Sections(Command shown)
    {
        yield return ("NAME", [("", $"{Name(shown).Replace(' ', '-')} - {shown.Description}")]);
        yield return ("SYNOPSIS", [("", Line(shown))]);
        if (Words(shown) is { Count: > 0 } words) yield return ("ARGUMENTS AND OPTIONS", words);
        if (shown.Subcommands.Count > 0)
            yield return (
                "COMMANDS",
                [
                    .. Leaves(shown).SelectMany(
                        command => Words(command).Select(word => ("    " + word.Head, word.Body)).Prepend((Line(command), command.Description ?? ""))
                    )
                ]
            );
        if (shown is not RootCommand) yield break;
        yield return ("EXIT STATUS", [.. Codes]);
        yield return ("ENVIRONMENT", [.. Variables]);
        yield return ("FILES", [("~/.config/codo/logins.json", "The servers that one is signed in to, with a token each (mode 600).")]);
        yield return ("SEE ALSO", [("", "docs/terminal.md, docs/operations.md, docs/migration.md; /docs/ of a running server for the API.")]);
    }

    private static IEnumerable<Command> Leaves(Command command) =>
        command.Subcommands.Where(inner => !inner.Hidden).SelectMany(
            inner => inner.Subcommands.Count == 0 ? [inner] : inner.Action is null ? Leaves(inner) : Leaves(inner).Prepend(inner)
        );

    private static List<(string Head, string Body)> Words(Command command) =>
        [
            .. command.Arguments.Select(argument => (argument.Name, argument.Description ?? "")),
            .. command
                .Options.Where(option => !option.Hidden && option.Description is not null && option.Name is not ("--help" or "--version"))
                .Select(
                    option => (
                        string.Join(", ", option.Aliases.Order().Append(option.Name)) + (Value(option) is { } value ? $" {value}" : ""),
                        option.Description ?? ""
                    )
                ),
        ];

    private static string? Value(Option option) => option.ValueType == typeof(bool) ? null : option.HelpName ?? option.Name.TrimStart('-').ToUpperInvariant();

    private static string Line(Command command)
    {
        var line = new StringBuilder(Name(command));
        if (command.Subcommands.Count > 0) line.Append(" COMMAND");
        foreach (var argument in command.Arguments.Where(_ => command.Subcommands.Count == 0 || command is { Action: not null }))
        {
            var name = argument.Arity.MaximumNumberOfValues > 1 ? argument.Name + "..." : argument.Name;
            line.Append(argument.Arity.MinimumNumberOfValues == 0 ? $" [{name}]" : $" {name}");
        }
        return line.Append(command.Options.Any(option => !option.Hidden) ? " [OPTIONS]" : "").ToString();
    }

    private static string Name(Command command)
    {
        var names = new List<string>();
        for (Symbol? at = command; at is Command one and not RootCommand; at = one.Parents.FirstOrDefault()) names.Insert(0, one.Name);
        return string.Join(' ', names.Prepend("codo"));
    }

    private static IEnumerable<string> Wrap(string text, int width)
    {
        var line = new StringBuilder();
        foreach (var word in text.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            if (line.Length > 0 && line.Length + 1 + word.Length > width)
            {
                yield return line.ToString();
                line.Clear();
            }
            if (line.Length > 0) line.Append(' ');
            line.Append(word);
        }
        if (line.Length > 0) yield return line.ToString();
    }

    private static string Escaped(string text)
    {
        var escaped = text.Replace("\\", "\\e", StringComparison.Ordinal).Replace("-", "\\-", StringComparison.Ordinal);
        return escaped.TrimStart() is ['.' or '\'', ..] ? "\\&" + escaped : escaped;
    }
}
