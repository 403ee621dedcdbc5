namespace Codo.Modules.Tasks.Execution;

/// <summary>How a shell reads a place of a command line.</summary>
internal enum Quoting
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
    /// Behind <c>$(</c> in double quotes, arithmetic, an expansion with an operator, <c>&lt;&lt;</c> or <c>$'</c>, to the very end: there sh, bash, dash and
    /// zsh differ, or only a parser of the whole language could tell. To refuse a value is safe, to misjudge its place is not.
    /// </summary>
    Opaque,
}

/// <summary>
/// Follows a command line as a shell reads it. It is fed what is literally there; a value that was quoted for its place leaves the state as it was.
/// </summary>
internal struct ShellQuoting
{
    /// <summary>How what comes next will be read.</summary>
    public Quoting State { get; private set; }

    /// <summary>Reads on. A piece begins at a blank or behind one, so that no token is cut in two.</summary>
    public void Read(ReadOnlySpan<char> piece)
    {
        for (var at = 0; at < piece.Length;)
            at += Step(piece, at);
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
            case (Quoting.Backquote, '`'):
                State = Quoting.None;
                return 1;
            case (Quoting.BackquoteInDouble, '`'):
                State = Quoting.Double;
                return 1;
            case (Quoting.Single or Quoting.Comment, _):
                return 1;
            case (_, '\\'):
                return 2;
            case (Quoting.Backquote or Quoting.BackquoteInDouble, _):
                return 1;
            case (_, '`'):
                State = State == Quoting.Double ? Quoting.BackquoteInDouble : Quoting.Backquote;
                return 1;
            case (_, '$') when next == '{':
                return Parameter(text, at);
            case (_, '$') when next == '[' || (next == '(' && (State == Quoting.Double || (at + 2 < text.Length && text[at + 2] == '('))):
            case (Quoting.None, '$') when next is '\'' or '"':
            case (Quoting.None, '(') when next == '(':
            case (Quoting.None, '<') when next == '<':
                State = Quoting.Opaque;
                return 1;
            case (Quoting.None, '#') when at == 0 || " \t\n\r\v\f;&|()<>`".Contains(text[at - 1], StringComparison.Ordinal):
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

    // ${NAME} changes nothing; with an operator the word behind it has rules of its own.
    private int Parameter(ReadOnlySpan<char> text, int at)
    {
        var end = at + 2;
        while (end < text.Length && (char.IsAsciiLetterOrDigit(text[end]) || text[end] == '_'))
            end++;
        if (end < text.Length && text[end] == '}')
            return end + 1 - at;
        State = Quoting.Opaque;
        return 1;
    }
}
