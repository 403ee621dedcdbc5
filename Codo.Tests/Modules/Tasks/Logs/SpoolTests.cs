using System.Globalization;
using System.Text;
using Codo.Modules.Tasks.Logs;
using Codo.Platform.Cluster;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Codo.Tests.Modules.Tasks.Logs;

public sealed class SpoolTests : IDisposable
{
    private readonly DirectoryInfo directory = Directory.CreateTempSubdirectory("codo-spool-");

    public void Dispose() => directory.Delete(recursive: true);

    [Fact]
    public void Gives_lines_back_from_any_line_on_while_it_grows()
    {
        var spool = Spool.Create(Folder(), LogSteps.Place());
        for (var line = 1; line <= 3000; line++)
        {
            spool.Add(1000 + line, false, $"line {line}");
            if (line % 7 == 0) spool.Flush();
        }

        spool.Lines.ShouldBe(2996);
        spool.Flush();
        foreach (var from in new[] { 1, 2, 256, 257, 1999, 3000 })
            Texts(spool, from).ShouldBe(Enumerable.Range(from, 3001 - from).Select(line => $"line {line}"));
        Texts(spool, 3001).ShouldBeEmpty();
    }

    [Fact]
    public void Keeps_head_and_tail_with_a_line_that_says_what_is_missing()
    {
        var folder = Folder(("MaxOutputPerStep", 100_000));
        var spool = Spool.Create(folder, LogSteps.Place());
        Fill(spool, 20_000);
        spool.Seal();
        var texts = Texts(spool, 1);
        var gap = texts.FindIndex(text => text.Contains("are missing", StringComparison.Ordinal));
        texts[..gap].ShouldBe(Enumerable.Range(1, gap).Select(line => $"line {line}"));
        var tail = texts[(gap + 1)..];
        tail.ShouldBe(Enumerable.Range(20_001 - tail.Count, tail.Count).Select(line => $"line {line}"));
        texts[gap].ShouldContain($"{20_000 - gap - tail.Count} lines");
        folder.Used.ShouldBeInRange(90_000, 140_000);
        Files().Count.ShouldBe(1);
        spool.Delete();
        folder.Used.ShouldBe(0);
        Files().ShouldBeEmpty();
    }

