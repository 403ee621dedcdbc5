using System.Buffers;
using System.Net.Http.Json;
using System.Text.Json.Nodes;

namespace Codo.Bench;

/// <summary>The host that is measured.</summary>
internal sealed class BenchClient(string address, string token) : IDisposable
{
    /// <summary>Connections at once, as the original was measured with.</summary>
    public const int Connections = 16;

    private static readonly byte[] Good = "{\"code\":0,"u8.ToArray();

    private readonly HttpClient http = new(new SocketsHttpHandler { UseCookies = false, MaxConnectionsPerServer = 256 })
    {
        BaseAddress = new Uri(address),
        DefaultRequestHeaders = { { "auth-key", token } },
    };

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
        using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        await using var answer = await response.Content.ReadAsStreamAsync();
        var buffer = ArrayPool<byte>.Shared.Rent(64 * 1024);
        try
        {
            var first = await answer.ReadAtLeastAsync(buffer, Good.Length, throwOnEndOfStream: false);
            if (!buffer.AsSpan(0, first).StartsWith(Good))
                throw new InvalidOperationException($"{method} {path}: {System.Text.Encoding.UTF8.GetString(buffer, 0, first)}");
            while (await answer.ReadAsync(buffer) > 0) { }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>An answer that does not end.</summary>
    public Task<Stream> Stream(string path) => http.GetStreamAsync(path);

    public void Dispose() => http.Dispose();
}
