using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Codo.Host.Client;

/// <summary>One event of a stream.</summary>
internal sealed record ServerEvent(string Name, string? Id, JsonNode Data);

/// <summary>The API of a Codo. What it refuses ends the command with the server's own sentence.</summary>
internal sealed class CodoServer : IDisposable
{
    /// <summary>Rows that are asked for at once.</summary>
    public const int PageRows = 500;

    private static readonly TimeSpan MostConnecting = TimeSpan.FromSeconds(10), MostAnswering = TimeSpan.FromSeconds(100);

    // A stream has a heartbeat each 15 s: a server that died without a word is not waited for.
    private static readonly TimeSpan MostSilent = TimeSpan.FromSeconds(60);

    private readonly HttpClient http;
    private readonly ClientContext context;
    private readonly bool isOriginal;

    /// <param name="address">Of the server, with a path where it lies behind one.</param>
    /// <param name="token">An access token or a session's; null for the sign-in alone.</param>
    /// <param name="isOriginal">It is a codo-cron or codo-task, which know no header but their own.</param>
    public CodoServer(ClientContext context, Uri address, string? token, bool isOriginal = false)
    {
        this.isOriginal = isOriginal;
        (this.context, Address) = (context, new Uri(address.ToString().TrimEnd('/') + "/"));
        // A redirect of a POST would be a GET: an address that redirects is told instead.
        http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, ConnectTimeout = MostConnecting })
        {
            Timeout = Timeout.InfiniteTimeSpan,
        };
        http.DefaultRequestHeaders.Add("Accept-Language", context.IsChinese ? "zh" : "en");
        if (isOriginal)
        {
            http.DefaultRequestHeaders.TryAddWithoutValidation("Cookie", $"auth_key={token}");
            http.DefaultRequestHeaders.TryAddWithoutValidation("auth-key", token);
        }
        else if (token is not null) http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
    }

    public Uri Address { get; }

    /// <summary>Fields of the refusal, beside its sentence.</summary>
    internal sealed class Refused(string sentence, JsonObject answer) : Exception(sentence)
    {
        public JsonObject Answer { get; } = answer;
    }

    public Task<JsonObject> Get(string path, params (string Name, object? Value)[] query) => Send(HttpMethod.Get, path + Query(query), null);

    /// <param name="key">Idempotency-Key; null sends none.</param>
    public Task<JsonObject> Post(string path, JsonObject body, string? key = null) => Send(HttpMethod.Post, path, body, key);

    public Task<JsonObject> Put(string path, JsonObject body) => Send(HttpMethod.Put, path, body);

    public Task<JsonObject> Patch(string path, JsonObject body) => Send(HttpMethod.Patch, path, body);

    public Task<JsonObject> Delete(string path, JsonObject body) => Send(HttpMethod.Delete, path, body);

    /// <summary>Sends a request and answers the envelope; warnings of the server go to standard error.</summary>
    /// <exception cref="ClientFailure">The server refused it, or could not be reached.</exception>
    public async Task<JsonObject> Send(HttpMethod method, string path, JsonObject? body, string? key = null)
    {
        try
        {
            return await Ask(method, path, body, key);
        }
        catch (Refused refused)
        {
            throw new ClientFailure(refused.Message);
        }
    }

    /// <summary>The same for whoever looks at the refusal.</summary>
    /// <exception cref="Refused">The answer's <c>code</c> is not 0.</exception>
    public async Task<JsonObject> Ask(HttpMethod method, string path, JsonObject? body, string? key = null)
    {
        using var request = new HttpRequestMessage(method, new Uri(Address, path.TrimStart('/')));
        if (body is not null) request.Content = new StringContent(body.ToJsonString(Json), Encoding.UTF8, "application/json");
        if (key is not null) request.Headers.TryAddWithoutValidation("Idempotency-Key", key);
        using var patience = new CancellationTokenSource(MostAnswering, context.Time);
        try
        {
            using var response = await http.SendAsync(request, HttpCompletionOption.ResponseContentRead, patience.Token);
            return Envelope(response, await response.Content.ReadAsStringAsync(patience.Token));
        }
        catch (OperationCanceledException) when (patience.IsCancellationRequested)
        {
            throw new ClientFailure($"{Address} has not answered for {MostAnswering.TotalSeconds:0} seconds.", ExitCodes.Unreachable) { IsTransient = true };
        }
        catch (Exception failure) when (IsNoConnection(failure))
        {
            throw Unreachable(failure);
        }
    }

    /// <summary>Rows of a list in the server's order, page by page, up to so many. What moves within that order between two pages may be left out.</summary>
    public async Task<(List<JsonObject> Rows, long Count)> List(string path, int most, params (string Name, object? Value)[] query)
    {
        var rows = new List<JsonObject>();
        for (var page = 1; ; page++)
        {
            var limit = Math.Min(most, PageRows);
            var answer = await Get(path, [.. query, ("page", page), ("limit", limit)]);
            var some = answer.Rows("data").ToList();
            rows.AddRange(some.Take(most - rows.Count));
            var count = answer.Number("count") ?? rows.Count;
            if (rows.Count >= most || some.Count < limit) return (rows, Math.Max(count, rows.Count));
        }
    }

    /// <summary>All rows of a list that can be sorted by a name: each page begins behind the last name of the one before, so that none is left out.</summary>
    public async Task<List<JsonObject>> ListByName(string path, string name, params (string Name, object? Value)[] query)
    {
        var (rows, names) = (new List<JsonObject>(), new HashSet<string>(StringComparer.Ordinal));
        while (true)
        {
            var after = rows.Count == 0 ? null : rows[^1].Text(name);
            var some = (await Get(path, [.. query, ("sort", name), ("after", after), ("limit", PageRows)])).Rows("data").ToList();
            // A server that does not know the order would answer its first page for ever.
            if (!some.TrueForAll(row => names.Add(row.Text(name))))
                throw new ClientFailure($"{Address} is older than this program and cannot list more than {PageRows} by name.");
            rows.AddRange(some);
            if (some.Count < PageRows) return rows;
        }
    }

    /// <summary>Server-sent events, until the server ends the stream or the connection is cut.</summary>
    /// <param name="resume">The id of the last event that was received; null for the beginning.</param>
    /// <exception cref="IOException">The connection was cut: ask again with the last id.</exception>
    /// <exception cref="ClientFailure">The stream was refused, or the server could not be reached.</exception>
    public async IAsyncEnumerable<ServerEvent> Events(string path, string? resume, [EnumeratorCancellation] CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(Address, path.TrimStart('/')));
        request.Headers.Accept.ParseAdd("text/event-stream");
        if (resume is not null) request.Headers.TryAddWithoutValidation("Last-Event-ID", resume);
        using var response = await Begin(request, cancellation);
        if (response.Content.Headers.ContentType?.MediaType != "text/event-stream")
        {
            try
            {
                Envelope(response, await response.Content.ReadAsStringAsync(cancellation));
            }
            catch (Refused refused)
            {
                throw new ClientFailure(refused.Message);
            }
            catch (HttpRequestException failure)
            {
                throw Unreachable(failure);
            }
            throw Stranger(response);
        }

        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(cancellation), Encoding.UTF8);
        using var silence = new CancellationTokenSource(MostSilent, context.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellation, silence.Token);
        string? name = null, id = null, data = null;
        while (await Line(reader, either.Token, cancellation) is { } line)
        {
            // Whoever reads may take as long as they like.
            silence.CancelAfter(Timeout.InfiniteTimeSpan);
            if (line.StartsWith("event: ", StringComparison.Ordinal)) name = line[7..];
            else if (line.StartsWith("id: ", StringComparison.Ordinal)) id = line[4..];
            else if (line.StartsWith("data: ", StringComparison.Ordinal)) data = line[6..];
            if (line.Length == 0 && data is not null)
            {
                yield return new ServerEvent(name ?? "message", id, JsonNode.Parse(data)!);
                name = id = data = null;
            }
            silence.CancelAfter(MostSilent);
        }
    }

    public void Dispose() => http.Dispose();

    private static readonly JsonSerializerOptions Json = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private async Task<HttpResponseMessage> Begin(HttpRequestMessage request, CancellationToken cancellation)
    {
        using var patience = new CancellationTokenSource(MostSilent, context.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellation, patience.Token);
        try
        {
            return await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, either.Token);
        }
        catch (Exception failure) when (IsNoConnection(failure))
        {
            throw Unreachable(failure);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new ClientFailure($"{Address} has not answered for {MostSilent.TotalSeconds:0} seconds.", ExitCodes.Unreachable) { IsTransient = true };
        }
    }

    private async Task<string?> Line(StreamReader reader, CancellationToken limit, CancellationToken cancellation)
    {
        try
        {
            return await reader.ReadLineAsync(limit);
        }
        catch (HttpRequestException failure)
        {
            throw new IOException(failure.Message, failure);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new IOException($"{Address} has said nothing for {MostSilent.TotalSeconds:0} seconds.");
        }
    }

    private JsonObject Envelope(HttpResponseMessage response, string text)
    {
        JsonObject? answer = null;
        try
        {
            answer = JsonNode.Parse(text) as JsonObject;
        }
        catch (JsonException)
        {
            // Told below.
        }

        if (answer is null || !answer.ContainsKey("code")) throw Stranger(response);
        var message = TerminalText.OneLine(answer.Text("msg"));
        if (response.StatusCode == HttpStatusCode.Unauthorized)
            throw new ClientFailure(isOriginal ? message : $"{message} (codo login {Address.ToString().TrimEnd('/')})", ExitCodes.NotSignedIn);
        if (answer.Number("code") != 0)
        {
            var hint = answer.Text("hint");
            var sentence = hint.Length == 0 ? message : $"{message} ({TerminalText.OneLine(hint)})";
            // Says nothing about what was asked for: a database that fails over, a limit of requests.
            if (IsAway(response.StatusCode)) throw new ClientFailure(sentence, ExitCodes.Unreachable) { IsTransient = true };
            throw new Refused(sentence, answer);
        }
        foreach (var warning in answer.Texts("warnings")) context.Warn(warning);
        return answer;
    }

    // A time limit of the connection itself comes as a cancellation that nobody asked for.
    private static bool IsNoConnection(Exception failure) =>
        failure is HttpRequestException or OperationCanceledException { InnerException: TimeoutException };

    private static bool IsAway(HttpStatusCode status) => status == HttpStatusCode.TooManyRequests || (int)status >= 500;

    private ClientFailure Unreachable(Exception failure)
    {
        var why = TerminalText.OneLine((failure.InnerException ?? failure).Message).TrimEnd('.');
        return new ClientFailure($"{Address} cannot be reached: {why}.", ExitCodes.Unreachable) { IsTransient = true };
    }

    private ClientFailure Stranger(HttpResponseMessage response) =>
        response.Headers.Location is { } elsewhere
            ? new ClientFailure($"{Address} sends on to {elsewhere}: sign in there.", ExitCodes.Unreachable)
            : new ClientFailure($"{Address} does not answer as Codo does (HTTP {(int)response.StatusCode}).", ExitCodes.Unreachable)
            {
                IsTransient = IsAway(response.StatusCode),
            };

    /// <summary>A query with what has a value.</summary>
    public static string Query(params (string Name, object? Value)[] query)
    {
        var given = query
            .Select(part => (part.Name, Value: Convert.ToString(part.Value, CultureInfo.InvariantCulture)))
            .Where(part => !string.IsNullOrEmpty(part.Value))
            .Select(part => $"{part.Name}={Uri.EscapeDataString(part.Value!)}");
        var text = string.Join("&", given);
        return text.Length == 0 ? "" : "?" + text;
    }
}
