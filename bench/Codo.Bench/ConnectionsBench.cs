using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Codo.Bench;

/// <summary>
/// How long a caller with a token waits for an answer, each time over a connection of its own, while strangers open 20,000 connections from 127.0.0.0/8 as fast
/// as 8 of them can. Up to 12,000 stay open, which is as many as most machines let this process have; the host closes the oldest by itself. Give the host few
/// descriptors (<c>ulimit -n 4096</c>) to see it under its limit.
/// </summary>
internal static class ConnectionsBench
{
    private const int Many = 20_000, MostOpen = 12_000, Strangers = 8;

    private static readonly (string Name, string Said)[] Kinds =
    [
        ("idle", ""),
        ("a request's head without an end", "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "),
        (
            "a body without an end",
            "POST /sign-in/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 5000\r\n\r\ntoken="
        ),
    ];

    public static async Task Run(Uri address, string token)
    {
        Table.Head("20,000 connections without a token", "opened a second", "answers", "failed", "p50", "p95", "slowest", "goal");
        foreach (var (name, said) in Kinds)
        {
            var began = Stopwatch.GetTimestamp();
            var strangers = Task.WhenAll(
                Enumerable.Range(0, Strangers).Select(number => Task.Run(() => Flood(address.Port, Encoding.ASCII.GetBytes(said), number)))
            );
            var took = new List<double>();
            var failed = 0;
            while (!strangers.IsCompleted)
            {
                try
                {
                    took.Add(await Ask(address, token));
                }
                catch (HttpRequestException)
                {
                    failed++;
                }

                await Task.Delay(20);
            }

            var seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
            foreach (var socket in (await strangers).SelectMany(open => open))
                socket.Dispose();
            Table.Row(
                name,
                (Many / seconds).ToString("#,0", CultureInfo.InvariantCulture),
                took.Count.ToString(CultureInfo.InvariantCulture),
                failed.ToString(CultureInfo.InvariantCulture),
                Table.Percentile(took, 0.5),
                Table.Percentile(took, 0.95),
                Table.Percentile(took, 1),
                "none failed, slowest ≤ 1 s"
            );
        }
    }

    private static async Task<double> Ask(Uri address, string token)
    {
        using var http = new HttpClient(new SocketsHttpHandler { UseCookies = false }) { BaseAddress = address };
        http.DefaultRequestHeaders.Add("auth-key", token);
        var began = Stopwatch.GetTimestamp();
        using var answer = await http.GetAsync("/v1/cron/job/?limit=1");
        answer.EnsureSuccessStatusCode();
        return Stopwatch.GetElapsedTime(began).TotalMilliseconds;
    }

    private static async Task<Queue<Socket>> Flood(int port, byte[] said, int number)
    {
        var open = new Queue<Socket>();
        for (var n = number; n < Many; n += Strangers)
        {
            var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            open.Enqueue(socket);
            socket.Bind(new IPEndPoint(new IPAddress([127, 1, (byte)(1 + n / 200 % 250), (byte)(1 + n % 200)]), 0));
            try
            {
                await socket.ConnectAsync(IPAddress.Loopback, port);
                if (said.Length > 0) await socket.SendAsync(said);
            }
            catch (SocketException)
            {
                // The host has let it go already, or takes none for the moment.
            }

            if (open.Count > MostOpen / Strangers) open.Dequeue().Dispose();
        }

        return open;
    }
}
