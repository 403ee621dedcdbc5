using System.Globalization;
using System.Text;
using System.Text.Json;
using Codo.Modules.Tasks.Execution;

namespace Codo.Modules.Tasks.Logs;

/// <summary>
/// The output of one attempt until the database has all of it. Lines are numbered as they come; past the limit they go, without a number, to tail files of
/// which the newest are kept, and get their numbers from <see cref="Seal"/>, behind a line that says what is missing. Once nothing more can be written they get
/// them at once, and a megabyte of what follows is kept in memory. One thread adds, others read.
/// </summary>
internal sealed class Spool
{
    private const int MostKept = 1 << 20, Segments = 4;

    private readonly SpoolFolder folder;
    private readonly SpoolFile? head;
    private readonly List<SpoolFile> tail = [];
    // Lines that could not be written; the first has the number that follows the head's last, and keptBefore more that were given up again.
    private readonly List<SpooledLine> kept = [];
    private readonly long headLimit, tailLimit;
    private long keptBefore, keptBytes;
    private long tailLines, tailBytes;
    private long lost;
    // The time of the last line: readers look at nothing before the first, and the clock may be put back.
    private long latest;
    private string? failure;
    private bool inTail;
    // The first tail files are damaged, so the gap is not only output above MaxOutputPerStep.
    private bool tailIsDamaged;

    private Spool(SpoolFolder folder, OutputPlace place, SpoolFile? head)
    {
        (this.folder, Place, this.head) = (folder, place, head);
        headLimit = folder.MaxOutputPerStep / 2;
        tailLimit = folder.MaxOutputPerStep - headLimit;
    }

    public OutputPlace Place { get; }

    /// <summary>Numbered lines that can be read, from 1.</summary>
    public long Lines
    {
        get
        {
            lock (kept) return (head?.Lines ?? 0) + keptBefore + kept.Count;
        }
    }

    /// <summary>The time of the first line, null before there is one.</summary>
    public long? FirstMilliseconds { get; private set; }

    /// <summary>A file that an earlier process left is damaged, and no line says that what it had is missing.</summary>
    public bool IsDamaged { get; private set; }

    /// <summary>Why output is lost or may be; null while the spool is whole.</summary>
    public string? Failure => failure;

    private long Now => Math.Max(latest, folder.Now);

    // A process may end while it deletes the tail files that it has copied.
    private bool IsJoined => Last(head!) is { } last && last.Marks.HasFlag(LineMarks.Joined);

    public static Spool Create(SpoolFolder folder, OutputPlace place)
    {
        try
        {
            var head = JsonSerializer.SerializeToUtf8Bytes(place);
            folder.Reserve(head.Length + 4);
            return new Spool(folder, place, SpoolFile.Create(folder.NewPath(place.SchedId, place.Attempt), head));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            var spool = new Spool(folder, place, null);
            spool.Fail(error.Message, spool.Now);
            return spool;
        }
    }

    /// <summary>What an earlier process left of an attempt, sealed.</summary>
    /// <exception cref="InvalidDataException">Nothing can be made of it: not even its head reads.</exception>
    public static Spool Reopen(SpoolFolder folder, string path)
    {
        var head = SpoolFile.Open(path) ?? throw new InvalidDataException("The spool's head is not whole.");
        Spool spool;
        try
        {
            spool = new Spool(folder, PlaceOf(head.Head), head);
        }
        catch
        {
            head.Dispose();
            throw;
        }
        var at = head.Start;
        if (head.Next(ref at, 1) is [var first]) spool.FirstMilliseconds = first.Milliseconds;
        var endIsDamaged = false;
        foreach (var segment in folder.TailOf(path))
        {
            var opened = SpoolFile.Open(segment);
            endIsDamaged = opened is null || TailHead.Read(opened.Head) is null;
            if (!endIsDamaged)
            {
                spool.tail.Add(opened!);
                endIsDamaged = opened!.IsDamaged;
                continue;
            }

            opened?.Dispose();
            folder.TrySetAside(segment);
            spool.tailIsDamaged |= spool.tail.Count == 0;
        }

        spool.latest = spool.tail.Append(head).Max(file => Last(file)?.Milliseconds ?? 0);
        // The copying of the tail was cut short: it is done again, and gives the same lines the same numbers.
        if (spool.tail.Count > 0 && !spool.IsJoined && spool.FindGap() is { } gap) head.Truncate(gap);
        folder.Found(head.Length + spool.tail.Sum(file => file.Length));
        // Where the tail is joined already, the head has what such a file had.
        spool.IsDamaged = head.IsDamaged || (endIsDamaged && !spool.IsJoined);
        spool.Seal();
        return spool;
    }

    private static OutputPlace PlaceOf(byte[] head)
    {
        try
        {
            return JsonSerializer.Deserialize<OutputPlace>(head) is { Host: not null } place
                ? place
                : throw new InvalidDataException("The spool's head names no attempt.");
        }
        catch (JsonException error)
        {
            throw new InvalidDataException("The spool's head does not read.", error);
        }
    }

