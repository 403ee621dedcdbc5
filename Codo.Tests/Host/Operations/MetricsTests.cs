using System.Net;
using System.Text.RegularExpressions;
using Codo.Tests.Support;

namespace Codo.Tests.Host.Operations;

public sealed class MetricsHost(TestPostgres postgres) : HostFixture(postgres);

/// <summary>
/// What a Prometheus server reads, and who may. The numbers of a host are looked at in <see cref="PlantedSecretsTests"/>, which has a process for itself.
/// </summary>
public sealed partial class MetricsTests(MetricsHost fixture) : IClassFixture<MetricsHost>
{
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task Without_a_token_it_is_for_the_networks_of_the_settings_alone()
    {
        (await Ask(host, null)).ShouldBe(HttpStatusCode.Unauthorized);
        await using var open = await host.Again(("Codo:Telemetry:MetricsNetworks:0", "127.0.0.0/8"), ("Codo:KnownProxies", "127.0.0.1"));
        (await Ask(open, null)).ShouldBe(HttpStatusCode.OK);
        (await Ask(open, null, "10.1.2.3")).ShouldBe(HttpStatusCode.Unauthorized);
        // A token that is not good is refused there too, and no other route is open.
        (await Ask(open, "not.a.token")).ShouldBe(HttpStatusCode.Unauthorized);
        using var other = await open.Http.SendAsync(TestHost.Request(HttpMethod.Get, "/v1/cron/job/", null, ""));
        other.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
    }

    [Theory]
    [InlineData("deploy/alerts.yml")]
    [InlineData("deploy/grafana-codo.json")]
    public async Task What_is_shipped_for_Prometheus_and_Grafana_asks_for_metrics_that_the_documents_explain(string file)
    {
        var known = await File.ReadAllTextAsync(Path.Combine(PublishedHost.Root(), "docs/operations.md"), TestContext.Current.CancellationToken);
        var asked = Name().Matches(await File.ReadAllTextAsync(Path.Combine(PublishedHost.Root(), file), TestContext.Current.CancellationToken));
        asked.Count.ShouldBeGreaterThan(10);
        foreach (var name in asked.Select(match => match.Groups[1].Value).Distinct()) known.ShouldContain($"`{name}", Case.Sensitive, file);
    }

    private static async Task<HttpStatusCode> Ask(TestHost host, string? token, string? address = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/metrics");
        if (token is not null) request.Headers.Add("auth-key", token);
        if (address is not null) request.Headers.Add("X-Forwarded-For", address);
        request.Headers.TryAddWithoutValidation("Accept", "application/problem+json");
        using var response = await host.Http.SendAsync(request);
        return response.StatusCode;
    }

    [GeneratedRegex("(codo_[a-z_]+?)(?:_bucket|_count|_sum)?(?=[^a-z_])")]
    private static partial Regex Name();
}
