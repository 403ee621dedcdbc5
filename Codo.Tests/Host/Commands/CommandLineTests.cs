using Codo.Tests.Support;

namespace Codo.Tests.Host.Commands;

public sealed class CommandLineTests
{
    [Theory]
    [InlineData("srve", "'srve' is neither a command nor a setting.")]
    [InlineData("--urls", "--urls has no value.")]
    [InlineData("token", "Option '--user' is required.")]
    [InlineData("token --user me --days 367", "--days is a number from 1 to 366.")]
    [InlineData("token --user me --days soon", "--days is a number from 1 to 366.")]
    [InlineData("token --user me other", "'other' is neither a command nor a setting.")]
    public async Task What_it_does_not_understand_is_refused_with_a_sentence_and_2(string line, string sentence)
    {
        var (exitCode, _, errors) = await HostProcess.Run(line.Split(' '));
        exitCode.ShouldBe(2);
        errors.ShouldStartWith(sentence);
    }

    [Fact]
    public async Task Tells_its_version_and_its_commands()
    {
        (await HostProcess.Run(["--version"])).Output.ShouldStartWith("0.");
        var help = (await HostProcess.Run(["--help"])).Output;
        foreach (var command in (string[])["serve", "token", "migrate"])
            help.ShouldContain($"  {command} ");
    }

    [Theory]
    [InlineData("Codo:ShutdownGrace", "soon")]
    [InlineData("Codo:ShutdownGrace", "-1")]
    [InlineData("Codo:MaxBody", "-1")]
    [InlineData("Codo:MasterKeyNumber", "0")]
    [InlineData("Codo:OldMasterKeys:first", "x")]
    [InlineData("Codo:PublicUrl", "codo.example.com")]
    [InlineData("Codo:ShowToken", "maybe")]
    [InlineData("Logging:LogLevel:Default", "Loud")]
    [InlineData("urls", "garbage", "ASPNETCORE_URLS")]
    public async Task A_wrong_setting_stops_the_start_with_its_name(string name, string value, string? said = null)
    {
        using var folder = new TestFolder();
        var (exitCode, _, errors) = await HostProcess.Run([$"--Codo:DataDirectory={folder.At("codo")}", "--urls=http://127.0.0.1:0", $"--{name}={value}"]);
        exitCode.ShouldBe(2, errors);
        errors.ShouldContain(said ?? name);
        errors.ShouldNotContain("   at ");
        // What was being started beside it has ended.
        Directory.Exists(folder.At("codo/postgres.new")).ShouldBeFalse();
        TestSshd.Run("ps", "-eo", "args=").ShouldNotContain(folder.Path);
    }

    [Fact]
    public async Task The_command_line_wins_over_the_environment_and_that_over_a_file_that_is_named()
    {
        using var folder = new TestFolder();
        File.WriteAllText(folder.At("codo.json"), $$"""{ "Codo": { "DataDirectory": "{{folder.At("from-file")}}" } /* a comment */ }""");
        (string, string) variable = ("Codo__DataDirectory", folder.At("from-environment"));

        // Where no host has run the refusal names the data directory.
        (await HostProcess.Run(["token", "--user", "me", "--config", "codo.json"], workingDirectory: folder.Path)).Errors.ShouldContain(
            folder.At("from-file") + " "
        );
        (await HostProcess.Run(["token", "--user", "me", "--config", "codo.json"], workingDirectory: folder.Path, environment: variable)).Errors.ShouldContain(
            folder.At("from-environment") + " "
        );
        (
            await HostProcess.Run(
                ["token", "--user", "me", "--config", "codo.json", $"--Codo:DataDirectory={folder.At("from-argument")}"],
                workingDirectory: folder.Path,
                environment: variable
            )
        ).Errors.ShouldContain(folder.At("from-argument") + " ");
        Directory.GetDirectories(folder.Path).ShouldBeEmpty();
    }

    [Fact]
    public async Task A_settings_file_that_is_not_JSON_is_named()
    {
        using var folder = new TestFolder();
        File.WriteAllText(folder.At("codo.json"), "{ Codo }");
        var (exitCode, _, errors) = await HostProcess.Run(["token", "--user", "me", "--config", "codo.json"], workingDirectory: folder.Path);
        exitCode.ShouldBe(2);
        errors.ShouldStartWith($"The settings in {folder.At("codo.json")} are not JSON:");
    }

    [Fact]
    public async Task Without_HOME_it_asks_for_a_data_directory()
    {
        await using var user = await TestUser.Make();
        Assert.SkipUnless(await CanRun(user), $"{AppContext.BaseDirectory} or the .NET runtime is closed to other users.");
        var (exitCode, _, errors) = await HostProcess.Run(["token", "--user", "me"], user.Identity, environment: ("HOME", ""));
        exitCode.ShouldBe(2);
        errors.ShouldContain("Codo__DataDirectory");
    }

    private static async Task<bool> CanRun(TestUser user) => (await HostProcess.Run(["--version"], user.Identity)).ExitCode == 0;
}
