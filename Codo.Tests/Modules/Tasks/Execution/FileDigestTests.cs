using Codo.Modules.Tasks.Execution;

namespace Codo.Tests.Modules.Tasks.Execution;

/// <summary>A script or program that was changed between approval and start has another digest, whatever its size.</summary>
public sealed class FileDigestTests : IDisposable
{
    private readonly string path = Path.GetTempFileName();

    public void Dispose() => File.Delete(path);

    [Theory]
    [InlineData(10, 0)]
    [InlineData(10, 9)]
    [InlineData(FileDigest.Whole, FileDigest.Whole / 2)]
    [InlineData(FileDigest.Whole + 1, 0)]
    [InlineData(FileDigest.Whole + 1, FileDigest.Whole)]
    [InlineData(200_000_000, 0)]
    [InlineData(200_000_000, 199_999_999)]
    public void A_byte_that_is_read_counts(long length, long at)
    {
        var before = Written(length, at, 0);
        var after = Written(length, at, 1);
        before!.Length.ShouldBe(64);
        after.ShouldNotBe(before);
        Written(length, at, 0).ShouldBe(before);
    }

    [Fact]
    public void The_length_of_a_large_file_counts() => Written(200_000_000, 0, 0).ShouldNotBe(Written(200_000_001, 0, 0));

    [Fact]
    public void What_has_no_content_has_none()
    {
        FileDigest.Of(path).ShouldBeNull("it is empty");
        FileDigest.Of("/dev/zero").ShouldBeNull();
        FileDigest.Of("/no/such/file").ShouldBeNull();
    }

    // Zeros with one byte among them: a sparse file, which takes no room.
    private string? Written(long length, long at, byte value)
    {
        using (var stream = File.OpenWrite(path))
        {
            stream.SetLength(length);
            stream.Position = at;
            stream.WriteByte(value);
        }

        return FileDigest.Of(path);
    }
}
