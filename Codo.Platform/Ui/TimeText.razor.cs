using System.Globalization;
using Codo.Platform.Localization;
using Microsoft.AspNetCore.Components;

namespace Codo.Platform.Ui;

/// <summary>A moment in Codo's zone to the second; the viewer's zone and UTC come on hover, and how long ago only beside it.</summary>
public sealed partial class TimeText
{
    /// <summary>UTC; null is a dash.</summary>
    [Parameter]
    public DateTime? At { get; set; }

    /// <summary>With the time that has passed or is to pass.</summary>
    [Parameter]
    public bool Ago { get; set; }

    /// <summary>Of today the time of day alone.</summary>
    [Parameter]
    public bool Brief { get; set; }

    [Inject]
    private TimeProvider Time { get; set; } = null!;

    [Inject]
    private Zone Zone { get; set; } = null!;

    private static string Iso(DateTime at) => DateTime.SpecifyKind(at, DateTimeKind.Utc).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);

    private string Written(DateTime at)
    {
        var text = Zone.Text(at);
        return Brief && text.StartsWith(Zone.Text(Time.GetUtcNow().UtcDateTime)[..11], StringComparison.Ordinal) ? text[11..] : text;
    }
}
