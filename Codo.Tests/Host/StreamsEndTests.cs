using System.Globalization;
using System.Net;
using System.Net.WebSockets;
using System.Text;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Dapper;

namespace Codo.Tests.Host;

public sealed class StreamsHost(TestPostgres postgres) : HostFixture(postgres);

/// <summary>A stream is open for as long as its token is good.</summary>
public sealed class StreamsEndTests(StreamsHost fixture) : IClassFixture<StreamsHost>
{
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task Server_sent_events_end_with_their_token()
    {
        var (token, expires) = Short();
        using var response = await host.Http.SendAsync(
            TestHost.Request(HttpMethod.Get, "/v2/task/log/stream/?log_key=1_1_1_h", null, token),
            HttpCompletionOption.ResponseHeadersRead
        );
        ShouldStream(response);
        await using var stream = await response.Content.ReadAsStreamAsync();
        await Read(stream).WaitAsync(TimeSpan.FromSeconds(60));
        DateTimeOffset.UtcNow.ShouldBeGreaterThanOrEqualTo(expires.AddSeconds(-1), "it was open until then");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_WebSocket_ends_with_its_token(bool asks)
    {
        var (token, expires) = Short();
        using var socket = new ClientWebSocket();
        socket.Options.SetRequestHeader("auth-key", token);
        await socket.ConnectAsync(
            new Uri(host.Http.BaseAddress!.ToString().Replace("http", "ws", StringComparison.Ordinal) + "ws/v1/task/log/"),
            TestContext.Current.CancellationToken
        );
        if (asks)
            await socket.SendAsync(Encoding.UTF8.GetBytes("1_1_1_h"), WebSocketMessageType.Text, true, TestContext.Current.CancellationToken);
        await Ended(socket).WaitAsync(TimeSpan.FromSeconds(60));
        DateTimeOffset.UtcNow.ShouldBeGreaterThanOrEqualTo(expires.AddSeconds(-1), "it was open until then");
    }

    [Fact]
    public async Task A_stream_ends_with_a_grant_that_runs_out()
    {
        var until = DateTimeOffset.UtcNow.AddSeconds(4);
        var body = new { user_id = 41, role = "operator", space = "default", until = until.ToString("O", CultureInfo.InvariantCulture) };
        (await host.Post("/v2/accounts/grant/", body)).Code().ShouldBe(0);
        using var response = await host.Http.SendAsync(
            TestHost.Request(HttpMethod.Get, "/v2/stream/?topics=jobs", null, TestTokens.For(41, "for a while")),
            HttpCompletionOption.ResponseHeadersRead
        );
        ShouldStream(response);
        await using var stream = await response.Content.ReadAsStreamAsync();
        await Read(stream).WaitAsync(TimeSpan.FromSeconds(60));
        DateTimeOffset.UtcNow.ShouldBeGreaterThan(until);
    }

    [Fact]
    public async Task A_stream_ends_when_one_of_its_topics_fails_so_that_its_reader_comes_back()
    {
        await using var damaged = await fixture.Another();
        await using (var connection = await damaged.Source.OpenConnectionAsync(TestContext.Current.CancellationToken))
            await connection.ExecuteAsync("ALTER TABLE tasks.scheduler_task_list RENAME TO moved");
        using var response = await damaged.Http.SendAsync(
            TestHost.Request(HttpMethod.Get, "/v2/stream/?topics=jobs,order:1", null, TestTokens.Admin),
            HttpCompletionOption.ResponseHeadersRead
        );
        ShouldStream(response);
        await using var stream = await response.Content.ReadAsStreamAsync();
        await Read(stream).WaitAsync(TimeSpan.FromSeconds(60));
    }

    private static (string Token, DateTimeOffset Expires) Short()
    {
        var payload = TestTokens.Payload(1, "admin", superuser: true);
        var expires = DateTimeOffset.UtcNow.ToUnixTimeSeconds() + 10;
        payload["exp"] = expires;
        return (TestTokens.Sign(payload), DateTimeOffset.FromUnixTimeSeconds(expires));
    }

    /// <summary>A refusal is 200 as well, and ends at once.</summary>
    internal static void ShouldStream(HttpResponseMessage response) =>
        (response.StatusCode, response.Content.Headers.ContentType?.MediaType).ShouldBe((HttpStatusCode.OK, "text/event-stream"));

    internal static async Task Read(Stream stream)
    {
        try
        {
            var buffer = new byte[1024];
            while (await stream.ReadAsync(buffer) > 0)
            {
            }
        }
        catch (Exception error) when (error is IOException or HttpRequestException)
        {
            // Cut off, which is an end as well.
        }
    }

    internal static async Task Ended(ClientWebSocket socket)
    {
        try
        {
            while ((await socket.ReceiveAsync(new byte[1024], CancellationToken.None)).MessageType != WebSocketMessageType.Close)
            {
            }
        }
        catch (WebSocketException)
        {
            // Cut off.
        }
    }
}
