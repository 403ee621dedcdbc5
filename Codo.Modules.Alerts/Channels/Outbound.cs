using System.Net.Http.Headers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Codo.Modules.Alerts.Incidents;

namespace Codo.Modules.Alerts.Channels;

/// <summary>The one HTTP client of the channels: it follows no redirect, because a message is for the address that the operator has set.</summary>
internal sealed class Outbound : IDisposable
{
    private const int MostAnswer = 64 << 10, MostShown = 500;

    private readonly HttpClient http = new(
        new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseCookies = false,
            PooledConnectionLifetime = TimeSpan.FromMinutes(2),
            ConnectTimeout = TimeSpan.FromSeconds(10),
        }
    )
    {
        Timeout = Timeout.InfiniteTimeSpan,
        DefaultRequestHeaders = { UserAgent = { new ProductInfoHeaderValue("Codo", null) } },
    };

    private static readonly JsonSerializerOptions Plain = new()
    {
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
    };

    public static byte[] Json(object body) => JsonSerializer.SerializeToUtf8Bytes(body, Plain);

    /// <summary>Posts JSON; answers the status and the beginning of the body.</summary>
    public Task<(int Status, string Body)> Post(string url, byte[] json, CancellationToken cancellation, params (string Name, string Value)[] headers)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, url) { Content = new ByteArrayContent(json) };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json", "utf-8");
        foreach (var (name, value) in headers) request.Headers.Add(name, value);
        return Send(request, cancellation);
    }

    public async Task<(int Status, string Body)> Send(HttpRequestMessage request, CancellationToken cancellation)
    {
        using (request)
        {
            using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation);
            // Whoever answers at length has answered all the same.
            var body = new byte[MostAnswer];
            await using var stream = await response.Content.ReadAsStreamAsync(cancellation);
            var length = await stream.ReadAtLeastAsync(body, body.Length, throwOnEndOfStream: false, cancellation);
            return ((int)response.StatusCode, Encoding.UTF8.GetString(body, 0, length));
        }
    }

    /// <summary>Whether a robot took it: its answer is JSON with a field that is 0, whatever the HTTP status.</summary>
    /// <param name="unless">A field that says more where it is there.</param>
    public static Outcome Judge((int Status, string Body) answer, string field, string good, string? unless = null)
    {
        var shown = Shown(answer);
        try
        {
            var said = JsonNode.Parse(answer.Body);
            return new Outcome(answer.Status is >= 200 and < 300 && said?[field]?.ToString() == good && (unless is null || said[unless] is null), shown);
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            return new Outcome(false, shown);
        }
    }

    public static string Shown((int Status, string Body) answer) => $"HTTP {answer.Status} {Excerpt.Head(answer.Body, MostShown)}".Trim();

    public void Dispose() => http.Dispose();
}
