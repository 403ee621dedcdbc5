using Codo.Host.Commands;
using Codo.Platform.Data;
using Codo.Tests.Support;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Tests.Host.Operations;

public sealed class NamedSettingsHost(TestPostgres postgres)
    : HostFixture(
        postgres,
        ("Codo:Cron:MaxParallel", "17"),
        ("Codo:Alerts:HeartbeatUrl", "http://127.0.0.1:1/9f3"),
        ("Codo:Auth:TokenSecrets:0", "of-the-time-before-9f3-of-more-than-32-bytes"),
        ("Codo:Cron:SecretNames:0", "*PASS*")
    );

/// <summary>What is in force and where it comes from; no secret is shown.</summary>
public sealed class SettingsTests(NamedSettingsHost fixture) : IClassFixture<NamedSettingsHost>
{
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task Settings_in_force_are_answered_with_their_source_and_secrets_only_as_set()
    {
        var answer = await host.Get("/v2/settings/");
        var rows = answer["data"]!.AsArray().ToDictionary(row => (string)row!["name"]!, row => row!);
        ((string)rows["Codo:Cron:MaxParallel"]["value"]!).ShouldBe("17");
        ((string)rows["Codo:Cron:MaxParallel"]["source"]!).ShouldBe("host");
        ((string)rows["Codo:Tasks:OrderRetentionDays"]["value"]!).ShouldBe("400");
        ((string)rows["Codo:Tasks:OrderRetentionDays"]["source"]!).ShouldBe("default");
        foreach (var name in new[] { "Codo:MasterKey", "Codo:Auth:TokenSecret", "ConnectionStrings:Postgres", "Codo:Alerts:HeartbeatUrl" })
        {
            rows[name]["value"].ShouldBeNull(name);
            ((bool)rows[name]["set"]!).ShouldBeTrue(name);
        }
        answer.ToJsonString().ShouldNotContain("9f3");
        ((string)rows["Codo:Cron:SecretNames:0"]["value"]!).ShouldBe("*PASS*", "a pattern is no secret");
    }

    [Fact]
    public void A_setting_names_the_file_the_variable_or_the_argument_that_it_comes_from()
    {
        using var folder = new TestFolder();
        var file = folder.At("codo.json");
        File.WriteAllText(file, """{"Codo": {"Cron": {"MaxParallel": 5, "OutputLimit": 70000}, "ShutdownGrace": 9}}""");
        var configuration = SettingSources.Add(new ConfigurationBuilder(), ["--config", file, "--Codo:ShutdownGrace=8"]).Build();
        SettingSources.Of(configuration, "Codo:Cron:MaxParallel").ShouldBe((SettingSource.File, file));
        SettingSources.Of(configuration, "Codo:ShutdownGrace").ShouldBe((SettingSource.CommandLine, ""));
        SettingSources.Of(configuration, "Codo:MinFreeDisk").ShouldBe((SettingSource.Default, ""));
        SettingSources.Of(configuration, "Codo:Cron:SummaryRetentionDays").ShouldBe((SettingSource.Default, ""));
    }

    [Theory]
    [InlineData("", "")]
    [InlineData("carol", "carol")]
    [InlineData("carol, dave", "carol dave")]
    public void A_list_as_text_is_over_the_array_of_an_earlier_source(string text, string names)
    {
        const string list = "Codo:AllowRunAs";
        KeyValuePair<string, string?>[] file = [new($"{list}:0", "ann"), new($"{list}:1", "bob")], variables = [new(list, text)];
        var textIsLater = new ConfigurationBuilder().AddInMemoryCollection(file).AddInMemoryCollection(variables).Build();
        string.Join(' ', SettingsBinding.List(textIsLater, list)!).ShouldBe(names);
        var arrayIsLater = new ConfigurationBuilder().AddInMemoryCollection(variables).AddInMemoryCollection(file).Build();
        string.Join(' ', SettingsBinding.List(arrayIsLater, list)!).ShouldBe("ann bob");
        SettingsBinding.List(arrayIsLater, "Codo:KnownProxies").ShouldBeNull();
    }

    [Theory]
    [InlineData("README.md")]
    [InlineData("README.zh-CN.md")]
    public async Task Every_setting_of_README_is_one_and_a_misspelt_one_is_none(string file)
    {
        var lines = await File.ReadAllLinesAsync(Path.Combine(PublishedHost.Root(), file), TestContext.Current.CancellationToken);
        var names = lines
            .Where(line => line.StartsWith("| `Codo:", StringComparison.Ordinal))
            .SelectMany(line => line.Split('|')[1].Split('`'))
            .Where(part => part.StartsWith("Codo:", StringComparison.Ordinal))
            .ToArray();
        names.Length.ShouldBeGreaterThan(40);
        var sections = host.Services.GetServices<SettingsSection>().ToArray();
        SettingNames.Unread(names, sections).ShouldBeEmpty();
        string[] wrong = ["Codo:Cron:Operator", "Codo:Cron:MaxParallel:0", "Codo:Node:Roles:0", "Codo:Cron"];
        SettingNames.Unread([.. wrong, "codo:cron:operators:0", "Kestrel:Limits:MaxConcurrentConnections"], sections).ShouldBe(wrong);
    }

    [Fact]
    public async Task Nodes_say_what_their_loops_do_and_what_waits()
    {
        var answer = await host.Get("/v2/nodes/");
        ((string)answer["node"]!).ShouldBe((string)answer["data"]![0]!["name"]!);
        answer["loops"]!.AsArray().Select(loop => (string)loop!["name"]!).ShouldContain("rights");
        answer["queues"]!.AsArray().Select(queue => (string)queue!["name"]!)
            .ShouldBe(["runs", "summaries", "deliveries", "outbox", "dead_letters", "background_jobs"], ignoreOrder: true);
    }
}
