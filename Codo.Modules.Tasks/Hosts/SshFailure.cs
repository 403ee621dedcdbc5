using Codo.Platform.Data;
using Codo.Platform.Localization;

namespace Codo.Modules.Tasks.Hosts;

/// <summary>Why a host could not be used. Only after <see cref="Lost"/> may something be running there.</summary>
internal enum SshFailureKind
{
    /// <summary>
    /// No such name, no answer in time, refused, or not an SSH server; or the link turned out to be dead before the command was sent. Nothing was started.
    /// </summary>
    Unreachable,

    /// <summary>The host does not take the user with this key. Nothing was started.</summary>
    Authentication,

    /// <summary>The caller does not trust the host's key; where keys are pinned, it is another than the one that is. Nothing was started.</summary>
    HostKey,

    /// <summary>No key of the host is pinned, and <c>Codo:Tasks:HostKeys</c> is <c>strict</c>. Nothing was started.</summary>
    HostKeyUnknown,

    /// <summary>
    /// The host takes the connection but did not run the command (no more sessions, a forced command, a login shell that refuses). Nothing was started.
    /// </summary>
    Refused,

    /// <summary>The link broke, or no exit status came, after the command had been sent: it may have ended, or run on.</summary>
    Lost,
}

/// <summary>A host that could not be used, or was lost.</summary>
/// <remarks>Its text holds what the host and SSH.NET say, and is stored: it is cleaned here.</remarks>
internal sealed class SshFailedException(SshFailureKind kind, Text text, Exception? inner = null) : Exception(OutsideText.Clean(text.En), inner)
{
    public SshFailureKind Kind { get; } = kind;

    /// <summary>For the person who follows the order; names the host.</summary>
    public Text Text { get; } = OutsideText.Clean(text);

    /// <summary>
    /// The host took the connection and dropped it before a session existed, as a busy sshd does (<c>MaxStartups</c>): another try may well succeed.
    /// </summary>
    public bool IsDropped { get; init; }
}
