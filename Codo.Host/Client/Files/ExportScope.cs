namespace Codo.Host.Client.Files;

/// <summary>What an export has looked through. The file of a thing that it has not found goes only where it would have found the thing.</summary>
/// <param name="space">The space that was asked for; null is every one.</param>
/// <param name="kinds">The kinds that were asked for; none is all.</param>
internal sealed class ExportScope(CodoServer server, string? space, IReadOnlyList<string> kinds)
{
    private readonly Dictionary<(DeclaredKind Kind, string Space), bool> seen = [];
    private bool? isSuperuser;

    /// <summary>Removes the files whose things are gone; answers how many, and how many stay because the caller may not see whether they are.</summary>
    public async Task<(int Removed, int Kept)> Clean(string directory, IReadOnlyList<Declared> all)
    {
        var (removed, kept) = (0, 0);
        foreach (var file in DeclaredFiles.Others(directory, all))
        {
            var places = DeclaredFiles
                .PlacesIn(file)
                .ConvertAll(place => (Kind: DeclaredKind.All.FirstOrDefault(kind => kind.Word == place.Kind), place.Space));
            if (!places.TrueForAll(place => Covers(place.Kind, place.Space))) continue;
            if (await SeesAll(places.ConvertAll(place => (place.Kind!, place.Space))))
            {
                File.Delete(file);
                removed++;
            }
            else kept++;
        }
        return (removed, kept);
    }

    // A file that names no space may be of any: only an export of all of them has looked there.
    private bool Covers(DeclaredKind? kind, string of) =>
        kind is not null && (kinds.Count == 0 || kinds.Contains(kind.Word)) && DeclaredKind.IsIn(of, space);

    private async Task<bool> SeesAll(List<(DeclaredKind Kind, string Space)> places)
    {
        isSuperuser ??= (await server.Get("/v2/accounts/me/"))["data"].IsTrue("is_superuser");
        if (isSuperuser.Value) return true;
        foreach (var place in places)
        {
            if (!seen.TryGetValue(place, out var sees)) seen[place] = sees = place.Space.Length > 0 && await Sees(place.Kind, place.Space);
            if (!sees) return false;
        }
        return true;
    }

    private async Task<bool> Sees(DeclaredKind kind, string of)
    {
        try
        {
            // About one that is to be made there: what roles on single things give does not count.
            var query = CodoServer.Query(("object", $"{kind.ResourceKind}:"), ("space", of));
            return (await server.Ask(HttpMethod.Get, $"/v2/accounts/may/{query}", null)).Texts("verbs").Contains("see");
        }
        catch (CodoServer.Refused)
        {
            // There is no such space, or the caller may not know of it.
            return false;
        }
    }
}
