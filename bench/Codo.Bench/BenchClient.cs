using System.Net.Http.Json;
using System.Text.Json.Nodes;

namespace Codo.Bench;

/// <summary>The host that is measured.</summary>
internal sealed class BenchClient(string address, string token) : IDisposable
{
    /// <summary>Connections at once, as the original was measured with.</summary>
    public const int Connections = 16;

    private readonly HttpClient http = new(new SocketsHttpHandler { UseCookies = false, MaxConnectionsPerServer = 256 }) { BaseAddress = new Uri(address), DefaultRequestHeaders = { { "auth-key", token } } };

    /// <summary>Sends a request and stops the benchmark when it is refused: a refused request is no measurement.</summary>
    public async Task<JsonObject> Send(HttpMethod method, string path, object? body = null)
    {
        using var request = new HttpRequestMessage(method, path) { Content = body is null ? null : JsonContent.Create(body) };
        using var response = await http.SendAsync(request);
        var answer = await response.Content.ReadFromJsonAsync<JsonObject>() ?? throw new InvalidOperationException($"{method} {path} answered nothing");
        return answer["code"]!.GetValue<int>() == 0 ? answer : throw new InvalidOperationException($"{method} {path}: {answer.ToJsonString()}");
    }

    /// <summary>Sends and reads to the end without parsing: the client must not be what is measured.</summary>
    public async Task Raw(HttpMethod method, string path, object? body = null)
    {
        using var request = new HttpRequestMessage(method, path) { Content = body is null ? null : JsonContent.Create(body) };
        using var response = await http.SendAsync(request);
        var bytes = await response.Content.ReadAsByteArrayAsync();
        if (!bytes.AsSpan(0, Math.Min(12, bytes.Length)).StartsWith("{\"code\":0,"u8)) throw new InvalidOperationException($"{method} {path}: {System.Text.Encoding.UTF8.GetString(bytes)}");
    }

    /// <summary>An answer that does not end.</summary>
    public Task<Stream> Stream(string path) => http.GetStreamAsync(path);

    public void Dispose() => http.Dispose();
}
