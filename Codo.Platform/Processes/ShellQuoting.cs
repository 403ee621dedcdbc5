namespace Codo.Platform.Processes;

/// <summary>How a shell reads a place of a command line.</summary>
public enum Quoting
{
    /// <summary>Outside all quotes, also in <c>$(…)</c> that stands outside them.</summary>
    None,

    /// <summary>Between <c>'</c> and <c>'</c>.</summary>
    Single,

    /// <summary>Between <c>"</c> and <c>"</c>.</summary>
    Double,

    /// <summary>Between backquotes that stand outside quotes; like the following ones, only what needs no quotes may be put in there.</summary>
    Backquote,

    /// <summary>Between backquotes that stand in double quotes.</summary>
    BackquoteInDouble,

    /// <summary>Behind <c>#</c>, up to the end of the line: quotes are not seen there, and a line end in a value would end it.</summary>
    Comment,

    /// <summary>
    /// Behind <c>$(</c> in double quotes, arithmetic, a subscript, an expansion with an operator, <c>&lt;&lt;</c>, <c>$'</c> or <c>\'</c> in single quotes, to
    /// the very end: there the supported shells differ, or only a parser of the whole language could tell. So is all of a script that no shell reads. To refuse
    /// a value is safe, to misjudge its place is not.
    /// </summary>
    Opaque,
}

/// <summary>
/// Follows a command line as a shell reads it: sh, bash, dash, zsh and ksh, and fish, to which a backquote is a character like any other and a backslash in
/// single quotes is an escape. Where they differ the rest is <see cref="Quoting.Opaque"/>. It is fed what is literally there; a value that was quoted for its
/// place leaves the state as it was.
/// </summary>
public struct ShellQuoting
{
    // Behind one of the first ones # begins a comment in every shell; behind the others it may, or goes on with a word, as in $(date)#.
    private const string BeforeComment = " \t\n;";
    private const string MaybeBeforeComment = "\r\v\f&|()<>`";

    // How fish reads a place between backquotes: quotes that are open there it takes along behind them.
    private Quoting inFish;

    // The last two characters of what was read, for a piece that begins with #.
    private char last, beforeLast;

    /// <summary>Where nothing is known of how the text is read.</summary>
    public static ShellQuoting Unknown => new() { State = Quoting.Opaque };

    /// <summary>How what comes next will be read.</summary>
    public Quoting State { get; private set; }

    /// <summary>Reads on. A piece begins at a blank or behind one, so that no token is cut in two.</summary>
    public void Read(ReadOnlySpan<char> piece)
    {
        for (var at = 0; at < piece.Length;)
            at += Step(piece, at);
        if (piece.IsEmpty) return;
        beforeLast = piece.Length > 1 ? piece[^2] : last;
        last = piece[^1];
    }

    /// <summary>
    /// Where, in a whole command, the first of the characters that are asked for stands neither between single quotes nor in a comment; -1 for none.
    /// </summary>
    /// <param name="isAsked">Whether the character at a place is one of them, as it is read there.</param>
    public static int IndexOutside(string command, Func<int, Quoting, bool> isAsked)
    {
        var quoting = new ShellQuoting();
        for (int at = 0, end; at < command.Length; at = end)
        {
            var state = quoting.State;
            // A backslash at the end, and what is opaque, say more than is there.
            end = at + Math.Min(quoting.Step(command, at), command.Length - at);
            for (var place = at; place < end && state is not (Quoting.Single or Quoting.Comment); place++)
                if (isAsked(place, state)) return place;
        }

        return -1;
    }

