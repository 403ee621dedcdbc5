using System.Text;

namespace Codo.Platform.Processes;

/// <summary>
/// The simple commands of a shell line as a reader of logs would write them: quotes and escapes resolved, one blank between words, no directory before the
/// program, without <c>sudo</c> and its like, known variables replaced, and the commands inside <c>sh -c</c>, <c>eval</c>, <c>ssh</c> and <c>$( )</c> beside
/// their own. It is no shell: what only a shell can know (the value of a variable that is set elsewhere) stays as it is written.
/// </summary>
public static class SimpleCommands
{
    // Deeper and more than any line that a person wrote; a line that was made to be slow ends here.
    private const int MostDepth = 6, MostCommands = 10_000;

    // Characters of inner lines, values and commands, beside so many times the line itself. a=$a$a doubles, and each -exec of find is a command with all
    // that are behind it.
    private const int SpareCharacters = 1 << 20, TimesTheLine = 8;

    private static readonly HashSet<string> Reserved = new(StringComparer.Ordinal)
    {
        "if", "then", "else", "elif", "do", "while", "until", "!", "{", "}", "time", "fi", "done", "esac", "coproc",
    };

    private static readonly string[] OfSystem =
        ["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/lib/", "/usr/libexec/", "/lib/", "/lib64/", "/dev/", "/proc/", "/sys/"];

    private static readonly HashSet<string> Shells = new(StringComparer.Ordinal) { "sh", "bash", "dash", "ash", "zsh", "ksh" };

    /// <summary>
    /// Programs that run the command behind them, with the options that take a word of their own, by letter and by name, and how many other words they take
    /// first. An option with <c>=</c> brings its word along.
    /// </summary>
    private static readonly Dictionary<string, (string Letters, string[] Names, int Words)> Prefixes = new(StringComparer.Ordinal)
    {
        ["sudo"] = (
            "ugphrtCTRDU",
            ["--user", "--group", "--prompt", "--host", "--chdir", "--chroot", "--close-from", "--other-user", "--role", "--type", "--command-timeout"],
            0
        ),
        ["doas"] = ("uC", [], 0),
        ["env"] = ("uCS", ["--unset", "--chdir"], 0),
        ["nohup"] = ("", [], 0),
        ["setsid"] = ("", [], 0),
        ["exec"] = ("a", [], 0),
        ["command"] = ("", [], 0),
        ["builtin"] = ("", [], 0),
        ["busybox"] = ("", [], 0),
        ["nice"] = ("n", ["--adjustment"], 0),
        ["ionice"] = ("cn", ["--class", "--classdata", "--pid"], 0),
        ["chrt"] = ("", [], 1),
        ["timeout"] = ("ks", ["--kill-after", "--signal"], 1),
        ["stdbuf"] = ("ioe", ["--input", "--output", "--error"], 0),
        ["chroot"] = ("", [], 1),
        ["xargs"] = ("nIPLdsEa", ["--max-args", "--max-procs", "--max-lines", "--delimiter", "--max-chars", "--arg-file"], 0),
        ["flock"] = ("wE", ["--timeout", "--wait", "--conflict-exit-code"], 1),
        ["time"] = ("fo", ["--format", "--output"], 0),
        ["runuser"] = ("ugGsw", ["--user", "--group", "--supp-group", "--shell", "--whitelist-environment"], 0),
        ["watch"] = ("n", ["--interval"], 0),
        ["unshare"] = ("", [], 0),
        ["strace"] = ("eop", [], 0),
    };

    /// <summary>The commands of a line, in order, each with its words joined by one blank.</summary>
    /// <param name="variables">Values that the environment is known to have.</param>
    public static IReadOnlyList<string> Of(string line, IReadOnlyDictionary<string, string>? variables = null) => Of(line, variables, out _);

