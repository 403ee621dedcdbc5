using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Codo.Modules.Tasks.Layout;
using Codo.Platform.Processes;
using Text = Codo.Platform.Localization.Text;

namespace Codo.Modules.Tasks.Execution;

/// <summary>
/// The line a step runs: <c>command + ' ' + args</c>, in which each word of <c>args</c> that is a key of the order's arguments has given way to its value.
/// A value reaches the command as one argument, whatever it contains; one that needs no quotes is put in bare, so that the line reads as before.
/// </summary>
/// <param name="Line">What runs.</param>
/// <param name="Shown">The same with <see cref="Mask"/> for the values of secret arguments: the only form that may be shown, logged or stored in the
/// clear.</param>
internal sealed record CommandLine(string Line, string Shown)
{
    /// <summary>What stands for a secret.</summary>
    public const string Mask = "******";

    // Linux takes no longer single argument (MAX_ARG_STRLEN), and the line is one argument of the shell.
    private const int MaxBytes = 128 * 1024 - 1;

    private static readonly SearchValues<char> Blanks = SearchValues.Create(ArgumentWords.Blanks);
    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Makes the line of one step.</summary>
    /// <param name="command">The step's command.</param>
    /// <param name="args">The step's arguments; null is none.</param>
    /// <param name="values">The order's arguments (<see cref="Values"/>).</param>
    /// <param name="orderId">What <see cref="ArgumentWords.OrderId"/> becomes; null while there is no order yet, and the word stays.</param>
    /// <param name="isSecret">Whether the argument of that name is a secret.</param>
    /// <param name="line">The line when the answer is true.</param>
    /// <param name="why">Which value cannot be put in, and why, when the answer is false.</param>
    public static bool TryRender(
        string command,
        string? args,
        IReadOnlyDictionary<string, string> values,
        long? orderId,
        Func<string, bool> isSecret,
        out CommandLine? line,
        out Text why
    )
    {
        line = null;
        why = default;
        var template = string.IsNullOrEmpty(args) ? command : command + " " + args;
        if (template.Contains('\0', StringComparison.Ordinal))
        {
            why = new("命令含有 NUL 字符", "the command holds a NUL");
            return false;
        }

        // Other languages end a quoted text in other places: there quotes are relied on nowhere. The line #! may go on in the arguments.
        var isForShell = CommandForm.IsForShell(template);
        // The line as it comes out is what is followed, not the template: no word that is put in may change how a later one is read.
        var quoting = isForShell ? default : ShellQuoting.Unknown;
        var read = 0;
        StringBuilder real = new(template.Length), shown = new(template.Length);
        for (int start = 0, end; start < template.Length && real.Length <= MaxBytes; start = end)
        {
            // The command is taken whole, then blanks and words in turn.
            end = start == 0 ? Math.Min(command.Length + 1, template.Length) : EndOfRun(template, start);
            var word = template[start..end];
            if (start > 0 && word != ArgumentWords.OrderId && values.TryGetValue(word, out var value))
            {
                quoting.Read(real.ToString(read, real.Length - read));
                read = real.Length;
                if (!ChangesQuoting(quoting, word))
                {
                    if (!TryQuote(word, value, quoting.State, isForShell, out var quoted, out why))
                        return false;
                    real.Append(quoted);
                    shown.Append(isSecret(word) ? Mask : quoted);
                    read = real.Length;
                    continue;
                }
            }

            var literal =
                start == 0 ? word
                : orderId is { } id ? word.Replace(ArgumentWords.OrderId, id.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal)
                : word;
            real.Append(literal);
            shown.Append(literal);
        }

        if (real.Length > MaxBytes || Encoding.UTF8.GetByteCount(real.ToString()) > MaxBytes)
            why = new($"命令行超过 {MaxBytes} 字节", $"the command line is longer than {MaxBytes} bytes");
        else
            line = new CommandLine(real.ToString(), shown.ToString());
        return line is not null;
    }

    /// <summary>
    /// The order's arguments as texts: text as it is, numbers as written, <c>true</c> and <c>false</c>, lists and objects as JSON. What is null has no
    /// value and is left out.
    /// </summary>
    public static IReadOnlyDictionary<string, string> Values(JsonObject args)
    {
        var values = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var (name, value) in args)
            if (value is not null)
                values[name] = value.GetValueKind() == JsonValueKind.String ? value.GetValue<string>() : value.ToJsonString(Readable);
        return values;
    }

    /// <summary>Whether a word has no value and stays in the line as it is; which of those were meant as arguments, only the library's names tell.</summary>
    public static bool HasNoValue(string word, IReadOnlyDictionary<string, string> values) => word != ArgumentWords.OrderId && !values.ContainsKey(word);

    /// <summary>Whether the original would have split the value into several arguments.</summary>
    public static bool HasBlanks(string value) => value.AsSpan().IndexOfAny(Blanks) >= 0;

    private static int EndOfRun(string text, int start)
    {
        var end = start + 1;
        while (end < text.Length && Blanks.Contains(text[end]) == Blanks.Contains(text[start]))
            end++;
        return end;
    }

    // Such a word is part of the template's own quotes, and no argument, even when somebody sends a key of that name.
    private static bool ChangesQuoting(ShellQuoting quoting, string word)
    {
        if (quoting.State == Quoting.Opaque) return word.AsSpan().IndexOfAny('\'', '"', '`') >= 0;
        var after = quoting;
        after.Read(word);
        return after.State != quoting.State;
    }

    // zsh puts the path of a program for a word that begins with '=', and fish its process id for %self.
    private static bool IsBare(string value) =>
        value.Length > 0
        && value[0] != '='
        && value != "%self"
        && value.All(character => char.IsAsciiLetterOrDigit(character) || "_@%+=:,./-".Contains(character, StringComparison.Ordinal));

    private static bool TryQuote(string word, string value, Quoting quoting, bool isForShell, out string quoted, out Text why)
    {
        // Within quotes of the template these are closed around the value and opened again: in double quotes $ and ` would still be seen.
        quoted = quoting switch
        {
            _ when IsBare(value) => value,
            Quoting.None => Quote(value),
            Quoting.Single => "'" + Quote(value) + "'",
            Quoting.Double => "\"" + Quote(value) + "\"",
            _ => "",
        };
        why = default;
        if (value.Contains('\0', StringComparison.Ordinal))
            why = new($"参数 {word} 的值含有 NUL 字符", $"the value of {word} holds a NUL");
        else if (quoted.Length == 0 && !isForShell)
            why = new($"参数 {word} 的值需要加引号，而命令不由 shell 执行，那里的引号规则不同；请改为在 shell 命令行中调用脚本",
                $"the value of {word} needs quotes, and it is no shell that reads the command: call the script from a shell's line instead");
        else if (quoted.Length == 0)
            why = new($"参数 {word} 的值需要加引号，而它在模板中的位置（反引号、注释、here-document 等）无法加引号",
                $"the value of {word} needs quotes, and its place in the template (backquotes, a comment, a here-document or the like) has none to rely on");
        return why == default;
    }

    // Quotes and backslashes stand outside the quotes: fish reads \' and \\ as escapes in them, and sh does not.
    private static string Quote(string value)
    {
        var quoted = new StringBuilder(value.Length + 2).Append('\'');
        foreach (var character in value)
        {
            if (character is '\'' or '\\') quoted.Append("'\\").Append(character).Append('\'');
            else quoted.Append(character);
        }

        return quoted.Append('\'').ToString();
    }
}
