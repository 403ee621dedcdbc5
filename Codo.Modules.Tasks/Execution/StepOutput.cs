namespace Codo.Modules.Tasks.Execution;

/// <summary>Whose output it is.</summary>
/// <param name="Host">The lane's host, also where the step is forced to another.</param>
internal sealed record OutputPlace(long ListId, int Group, int Level, string Host, long SchedId, int Attempt)
{
    /// <summary>As the original's clients ask for it.</summary>
    public string LogKey => $"{ListId}_{Group}_{Level}_{Host}";
}

/// <summary>Where the output of one attempt goes. Disposed after <see cref="Complete"/>, or without it when the attempt was cut off.</summary>
internal abstract class StepOutput : IAsyncDisposable
{
    /// <summary>
    /// Takes what was read; the bytes are valid during the call only. It must not hold the command up for longer than a write to a file takes.
    /// </summary>
    public abstract ValueTask Append(ReadOnlyMemory<byte> bytes);

    /// <summary>Nothing more comes. Returns when every line is stored, or when it is sure to be later.</summary>
    public abstract ValueTask Complete();

    public abstract ValueTask DisposeAsync();
}

/// <summary>Opens the output of an attempt. Secrets are the texts that no line may show.</summary>
internal delegate StepOutput OpenOutput(OutputPlace place, IReadOnlyCollection<string> secrets);