    /// <summary>Takes a line; it can be read after <see cref="Flush()"/>.</summary>
    public void Add(long milliseconds, bool continues, string text)
    {
        LogMetrics.Read();
        milliseconds = latest = Math.Max(latest, milliseconds);
        FirstMilliseconds ??= milliseconds;
        var marks = continues ? LineMarks.Continues : LineMarks.None;
        if (failure is not null)
        {
            Keep(milliseconds, marks, Encoding.UTF8.GetBytes(text));
            return;
        }

        inTail |= head!.Length + head.Pending.Bytes >= headLimit;
        if (!inTail)
        {
            head.Add(milliseconds, marks, text);
            return;
        }

        try
        {
            if (tail.Count == 0 || tail[^1].Length + tail[^1].Pending.Bytes >= tailLimit / Segments) Rotate();
            tailBytes += tail[^1].Add(milliseconds, marks, text);
            tailLines++;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            Fail(error.Message, milliseconds);
            Keep(milliseconds, marks, Encoding.UTF8.GetBytes(text));
        }
    }

    /// <summary>Hands what was added to the system. It never fails; what cannot be written is kept in memory as far as that goes.</summary>
    public void Flush() => Flush(always: false);

    private void Flush(bool always)
    {
        if (failure is not null) return;
        try
        {
            Write(head!, always);
            if (tail.Count > 0) Write(tail[^1], always);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            Fail(error.Message, Now);
        }
    }

    /// <summary>No more output comes: the tail gets its place behind the head.</summary>
    public void Seal()
    {
        // The last line, which is little.
        Flush(always: true);
        if (tail.Count > 0 && failure is null && Join() is { } why) GiveUp(why, Now);
        if (lost == 0) return;
        var text = string.Create(CultureInfo.InvariantCulture, $"[Codo]: 丢失 {lost} 行输出：{failure} / {lost} lines of output are lost: {failure}");
        lock (kept) kept.Add(new SpooledLine(0, Now, LineMarks.None, Encoding.UTF8.GetBytes(text)));
        lost = 0;
    }

    public SpoolPosition Find(long line)
    {
        var written = head?.Lines ?? 0;
        return line <= written ? head!.Find(line) : new SpoolPosition { Offset = long.MaxValue, Lines = line - 1 };
    }

    /// <summary>The next lines, none when there are no more yet.</summary>
    public IReadOnlyList<SpooledLine> Next(ref SpoolPosition at, int most)
    {
        var written = head?.Lines ?? 0;
        if (at.Lines < written)
        {
            if (at.Lines == 0) at = head!.Start;
            return head!.Next(ref at, most);
        }

        lock (kept)
        {
            // Read again: the head may have grown meanwhile, and does no more once something is kept.
            written = head?.Lines ?? 0;
            if (at.Lines < written) return Next(ref at, most);
            var from = (int)Math.Clamp(at.Lines - written - keptBefore, 0, kept.Count);
            var first = written + keptBefore + from + 1;
            var read = kept.Skip(from).Take(most).Select((line, number) => line with { Line = first + number }).ToList();
            if (read.Count > 0) at.Lines = read[^1].Line;
            return read;
        }
    }

    /// <summary>The database has every line up to this one: memory that held them is given back.</summary>
    public void Stored(long line)
    {
        lock (kept)
        {
            var count = (int)Math.Clamp(line - (head?.Lines ?? 0) - keptBefore, 0, kept.Count);
            keptBytes -= kept.Take(count).Sum(gone => (long)gone.Utf8.Length);
            kept.RemoveRange(0, count);
            keptBefore += count;
        }
    }

    /// <summary>To be called when the database has every line, and not before.</summary>
    public void Delete()
    {
        foreach (var file in tail) Delete(file);
        tail.Clear();
        if (head is not null) Delete(head);
    }

    /// <summary>Leaves the files to the next start of this host.</summary>
    public void Leave()
    {
        foreach (var file in tail) file.Dispose();
        head?.Dispose();
    }

    /// <param name="always">However little room there is.</param>
    private void Write(SpoolFile file, bool always = false)
    {
        if (file.Pending.Bytes == 0) return;
        if (always) folder.Found(file.Pending.Bytes);
        else folder.Reserve(file.Pending.Bytes);
        file.Flush();
    }

    private void Delete(SpoolFile file)
    {
        folder.Release(file.Length);
        file.Delete();
    }

    private void Rotate()
    {
        if (tail.Count > 0) Write(tail[^1]);
        if (tail.Count > Segments)
        {
            Delete(tail[0]);
            tail.RemoveAt(0);
        }

        var before = JsonSerializer.SerializeToUtf8Bytes(new TailHead(tailLines, tailBytes));
        folder.Reserve(before.Length + 4);
        tail.Add(SpoolFile.Create(string.Create(CultureInfo.InvariantCulture, $"{head!.Path}.tail-{tailLines:D19}"), before));
    }

