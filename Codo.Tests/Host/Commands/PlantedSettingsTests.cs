using Codo.Host.Commands;
using Codo.Tests.Support;
using Microsoft.Extensions.Configuration;

namespace Codo.Tests.Host.Commands;

/// <summary>Where settings are read from, and where they are not.</summary>
public sealed class PlantedSettingsTests
{
    [Theory]
    [InlineData("token", "--user", "me")]
    [InlineData("serve")]
    [InlineData("migrate")]
    public async Task A_file_in_the_working_directory_stops_the_start_with_a_sentence(params string[] arguments)
    {
        using var folder = new TestFolder();
        File.WriteAllText(folder.At("appsettings.json"), $$"""{ "Codo": { "DataDirectory": "{{folder.At("planted")}}" } }""");
        var (exitCode, _, errors) = await HostProcess.Run(
            [.. arguments],
            workingDirectory: folder.Path,
            environment: ("Codo__DataDirectory", folder.At("own"))
        );
        exitCode.ShouldBe(2);
        errors.ShouldContain(folder.At("appsettings.json"));
        errors.ShouldContain("--config");
        Directory.Exists(folder.At("planted")).ShouldBeFalse();
    }

    [Fact]
    public async Task A_file_that_is_named_is_read()
    {
        using var folder = new TestFolder();
        var file = folder.At("codo.json");
        File.WriteAllText(file, $$"""{ "Codo": { "DataDirectory": "{{folder.At("named")}}" } }""");
        foreach (var arguments in new[] { new[] { "token", "--user", "me", "--config", file }, ["token", "--user", "me", $"--config={file}"] })
        {
            var (exitCode, _, errors) = await HostProcess.Run(arguments);
            // No host has run there, so there is no secret to sign with; that the refusal names the folder shows that the file was read.
            exitCode.ShouldBe(2);
            errors.ShouldContain(folder.At("named") + " ");
        }
        var (missing, _, said) = await HostProcess.Run(["token", "--user", "me", "--config", folder.At("absent.json")]);
        missing.ShouldBe(2);
        said.ShouldContain("absent.json");
    }

    [Fact]
    public void The_file_of_the_checkout_hides_nothing_of_the_machines()
    {
        using var folder = new TestFolder();
        // In the place of /etc/codo/appsettings.json: run.sh names the checkout's after it as well.
        var machine = folder.At("machine.json");
        File.WriteAllText(machine, """{ "Codo": { "PublicUrl": "https://codo.example.com" } }""");
        var checkout = Path.Combine(PublishedHost.Root(), "appsettings.json");
        var configuration = SettingSources.Add(new ConfigurationBuilder(), ["--config", machine, "--config", checkout]).Build();
        configuration["Codo:PublicUrl"].ShouldBe("https://codo.example.com");
        // One in which somebody has changed something is meant.
        File.WriteAllText(folder.At("changed.json"), File.ReadAllText(checkout) + " ");
        SettingSources.Add(new ConfigurationBuilder(), ["--config", machine, "--config", folder.At("changed.json")]).Build()["Codo:PublicUrl"].ShouldBe("");
    }

    [Fact]
    public async Task The_lock_can_be_taken_by_its_owner_alone()
    {
        using var folder = new TestFolder();
        Directory.CreateDirectory(folder.At("codo"));
        File.WriteAllText(folder.At("codo/lock"), "");
        File.SetUnixFileMode(folder.At("codo/lock"), (UnixFileMode)0b110_110_110);
        await using (var host = await HostProcess.Start(folder.At("codo")))
            File.GetUnixFileMode(folder.At("codo/lock")).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    [Fact]
    public async Task What_strangers_say_reaches_no_log_with_its_control_characters()
    {
        using var folder = new TestFolder();
        await using var host = await HostProcess.Start(folder.At("codo"));
        using var http = new HttpClient { BaseAddress = host.Address };
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/cron/job/%1B%5D0;owned%07%C2%9B31m%0Aline-of-its-own%E2%80%A8x");
        var payload = TestTokens.Payload(5, "eve\u001b[2J\nforged line\u009b");
        request.Headers.Add("auth-key", TestTokens.Sign(payload, "another-secret-that-is-long-enough-too"));
        (await http.SendAsync(request)).Dispose();
        using var known = new HttpRequestMessage(HttpMethod.Get, "/v1/cron/log/");
        known.Headers.Add("auth-key", TestTokens.Sign(payload, "another-secret-that-is-long-enough-too"));
        (await http.SendAsync(known)).Dispose();
        await Eventually.True(() => host.Output.Contains("forged line"), "it is logged");
        host.Output.Any(letter => letter is not '\n' and not '\r' && char.IsControl(letter) || letter is '\u2028' or '\u2029').ShouldBeFalse();
        host.Output.Split('\n')
            .ShouldNotContain(line =>
                line.TrimStart().StartsWith("forged line", StringComparison.Ordinal) || line.StartsWith("line-of-its-own", StringComparison.Ordinal)
            );
    }
}
