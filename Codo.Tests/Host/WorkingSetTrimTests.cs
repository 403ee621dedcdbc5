using System.IO.MemoryMappedFiles;
using Codo.Host;

namespace Codo.Tests.Host;

public sealed class WorkingSetTrimTests
{
    [Fact]
    public void Pages_of_a_file_that_is_mapped_to_be_read_are_unmapped_and_read_as_before()
    {
        var file = Path.GetTempFileName();
        try
        {
            var content = Enumerable.Range(0, 1 << 20).Select(number => (byte)number).ToArray();
            File.WriteAllBytes(file, content);
            using var mapped = MemoryMappedFile.CreateFromFile(file, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
            using var view = mapped.CreateViewAccessor(0, content.Length, MemoryMappedFileAccess.Read);
            var read = new byte[content.Length];
            view.ReadArray(0, read, 0, read.Length);
            WorkingSetTrim.UnmapFiles(Mapping(file)).ShouldBe(content.Length / 1024);
            Mapping(file).ShouldContain(line => line.StartsWith("Rss:", StringComparison.Ordinal) && line.EndsWith(" 0 kB", StringComparison.Ordinal));
            view.ReadArray(0, read, 0, read.Length);
            read.ShouldBe(content);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Theory]
    [InlineData("rw-p", 0)]
    [InlineData("r--p", 0)]
    [InlineData("r-xp", 4)]
    public void What_is_written_to_or_was_changed_stays(string rights, int changed) =>
        // Nothing is mapped there: an attempt to unmap it would fail, and nothing would be counted either.
        WorkingSetTrim.UnmapFiles([$"1000-3000 {rights} 00000000 00:00 1 /usr/bin/codo", "Rss: 8 kB", $"Anonymous: {changed} kB"]).ShouldBe(0);

    // The lines of one mapping, from its range to the flags at its end.
    private static List<string> Mapping(string file) =>
        [
            .. File.ReadAllLines("/proc/self/smaps")
                .SkipWhile(line => !line.EndsWith(file, StringComparison.Ordinal))
                .TakeWhile(line => !line.StartsWith("VmFlags", StringComparison.Ordinal)),
        ];
}