    /// <summary>
    /// Gives the tail its place behind the head. It asks for no room: what it copies lies on the disk already, and goes from where it was. Returns why not all
    /// of it has got there, else null.
    /// </summary>
    private string? Join()
    {
        var lines = BeforeOf(tail[^1]).Lines + tail[^1].Lines + tail[^1].Pending.Lines;
        var placed = 0L;
        try
        {
            Write(tail[^1], always: true);
            // What an earlier process has copied has its numbers, and the first of these files may be gone.
            if (!IsJoined) Copy(lines, ref placed);
            placed = lines;
            foreach (var file in tail) Delete(file);
            tail.Clear();
            return null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            lost += lines - placed;
            return error.Message;
        }
    }

    /// <param name="lines">Of the tail, those that are missing included.</param>
    /// <param name="placed">How many of them were given their place, or are said to be missing.</param>
    private void Copy(long lines, ref long placed)
    {
        var mark = LineMarks.Gap;
        foreach (var file in tail)
        {
            var before = BeforeOf(file);
            var at = file.Start;
            for (var read = file.Next(ref at, 1000); read.Count > 0; read = file.Next(ref at, 1000))
            {
                foreach (var line in read)
                {
                    if (before.Lines > placed)
                    {
                        head!.Add(line.Milliseconds, mark, Missing(file, before.Lines - placed, isFirst: placed == 0));
                        (mark, placed) = (LineMarks.None, before.Lines);
                    }

                    if (placed + 1 == lines) mark |= LineMarks.Joined;
                    head!.Add(line with { Marks = line.Marks | mark });
                    mark = LineMarks.None;
                    placed++;
                }

                Write(head!, always: true);
            }
        }

        // The last files have their heads, and no line.
        if (placed == lines) return;
        head!.Add(Now, mark | LineMarks.Joined, Missing(tail[^1], lines - placed, isFirst: placed == 0));
        Write(head!, always: true);
        placed = lines;
    }

    // Within the tail nothing goes past the limit: a file before this one was damaged, or cut where it was. Before all of it, either may be.
    private string Missing(SpoolFile file, long lines, bool isFirst) =>
        isFirst && file == tail[0] && !tailIsDamaged ? BeforeOf(file).Text
        : isFirst
            ? string.Create(
                CultureInfo.InvariantCulture,
                ($"[Codo]: … 缺少 {lines} 行，超出 Codo:Tasks:MaxOutputPerStep，或在已损坏的暂存文件里 / {lines} lines are missing, past "
                    + $"Codo:Tasks:MaxOutputPerStep or in a spool file that is damaged …")
            )
        : string.Create(CultureInfo.InvariantCulture, $"[Codo]: … 缺少 {lines} 行，暂存文件已损坏 / {lines} lines are missing, a spool file is damaged …");

    private static TailHead BeforeOf(SpoolFile file) => TailHead.Read(file.Head)!;

    private static SpooledLine? Last(SpoolFile file)
    {
        var at = file.Find(file.Lines);
        return file.Next(ref at, 1) is [var last] ? last : null;
    }

    private long? FindGap()
    {
        var at = head!.Start;
        for (var read = head.Next(ref at, 1000); read.Count > 0; read = head.Next(ref at, 1000))
            foreach (var line in read)
                if (line.Marks.HasFlag(LineMarks.Gap))
                    return line.Line;
        return null;
    }

    private void Fail(string why, long milliseconds)
    {
        // Now or never: what comes from now on stands behind it.
        if (tail.Count > 0) Join();
        GiveUp(why, milliseconds);
    }

    private void GiveUp(string why, long milliseconds)
    {
        failure = why;
        latest = milliseconds;
        FirstMilliseconds ??= milliseconds;
        foreach (var line in head?.TakePending() ?? []) Keep(line.Milliseconds, line.Marks, line.Utf8.ToArray());
        Keep(
            milliseconds,
            LineMarks.None,
            Encoding.UTF8.GetBytes($"[Codo]: 无法暂存输出，日志可能不完整：{why} / The output cannot be spooled, the log may be incomplete: {why}")
        );
    }

    private void Keep(long milliseconds, LineMarks marks, byte[] utf8)
    {
        lock (kept)
        {
            if (keptBytes + utf8.Length > MostKept)
            {
                lost++;
                return;
            }

            keptBytes += utf8.Length;
            kept.Add(new SpooledLine(0, milliseconds, marks, utf8));
        }
    }

    /// <summary>What came between the head and a tail file.</summary>
    private sealed record TailHead(long Lines, long Bytes)
    {
        /// <summary>Null where a power loss has damaged it.</summary>
        public static TailHead? Read(byte[] head)
        {
            try
            {
                return JsonSerializer.Deserialize<TailHead>(head);
            }
            catch (JsonException)
            {
                return null;
            }
        }

        public string Text =>
            string.Create(
                CultureInfo.InvariantCulture,
                ($"[Codo]: … 缺少 {Lines} 行（{Bytes} 字节），超出 Codo:Tasks:MaxOutputPerStep / {Lines} lines ({Bytes} bytes) are missing, past "
                    + $"Codo:Tasks:MaxOutputPerStep …")
            );
    }
}
