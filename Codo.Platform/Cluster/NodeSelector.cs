using System.Text;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using FluentValidation;

namespace Codo.Platform.Cluster;

/// <summary>
/// Which nodes may take something: terms over their names and tags (<c>codo-1</c>, <c>canary</c>, <c>dc=bj</c>), joined by <c>&amp;</c>, <c>|</c> and <c>!</c>,
/// with parentheses; <c>&amp;</c> binds closer than <c>|</c>. The empty selector is every node. Here selectors are read and put into one form, which is what is
/// stored; PostgreSQL alone decides which nodes fit (<c>platform.fits</c>).
/// </summary>
public static class NodeSelector
{
    /// <summary>Characters of a selector without its blanks, of a name or a tag at most.</summary>
    public const int MostLength = 500, MostTerm = 100;

    // A form has two blanks for each sign and a name for each: with them it is read again.
    private const int MostDepth = 20, MostWithBlanks = 3 * MostLength;

    /// <summary>Reads a selector.</summary>
    /// <param name="form">In its one form, such as <c>dc=bj &amp; !canary</c>; empty for every node.</param>
    /// <param name="why">What is wrong, to be put behind the name of the field.</param>
    public static bool TryParse(string? text, out string form, out Text why)
    {
        form = "";
        why = default;
        if (string.IsNullOrWhiteSpace(text)) return true;
        if (text.Length > MostWithBlanks || text.Count(letter => !char.IsWhiteSpace(letter)) > MostLength)
        {
            why = new Text($"不能超过 {MostLength} 个字符", $"is longer than {MostLength} characters");
            return false;
        }
        try
        {
            form = new Reader(text).Read();
            return true;
        }
        catch (Wrong wrong)
        {
            why = wrong.Why;
            return false;
        }
    }

    /// <summary>The one form of a selector that was checked before.</summary>
    public static string Form(string? text) => TryParse(text, out var form, out _) ? form : "";

    /// <summary>Reads a tag of a node, a word or <c>key=value</c>; null when it is none.</summary>
    public static string? Tag(string text) =>
        text.Length <= MostTerm && TryParse(text, out var form, out _) && form.All(letter => IsTerm(letter) || letter == '=') && form.Length > 0 ? form : null;

    /// <summary>Refuses a field that is no selector.</summary>
    public static IRuleBuilderOptions<T, string?> IsSelector<T>(this IRuleBuilder<T, string?> rule, string field) =>
        rule.Must(text => TryParse(text, out _, out _))
            .WithMessage((_, text) => Refused(field, text)?.Text.En ?? "")
            .WithState((_, text) => Refused(field, text));

    /// <summary>Why a field is refused; null when it is a selector.</summary>
    public static Refusal? Refused(string field, string? text) =>
        TryParse(text, out _, out var why) ? null : Refusal.Invalid($"{field} {why.Zh}", $"{field} {why.En}");

    // Letters of every script, and what names of machines and values of tags are made of. No quote and no backslash: a term goes into a tsquery between quotes.
    private static bool IsTerm(char letter) => char.IsLetterOrDigit(letter) || letter is '-' or '_' or '.' or ':' or '/' or '@' or '+';

    private sealed class Wrong(Text why) : Exception(why.En)
    {
        public Text Why { get; } = why;
    }

    /// <summary>Recursive descent: any = all { | all }, all = one { &amp; one }, one = ! one | ( any ) | term.</summary>
    private sealed class Reader(string text)
    {
        private int at;
        private int depth;

        public string Read()
        {
            var form = Any();
            return at == text.Length ? form : throw Unexpected();
        }

        private string Any()
        {
            var form = All();
            while (Takes('|')) form += " | " + All();
            return form;
        }

        private string All()
        {
            var form = One();
            while (Takes('&')) form += " & " + One();
            return form;
        }

        private string One()
        {
            if (++depth > MostDepth) throw new Wrong(new Text($"嵌套不能超过 {MostDepth} 层", $"is nested deeper than {MostDepth}"));
            var form = Takes('!') ? "!" + One() : Takes('(') ? Closed(Any()) : Term();
            depth--;
            return form;
        }

        private string Closed(string form) => Takes(')') ? $"({form})" : throw Unexpected();

        private string Term()
        {
            var form = Word();
            return Takes('=') ? $"{form}={Word()}" : form;
        }

        private string Word()
        {
            Skip();
            var from = at;
            while (at < text.Length && IsTerm(text[at])) at++;
            if (at == from) throw Unexpected();
            var word = text[from..at];
            Skip();
            return word.Length <= MostTerm
                ? word
                : throw new Wrong(new Text($"中的名称不能超过 {MostTerm} 个字符", $"has a name of more than {MostTerm} characters"));
        }

        private bool Takes(char sign)
        {
            Skip();
            if (at == text.Length || text[at] != sign) return false;
            at++;
            Skip();
            return true;
        }

        private void Skip()
        {
            while (at < text.Length && char.IsWhiteSpace(text[at])) at++;
        }

        private Wrong Unexpected()
        {
            if (at == text.Length) return new Wrong(new Text("不完整，例如 dc=bj & !canary", "is not complete; an example is dc=bj & !canary"));
            // A letter outside the basic plane is two characters of C#.
            var letter = Rune.TryGetRuneAt(text, at, out var rune) ? rune.ToString() : "?";
            return new Wrong(
                new Text(
                    $"的第 {at + 1} 个字符 {letter} 有误；可用名称、key=value、&、|、! 与括号，例如 dc=bj & !canary",
                    $"is wrong at character {at + 1}, {letter}: it is made of names, key=value, &, |, ! and parentheses, such as dc=bj & !canary"
                )
            );
        }
    }
}
