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
    [InlineData("token --user me --day 7", "'--day' is neither an option of this command nor a setting.")]
    [InlineData("backup /codo-test-of-nothing.backup --key=/keys", "'--key' is neither an option of this command nor a setting.")]
    [InlineData("--url http://127.0.0.1:0", "'--url' is neither an option of this command nor a setting.")]
    [InlineData("--Codo__TimeZone=UTC", "'--Codo__TimeZone' is neither an option of this command nor a setting.")]
    [InlineData("audit verify --seal 2026-05-01", "--seal is DAY=SEAL")]
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
    [InlineData("Codo:PublicUrl", "https://x:44x")]
    [InlineData("Codo:Telemetry:Otlp", "10.0.0.5:4317")]
    [InlineData("Codo:Telemetry:Otlp", "collector:4317")]
    [InlineData("Codo:Alerts:HeartbeatUrl", "hc.example.com/1")]
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

    [Theory]
    [InlineData("{ Codo }")]
    [InlineData("""{ "Codo": { "TimeZone": "UTC", "TimeZone": "UTC" } }""")]
    [InlineData("[]")]
    public async Task A_settings_file_that_is_not_JSON_is_named(string content)
    {
        using var folder = new TestFolder();
        File.WriteAllText(folder.At("codo.json"), content);
        var (exitCode, _, errors) = await HostProcess.Run(["token", "--user", "me", "--config", "codo.json"], workingDirectory: folder.Path);
        exitCode.ShouldBe(2, errors);
        errors.ShouldStartWith($"The settings in {folder.At("codo.json")} are not one object of JSON: ");
        errors.ShouldNotContain("   at ");
    }

    [Fact]
    public async Task A_settings_file_that_this_user_may_not_read_is_named()
    {
        await using var user = await TestUser.Make();
        Assert.SkipUnless(await CanRun(user), $"{AppContext.BaseDirectory} or the .NET runtime is closed to other users.");
        using var folder = new TestFolder();
        var file = folder.At("codo.json");
        File.WriteAllText(file, "{}");
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        var (exitCode, _, errors) = await HostProcess.Run(["token", "--user", "me", "--config", file], user.Identity);
        exitCode.ShouldBe(2, errors);
        errors.ShouldStartWith($"The settings in {file} cannot be read by the user {user.Identity.Name}: ");
        errors.ShouldNotContain("   at ");
    }

    [Fact]
    public async Task A_list_that_is_set_in_two_ways_is_refused()
    {
        using var folder = new TestFolder();
        var (exitCode, _, errors) = await HostProcess.Run(
            [$"--Codo:DataDirectory={folder.At("codo")}", "--Codo:Tasks:ReadySubmitters=hook", "--Codo:Tasks:ReadySubmitters:0=ann"]
        );
        exitCode.ShouldBe(2, errors);
        errors.ShouldStartWith("Codo:Tasks:ReadySubmitters is set as one text and as a list (Codo:Tasks:ReadySubmitters:0)");
        Directory.Exists(folder.At("codo")).ShouldBeFalse();
    }

    [Fact]
    public async Task A_setting_that_nothing_reads_is_named_with_where_it_comes_from()
    {
        using var folder = new TestFolder();
        await using var host = await HostProcess.Start(folder.At("codo"), environment: ("Codo__Cron__Operator", "ann"));
        var warning = host.Output.Split('\n').Single(line => line.Contains("Codo:Cron:Operator", StringComparison.Ordinal));
        warning.ShouldContain("is no setting of Codo's");
        warning.ShouldContain("Codo__Cron__Operator");
        host.Output.ShouldNotContain("Codo:DataDirectory");
    }

    [Fact]
    public async Task A_host_that_is_to_say_nothing_prints_its_welcome_alone()
    {
        using var folder = new TestFolder();
        await using var host = await HostProcess.Start(folder.At("codo"), environment: ("Logging__LogLevel__Default", "None"));
        (await host.Stop()).ShouldBe(0, host.Output);
        host.Output.Split('\n').ShouldNotContain(line => line.StartsWith('{'));
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
