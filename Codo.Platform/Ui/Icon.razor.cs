using Microsoft.AspNetCore.Components;

namespace Codo.Platform.Ui;

/// <summary>A line drawing of 16 pixels, beside a word and never instead of one.</summary>
public sealed partial class Icon
{
    private static readonly Dictionary<string, string> Paths = new(StringComparer.Ordinal)
    {
        ["home"] = "M2.5 7 8 2.5 13.5 7v6.5h-4V10h-3v3.5h-4z",
        ["clock"] = "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 4.5V8l2.3 1.4",
        ["ledger"] = "M2.5 3.5h11v9h-11zM2.5 6.5h11M2.5 9.5h11M6 3.5v9M9.7 3.5v9",
        ["orders"] = "M4 2.5h6.5L13 5v8.5H4zM6.5 6.5h4M6.5 9h4M6.5 11.3h2.5",
        ["template"] = "M2.5 3h4v4h-4zM9.5 3h4v4h-4zM9.5 9.5h4v4h-4zM6.5 5h3M11.5 7v2.5",
        ["bell"] = "M4 11V7a4 4 0 0 1 8 0v4l1 1.2H3zM6.7 14h2.6",
        ["people"] = "M6 7.5a2.2 2.2 0 1 0 0-4.4 2.2 2.2 0 0 0 0 4.4zM2 13c0-2.2 1.8-3.6 4-3.6s4 1.4 4 3.6M11 4a2 2 0 0 1 0 3.5M12 10q2 1 2 3",
        ["book"] = "M3 3h4.2L8 3.8 8.8 3H13v9.5H8.8l-.8.7-.8-.7H3zM8 3.8v9.4",
        ["heart"] = "M2 8h3l1.5-3.5L9 12l1.6-4H14",
        ["server"] = "M2.5 3h11v4h-11zM2.5 9h11v4h-11zM5 5h.01M5 11h.01",
        ["play"] = "M5 3.2v9.6L12.5 8z",
        ["pause"] = "M5.3 3.5v9M10.7 3.5v9",
        ["stop"] = "M4 4h8v8H4z",
        ["check"] = "M3 8.5 6.5 12 13 4.5",
        ["cross"] = "M4 4l8 8M12 4l-8 8",
        ["hand"] = "M8 7.8a2.6 2.6 0 1 0 0-5.2 2.6 2.6 0 0 0 0 5.2zM3 13.5c0-2.6 2.2-4.2 5-4.2s5 1.6 5 4.2",
        ["dash"] = "M4 8h8",
        ["skip"] = "M3.5 4v8L9 8zM11.5 4v8",
        ["search"] = "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.5 10.5l3 3",
        ["menu"] = "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
        ["edit"] = "M3 13l.6-2.7L10.8 3 13 5.2l-7.2 7.2z",
        ["warning"] = "M8 2.5 14 13H2zM8 6.5v3M8 11.2h.01",
        ["sun"] = "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM8 1.5v1M8 13.5v1M1.5 8h1M13.5 8h1M3.4 3.4l.8.8M11.8 11.8l.8.8M3.4 12.6l.8-.8M11.8 4.2l.8-.8",
        ["language"] = "M2 4h7M5.5 2.5V4M8 4c-.6 2.8-2.6 5-5.5 6M4 6c.8 1.7 2.3 3 4 3.7M8.5 13.5l2.5-6 2.5 6M9.4 11.5h3.2",
        ["terminal"] = "M2.5 3h11v10h-11zM5 6l2 2-2 2M8.5 10.5h2.5",
        ["braces"] = "M6 2.5H5L3.5 4v2.5l-1 1.5 1 1.5V12L5 13.5h1M10 2.5h1L12.5 4v2.5l1 1.5-1 1.5V12L11 13.5h-1",
        ["link"] = "M6.5 9.5l3-3M7 4.8l1.5-1.5a2.6 2.6 0 0 1 3.7 3.7L10.7 8.5M9 11.2l-1.5 1.5a2.6 2.6 0 0 1-3.7-3.7L5.3 7.5",
        ["team"] = "M8 7a2.2 2.2 0 1 0 0-4.4A2.2 2.2 0 0 0 8 7zM4.5 13c0-2 1.5-3.4 3.5-3.4s3.5 1.4 3.5 3.4M3.5 8a1.7 1.7 0 1 1 0-3M12.5 8a1.7 1.7 0 1 0 0-3",
        ["key"] = "M6 10.5a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM9 7.5h5v2.5M11.5 7.5v2",
        ["audit"] = "M3.5 2.5h9v11h-9zM5.8 5.5h4.4M5.8 8h4.4M5.8 10.5h2.5",
        ["settings"] = "M2.5 4.5h7M12 4.5h1.5M2.5 11.5H5M7.5 11.5h6M10.7 6a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3zM6.2 13a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3z",
        ["route"] = "M4 3v6a3 3 0 0 0 3 3h6M10.5 9.5 13 12l-2.5 2.5M2.5 3h3",
        ["chart"] = "M2.5 13.5h11M4 11V8M7 11V4M10 11V6.5M13 11V9",
        ["out"] = "M9.5 3H13v10H9.5M2.5 8h7M6.8 5.3 9.5 8l-2.7 2.7",
    };

    /// <summary>One of the drawings; another name draws nothing.</summary>
    [Parameter]
    public string Name { get; set; } = "";

    private string Path => Paths.GetValueOrDefault(Name, "");
}
