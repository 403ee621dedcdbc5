using System.Text;
using System.Text.RegularExpressions;
using Codo.Platform.Localization;

namespace Codo.Platform.Processes;

/// <summary>How a command is handed to the shell that runs it.</summary>
/// <param name="Private">The command holds a secret: it reaches its shell by a descriptor, so that no process argument that Codo makes shows it.</param>
/// <param name="Pty">The command runs on a terminal of its own, which <c>script</c> (util-linux) makes: <c>sudo</c> with <c>requiretty</c> asks for
/// one.</param>
/// <param name="Encoding">What the command is written in and writes; null for UTF-8.</param>
public sealed partial record CommandForm(bool Private = false, bool Pty = false, Encoding? Encoding = null)
{
    /// <summary>Characters of an interpreter with its argument.</summary>
    public const int MostInterpreter = 500;

    // They read quotes and backslashes as /bin/sh does.
    private static readonly HashSet<string> Shells = new(StringComparer.Ordinal) { "sh", "bash", "dash", "ash", "ksh", "ksh93", "zsh" };

    /// <summary>A command as it is: one argument of its shell, in UTF-8, without a terminal.</summary>
    public static CommandForm Plain { get; } = new();

    /// <summary>
    /// The names that <c>encoding</c> may have, as their standard writes them. ASCII is written alike in each, but in some another character has a byte of it
    /// (<see cref="DemandReadable"/>).
    /// </summary>
    public static IReadOnlyList<string> Encodings { get; } =
    ["utf-8", "gbk", "gb18030", "big5", "shift_jis", "euc-jp", "euc-kr", "iso-8859-1", "iso-8859-15", "windows-1251", "windows-1252", "koi8-r"];

    /// <summary>The encoding of one of <see cref="Encodings"/>; null for UTF-8, and for an empty name.</summary>
    public static Encoding? EncodingOf(string? name)
    {
        if (string.IsNullOrEmpty(name) || name == "utf-8") return null;
        return CodePagesEncodingProvider.Instance.GetEncoding(name) ?? Encoding.GetEncoding(name);
    }

    /// <summary>A command as an editor on another system saved it, made one that a shell here reads: no byte order mark, LF at the end of a line.</summary>
    public static string Clean(string command) =>
        command.TrimStart('\uFEFF').Replace("\r\n", "\n", StringComparison.Ordinal) is var text && text.EndsWith('\r') ? text[..^1] : text;

    /// <summary>
    /// What the first line names after <c>#!</c>: the program, and one argument as the kernel passes it on, or none. Null where there is no such line.
    /// </summary>
    public static string[]? Interpreter(string command)
    {
        if (InterpreterLine.Match(command) is not { Success: true } line) return null;
        var argument = line.Groups[2].Value.Trim();
        return argument.Length == 0 ? [line.Groups[1].Value] : [line.Groups[1].Value, argument];
    }

    /// <summary>
    /// Whether a shell that reads quotes as <c>/bin/sh</c> does runs the command: one without a line <c>#!</c>, or whose line names such a shell, also behind
    /// <c>env</c>. What cannot be told for certain is none.
    /// </summary>
    public static bool IsForShell(string command)
    {
        if (Interpreter(command) is not { } named) return true;
        var program = SimpleCommands.BaseName(named[0]);
        if (program == "env" && named.Length > 1) program = SimpleCommands.BaseName(BehindEnv.Match(named[1]).Groups[1].Value);
        return Shells.Contains(program);
    }

    /// <summary>
    /// A command that was cleaned, with the line in front that names its interpreter where one is set; a line of the command's own goes before that.
    /// </summary>
    public static string With(string? interpreter, string command)
    {
        command = Clean(command);
        var program = (interpreter ?? "").Trim();
        // As it stands in a script's first line.
        if (program.StartsWith("#!", StringComparison.Ordinal)) program = program[2..].TrimStart();
        return program.Length == 0 || Interpreter(command) is not null ? command : $"#!{program}\n{command}";
    }

    /// <summary>The bytes of a command for its shell.</summary>
    /// <exception cref="CommandNotStartedException">The encoding lacks a character of it.</exception>
    public byte[] Bytes(string command)
    {
        if (Encoding is null) return System.Text.Encoding.UTF8.GetBytes(command);
        try
        {
            var strict = (Encoding)Encoding.Clone();
            strict.EncoderFallback = EncoderFallback.ExceptionFallback;
            return strict.GetBytes(command);
        }
        catch (EncoderFallbackException cause)
        {
            throw new CommandNotStartedException(
                new Text($"命令中有 {Encoding.WebName} 编码没有的字符", $"The command holds a character that the encoding {Encoding.WebName} lacks."), cause);
        }
    }

    /// <summary>
    /// Sees to it that a shell, which reads bytes, finds the quotes of a command where they are. In GBK, Big5 and Shift JIS the second byte of a character may
    /// be that of a backslash, a backquote or a bar. Between single quotes, and in a comment, none of them means anything; between double quotes a bar
    /// does not, nor does a backslash before most characters.
    /// </summary>
    /// <exception cref="CommandNotStartedException">It holds such a character elsewhere, or one that the encoding lacks.</exception>
    public void DemandReadable(string command)
    {
        if (Encoding is null || !IsForShell(command)) return;
        _ = Bytes(command);
        var encoding = Encoding;
        var bytes = new byte[16];
        var at = ShellQuoting.IndexOutside(command, (place, quoting) => HidesAscii(command, place, quoting, encoding, bytes));
        if (at < 0) return;
        var character = command[at..(at + LengthAt(command, at))];
        throw new CommandNotStartedException(
            new Text(
                ($"字符“{character}”在 {encoding.WebName} 编码中含有 shell 读作 \\、` 或 | 的字节，命令没有执行：请把它放在单引号里"
                    + "（在 here-document 之类之前），或写在命令读取的文件里"),
                ($"The encoding {encoding.WebName} writes '{character}' with a byte that a shell reads as \\, ` or |, so the command was not run: put it "
                    + "between single quotes, before any here-document or the like, or into a file that the command reads.")
            )
        );
    }

    private static bool HidesAscii(string command, int at, Quoting quoting, Encoding encoding, byte[] bytes)
    {
        // The second half of a pair was looked at with the first.
        if (char.IsAscii(command[at]) || char.IsLowSurrogate(command[at])) return false;
        var behind = at + LengthAt(command, at);
        var written = bytes.AsSpan(0, encoding.GetBytes(command.AsSpan(at, behind - at), bytes));
        if (quoting != Quoting.Double) return written.IndexOfAny((byte)'\\', (byte)'`', (byte)'|') >= 0;
        // A backslash is text there unless one of these follows. At the end of the command nobody knows.
        var escapes = behind == command.Length || "\"$`\\\n".Contains(command[behind], StringComparison.Ordinal);
        return written.IndexOf((byte)'`') >= 0 || (escapes && written.IndexOf((byte)'\\') >= 0);
    }

    private static int LengthAt(string command, int at) => char.IsHighSurrogate(command[at]) ? 2 : 1;

    [GeneratedRegex(@"\A#![ \t]*([^\s]+)([^\n]*)", RegexOptions.CultureInvariant)]
    private static partial Regex InterpreterLine { get; }

    // What env itself would have to unquote, and options that take a word, match nothing: the program could be another than the one that seems to be it.
    [GeneratedRegex(@"\A(?:-[iv]*S[ \t]*)?(?:-[iv]+[ \t]+)*([^\s='""\\$-][^\s='""\\$]*)(?:[ \t]|\z)", RegexOptions.CultureInvariant)]
    private static partial Regex BehindEnv { get; }
}
