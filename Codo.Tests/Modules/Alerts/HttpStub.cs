using System.Collections.Concurrent;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Codo.Tests.Modules.Alerts;

/// <summary>A real HTTP server on a loopback port of its own, which keeps what it got and answers as the test says.</summary>
internal sealed class HttpStub : IAsyncDisposable
{
    private readonly WebApplication app;

    private HttpStub(WebApplication app) => this.app = app;

    public ConcurrentQueue<Got> Requests { get; } = new();

    /// <summary>What is answered to the nth request, from 1: status and body. A negative status never answers.</summary>
    public Func<int, Got, (int Status, string Body)> Answer { get; set; } = (_, _) => (200, "{}");

    /// <summary>What an answer waits for, once the request is read.</summary>
    public Task Hold { get; set; } = Task.CompletedTask;

    public string Url => app.Urls.First();

    public static async Task<HttpStub> Start()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var app = builder.Build();
        var stub = new HttpStub(app);
        app.Run(stub.Serve);
        await app.StartAsync();
        return stub;
    }

    public async ValueTask DisposeAsync()
    {
        using var now = new CancellationTokenSource();
        await now.CancelAsync();
        await app.StopAsync(now.Token);
        await app.DisposeAsync();
    }

    private async Task Serve(HttpContext context)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body);
        var got = new Got(
            context.Request.Method, context.Request.Path.Value!, context.Request.Query.ToDictionary(pair => pair.Key, pair => pair.Value.ToString()),
            context.Request.Headers.ToDictionary(pair => pair.Key, pair => pair.Value.ToString(), StringComparer.OrdinalIgnoreCase), body.ToArray());
        Requests.Enqueue(got);
        var (status, text) = Answer(Requests.Count, got);
        await Hold;
        if (status < 0) await Task.Delay(Timeout.Infinite, context.RequestAborted).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (status < 0) return;
        context.Response.StatusCode = status;
        await context.Response.WriteAsync(text);
    }

    internal sealed record Got(string Method, string Path, Dictionary<string, string> Query, Dictionary<string, string> Headers, byte[] Body)
    {
        public System.Text.Json.Nodes.JsonNode Json => System.Text.Json.Nodes.JsonNode.Parse(Body)!;
    }
}
