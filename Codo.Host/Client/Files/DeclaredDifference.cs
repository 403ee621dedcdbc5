namespace Codo.Host.Client.Files;

/// <summary>One thing that differs between files and server.</summary>
/// <param name="There">As the server has it; null where it does not.</param>
/// <param name="Wanted">As the files have it, what they leave open filled from the server; null where they do not.</param>
internal sealed record DeclaredDifference(Declared? There, Declared? Wanted)
{
    public Declared Either => Wanted ?? There!;

    /// <summary>What differs. Things that the files do not have are among them only where they are to go.</summary>
    public static List<DeclaredDifference> Between(IReadOnlyList<Declared> there, IReadOnlyList<Declared> wanted, bool prune)
    {
        var differences = new List<DeclaredDifference>();
        foreach (var one in wanted)
        {
            var known = there.FirstOrDefault(other => other.Kind == one.Kind && other.Name == one.Name);
            var filled = known is null ? one : one with { Fields = one.Kind.Filled(one.Fields, known.Fields) };
            if (known is null || Text(known) != Text(filled)) differences.Add(new DeclaredDifference(known, filled));
        }

        // What the files have nothing of, a kind in a space, is not theirs: they may be the export of one space or kind.
        if (prune)
        {
            var theirs = wanted.Select(one => Place(one, there.FirstOrDefault(other => other.Kind == one.Kind && other.Name == one.Name))).ToHashSet();
            differences.AddRange(
                there
                    .Where(one => theirs.Contains(Place(one, null)) && !wanted.Any(other => other.Kind == one.Kind && other.Name == one.Name))
                    .Select(one => new DeclaredDifference(one, null))
            );
        }
        return differences;
    }

    // A file that names no space means the one in which the thing is; one that is made anew goes into default.
    private static (DeclaredKind Kind, string Space) Place(Declared one, Declared? known)
    {
        var space = one.Fields.Text("space") is { Length: > 0 } own ? own : known?.Fields.Text("space") ?? "default";
        return (one.Kind, space.ToUpperInvariant());
    }

    /// <summary>Writes the difference line by line, as diff(1) does.</summary>
    public void Show(ClientContext context)
    {
        var (sign, color) = There is null ? ("+", Colors.Green) : Wanted is null ? ("-", Colors.Red) : ("~", Colors.Yellow);
        context.Output.WriteLine(context.Paint($"{sign} {Either.Kind.Word} {TerminalText.OneLine(Either.Name)}", color));
        foreach (var (kind, line) in Lines(There is null ? [] : Text(There).Split('\n'), Wanted is null ? [] : Text(Wanted).Split('\n')))
            if (kind != ' ' && line.Length > 0)
                context.Output.WriteLine(context.Paint($"    {kind} {TerminalText.OneLine(line)}", kind == '+' ? Colors.Green : Colors.Red));
    }

    private static string Text(Declared one) => Yaml.Write(one.Kind.Short(one.Fields));

    // The longest common subsequence; files are short.
    private static IEnumerable<(char Kind, string Line)> Lines(string[] before, string[] after)
    {
        var common = new int[before.Length + 1, after.Length + 1];
        for (var i = before.Length - 1; i >= 0; i--)
            for (var j = after.Length - 1; j >= 0; j--)
                common[i, j] = before[i] == after[j] ? common[i + 1, j + 1] + 1 : Math.Max(common[i + 1, j], common[i, j + 1]);
        var (left, right) = (0, 0);
        while (left < before.Length || right < after.Length)
        {
            if (left < before.Length && right < after.Length && before[left] == after[right]) yield return (' ', before[left++]);
            else if (right == after.Length || (left < before.Length && common[left + 1, right] >= common[left, right + 1]))
            {
                yield return ('-', before[left++]);
                continue;
            }
            else
            {
                yield return ('+', after[right++]);
                continue;
            }
            right++;
        }
    }
}
