using Codo.Modules.Alerts.Rules;
using Codo.Platform.Data;

namespace Codo.Modules.Alerts.Channels;

/// <summary>One way to reach people. Everything that it calls is in its settings, so that a test points it at a server of its own.</summary>
internal interface IChannel
{
    /// <summary>As it is stored and asked for: <c>email</c>.</summary>
    string Kind { get; }

    /// <summary>What can be set. Anything else is refused.</summary>
    IReadOnlyList<Field> Fields { get; }

    /// <summary>Sends one message. A failure that another try may mend is thrown, or answered as not taken; the caller keeps the time limit.</summary>
    Task<Outcome> Send(IReadOnlyDictionary<string, string> settings, Message message, CancellationToken cancellation);
}

/// <summary>A setting of a channel.</summary>
/// <param name="Secret">Sealed at rest, never shown.</param>
/// <param name="Allowed">The words that it can be; null for any text.</param>
internal sealed record Field(string Name, bool Secret = false, bool Required = true, string Default = "", string[]? Allowed = null);

/// <summary>What came of one try.</summary>
/// <param name="Answer">What the other side said, cut to what a person reads.</param>
/// <param name="Retry">Whether another try may help.</param>
internal sealed record Outcome(bool Taken, string Answer, bool Retry = true)
{
    /// <summary>What the other side said; it is stored, so it is cleaned.</summary>
    public string Answer { get; init; } = OutsideText.Clean(Answer);

    /// <summary>Not sent: the incident was deleted, or has moved to a space that this channel does not serve.</summary>
    public bool HasNoIncident { get; init; }

    public static Outcome NobodyHas(string what) => new(false, $"nobody's {what} is known (see /v2/alerts/contact/)", Retry: false);
}

/// <summary>A message as a channel sends it.</summary>
/// <param name="Title">One line.</param>
/// <param name="Text">Title, facts, output and link, as plain text.</param>
/// <param name="Short">What an SMS has room for.</param>
/// <param name="Facts">The same for programs: what webhook and command get as JSON.</param>
internal sealed record Message(long DeliveryId, string Title, string Text, string Short, IReadOnlyList<Contact> People, object Facts)
{
    /// <summary>The text, cut to so many bytes of UTF-8 with its end, the link, kept.</summary>
    public string Within(int bytes)
    {
        if (System.Text.Encoding.UTF8.GetByteCount(Text) <= bytes) return Text;
        var link = "\n…\n" + Text[(Text.LastIndexOf('\n') + 1)..];
        var room = bytes - System.Text.Encoding.UTF8.GetByteCount(link);
        var length = 0;
        foreach (var rune in Text.EnumerateRunes())
        {
            room -= rune.Utf8SequenceLength;
            if (room < 0) break;
            length += rune.Utf16SequenceLength;
        }
        return Text[..length] + link;
    }
}