    /// <inheritdoc cref="Of(string, IReadOnlyDictionary{string, string}?)"/>
    /// <param name="isWhole">Whether these are all; false of a line that is made of more than any person would write.</param>
    public static IReadOnlyList<string> Of(string line, IReadOnlyDictionary<string, string>? variables, out bool isWhole)
    {
        var found = new List<IReadOnlyList<string>>();
        var known = new Dictionary<string, string>(variables ?? new Dictionary<string, string>(), StringComparer.Ordinal);
        var allowance = Allowance.For(line);
        new Reader(line, known, found, allowance, 0).Read();
        isWhole = !allowance.IsSpent && found.Count < MostCommands;
        // Redirections are words too, as > and its target.
        return [.. found.Select(words => string.Join(' ', words))];
    }

    /// <summary>
    /// The scripts that a line names by an absolute path: as the program itself, or behind an interpreter. What the system brings along is none of them.
    /// </summary>
    public static IReadOnlyList<string> Scripts(string line)
    {
        var scripts = new List<string>();
        new Reader(line, new Dictionary<string, string>(StringComparer.Ordinal), [], Allowance.For(line), 0) { Scripts = scripts }.Read();
        return scripts;
    }

    private static bool IsScript(string word) =>
        word.StartsWith('/') && !OfSystem.Any(folder => word.StartsWith(folder, StringComparison.Ordinal)) && !word.Contains('\n', StringComparison.Ordinal);

    private static bool IsInterpreter(string program) =>
        Shells.Contains(program) || program is "." or "source" or "perl" or "ruby" or "node" or "php" or "awk" or "lua" or "java"
        || program.StartsWith("python", StringComparison.Ordinal);

    /// <summary>The program's name without its directory.</summary>
    internal static string BaseName(string program) => program[(program.LastIndexOf('/') + 1)..];

    /// <summary>The characters that reading one line may still take.</summary>
    private sealed class Allowance(long rest)
    {
        public bool IsSpent { get; private set; }

        public static Allowance For(string line) => new(SpareCharacters + ((long)TimesTheLine * line.Length));

        /// <summary>False when they are more than are left.</summary>
        public bool Takes(long characters)
        {
            rest -= characters;
            IsSpent |= rest < 0;
            return !IsSpent;
        }
    }

