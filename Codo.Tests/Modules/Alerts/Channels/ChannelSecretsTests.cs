using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;

namespace Codo.Tests.Modules.Alerts.Channels;

public sealed class ChannelSecretsHost(TestPostgres postgres) : HostFixture(postgres);

/// <summary>The address of a webhook is a key to whatever listens there.</summary>
public sealed class ChannelSecretsTests(ChannelSecretsHost fixture) : IClassFixture<ChannelSecretsHost>
{
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task A_webhooks_address_is_sealed_and_masked_and_what_came_back_is_for_those_who_see_channels()
    {
        await using var stub = await HttpStub.Start();
        stub.Answer = (_, _) => (500, "internal-detail of the receiver");
        var made = await host.Post(
            "/v2/alerts/channel/",
            new
            {
                name = "hook",
                kind = "webhook",
                settings = new { url = stub.Url + "/hooks/T0/geheim-token" },
            }
        );
        made.Code().ShouldBe(0, made.ToJsonString());
        (await host.Get("/v2/alerts/channel/")).ToJsonString().ShouldNotContain("geheim-token");
        (await host.Ask<long>("SELECT count(*) FROM alerts.channel WHERE settings::text LIKE '%geheim-token%'")).ShouldBe(0);
        (await host.Ask<long>("SELECT count(*) FROM platform.audit WHERE after::text LIKE '%geheim-token%'")).ShouldBe(0);

        await host.Make(new { job_id = "fails", cmd = "false", cron = CronClient.Never, owners = new[] { "ann" } });
        await host.Ended(await host.RunNow("fails"));
        await Eventually.True(
            async () => (await host.Get("/v2/alerts/delivery/"))["data"]!.AsArray().Any(row => row!["answer"]!.GetValue<string>().Contains("internal-detail")),
            "it was tried"
        );
        (await host.Get("/v2/alerts/delivery/", TestTokens.For(7, "ann"))).ToJsonString().ShouldNotContain("internal-detail");
    }

    [Fact]
    public async Task An_address_that_an_earlier_version_stored_in_the_open_is_sealed_at_the_start()
    {
        await using (var old = await fixture.Another())
        {
            await old.Ask<long>(
                """INSERT INTO alerts.channel (name, kind, settings, creator) VALUES ('old', 'webhook', '{"url": "http://127.0.0.1:1/geheim-token"}',"""
                    + """ 'x') RETURNING channel_id"""
            );
            await using var again = await old.Again();
            await Eventually.True(
                async () => await again.Ask<long>("SELECT count(*) FROM alerts.channel WHERE settings::text LIKE '%geheim-token%'") == 0,
                "it is sealed"
            );
            (await again.Get("/v2/alerts/channel/")).ToJsonString().ShouldNotContain("geheim-token");
            (await again.Ask<long>("SELECT count(*) FROM alerts.channel WHERE secrets IS NOT NULL")).ShouldBe(1);
        }
    }
}
