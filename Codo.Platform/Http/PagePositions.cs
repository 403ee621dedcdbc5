using System.Collections.Concurrent;

namespace Codo.Platform.Http;

/// <summary>
/// Where the next page of a list begins, for callers who turn pages by number: the row after the last one that they were shown. A row that arrives meanwhile
/// moves no row from one page to the next, so that none is lost or shown twice. What is not known (another node, ten minutes later, a jump to a far page) is
/// found by counting from the newest row.
/// </summary>
public sealed class PagePositions(TimeProvider time)
{
    private const int Most = 20_000;

    private static readonly TimeSpan Kept = TimeSpan.FromMinutes(10);

    private readonly ConcurrentDictionary<PageKey, (object Key, long At)> places = new();

    /// <summary>A page of a list as one caller asks for it.</summary>
    /// <param name="List">The list with its filter, as text.</param>
    public readonly record struct PageKey(long UserId, string List, int Limit, int Page)
    {
        public PageKey Next => this with { Page = Page + 1 };
    }

    /// <summary>The key of the last row before this page; null when it is not known.</summary>
    public TKey? Before<TKey>(PageKey place)
        where TKey : class =>
        place.Page > 1 && places.TryGetValue(place, out var found) && time.GetElapsedTime(found.At) < Kept ? found.Key as TKey : null;

    /// <summary>Remembers the key of the last row of a page.</summary>
    public void Remember(PageKey shown, object lastKey)
    {
        if (places.Count >= Most)
            foreach (var (place, (_, at)) in places)
                if (places.Count > Most / 2 && (time.GetElapsedTime(at) > Kept || Random.Shared.Next(2) == 0)) places.TryRemove(place, out _);
        places[shown.Next] = (lastKey, time.GetTimestamp());
    }
}
