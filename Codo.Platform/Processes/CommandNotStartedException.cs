using Codo.Platform.Http;

namespace Codo.Platform.Processes;

/// <summary>A command that could not be started at all: nothing of it has run.</summary>
public sealed class CommandNotStartedException(Text text, Exception? inner = null) : Exception(text.En, inner)
{
    /// <summary>Why, for the person who wrote the command.</summary>
    public Text Text { get; } = text;
}
