using Codo.Platform.Processes;

namespace Codo.Modules.Tasks.Layout;

/// <summary>
/// The words of a step's arguments: what stands between blanks of ASCII. Another blank, such as a full-width one, is part of its word, as it is to a shell.
/// </summary>
internal static class ArgumentWords
{
    /// <summary>The word that gives way to the order's id, also inside another word; nobody is asked for it.</summary>
    public const string OrderId = "FLOW_ID";

    /// <summary>What words end at.</summary>
    public static readonly char[] Blanks = [' ', '\t', '\n', '\r', '\v', '\f'];

    /// <summary>The words that these arguments use, each once, in the order of their first use, without <see cref="OrderId"/>.</summary>
    public static IReadOnlyList<string> Of(IEnumerable<string?> args) =>
        [
            .. args.SelectMany(text => CommandForm.Clean(text ?? "").Split(Blanks, StringSplitOptions.RemoveEmptyEntries))
                .Where(word => word != OrderId)
                .Distinct(),
        ];
}
