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

    [Fact]
    public void Pages_that_can_be_or_were_written_to_stay()
    {
        var file = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(file, new byte[1 << 16]);
            using var mapped = MemoryMappedFile.CreateFromFile(file, FileMode.Open, null, 0, MemoryMappedFileAccess.CopyOnWrite);
            using var view = mapped.CreateViewAccessor(0, 1 << 16, MemoryMappedFileAccess.CopyOnWrite);
            view.ReadByte(0).ShouldBe((byte)0);
            Mapping(file)[0].ShouldContain(" rw-p ");
            WorkingSetTrim.UnmapFiles(Mapping(file)).ShouldBe(0, "it can be written to");
            view.Write(0, (byte)7);
            // As the code of an assembly that was relocated: it is there to be read, and its changed page is nowhere else.
            WorkingSetTrim.UnmapFiles(Mapping(file).Select(line => line.Replace(" rw-p ", " r-xp ", StringComparison.Ordinal))).ShouldBe(0, "it was changed");
            view.ReadByte(0).ShouldBe((byte)7);
        }
        finally
        {
            File.Delete(file);
        }
    }

    // The lines of one mapping, from its range to the flags at its end.
    private static List<string> Mapping(string file) =>
        [
            .. File.ReadAllLines("/proc/self/smaps")
                .SkipWhile(line => !line.EndsWith(file, StringComparison.Ordinal))
                .TakeWhile(line => !line.StartsWith("VmFlags", StringComparison.Ordinal)),
        ];
}
