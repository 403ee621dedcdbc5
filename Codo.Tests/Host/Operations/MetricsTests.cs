using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Net;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.RegularExpressions;
using Codo.Modules.Alerts;
using Codo.Modules.Cron;
using Codo.Modules.Tasks;
using Codo.Modules.Tasks.Hosts;
using Codo.Platform.Cluster;
using Codo.Platform.Telemetry;
using Codo.Tests.Modules.Alerts;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using OrderHost = Codo.Tests.Modules.Tasks.Orders.OrderHost;

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

    [Fact]
    public void The_rules_tell_of_what_a_restart_counts_anew_and_of_a_spool_that_is_full() =>
        TestSshd.Run(Programs.Find("promtool"), "test", "rules", Path.Combine(PublishedHost.Root(), "deploy/test/alerts.test.yml"));

    [Fact]
    public async Task Each_metric_and_its_labels_are_in_the_documents_and_no_other_is()
    {
        var instruments = new Dictionary<string, string>(StringComparer.Ordinal);
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, _) =>
            {
                if (instrument.Meter.Name == CodoTelemetry.Name) instruments[NameOf(instrument)] = instrument.Description ?? "";
            },
        };
        // Those of a class are there once it is used.
        foreach (var assembly in (Assembly[])[typeof(CronModule).Assembly, typeof(TasksModule).Assembly, typeof(AlertsModule).Assembly])
            foreach (var type in assembly.GetTypes().Where(HasInstruments)) RuntimeHelpers.RunClassConstructor(type.TypeHandle);
        listener.Start();
        instruments.Count.ShouldBeGreaterThan(20);
        instruments.ShouldAllBe(one => one.Value.Length > 0, "each says what it is");

        var text = await File.ReadAllTextAsync(Path.Combine(PublishedHost.Root(), "docs/operations.md"), TestContext.Current.CancellationToken);
        var table = text[text.IndexOf("\n## Metrics", StringComparison.Ordinal)..];
        table = table[..table.IndexOf("\n## ", 2, StringComparison.Ordinal)];
        var documented = Documented().Matches(table).ToLookup(match => match.Groups["name"].Value, match => match.Groups["label"].Value);
        documented.Select(one => one.Key).Order(StringComparer.Ordinal).ShouldBe(instruments.Keys.Order(StringComparer.Ordinal));
        var node = host.Services.GetServices<INodeGaugeSource>().SelectMany(some => some.Gauges);
        foreach (var gauge in host.Services.GetServices<IGaugeSource>().SelectMany(some => some.Gauges).Concat(node))
            documented[NameOf(gauge.Name, gauge.Unit, false)].ShouldContain(gauge.Label, gauge.Name);

        // What a caller writes is no label, of ours or of the framework's.
        var word = $"w{Guid.NewGuid():N}";
        foreach (var path in (string[])[$"/{word}/", $"/v1/cron/job/?job_id={word}", $"/i/{word}", $"/v2/task/log/?log_key={word}"])
        {
            using var answer = await host.Http.SendAsync(TestHost.Request(HttpMethod.Get, path, null, TestTokens.Admin), TestContext.Current.CancellationToken);
        }
        using (await host.Http.SendAsync(TestHost.Request(new HttpMethod(word.ToUpperInvariant()), "/v1/cron/job/", null, TestTokens.Admin))) { }
        SshMetrics.Failed(SshFailureKind.HostKey);
        using var scrape = await host.Http.SendAsync(TestHost.Request(HttpMethod.Get, "/metrics", null, TestTokens.Admin));
        var metrics = await scrape.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        metrics.ShouldContain("http_server_request_duration_seconds_bucket");
        // The word that deploy/alerts.yml asks for.
        metrics.ShouldMatch("codo_ssh_failures_total\\{[^}]*kind=\"host_key\"");
        metrics.ShouldNotContain(word, Case.Insensitive);
        foreach (var line in metrics.Split('\n').Where(line => line.StartsWith("codo_", StringComparison.Ordinal)))
        {
            var name = Name().Match(line).Groups[1].Value;
            foreach (Match label in Label().Matches(line))
                if (label.Groups[1].Value is not ("le" or "otel_scope_name")) documented[name].ShouldContain(label.Groups[1].Value, line);
        }
    }

    [Fact]
    public async Task What_needs_no_database_is_measured_while_the_database_does_not_answer()
    {
        var token = TestContext.Current.CancellationToken;
        await using var connection = await host.Source.OpenConnectionAsync(token);
        await using var transaction = await connection.BeginTransactionAsync(token);
        await connection.ExecuteAsync("LOCK TABLE platform.outbox IN ACCESS EXCLUSIVE MODE", transaction: transaction);
        var gauged = await Eventually.Get<List<Said>>(
            async () => await Gauged(host),
            all => all.All(one => one.Name != "codo.nodes"),
            "what waits for a lock is left out"
        );
        foreach (var name in (string[])["codo.spool.size", "codo.loop.age", "codo.loops.stale", "codo.descriptors", "codo.started"])
            gauged.ShouldContain(one => one.Name == name, name);
    }

    [Fact]
    public async Task An_order_has_waited_for_a_person_since_a_host_came_to_stand_so()
    {
        var template = await OrderHost.Template(host, OrderHost.Step("true", trigger: "hand", forceHost: "127.0.0.1"));
        var order = await OrderHost.Order(host, template);
        await OrderHost.Stands(host, order, "5");
        await using var connection = await host.Source.OpenConnectionAsync(TestContext.Current.CancellationToken);
        await connection.ExecuteAsync(
            "UPDATE tasks.scheduler_task_list SET create_time = create_time - interval '1 day' WHERE list_id = @order",
            new { order }
        );
        (await Oldest("awaits_person")).ShouldBeLessThan(TimeSpan.FromHours(12).TotalSeconds);
        await connection.ExecuteAsync("UPDATE tasks.lane SET state = 'interrupted' WHERE list_id = @order", new { order });
        (await Oldest("interrupted")).ShouldBeLessThan(TimeSpan.FromHours(12).TotalSeconds);

        async Task<double> Oldest(string state)
        {
            var said = await Eventually.Get<Said>(
                async () => (await Gauged(host)).Find(one => one.Name == "codo.orders.oldest" && one.Word == state),
                _ => true,
                $"an order is {state}"
            );
            return said.Value;
        }
    }

    [Fact]
    public async Task A_run_that_waits_for_the_one_before_it_is_not_late()
    {
        await host.Make(new { job_id = "in-turn", cmd = "exec sleep 1000", cron = CronClient.Never, overlap = "queue" });
        var running = await host.RunNow("in-turn");
        await host.Running(running);
        var waiting = await host.RunNow("in-turn");
        await using var connection = await host.Source.OpenConnectionAsync(TestContext.Current.CancellationToken);
        await connection.ExecuteAsync(
            "UPDATE cron.active_execution SET not_before = not_before - interval '10 minutes' WHERE log_id = @waiting",
            new { waiting }
        );
        var gauged = await Eventually.Get<List<Said>>(
            async () => await Gauged(host),
            all => all.Any(one => one is { Name: "codo.runs", Word: "queued" }),
            "the run that waits is counted"
        );
        gauged.ShouldContain(new Said("codo.runs.queued.oldest", "", 0));
        // Of several that are queued the first could start. Rolled back: the host sees none of it.
        await using (var transaction = await connection.BeginTransactionAsync(TestContext.Current.CancellationToken))
        {
            await connection.ExecuteAsync(
                ("UPDATE cron.active_execution SET state = 'queued', node = NULL, incarnation = NULL, not_before = clock_timestamp() - interval '5 minutes' "
                    + "WHERE log_id = @running"),
                new { running },
                transaction
            );
            (await new Codo.Modules.Cron.Executions.CronGauges().Read(connection, TestContext.Current.CancellationToken))
                .Single(one => one.Name == "codo.runs.queued.oldest")
                .Value.ShouldBeGreaterThan(299);
        }
        foreach (var log in (long[])[waiting, running]) (await host.Post("/v1/cron/job/kill/", new { log_id = log })).Code().ShouldBe(0);
    }

    [Fact]
    public async Task A_loop_that_rests_on_purpose_is_neither_old_nor_stale()
    {
        var loops = host.Services.GetRequiredService<LoopStates>();
        loops.Add("rests", TimeSpan.FromTicks(1), rests: () => true);
        loops.Add("stands", TimeSpan.FromTicks(1));
        var gauged = await Eventually.Get<List<Said>>(async () => await Gauged(host), all => all.Any(one => one.Word == "stands"), "the loops are seen");
        gauged.ShouldContain(new Said("codo.loop.age", "rests", 0));
        gauged.ShouldContain(new Said("codo.loops.stale", "rests", 0));
        gauged.ShouldContain(new Said("codo.loops.stale", "stands", 1));
    }

    [Fact]
    public async Task Metrics_and_traces_are_sent_to_a_collector_and_a_run_belongs_to_the_trace_of_its_request()
    {
        await using var collector = await HttpStub.Start();
        var trace = ActivityTraceId.CreateRandom();
        string said, node;
        await using (var sending = await fixture.Another(("Codo:Telemetry:Otlp", collector.Url), ("Codo:Telemetry:OtlpProtocol", "http")))
        {
            await sending.Make(new { job_id = "traced", cmd = "echo $CODO_TRACEPARENT", cron = CronClient.Never });
            using var request = TestHost.Request(HttpMethod.Post, "/v1/cron/job/run/", """{"job_id": "traced"}""", TestTokens.Admin);
            request.Headers.Add("traceparent", $"00-{trace}-{ActivitySpanId.CreateRandom()}-01");
            using var response = await sending.Http.SendAsync(request, TestContext.Current.CancellationToken);
            var log = System.Text.Json.Nodes.JsonNode.Parse(await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken))!["log_id"]!;
            said = (string)(await sending.Ended((long)log))["task_log"]!;
            node = sending.Services.GetRequiredService<Node>().Name;
        }

        // What a host has not sent yet it sends at its end.
        said.ShouldStartWith($"00-{trace}-");
        var sent = new byte[16];
        trace.CopyTo(sent);
        Has("/v1/traces", sent).ShouldBeTrue("a span of the trace");
        Has("/v1/metrics", "codo.fires"u8.ToArray()).ShouldBeTrue("a metric");
        Has("/v1/metrics", Encoding.UTF8.GetBytes(node)).ShouldBeTrue("whose it is: the node as it is called everywhere");

        bool Has(string path, byte[] bytes) => collector.Requests.Any(got => got.Path == path && got.Body.AsSpan().IndexOf(bytes) >= 0);
    }

    // What the gauges of this host say; an exporter hears those of every host in the process.
    private static async Task<List<Said>> Gauged(TestHost host)
    {
        await host.Services.GetRequiredService<Gauges>().Refresh(TestContext.Current.CancellationToken);
        var (scope, said) = (host.Services.GetRequiredService<IMeterFactory>(), new List<Said>());
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, itself) =>
            {
                if (instrument.Meter.Name == CodoTelemetry.Name && ReferenceEquals(instrument.Meter.Scope, scope)) itself.EnableMeasurementEvents(instrument);
            },
        };
        listener.SetMeasurementEventCallback<double>(
            (instrument, value, tags, _) => said.Add(new Said(instrument.Name, tags.Length > 0 ? (string)tags[0].Value! : "", value))
        );
        listener.Start();
        listener.RecordObservableInstruments();
        return said;
    }

    private static bool HasInstruments(Type type) =>
        type.GetFields(BindingFlags.Static | BindingFlags.NonPublic | BindingFlags.Public).Any(field => typeof(Instrument).IsAssignableFrom(field.FieldType));

    private static string NameOf(Instrument instrument) =>
        NameOf(instrument.Name, instrument.Unit ?? "", instrument is Counter<long>);

    // As the exporter for Prometheus writes it.
    private static string NameOf(string name, string unit, bool isCounter) =>
        name.Replace('.', '_') + unit switch { "s" => "_seconds", "By" => "_bytes", _ => "" } + (isCounter ? "_total" : "");

    private static async Task<HttpStatusCode> Ask(TestHost host, string? token, string? address = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/metrics");
        if (token is not null) request.Headers.Add("auth-key", token);
        if (address is not null) request.Headers.Add("X-Forwarded-For", address);
        request.Headers.TryAddWithoutValidation("Accept", "application/problem+json");
        using var response = await host.Http.SendAsync(request);
        return response.StatusCode;
    }

    private sealed record Said(string Name, string Word, double Value);

    [GeneratedRegex("(codo_[a-z_]+?)(?:_bucket|_count|_sum)?(?=[^a-z_])")]
    private static partial Regex Name();

    [GeneratedRegex("`(?<name>codo_[a-z_]+)(?:{(?<label>[a-z]+)})?`")]
    private static partial Regex Documented();

    [GeneratedRegex("[{,]([a-z_]+)=\"")]
    private static partial Regex Label();
}
