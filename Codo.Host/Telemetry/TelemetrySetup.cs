using System.Diagnostics.Metrics;
using Codo.Host.Auth;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Telemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Codo.Host.Telemetry;

/// <summary>Metrics at <c>/metrics</c> in Prometheus' form, and metrics and traces by OTLP where a collector is configured.</summary>
internal static class TelemetrySetup
{
    private const string Networks = "Codo:Telemetry:MetricsNetworks";

    // What the runtime, ASP.NET Core and Npgsql measure themselves.
    private static readonly string[] Meters =
    [
        CodoTelemetry.Name,
        "Npgsql",
        "System.Runtime",
        "Microsoft.AspNetCore.Hosting",
        "Microsoft.AspNetCore.Server.Kestrel",
    ];

    public static IServiceCollection AddTelemetry(this IServiceCollection services, IConfiguration configuration, string node)
    {
        var settings = SettingsBinding.Check<TelemetrySettings>(configuration, "Codo:Telemetry");
        services
            .AddSettings<TelemetrySettings>("Codo:Telemetry")
            .AddSingleton<Gauges>()
            .AddGauges<PlatformGauges>()
            .AddSingleton<INodeGaugeSource, NodeGauges>()
            .AddSingleton(new OpenNetworks([.. (SettingsBinding.List(configuration, Networks) ?? []).Select(text => TrustedHosts.Network(Networks, text))]));
        var isSent = settings.Otlp.Length > 0;
        var telemetry = services
            .AddOpenTelemetry()
            .ConfigureResource(resource => resource.AddService("codo", serviceInstanceId: node))
            .WithMetrics(metrics =>
            {
                metrics.AddMeter(Meters).AddView(OfFewSeries).AddPrometheusExporter();
                if (isSent) metrics.AddOtlpExporter(to => Send(to, settings, "v1/metrics"));
            });
        if (!isSent) return services;
        telemetry.WithTracing(traces =>
            traces.AddSource(CodoTelemetry.Name, "Microsoft.AspNetCore", "Npgsql").AddOtlpExporter(to => Send(to, settings, "v1/traces"))
        );
        // A scrape reads the gauges; where they are pushed somebody else has to.
        return services.AddLoop<Gauges>("gauges", TimeSpan.FromSeconds(15), (gauges, stopping) => gauges.Refresh(stopping));
    }

    public static void MapMetrics(this IEndpointRouteBuilder routes)
    {
        // Made now: its instruments must be there before the first scrape.
        var gauges = routes.ServiceProvider.GetRequiredService<Gauges>();
        routes
            .MapPrometheusScrapingEndpoint(
                "/metrics",
                null,
                scrape =>
                    scrape.Use(
                        async (HttpContext context, RequestDelegate next) =>
                        {
                            await gauges.Refresh(context.RequestAborted);
                            await next(context);
                        }
                    ),
                null
            )
            .Needs(Right.Token)
            .WithMetadata(new OpenToNetworks(), new HttpMethodMetadata([HttpMethods.Get]))
            .WithTags("host")
            .WithSummary("Metrics in Prometheus' form; a network of Codo:Telemetry:MetricsNetworks needs no token");
    }

    // OpenTelemetry takes room for all series of an instrument at once: 144 kB for its default of 2,000. Codo's own and the requests by route may have that
    // many.
    private static MetricStreamConfiguration? OfFewSeries(Instrument instrument) =>
        instrument.Meter.Name is CodoTelemetry.Name || instrument.Name == "http.server.request.duration" ? null
        : new MetricStreamConfiguration { CardinalityLimit = 200 };

    private static void Send(OtlpExporterOptions to, TelemetrySettings settings, string path)
    {
        to.Protocol = settings.OtlpProtocol == "http" ? OtlpExportProtocol.HttpProtobuf : OtlpExportProtocol.Grpc;
        to.Endpoint = settings.OtlpProtocol == "http" ? new Uri(new Uri(settings.Otlp.TrimEnd('/') + "/"), path) : new Uri(settings.Otlp);
    }
}
