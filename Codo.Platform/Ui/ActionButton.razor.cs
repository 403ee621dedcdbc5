using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.AspNetCore.Components;

namespace Codo.Platform.Ui;

/// <summary>
/// A button that is one request of the public API. What the caller may not do is shown, with the reason; it is <c>aria-disabled</c> and not disabled, so that
/// the keyboard reaches the reason.
/// </summary>
public sealed partial class ActionButton
{
    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    [Parameter]
    public string Word { get; set; } = "";

    [Parameter]
    public string Icon { get; set; } = "";

    /// <summary><c>primary</c>, <c>danger</c> or empty.</summary>
    [Parameter]
    public string Tone { get; set; } = "";

    [Parameter]
    public string Method { get; set; } = "POST";

    [Parameter]
    public string Path { get; set; } = "";

    [Parameter]
    public object? Body { get; set; }

    /// <summary>What will happen, to be confirmed first; null acts at once.</summary>
    [Parameter]
    public string? Confirm { get; set; }

    /// <summary>What is to be typed to confirm it, as of <see cref="TypedFor"/>; null for nothing.</summary>
    [Parameter]
    public string? Typed { get; set; }

    /// <summary>Whether the page is read again before it asks: what is confirmed, and typed, changes without the page's topics telling of it.</summary>
    [Parameter]
    public bool Recounts { get; set; }

    /// <summary>
    /// The word of an undo, null for none. It says what is wanted: a request that turned the state over would also take back what somebody else has done. It is
    /// not offered after an answer with <c>changed: false</c>.
    /// </summary>
    [Parameter]
    public string? Undo { get; set; }

    /// <summary>The method of the undo.</summary>
    [Parameter]
    public string UndoMethod { get; set; } = "POST";

    /// <summary>Where the undo is sent to.</summary>
    [Parameter]
    public string? UndoPath { get; set; }

    /// <summary>What is sent there; a text <c>{name}</c> in it is that field of the answer.</summary>
    [Parameter]
    public object? UndoBody { get; set; }

    /// <summary>The page to go to after the undo; null stays.</summary>
    [Parameter]
    public string? UndoGo { get; set; }

    /// <summary>The page to go to once it is done, where the message is shown; null stays.</summary>
    [Parameter]
    public string? Go { get; set; }

    /// <summary>A letter that presses it.</summary>
    [Parameter]
    public string? Key { get; set; }

    /// <summary>Why the caller may not; null where they may.</summary>
    [Parameter]
    public string? Reason { get; set; }

    /// <summary>More than 50 hosts are confirmed by typing their number; null for fewer.</summary>
    public static string? TypedFor(int hosts) => hosts > 50 ? hosts.ToString(CultureInfo.InvariantCulture) : null;

    private string? Json => Body is null ? null : JsonSerializer.Serialize(Body, Readable);

    private string? UndoJson => UndoBody is null ? null : JsonSerializer.Serialize(UndoBody, Readable);
}