    // Reads what begins here and answers its length.
    private int Step(ReadOnlySpan<char> text, int at)
    {
        var next = at + 1 < text.Length ? text[at + 1] : '\0';
        switch (State, text[at])
        {
            case (Quoting.Opaque, _):
                return text.Length;
            case (Quoting.Single, '\''):
            case (Quoting.Double, '"'):
            case (Quoting.Comment, '\n'):
                State = Quoting.None;
                return 1;
            case (Quoting.Backquote, '`'):
                State = inFish == Quoting.None ? Quoting.None : Quoting.Opaque;
                return 1;
            case (Quoting.BackquoteInDouble, '`'):
                State = inFish == Quoting.Double ? Quoting.Double : Quoting.Opaque;
                return 1;
            case (Quoting.Single, '\\') when next == '\'':
                State = Quoting.Opaque;
                return 1;
            case (Quoting.Single, '\\') when next == '\\':
                return 2;
            case (Quoting.Single or Quoting.Comment, _):
                return 1;
            // A blank that is escaped ends no word.
            case (Quoting.None, '\\') when at + 2 < text.Length && text[at + 2] == '#' && (Has(BeforeComment, next) || Has(MaybeBeforeComment, next)):
                State = Quoting.Opaque;
                return 2;
            case (_, '\\'):
                return 2;
            case (Quoting.Backquote or Quoting.BackquoteInDouble, _):
                StepInBackquotes(text, at);
                return 1;
            case (_, '`'):
                inFish = State;
                State = State == Quoting.Double ? Quoting.BackquoteInDouble : Quoting.Backquote;
                return 1;
            case (_, '$') when next == '{':
                return Parameter(text, at);
            case (_, '$') when next == '[' || HasSubscript(text[(at + 1)..]):
            case (_, '$') when next == '(' && (State == Quoting.Double || (at + 2 < text.Length && text[at + 2] == '(')):
            // NAME[…]= is computed by bash, too.
            case (Quoting.None, '[') when at > 0 && IsOfName(text[at - 1]) && HoldsBlank(text[at..]):
            case (Quoting.None, '$') when next is '\'' or '"':
            case (Quoting.None, '(') when next == '(':
            case (Quoting.None, '<') when next == '<':
            case (Quoting.None, '#') when at > 0 && Has(MaybeBeforeComment, text[at - 1]):
            case (Quoting.None, '#') when at == 0 && (beforeLast == '\\' || Has(MaybeBeforeComment, last)):
                State = Quoting.Opaque;
                return 1;
            case (Quoting.None, '#') when at == 0 || Has(BeforeComment, text[at - 1]):
                State = Quoting.Comment;
                return 1;
            case (Quoting.None, '\''):
                State = Quoting.Single;
                return 1;
            case (Quoting.None, '"'):
                State = Quoting.Double;
                return 1;
            default:
                return 1;
        }
    }

    private void StepInBackquotes(ReadOnlySpan<char> text, int at)
    {
        var before = at > 0 ? text[at - 1] : ' ';
        switch (inFish, text[at])
        {
            case (Quoting.Single, '\''):
            case (Quoting.Double, '"'):
                inFish = Quoting.None;
                break;
            case (Quoting.None, '\''):
                inFish = Quoting.Single;
                break;
            case (Quoting.None, '"'):
                inFish = Quoting.Double;
                break;
            // A comment of fish goes on behind the backquotes, and in a substitution quotes have a beginning of their own.
            case (Quoting.None, '#') when Has(BeforeComment, before) || Has(MaybeBeforeComment, before):
            case (Quoting.Double, '(') when before == '$':
                State = Quoting.Opaque;
                break;
        }
    }

    // ${NAME} changes nothing; with an operator the word behind it has rules of its own.
    private int Parameter(ReadOnlySpan<char> text, int at)
    {
        var end = at + 2;
        while (end < text.Length && IsOfName(text[end]))
            end++;
        if (end < text.Length && text[end] == '}')
            return end + 1 - at;
        State = Quoting.Opaque;
        return 1;
    }

    // zsh computes what stands in $NAME[…], and $(…) in it is run whatever quotes it is in.
    private static bool HasSubscript(ReadOnlySpan<char> behindDollar)
    {
        var rest = behindDollar.TrimStart("#+^=~");
        var end = 0;
        while (end < rest.Length && IsOfName(rest[end]))
            end++;
        if (end == 0 && rest.Length > 0 && Has("@*?!$-", rest[0])) end = 1;
        return end < rest.Length && rest[end] == '[' && HoldsBlank(rest[end..]);
    }

    // Only behind a blank a value can stand in these brackets. log[0-9] is a pattern.
    private static bool HoldsBlank(ReadOnlySpan<char> bracket)
    {
        var depth = 0;
        foreach (var character in bracket)
        {
            if (character == '[') depth++;
            else if (character == ']' && --depth == 0) return false;
            else if (char.IsWhiteSpace(character)) return true;
        }

        return true;
    }

    private static bool IsOfName(char character) => char.IsAsciiLetterOrDigit(character) || character == '_';

    private static bool Has(string characters, char character) => characters.Contains(character, StringComparison.Ordinal);
}
