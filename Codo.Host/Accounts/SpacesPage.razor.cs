using System.Globalization;
using Codo.Platform.Http;
using Codo.Platform.Security;

namespace Codo.Host.Accounts;

/// <summary>Spaces; one of them, named in the address, with what lies in it.</summary>
public sealed partial class SpacesPage
{
    private ListSpaces.Result found = null!;
    private ListSpaces.View? chosen;
    private string? mayNot;
    private string? mayNotEdit;

    private string Api =>
        "/v2/accounts/space/"
        + (
            AskedNumber("space") is { } space ? string.Create(CultureInfo.InvariantCulture, $"?space_id={space}")
            : After is { } after ? string.Create(CultureInfo.InvariantCulture, $"?after={after}")
            : ""
        );

    private bool IsDefault => chosen?.SpaceId == Resource.DefaultSpace;

    /// <summary>Why the chosen space cannot be deleted; null where it can.</summary>
    private string? MayNotDelete =>
        IsDefault ? T("空间 default 不能删除", "The space default stays")
        : mayNot ?? (chosen?.Holds is { Count: > 0 } held ? SpaceUse.WhyItStays(held).ToString() : null);

    private int Grants => Access.Rules.Grants.Count(grant => grant.SpaceId == chosen!.SpaceId);

    /// <inheritdoc/>
    protected override async Task Load()
    {
        found = await Send(new ListSpaces.Query(After, null));
        mayNot = MayNot(Right.Superuser);
        if (AskedNumber("space") is not { } space) return;
        chosen = (await Send(new ListSpaces.Query(null, null, space))).Data.SingleOrDefault() ?? throw SpaceFields.NoSuchSpace;
        mayNotEdit = await MayNot(Verbs.Admin, NamedObjects.OfSpace(space));
    }

    private static string VerbsOf(ListSpaces.View space) => space.Verbs.Count == 0 ? "–" : Roles.NamesOfVerbs(space.Verbs).ToString();

    private string PathOf(HeldObjects held) =>
        held.Kind switch
        {
            ResourceKind.Job => $"/jobs?space={Uri.EscapeDataString(chosen!.Name)}",
            ResourceKind.Template => $"/templates?q={Uri.EscapeDataString(chosen!.Name)}",
            ResourceKind.Order => "/orders",
            ResourceKind.ExecuteUser => "/execute-users",
            ResourceKind.Rule => "/alerting",
            ResourceKind.Channel => "/alerting/channels",
            _ => "/alerting/silences",
        };
}
