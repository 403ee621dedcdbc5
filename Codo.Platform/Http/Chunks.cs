using System.Runtime.CompilerServices;

namespace Codo.Platform.Http;

/// <summary>
/// A long list that is answered as it is read. Each chunk opens and gives back its own connection: neither the list nor a client that reads slowly holds memory
/// or a connection of the pool for as long as the answer takes.
/// </summary>
public static class Chunks
{
    private const int Size = 50;

    /// <summary>The rows of these ids, in their order; a row that is gone by then is left out.</summary>
    /// <param name="read">Reads the rows of some of the ids, in any order.</param>
    /// <param name="size">Rows at a time; fewer where they are long.</param>
    public static async IAsyncEnumerable<TRow> Read<TRow>(
        IReadOnlyList<long> ids,
        Func<long[], CancellationToken, Task<IEnumerable<(long Id, TRow Row)>>> read,
        int size = Size,
        [EnumeratorCancellation] CancellationToken cancellation = default
    )
    {
        foreach (var some in ids.Chunk(size))
        {
            var rows = (await read(some, cancellation)).ToDictionary(pair => pair.Id, pair => pair.Row);
            foreach (var id in some)
                if (rows.TryGetValue(id, out var row))
                    yield return row;
        }
    }

    /// <summary>All rows by rising id.</summary>
    /// <param name="read">Reads so many rows whose ids come after the given one.</param>
    public static async IAsyncEnumerable<TRow> All<TRow>(
        Func<TRow, long> idOf,
        Func<long, int, CancellationToken, Task<IReadOnlyList<TRow>>> read,
        [EnumeratorCancellation] CancellationToken cancellation = default
    )
    {
        var after = long.MinValue;
        while (true)
        {
            var rows = await read(after, Size, cancellation);
            foreach (var row in rows) yield return row;
            if (rows.Count < Size) yield break;
            after = idOf(rows[^1]);
        }
    }
}
