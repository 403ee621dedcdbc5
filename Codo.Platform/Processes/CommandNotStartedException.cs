using Codo.Platform.Data;
using Codo.Platform.Localization;

namespace Codo.Platform.Processes;

/// <summary>A command that could not be started at all: nothing of it has run. Its text holds what others say, and is stored: it is cleaned here.</summary>
public sealed class CommandNotStartedException(Text text, Exception? inner = null) : Exception(OutsideText.Clean(text.En), inner)
{
    /// <summary>Why, for the person who wrote the command.</summary>
    public Text Text { get; } = OutsideText.Clean(text);
}