    [Fact]
    public void Joins_the_tail_alike_however_often_that_is_cut_short()
    {
        Fill(Spool.Create(Folder(("MaxOutputPerStep", 100_000)), LogSteps.Place()), 20_000);
        var crashed = Copy();
        var sealedOnce = Reopen(directory);
        var whole = Texts(sealedOnce, 1);
        whole[^1].ShouldBe("line 20000");

        // The joining died half way: the head has some of the tail, the tail is still there.
        var head = sealedOnce.Lines / 2 > 0 ? Files().Single() : throw new InvalidOperationException();
        var target = crashed.EnumerateFiles("*.log", SearchOption.AllDirectories).Single().FullName;
        var bytes = File.ReadAllBytes(head.FullName);
        File.WriteAllBytes(target, bytes[..(bytes.Length - 20_000)]);
        Texts(Reopen(crashed), 1).ShouldBe(whole);
        crashed.Delete(recursive: true);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Numbers_no_line_anew_once_the_whole_tail_is_joined(bool isMarked)
    {
        Fill(Spool.Create(Folder(("MaxOutputPerStep", 100_000)), LogSteps.Place()), 20_000);
        var crashed = Copy();
        var whole = Texts(Reopen(directory), 1);
        var bytes = File.ReadAllBytes(Files().Single().FullName);
        bytes[^("line 20000".Length + 1)].ShouldBe((byte)LineMarks.Joined);
        // The process died when it had deleted a file of the tail. One of a version before the mark had deleted none.
        if (isMarked) Tail().First().Delete();
        else bytes[^("line 20000".Length + 1)] = 0;
        File.WriteAllBytes(crashed.EnumerateFiles("*.log", SearchOption.AllDirectories).Single().FullName, bytes);
        Tail().ShouldNotBeEmpty();
        Texts(Reopen(crashed), 1).ShouldBe(whole);
        Tail().ShouldBeEmpty();
        crashed.Delete(recursive: true);

        IEnumerable<FileInfo> Tail() =>
            crashed.EnumerateFiles("*.tail-*", SearchOption.AllDirectories).OrderBy(file => file.Name, StringComparer.Ordinal);
    }

    [Theory]
    [InlineData(0, 64)]
    [InlineData(2, 64)]
    [InlineData(2, null)]
    public void Says_how_many_lines_are_missing_where_a_file_of_the_tail_is_damaged(int place, int? zeros)
    {
        Damage(place, zeros);
        var texts = Texts(Reopen(directory), 1);
        // Before the first file also what went past the limit is missing.
        var said = place == 0 ? "past Codo:Tasks:MaxOutputPerStep or in a spool file that is damaged" : "a spool file is damaged";
        var gap = texts.FindIndex(text => text.Contains(said, StringComparison.Ordinal));
        var (before, after) = (Number(texts[gap - 1]), Number(texts[gap + 1]));
        texts[gap].ShouldContain($" {after - before - 1} lines are missing");
        texts[^1].ShouldBe("line 20000");
        var numbers = texts.Where(text => text.StartsWith("line ", StringComparison.Ordinal)).Select(Number).ToList();
        numbers.ShouldBe(numbers.Order());
        numbers[0].ShouldBe(1);
        Files().Count(file => file.Directory!.Name == "bad").ShouldBe(zeros is null ? 0 : 1);
        Files().Count(file => file.Directory!.Name == "logs").ShouldBe(1);

        static int Number(string text) => int.Parse(text["line ".Length..], CultureInfo.InvariantCulture);
    }

    [Theory]
    [InlineData(3, false)]
    [InlineData(4, true)]
    public void Knows_that_the_end_is_missing_where_the_last_file_of_the_tail_is_damaged(int place, bool isDamaged)
    {
        Damage(place, 64);
        var spool = Reopen(directory);
        spool.IsDamaged.ShouldBe(isDamaged);
        var texts = Texts(spool, 1);
        texts.ShouldContain("line 1");
        texts.Contains("line 20000").ShouldBe(!isDamaged);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Knows_that_lines_are_missing_where_the_middle_of_its_last_file_is_damaged(int tails)
    {
        var spool = Spool.Create(Folder(("MaxOutputPerStep", 100_000)), LogSteps.Place());
        Fill(spool, tails == 0 ? 500 : 2500);
        spool.Leave();
        var files = Files().OrderBy(file => file.Name, StringComparer.Ordinal).ToList();
        files.Count.ShouldBe(1 + tails);
        Zero(files[^1]);
        var again = Reopen(directory);
        again.IsDamaged.ShouldBeTrue();
        var texts = Texts(again, 1);
        // The last one that reads may have lost its own end.
        texts[..^1].ShouldBe(Enumerable.Range(1, texts.Count - 1).Select(line => $"line {line}"));
        texts.Count.ShouldBeLessThan(tails == 0 ? 500 : 2500);
        again.Leave();
        // As long as nothing was written behind it the next start knows, too.
        if (tails == 0) Reopen(directory).IsDamaged.ShouldBeTrue();
    }

    [Fact]
    public void Takes_off_a_line_whose_writing_was_cut_short()
    {
        var place = LogSteps.Place();
        var spool = Spool.Create(Folder(), place);
        Fill(spool, 500);
        spool.Leave();
        var file = Files().Single();
        using (var stream = file.OpenWrite()) stream.SetLength(file.Length - 3);
        var again = Reopen(directory);
        again.Place.ShouldBe(place);
        again.IsDamaged.ShouldBeFalse();
        Texts(again, 1).ShouldBe(Enumerable.Range(1, 499).Select(line => $"line {line}"));
        again.FirstMilliseconds.ShouldBe(1001);
    }

    [Fact]
    public void Goes_on_in_memory_where_nothing_can_be_written_and_says_so()
    {
        var folder = Folder(("MaxSpool", 1 << 20));
        var spool = Spool.Create(folder, LogSteps.Place());
        for (var line = 1; line <= 3000; line++)
        {
            spool.Add(1000 + line, false, $"line {line} {new string('x', 1000)}");
            spool.Flush();
        }

        spool.Failure.ShouldNotBeNull();
        spool.Seal();
        var texts = Texts(spool, 1);
        texts.Count(text => text.Contains("cannot be spooled", StringComparison.Ordinal)).ShouldBe(1);
        texts[^1].ShouldMatch("丢失 [0-9]+ 行输出.*lines of output are lost");
        texts.Count(text => text.StartsWith("line ", StringComparison.Ordinal)).ShouldBeInRange(1900, 2100);
        folder.Used.ShouldBeLessThanOrEqualTo(1 << 20);
        spool.Stored(spool.Lines);
        Texts(spool, spool.Lines + 1).ShouldBeEmpty();
    }

    [Fact]
    public void Puts_no_line_of_its_own_before_the_output_where_the_clock_was_put_back()
    {
        var spool = Spool.Create(InThePast(maxSpool: 1 << 20), LogSteps.Place());
        const long since = 1_000_000_000_000;
        for (var line = 1; line <= 3000; line++)
        {
            spool.Add(since + line, false, $"line {line} {new string('x', 1000)}");
            spool.Flush();
        }

        spool.Seal();
        Texts(spool, 1)[^1].ShouldContain("lines of output are lost");
        var times = Times(spool);
        times.Count.ShouldBe((int)spool.Lines);
        times.ShouldBe(times.Order());
        spool.FirstMilliseconds.ShouldBe(times[0]);
    }

    [Fact]
    public void Puts_no_output_before_a_line_of_its_own_where_the_clock_was_put_back()
    {
        var folder = InThePast(maxSpool: 0);
        var spool = Spool.Create(folder, LogSteps.Place());
        spool.Add(folder.Now - 1000, false, "line 1");
        spool.Seal();
        Times(spool).ShouldBe([folder.Now, folder.Now]);
        spool.FirstMilliseconds.ShouldBe(folder.Now);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Gives_up_nothing_that_it_has_written_when_the_disk_becomes_low(bool printsOn)
    {
        var node = new NodeSettings { DataDirectory = directory.FullName, MinFreeDisk = 0 };
        var folder = new SpoolFolder(
            node,
            new LogSettings { MaxOutputPerStep = 100_000 },
            new Disk(node),
            TimeProvider.System,
            NullLogger<SpoolFolder>.Instance
        );
        var spool = Spool.Create(folder, LogSteps.Place());
        Fill(spool, 20_000);
        node.MinFreeDisk = long.MaxValue;
        spool.Add(21_001, false, "line 20001");
        if (printsOn) spool.Flush();
        spool.Seal();
        (spool.Failure is not null).ShouldBe(printsOn);
        var texts = Texts(spool, 1);
        texts.FindLast(text => text.StartsWith("line ", StringComparison.Ordinal)).ShouldBe("line 20001");
        texts.ShouldNotContain(text => text.Contains("are lost", StringComparison.Ordinal));
        Files().Count.ShouldBe(1);
        spool.Delete();
        folder.Used.ShouldBe(0);
    }

    /// <summary>Leaves a spool whose tail has five files, one of which is zeros, or gone.</summary>
    private void Damage(int place, int? zeros)
    {
        var spool = Spool.Create(Folder(("MaxOutputPerStep", 100_000)), LogSteps.Place());
        Fill(spool, 20_000);
        spool.Leave();
        var tail = Files().Where(file => file.Name.Contains(".tail-", StringComparison.Ordinal)).OrderBy(file => file.Name, StringComparer.Ordinal).ToList();
        tail.Count.ShouldBe(5);
        if (zeros is { } length) File.WriteAllBytes(tail[place].FullName, new byte[length]);
        else tail[place].Delete();
    }

    /// <summary>Overwrites a hundred bytes in the middle of a file.</summary>
    private static void Zero(FileInfo file)
    {
        using var stream = file.OpenWrite();
        stream.Position = file.Length / 2;
        stream.Write(new byte[100]);
    }

    private static void Fill(Spool spool, int lines)
    {
        for (var line = 1; line <= lines; line++)
        {
            spool.Add(1000 + line, false, $"line {line}");
            if (line % 50 == 0) spool.Flush();
        }

        spool.Flush();
    }

    private static List<string> Texts(Spool spool, long from)
    {
        var texts = new List<string>();
        var at = spool.Find(from);
        for (var read = spool.Next(ref at, 100); read.Count > 0; read = spool.Next(ref at, 100))
            foreach (var line in read)
            {
                line.Line.ShouldBe(from + texts.Count);
                texts.Add(Encoding.UTF8.GetString(line.Utf8.Span));
            }

        return texts;
    }

    private static List<long> Times(Spool spool)
    {
        var times = new List<long>();
        var at = spool.Find(1);
        for (var read = spool.Next(ref at, 100); read.Count > 0; read = spool.Next(ref at, 100)) times.AddRange(read.Select(line => line.Milliseconds));
        return times;
    }

    // Its clock stands at the beginning of 2000.
    private SpoolFolder InThePast(long maxSpool)
    {
        var node = new NodeSettings { DataDirectory = directory.FullName, MinFreeDisk = 0 };
        return new SpoolFolder(node, new LogSettings { MaxSpool = maxSpool }, new Disk(node), new FakeTimeProvider(), NullLogger<SpoolFolder>.Instance);
    }

    private static SpoolFolder Folder(DirectoryInfo at, params (string Name, long Value)[] settings)
    {
        var logs = new LogSettings();
        foreach (var (name, value) in settings)
            if (name == "MaxSpool") logs.MaxSpool = value;
            else logs.MaxOutputPerStep = value;
        var node = new NodeSettings { DataDirectory = at.FullName, MinFreeDisk = 0 };
        return new SpoolFolder(node, logs, new Disk(node), TimeProvider.System, NullLogger<SpoolFolder>.Instance);
    }

    private static Spool Reopen(DirectoryInfo at)
    {
        var folder = Folder(at, ("MaxOutputPerStep", 100_000));
        return Spool.Reopen(folder, folder.Left().Single())!;
    }

    private SpoolFolder Folder(params (string Name, long Value)[] settings) => Folder(directory, settings);

    private List<FileInfo> Files() => [.. directory.EnumerateFiles("*", SearchOption.AllDirectories)];

    private DirectoryInfo Copy()
    {
        var copy = Directory.CreateTempSubdirectory("codo-spool-");
        Directory.CreateDirectory(Path.Combine(copy.FullName, "spool", "logs"));
        foreach (var file in Files()) file.CopyTo(Path.Combine(copy.FullName, "spool", "logs", file.Name));
        return copy;
    }
}
