using System.Globalization;
using System.Text.RegularExpressions;

namespace Codo.Platform.Ui;

/// <summary>
/// Characters that turn the direction of what follows, and are not seen themselves: with them in it a command line reads like another one. Pages show them;
/// what a button copies, is sent or is run has them as they are.
/// </summary>
public static partial class DirectionControls
{
    /// <summary>The text as it is shown, each of them as <c>⟨U+202E⟩</c>.</summary>
    public static string Visible(string text) =>
        Controls().Replace(text, found => string.Create(CultureInfo.InvariantCulture, $"⟨U+{(int)found.Value[0]:X4}⟩"));

    // What Unicode calls Bidi_Control.
    [GeneratedRegex(@"[\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]", RegexOptions.CultureInvariant)]
    private static partial Regex Controls();
}
