using Codo.Host.LocalServices;
using Codo.Tests.Support;

namespace Codo.Tests.Host.LocalServices;

public sealed class DataDirectoryTests
{
    [Fact]
    public void Is_made_for_its_owner_alone_and_held_by_one_at_a_time()
    {
        using var folder = new TestFolder();
        var path = folder.At("a/b");
        using (DataDirectory.Hold(path))
        {
            File.GetUnixFileMode(path).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            Should
                .Throw<DirectoryIsHeld>(() => DataDirectory.Hold(path))
                .Message.ShouldStartWith($"Another Codo host, or a command such as codo backup, is running on the data directory {path}.");
        }

        DataDirectory.Hold(path).Dispose();
    }

    [Fact]
    public void A_place_where_no_directory_can_be_is_refused_with_its_name()
    {
        using var folder = new TestFolder();
        File.WriteAllText(folder.At("file"), "");
        Should.Throw<StartRefused>(() => DataDirectory.Hold(folder.At("file/codo"))).Message.ShouldContain(folder.At("file/codo"));
    }

    [Fact]
    public void A_log_keeps_two_files_and_no_more_than_their_limit()
    {
        using var folder = new TestFolder();
        using (var log = new BoundedLog(folder.At("log"), limit: 1000))
        {
            for (var line = 0; line < 1000; line++)
                log.Append($"line {line}");
        }

        Directory.GetFiles(folder.Path).Length.ShouldBe(2);
        Directory.GetFiles(folder.Path).ShouldAllBe(file => new FileInfo(file).Length < 1100);
        (File.ReadAllText(folder.At("log.1")) + File.ReadAllText(folder.At("log"))).ShouldEndWith("line 999\n");
    }

    [Fact]
    public void A_log_whose_disk_is_full_loses_lines_and_stops_nobody()
    {
        using var log = new BoundedLog("/dev/full", limit: 1000);
        for (var line = 0; line < 3; line++)
            Should.NotThrow(() => log.Append("a line"));
    }

    [Fact]
    public void A_log_goes_on_when_there_is_room_again_and_says_how_many_lines_are_missing()
    {
        using var folder = new TestFolder();
        // Without its folder no file can be opened: lines are lost as on a full disk.
        using var log = new BoundedLog(folder.At("away/log"), limit: 1000);
        log.Append("first");
        log.Append("second");
        Directory.CreateDirectory(folder.At("away"));
        log.Append("third");
        File.ReadAllText(folder.At("away/log")).ShouldBe("(2 lines before this one could not be written)\nthird\n");
    }
}
