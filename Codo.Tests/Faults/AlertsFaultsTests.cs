using Codo.Tests.Modules.Alerts;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;

namespace Codo.Tests.Faults;

/// <summary>A host that is killed between an event and its delivery.</summary>
public sealed class AlertsFaultsTests
{
    [Fact]
    public async Task After_kill_9_between_the_event_and_the_delivery_it_is_delivered_and_at_most_once_more()
    {
        await using var stub = await HttpStub.Start();
        // Until the host is dead nobody answers: the message is on its way and its answer never comes.
        stub.Answer = (_, _) => (-1, "");
        using var folder = new TestFolder();
        await using (var host = await HostProcess.Start(folder.At("data")))
        {
            (
                await host.Send(
                    HttpMethod.Post,
                    "/v2/alerts/channel/",
                    new
                    {
                        name = "hook",
                        kind = "webhook",
                        timeout = 5,
                        settings = new { url = stub.Url },
                    }
                )
            ).Code().ShouldBe(0);
            (
                await host.Send(
                    HttpMethod.Post,
                    "/v1/cron/job/",
                    new
                    {
                        job_id = "fails",
                        cmd = "exit 3",
                        cron = CronClient.Never,
                    }
                )
            ).Code().ShouldBe(0);
            (await host.Send(HttpMethod.Post, "/v1/cron/job/run/", new { job_id = "fails" })).Code().ShouldBe(0);
            await Eventually.True(() => !stub.Requests.IsEmpty, "the message is on its way", seconds: 90);
            await host.Kill();
        }
        var before = stub.Requests.Count;
        stub.Answer = (_, _) => (200, "{}");
        await using var again = await HostProcess.Start(folder.At("data"));
        await Eventually.True(
            async () => (await again.Send(HttpMethod.Get, "/v2/alerts/delivery/"))["data"]![0]!["state"]!.GetValue<string>() == "sent",
            "it is delivered once the host is back",
            seconds: 120
        );
        (before, stub.Requests.Count).ShouldBe((1, 2));
        (await again.Send(HttpMethod.Get, "/v2/alerts/incident/"))["count"]!.GetValue<long>().ShouldBe(1);
    }
}
