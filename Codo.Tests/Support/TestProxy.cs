using System.Collections.Concurrent;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Codo.Tests.Support;

/// <summary>A reverse proxy before a host: it passes requests on, streams included, unless a test answers them in the host's place.</summary>
internal sealed class TestProxy : IAsyncDisposable
{
    private readonly WebApplication app;
    private readonly HttpClient http;
    private readonly ConcurrentDictionary<string, int> passed = new();
    private readonly ConcurrentDictionary<HttpContext, bool> open = new();

    private TestProxy(WebApplication app, Uri to)
    {
        this.app = app;
        http = new HttpClient(new SocketsHttpHandler { UseCookies = false, AllowAutoRedirect = false }) { BaseAddress = to };
    }

    /// <summary>What is answered in the host's place: status, content type and body. Null passes the request on.</summary>
    public Func<HttpRequest, Task<(int Status, string Type, string Body)?>> Answer { get; set; } =
        _ => Task.FromResult<(int Status, string Type, string Body)?>(null);

    public string Url => app.Urls.First();

    public static async Task<TestProxy> Start(Uri to)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var app = builder.Build();
        var proxy = new TestProxy(app, to);
        app.Run(proxy.Serve);
        await app.StartAsync();
        return proxy;
    }

    /// <summary>How many requests for the path have had the beginning of the host's answer.</summary>
    public int Passed(string path) => passed.GetValueOrDefault(path);

    /// <summary>Cuts every connection with a request under way.</summary>
    public void Cut()
    {
        foreach (var context in open.Keys) context.Abort();
    }

    public async ValueTask DisposeAsync()
    {
        Cut();
        await app.StopAsync();
        await app.DisposeAsync();
        http.Dispose();
    }

    private async Task Serve(HttpContext context)
    {
        if (await Answer(context.Request) is { } answer)
        {
            context.Response.StatusCode = answer.Status;
            context.Response.ContentType = answer.Type;
            await context.Response.WriteAsync(answer.Body);
            return;
        }

        open[context] = true;
        try
        {
            await Pass(context);
        }
        catch (Exception) when (context.RequestAborted.IsCancellationRequested)
        {
            // The client has gone, or was cut off.
        }
        finally
        {
            open.TryRemove(context, out _);
        }
    }

    private async Task Pass(HttpContext context)
    {
        var gone = context.RequestAborted;
        using var request = new HttpRequestMessage(
            new HttpMethod(context.Request.Method),
            context.Request.Path.ToUriComponent().TrimStart('/') + context.Request.QueryString.ToUriComponent()
        );
        if (context.Request.ContentLength > 0) request.Content = new StreamContent(context.Request.Body);
        foreach (var (name, values) in context.Request.Headers)
            if (name != "Host" && !request.Headers.TryAddWithoutValidation(name, values.ToArray()))
                request.Content?.Headers.TryAddWithoutValidation(name, values.ToArray());
        using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, gone);
        context.Response.StatusCode = (int)response.StatusCode;
        context.Response.ContentType = response.Content.Headers.ContentType?.ToString();
        await using var body = await response.Content.ReadAsStreamAsync(gone);
        var buffer = new byte[16 << 10];
        var isFirst = true;
        while (await body.ReadAsync(buffer, gone) is > 0 and var read)
        {
            await context.Response.Body.WriteAsync(buffer.AsMemory(0, read), gone);
            await context.Response.Body.FlushAsync(gone);
            if (isFirst) passed.AddOrUpdate(context.Request.Path.ToString(), 1, (_, count) => count + 1);
            isFirst = false;
        }
    }
}
