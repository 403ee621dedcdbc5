using System.Globalization;
using System.Net;
using System.Text.RegularExpressions;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;

namespace Codo.Tests.Host.Operations;

public sealed class MetricsHost(TestPostgres postgres) : HostFixture(postgres);

/// <summary>What a Prometheus server reads.</summary>
public sealed partial class MetricsTests(MetricsHost fixture) : IClassFixture<MetricsHost>
{
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task A_run_shows_in_counters_histograms_and_gauges_whose_labels_are_words()
    {
        (await host.Post("/v1/cron/job/", new { job_id = "measured", cmd = "exit 3", cron = CronClient.Never })).Code().ShouldBe(0);
        var before = Value(await Scrape(TestTokens.Admin), "codo_fires_total{", "outcome=\"faild\"");
        (await host.Post("/v1/cron/job/run/", new { job_id = "measured" })).Code().ShouldBe(0);
        await Eventually.True(
            async () => Value(await Scrape(TestTokens.Admin), "codo_fires_total{", "outcome=\"faild\"") > before,
            "the failed run is counted"
        );
        // Gauges are read from the database at most every five seconds.
        await Eventually.True(async () => (await Scrape(TestTokens.Admin)).Contains("codo_jobs{", StringComparison.Ordinal), "the gauges are read");
        var text = await Scrape(TestTokens.Admin);
        foreach (
            var name in new[]
            {
                "codo_fire_lateness_seconds_bucket", "codo_run_duration_seconds_count", "codo_outbox_oldest_seconds", "codo_nodes{", "codo_loop_age_seconds{",
                "codo_spool_size_bytes", "codo_descriptors", "http_server_request_duration_seconds", "db_client_operation_duration_seconds",
                "dotnet_process_memory_working_set_bytes",
            }
        )
            text.ShouldContain(name);
        text.ShouldNotContain("measured", Case.Sensitive, "a job's name is no label");
        text.ShouldNotContain("codo_gauges_failures_total{");
    }

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

    private async Task<string> Scrape(string token)
    {
        using var response = await host.Http.SendAsync(TestHost.Request(HttpMethod.Get, "/metrics", null, token));
        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        return await response.Content.ReadAsStringAsync();
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

    private static double Value(string text, string name, string label) =>
        text.Split('\n')
            .Where(line => line.StartsWith(name, StringComparison.Ordinal) && line.Contains(label, StringComparison.Ordinal))
            .Select(line => double.Parse(Number().Match(line).Groups[1].Value, CultureInfo.InvariantCulture))
            .Sum();

    [GeneratedRegex("(codo_[a-z_]+?)(?:_bucket|_count|_sum)?(?=[^a-z_])")]
    private static partial Regex Name();

    [GeneratedRegex(@"\} ([0-9.e+]+)")]
    private static partial Regex Number();
}
