using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;

namespace Codo.Bench;

/// <summary>From the end of a run that fails to its incident, and from the incident to the receiver of a webhook on this machine.</summary>
internal static class AlertsBench
{
    private const int Jobs = 50, Patience = 60;

    public static async Task Run(BenchClient client)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var received = new ConcurrentDictionary<string, (DateTimeOffset Raised, DateTimeOffset Received)>();
        _ = Receive(listener, received);
        var name = $"bench {Guid.NewGuid():N}";
        var channel = (
            await client.Send(
                HttpMethod.Post,
                "/v2/alerts/channel/",
                new
                {
                    name,
                    kind = "webhook",
                    rate_limit = 10_000,
                    settings = new { url = $"http://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}/" },
                }
            )
        )["channel_id"]!.GetValue<long>();
        var file = Path.GetTempFileName();
        try
        {
            for (var i = 0; i < Jobs; i++)
                await client.Send(
                    HttpMethod.Post,
                    "/v1/cron/job/",
                    new
                    {
                        job_id = $"{name} {i}",
                        cmd = $"echo \"{i} $(date +%s%6N)\" >> {file}; exit 1",
                        cron = "0 0 0 29 2 *",
                    }
                );
            Table.Head("load", "told", "end → incident p50", "p95", "max", "incident → received p50", "p95", "max", "goal");
            await Measure(client, name, file, received, 0, Jobs / 2, atOnce: false);
            await Measure(client, name, file, received, Jobs / 2, Jobs, atOnce: true);
        }
        finally
        {
            for (var i = 0; i < Jobs; i++) await client.Send(HttpMethod.Delete, "/v1/cron/job/", new { job_id = $"{name} {i}" });
            await client.Send(HttpMethod.Delete, "/v2/alerts/channel/", new { channel_id = channel });
            File.Delete(file);
        }
    }

    private static async Task Measure(
        BenchClient client,
        string name,
        string file,
        ConcurrentDictionary<string, (DateTimeOffset Raised, DateTimeOffset Received)> received,
        int from,
        int to,
        bool atOnce
    )
    {
        if (atOnce)
            await Task.WhenAll(
                Enumerable.Range(from, to - from).Select(i => client.Send(HttpMethod.Post, "/v1/cron/job/run/", new { job_id = $"{name} {i}" }))
            );
        for (var i = from; i < to; i++)
        {
            if (!atOnce) await client.Send(HttpMethod.Post, "/v1/cron/job/run/", new { job_id = $"{name} {i}" });
            for (var tries = 0; !received.ContainsKey($"{name} {i}") && tries < Patience * 100; tries++) await Task.Delay(10);
        }
        // The command writes the clock with its last act, so what is measured includes the end of its shell and the recording of its run.
        var ended = (await File.ReadAllLinesAsync(file))
            .Select(line => line.Split(' '))
            .ToDictionary(
                words => int.Parse(words[0], CultureInfo.InvariantCulture),
                words => DateTimeOffset.UnixEpoch.AddMicroseconds(long.Parse(words[1], CultureInfo.InvariantCulture))
            );
        var (raised, told) = (new List<double>(), new List<double>());
        for (var i = from; i < to; i++)
        {
            if (!received.TryGetValue($"{name} {i}", out var got)) continue;
            raised.Add((got.Raised - ended[i]).TotalMilliseconds);
            told.Add((got.Received - got.Raised).TotalMilliseconds);
        }
        Table.Row(
            atOnce ? $"{to - from} runs that fail at once" : $"{to - from} runs that fail, one after another",
            $"{told.Count} of {to - from}",
            Table.Percentile(raised, 0.5),
            Table.Percentile(raised, 0.95),
            Table.Percentile(raised, 1),
            Table.Percentile(told, 0.5),
            Table.Percentile(told, 0.95),
            Table.Percentile(told, 1),
            "incident within 2 s"
        );
    }

    /// <summary>A receiver that answers every message and notes when the incident was raised and when it had the message, by the job's id.</summary>
    private static async Task Receive(TcpListener listener, ConcurrentDictionary<string, (DateTimeOffset Raised, DateTimeOffset Received)> received)
    {
        while (true)
        {
            TcpClient client;
            try
            {
                client = await listener.AcceptTcpClientAsync();
            }
            catch (Exception error) when (error is ObjectDisposedException or SocketException)
            {
                return;
            }
            _ = Task.Run(async () =>
            {
                using (client)
                {
                    var stream = client.GetStream();
                    while (await Body(stream) is { } body)
                    {
                        var at = DateTimeOffset.UtcNow;
                        if (JsonNode.Parse(body)?["incident"] is { } incident)
                            received.TryAdd(
                                incident["subject"]!.GetValue<string>(),
                                (DateTimeOffset.Parse(incident["first_time"]!.GetValue<string>(), CultureInfo.InvariantCulture), at)
                            );
                        await stream.WriteAsync("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"u8.ToArray());
                    }
                }
            });
        }
    }

    // Head and body of one request; null at the end of the connection.
    private static async Task<byte[]?> Body(NetworkStream stream)
    {
        var head = new StringBuilder();
        var one = new byte[1];
        while (!head.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
        {
            if (await stream.ReadAsync(one) == 0) return null;
            head.Append((char)one[0]);
        }
        var length = head.ToString().Split("\r\n").First(line => line.StartsWith("Content-Length:", StringComparison.OrdinalIgnoreCase)).Split(':')[1];
        var body = new byte[int.Parse(length, CultureInfo.InvariantCulture)];
        await stream.ReadExactlyAsync(body);
        return body;
    }
}
