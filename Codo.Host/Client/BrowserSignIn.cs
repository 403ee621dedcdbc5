using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using Codo.Host.Accounts;

namespace Codo.Host.Client;

/// <summary>
/// A sign-in through the browser (RFC 8252): the console, where the person signs in by whatever way it has, brings a grant to a port of this machine, and the
/// server gives a token for it to this process alone, which has the verifier.
/// </summary>
internal static class BrowserSignIn
{
    // Of a browser's request: a line and its headers.
    private const int LongestRequest = 16 << 10;

    private static readonly TimeSpan MostWaiting = TimeSpan.FromMinutes(5);

    /// <summary>The command that opens an address; null where there is no browser.</summary>
    public static string[]? Command(ClientContext context)
    {
        // Several are tried in their order by tools that wait for them; the first one is the one that is wanted.
        if (context.Variable("BROWSER") is { } browser) return browser.Split(':')[0].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (context.Variable("DISPLAY") is null && context.Variable("WAYLAND_DISPLAY") is null) return null;
        return (context.Variable("PATH") ?? "").Split(':').Any(folder => File.Exists(Path.Combine(folder, "xdg-open"))) ? ["xdg-open"] : null;
    }

    /// <summary>Signs in.</summary>
    /// <param name="browser">As <see cref="Command"/> answers it.</param>
    /// <exception cref="ClientFailure">Nobody has allowed it in time, or the server refuses.</exception>
    public static async Task<Login> Run(ClientContext context, string server, string[] browser, int days, string[] scopes, CancellationToken cancellation)
    {
        var verifier = TerminalChallenge.NewVerifier();
        var challenge = TerminalChallenge.Of(verifier);
        var code = TerminalChallenge.CodeOf(challenge);
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var stranger = new CodoServer(context, new Uri(server), null);
        var page = new Uri(
            stranger.Address,
            "account/terminal"
                + CodoServer.Query(
                    ("challenge", challenge),
                    ("port", ((IPEndPoint)listener.LocalEndpoint).Port),
                    ("name", $"codo on {Environment.MachineName}"),
                    ("days", days),
                    ("scopes", string.Join(',', scopes))
                )
        );
        context.Error.WriteLine($"Allow it in the browser, if the page shows this code: {code}");
        context.Error.WriteLine($"Where none opens: {page} in a browser of this machine, or end this and use --no-browser.");
        Open(browser, page.ToString());
        using var patience = new CancellationTokenSource(MostWaiting, context.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, cancellation);
        try
        {
            using var visit = await Wait(listener, $"GET /{code}?grant=", either.Token);
            try
            {
                var made = await stranger.Post("/v2/accounts/terminal/token/", new JsonObject { ["grant"] = visit.Grant, ["verifier"] = verifier });
                await visit.Answer("200 OK", "终端已登录，可以关闭此页。<br>The terminal is signed in; you can close this page.");
                return new Login(server, made.Text("username"), made.Text("token"), made.Number("token_id"));
            }
            catch (ClientFailure)
            {
                await visit.Answer("403 Forbidden", "没有登录，见终端。<br>Not signed in; the terminal says why.");
                throw;
            }
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new ClientFailure($"Nobody has allowed it for {MostWaiting.TotalMinutes:0} minutes.", ExitCodes.NotSignedIn);
        }
    }

    private static void Open(string[] browser, string address)
    {
        // %s is where the address goes; without one it is the last word. What the browser prints is not for this terminal.
        var words = browser.Select(word => word.Replace("%s", address, StringComparison.Ordinal)).ToList();
        if (words.SequenceEqual(browser)) words.Add(address);
        using var started = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", "\"$@\" >/dev/null 2>&1 </dev/null &", "sh", .. words]));
    }

    // Browsers open connections in advance and ask for icons: each is served on its own, and only the right address ends the wait.
    private static async Task<Visit> Wait(TcpListener listener, string beginning, CancellationToken cancellation)
    {
        var found = new TaskCompletionSource<Visit>(TaskCreationOptions.RunContinuationsAsynchronously);
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var accepting = Accept();
        try
        {
            return await found.Task.WaitAsync(cancellation);
        }
        finally
        {
            await over.CancelAsync();
            listener.Stop();
            await accepting;
        }

        async Task Accept()
        {
            try
            {
                while (true) _ = Serve(await listener.AcceptTcpClientAsync(over.Token));
            }
            catch (Exception failure) when (failure is OperationCanceledException or SocketException)
            {
                // The wait is over.
            }
        }

        async Task Serve(TcpClient client)
        {
            var visit = new Visit(client);
            try
            {
                var line = await visit.Read(over.Token);
                if (line.StartsWith(beginning, StringComparison.Ordinal) && line.Split(' ') is [_, var path, _])
                {
                    visit.Grant = path[(beginning.Length - "GET ".Length)..];
                    if (found.TrySetResult(visit)) return;
                }
                await visit.Answer("404 Not Found", "404");
            }
            catch (Exception failure) when (failure is IOException or OperationCanceledException)
            {
                // It has gone.
            }
            visit.Dispose();
        }
    }

    /// <summary>One request of the browser.</summary>
    private sealed class Visit(TcpClient client) : IDisposable
    {
        public string Grant { get; set; } = "";

        /// <summary>The first line, once the headers are here.</summary>
        public async Task<string> Read(CancellationToken cancellation)
        {
            var (buffer, length) = (new byte[LongestRequest], 0);
            while (length < buffer.Length)
            {
                var read = await client.GetStream().ReadAsync(buffer.AsMemory(length), cancellation);
                if (read == 0) break;
                length += read;
                var text = Encoding.ASCII.GetString(buffer, 0, length);
                if (text.Contains("\r\n\r\n", StringComparison.Ordinal)) return text[..text.IndexOf("\r\n", StringComparison.Ordinal)];
            }
            throw new IOException("no request");
        }

        public async Task Answer(string status, string sentence)
        {
            var page = $"<!doctype html><meta charset=\"utf-8\"><title>Codo</title><p>{sentence}</p>";
            var head = $"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {Encoding.UTF8.GetByteCount(page)}\r\n"
                + "Content-Security-Policy: default-src 'none'\r\nReferrer-Policy: no-referrer\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n";
            try
            {
                await client.GetStream().WriteAsync(Encoding.UTF8.GetBytes(head + page));
            }
            catch (IOException)
            {
                // The tab was closed.
            }
        }

        public void Dispose() => client.Dispose();
    }
}
