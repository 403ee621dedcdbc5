namespace Codo.Platform.Processes;

/// <summary>A command that could not be started at all. The message is a sentence for the person who wrote the command.</summary>
public sealed class CommandNotStartedException : Exception
{
    public CommandNotStartedException(string chinese, string english, Exception? inner = null) : base(english, inner) => Chinese = chinese;

    /// <summary>The same sentence as <see cref="Exception.Message"/>, in Chinese.</summary>
    public string Chinese { get; }
}
