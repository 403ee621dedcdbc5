using System.Globalization;
using Microsoft.AspNetCore.Components;

namespace Codo.Platform.Ui;

/// <summary>The way to the next rows. The page number is in the address.</summary>
public sealed partial class Pager
{
    [Parameter]
    public Page Page { get; set; } = null!;

    /// <summary>Rows of all pages.</summary>
    [Parameter]
    public long Count { get; set; }

    /// <summary>Rows of one page.</summary>
    [Parameter]
    public int Limit { get; set; }

    private long First => ((Page.PageNumber - 1L) * Limit) + 1;

    private long Last => Math.Min(Count, (long)Page.PageNumber * Limit);

    private string Address(int number)
    {
        var address = Page.With("page", null);
        return address + (address.Contains('?', StringComparison.Ordinal) ? "&" : "?") + "page=" + number.ToString(CultureInfo.InvariantCulture);
    }
}
