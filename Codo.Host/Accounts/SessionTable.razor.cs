using Microsoft.AspNetCore.Components;

namespace Codo.Host.Accounts;

/// <summary>A person's sign-ins, each with the button that ends it.</summary>
public sealed partial class SessionTable
{
    private IReadOnlyList<ListSessions.Row> sessions = [];

    /// <summary>Whose; null is the caller.</summary>
    [Parameter]
    public long? UserId { get; set; }

    /// <inheritdoc/>
    protected override async Task Load() => sessions = (await Send(new ListSessions.Query(UserId))).Data;
}