    private sealed class Reader(
        string text,
        Dictionary<string, string> variables,
        List<IReadOnlyList<string>> found,
        Allowance allowance,
        int depth
    )
    {
        private readonly StringBuilder word = new();
        private readonly List<string> hereDocuments = [];
        private List<string> words = [];
        private bool isWord, isQuoted;
        private string? piped;
        private int at;

        public List<string>? Scripts { get; init; }

        public void Read()
        {
            while (at < text.Length && found.Count < MostCommands && !allowance.IsSpent)
            {
                var character = text[at];
                switch (character)
                {
                    case '\\' when at + 1 < text.Length && text[at + 1] == '\n':
                        at += 2;
                        break;
                    case '\\':
                        Take(at + 1 < text.Length ? text[at + 1] : '\\');
                        isQuoted = true;
                        at += 2;
                        break;
                    case '\'':
                        Single();
                        break;
                    case '"':
                        Double();
                        break;
                    case '$':
                        Dollar();
                        break;
                    case '`':
                        Inner(Until('`'));
                        break;
                    case '#' when !isWord:
                        while (at < text.Length && text[at] != '\n') at++;
                        break;
                    case ' ' or '\t' or '\r':
                        EndWord();
                        at++;
                        break;
                    case '\n':
                        EndWord();
                        at++;
                        HereDocuments();
                        EndCommand(false);
                        break;
                    case ';' or '(' or ')':
                        EndWord();
                        at++;
                        EndCommand(false);
                        break;
                    case '&' when at + 1 < text.Length && text[at + 1] == '>':
                        EndWord();
                        at++;
                        break;
                    case '&' or '|':
                        EndWord();
                        var isPipe = character == '|' && (at + 1 >= text.Length || text[at + 1] != '|');
                        while (at < text.Length && text[at] is '&' or '|') at++;
                        EndCommand(isPipe);
                        break;
                    case '>' or '<':
                        Redirect(character);
                        break;
                    default:
                        Take(character);
                        at++;
                        break;
                }
            }

            EndWord();
            HereDocuments();
            EndCommand(false);
        }

        private void Take(char character)
        {
            word.Append(character);
            isWord = true;
        }

        private void Put(string value)
        {
            if (allowance.Takes(value.Length)) word.Append(value);
        }

        private void EndWord()
        {
            if (!isWord) return;
            words.Add(word.ToString());
            word.Clear();
            (isWord, isQuoted) = (false, false);
        }

        private void Single()
        {
            isWord = isQuoted = true;
            for (at++; at < text.Length && text[at] != '\''; at++) word.Append(text[at]);
            at++;
        }

        private void Double()
        {
            isWord = isQuoted = true;
            for (at++; at < text.Length && text[at] != '"';)
            {
                if (text[at] == '\\' && at + 1 < text.Length && text[at + 1] is '$' or '`' or '"' or '\\' or '\n')
                {
                    if (text[at + 1] != '\n') word.Append(text[at + 1]);
                    at += 2;
                }
                else if (text[at] == '$') Dollar();
                else if (text[at] == '`') Inner(Until('`'));
                else word.Append(text[at++]);
            }

            at++;
        }

        private void Dollar()
        {
            isWord = true;
            var next = at + 1 < text.Length ? text[at + 1] : ' ';
            if (next == '(')
            {
                at++;
                Inner(Parenthesis());
            }
            else if (next == '\'' && !isQuoted) Escaped();
            else if (next == '{') Braced();
            else if (char.IsAsciiLetter(next) || next == '_')
            {
                var from = ++at;
                while (at < text.Length && (char.IsAsciiLetterOrDigit(text[at]) || text[at] == '_')) at++;
                var name = text[from..at];
                Put(variables.TryGetValue(name, out var value) ? value : "$" + name);
            }
            else word.Append(text[at++]);
        }

        private void Braced()
        {
            var end = text.IndexOf('}', at);
            if (end < 0) end = text.Length - 1;
            var inner = text[(at + 2)..Math.Max(at + 2, end)];
            var length = inner.TakeWhile(character => char.IsAsciiLetterOrDigit(character) || character == '_').Count();
            var (name, rest) = (inner[..length], inner[length..]);
            Put(
                variables.TryGetValue(name, out var value) ? value
                : rest.StartsWith(":-", StringComparison.Ordinal) || rest.StartsWith(":=", StringComparison.Ordinal) ? rest[2..]
                : text[at..Math.Min(end + 1, text.Length)]
            );
            at = end + 1;
        }

        // $'…' of bash: a way to write any character.
        private void Escaped()
        {
            isQuoted = true;
            for (at += 2; at < text.Length && text[at] != '\''; at++)
            {
                if (text[at] != '\\' || at + 1 >= text.Length)
                {
                    word.Append(text[at]);
                    continue;
                }

                at++;
                switch (text[at])
                {
                    case 'n' or 't' or 'r':
                        word.Append(' ');
                        break;
                    case 'x' when at + 2 < text.Length && int.TryParse(text.AsSpan(at + 1, 2), System.Globalization.NumberStyles.HexNumber, null, out var hex):
                        word.Append((char)hex);
                        at += 2;
                        break;
                    case >= '0' and <= '7':
                        var code = 0;
                        var digits = 0;
                        for (; digits < 3 && at + digits < text.Length && text[at + digits] is >= '0' and <= '7'; digits++)
                            code = (code * 8) + (text[at + digits] - '0');
                        word.Append((char)code);
                        at += digits - 1;
                        break;
                    default:
                        word.Append(text[at]);
                        break;
                }
            }

            at++;
        }

        private string Until(char end)
        {
            var from = at + 1;
            for (at = from; at < text.Length && text[at] != end; at++)
                if (text[at] == '\\') at++;
            var inner = text[Math.Min(from, text.Length)..Math.Min(at, text.Length)];
            at++;
            return inner;
        }

        // From the opening parenthesis to the one that closes it; quotes inside are stepped over.
        private string Parenthesis()
        {
            var from = at + 1;
            var open = 0;
            for (; at < text.Length; at++)
            {
                if (text[at] == '\\') at++;
                else if (text[at] == '\'')
                {
                    for (at++; at < text.Length && text[at] != '\''; at++)
                    {
                    }
                }
                else if (text[at] == '(') open++;
                else if (text[at] == ')' && --open == 0) break;
            }

            var inner = text[Math.Min(from, text.Length)..Math.Min(at, text.Length)];
            at++;
            return inner;
        }

        private void Inner(string inner)
        {
            isWord = true;
            Parse(inner);
            word.Append("$()");
        }

        private void Redirect(char character)
        {
            // A number in front is a descriptor.
            if (isWord && !isQuoted && word.ToString().All(char.IsAsciiDigit))
            {
                word.Clear();
                isWord = false;
            }

            EndWord();
            var from = at;
            while (at < text.Length && text[at] is '<' or '>' or '|' && at - from < 3) at++;
            var operation = text[from..at];
            if (at < text.Length && text[at] == '&')
            {
                // 2>&1 names a descriptor and no file.
                var next = at + 1;
                while (next < text.Length && (char.IsAsciiDigit(text[next]) || text[next] == '-')) next++;
                if (next > at + 1)
                {
                    at = next;
                    return;
                }

                at++;
            }

            if (operation == "<<")
            {
                if (at < text.Length && text[at] == '-') at++;
                while (at < text.Length && text[at] is ' ' or '\t') at++;
                var mark = new StringBuilder();
                for (; at < text.Length && !char.IsWhiteSpace(text[at]) && text[at] is not (';' or '|' or '&' or ')' or '>' or '<'); at++)
                    if (text[at] is not ('\'' or '"' or '\\')) mark.Append(text[at]);
                hereDocuments.Add(mark.ToString());
                return;
            }

            words.Add(character == '>' ? ">" : operation == "<<<" ? "<<" : "<");
        }

        // The lines up to the mark belong to the command before: as one word, so that SQL and scripts are seen with the program that reads them.
        private void HereDocuments()
        {
            foreach (var mark in hereDocuments)
            {
                var body = new StringBuilder();
                while (at < text.Length)
                {
                    var end = text.IndexOf('\n', at);
                    if (end < 0) end = text.Length;
                    var line = text[at..end];
                    at = Math.Min(end + 1, text.Length);
                    if (line.Trim() == mark) break;
                    body.Append(line).Append('\n');
                }

                words.Add("<<");
                words.Add(body.ToString());
            }

            hereDocuments.Clear();
        }

        private void EndCommand(bool isPiped)
        {
            var own = words;
            words = [];
            if (own.Count == 0) return;
            var said = piped is null ? own : [.. own, "<<", piped];
            piped = null;
            var command = Add(said);
            if (isPiped && command is ["echo" or "printf", ..]) piped = string.Join(' ', command.Skip(1).Where(word => word is not ("-e" or "-n" or "-en")));
        }

        private IReadOnlyList<string>? Add(List<string> all)
        {
            var from = 0;
            while (from < all.Count && (Reserved.Contains(all[from]) || IsAssignment(all[from])))
            {
                if (IsAssignment(all[from]) && all[from].IndexOf('=', StringComparison.Ordinal) is var sign)
                    variables[all[from][..sign]] = all[from][(sign + 1)..];
                from++;
            }

            from = BehindPrefixes(all, from);
            if (from >= all.Count || found.Count >= MostCommands || !allowance.Takes(all.Sum(word => word.Length + 1L))) return null;
            List<string> command = [BaseName(all[from]), .. all.Skip(from + 1).Select(OneLine)];
            found.Add(command);
            if (IsScript(all[from])) Scripts?.Add(all[from]);
            else if (IsInterpreter(command[0]) && all.Skip(from + 1).FirstOrDefault(word => !word.StartsWith('-')) is { } script && IsScript(script))
                Scripts?.Add(script);
            Nested(command[0], all.GetRange(from + 1, all.Count - from - 1));
            return command;
        }

        private static int BehindPrefixes(List<string> all, int from)
        {
            while (from < all.Count && Prefixes.TryGetValue(BaseName(all[from]), out var prefix))
            {
                var program = BaseName(all[from]);
                var next = from + 1;
                var isUser = false;
                while (next < all.Count && (IsAssignment(all[next]) || (all[next].Length > 1 && all[next][0] == '-')))
                {
                    var option = all[next];
                    next++;
                    if (option == "--") break;
                    isUser |= option.StartsWith("-u", StringComparison.Ordinal) || option.StartsWith("--user", StringComparison.Ordinal);
                    // The last letter of a group of short options may take the word behind it.
                    var isShort = option[0] == '-' && option[1] != '-';
                    if (isShort ? prefix.Letters.Contains(option[^1], StringComparison.Ordinal) : prefix.Names.Contains(option)) next++;
                }

                next += prefix.Words;
                if (next >= all.Count) break;
                // Behind its file flock takes a command, or -c and a line for a shell; runuser without -u is su by another name.
                if (program switch { "flock" => all[next] is "-c" or "--command", "runuser" => !isUser, _ => false }) break;
                from = next;
            }

            return from;
        }

        private void Nested(string program, List<string> arguments)
        {
            if (program is "su" or "runuser" or "flock")
            {
                if (LineOf(arguments) is { } line) Parse(line);
            }
            else if (Shells.Contains(program))
            {
                var option = arguments.FindIndex(IsLineOption);
                if (option >= 0 && option + 1 < arguments.Count) Parse(arguments[option + 1]);
                var input = arguments.IndexOf("<<");
                if (input >= 0 && input + 1 < arguments.Count) Parse(arguments[input + 1]);
            }
            else if (program == "eval") Parse(string.Join(' ', arguments));
            else if (program == "ssh")
            {
                var host = 0;
                while (host < arguments.Count && arguments[host].StartsWith('-'))
                    host += arguments[host].Length == 2 && "bcDEeFIiJLlmOopQRSWw".Contains(arguments[host][1], StringComparison.Ordinal) ? 2 : 1;
                if (host + 1 < arguments.Count) Parse(string.Join(' ', arguments.Skip(host + 1)));
            }
            else if (program == "find")
            {
                var exec = arguments.FindIndex(word => word is "-exec" or "-execdir" or "-ok");
                if (exec >= 0 && exec + 1 < arguments.Count) Add(arguments.GetRange(exec + 1, arguments.Count - exec - 1));
            }
        }

        private static bool IsLineOption(string word) =>
            word == "--command" || (word.Length > 1 && word[0] == '-' && word[1] != '-' && word.Contains('c', StringComparison.Ordinal));

        // Unlike a shell, su takes the line also behind a sign or glued to its letter.
        private static string? LineOf(List<string> arguments)
        {
            const string sign = "--command=";
            for (var at = 0; at < arguments.Count; at++)
            {
                var word = arguments[at];
                if (word.StartsWith(sign, StringComparison.Ordinal)) return word[sign.Length..];
                if (!IsLineOption(word)) continue;
                var letter = word == "--command" ? word.Length - 1 : word.IndexOf('c', StringComparison.Ordinal);
                // A letter before it may have a value of its own, as in -s/bin/csh.
                if (word != "--command" && word.AsSpan(1, letter - 1).IndexOfAnyExcept(Flags) >= 0) continue;
                if (letter + 1 < word.Length) return word[(letter + 1)..];
                return at + 1 < arguments.Count ? arguments[at + 1] : null;
            }
            return null;
        }

        private void Parse(string inner)
        {
            if (depth < MostDepth && inner.Length > 0 && found.Count < MostCommands && allowance.Takes(inner.Length))
                new Reader(inner, variables, found, allowance, depth + 1) { Scripts = Scripts }.Read();
        }

        private static bool IsAssignment(string word)
        {
            var sign = word.IndexOf('=', StringComparison.Ordinal);
            return sign > 0 && (char.IsAsciiLetter(word[0]) || word[0] == '_') && word.AsSpan(0, sign).IndexOfAnyExcept(NameCharacters) < 0;
        }

        private static string OneLine(string word) =>
            word.Contains('\n', StringComparison.Ordinal)
                ? string.Join(' ', word.Split((char[])[' ', '\t', '\r', '\n'], StringSplitOptions.RemoveEmptyEntries))
                : word;

        // Of su, runuser and flock: those that may stand before -c in one word.
        private static readonly System.Buffers.SearchValues<char> Flags = System.Buffers.SearchValues.Create("flmpPnxeosF");

        private static readonly System.Buffers.SearchValues<char> NameCharacters = System.Buffers.SearchValues.Create(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
        );
    }
}
