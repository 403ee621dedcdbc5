using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Codo.Host;
using Codo.Host.Commands;
using Codo.Tests.Support;
using Microsoft.AspNetCore.Connections;

namespace Codo.Tests.Host;

/// <summary>Connections that nobody has vouched for, more than the host has descriptors.</summary>
public sealed class ConnectionsTests
{
    // Silent, in the middle of a header, in the middle of a body: of each more than the host has descriptors.
    private static readonly string[] Kinds =
    [
        "",
        "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        "POST /sign-in/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 5000\r\n\r\ntoken=",
    ];

    [Fact]
    public async Task Twenty_thousand_of_them_stop_neither_a_job_nor_a_caller_with_a_token()
    {
        using var folder = new TestFolder();
        // The runtime raises its soft limit to the hard one: what is to be few must be few from the start.
        var starter = folder.At("start");
        await File.WriteAllTextAsync(starter, $"#!/bin/sh\nulimit -n 4096\nexec {HostProcess.Binary}\n");
        File.SetUnixFileMode(starter, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        await using var host = await HostProcess.Start(folder.At("codo"), binary: starter);
        (
            await host.Send(
                HttpMethod.Post,
                "/v1/cron/job/",
                new
                {
                    job_id = "tick",
                    cmd = "echo tick",
                    cron = "* * * * * *",
                    time_zone = "UTC",
                }
            )
        )["code"]!.GetValue<int>().ShouldBe(0);
        var secret = (await File.ReadAllTextAsync(Path.Combine(host.DataDirectory, "secrets/token-secret"))).Trim();
        using var http = new HttpClient(new SocketsHttpHandler { PooledConnectionLifetime = TimeSpan.Zero }) { BaseAddress = host.Address };
        http.DefaultRequestHeaders.Add("auth-key", IssueToken.Sign(secret, "tester", superuser: true, TimeSpan.FromHours(1), DateTimeOffset.UtcNow));

        var open = new Queue<Socket>();
        // A caller is answered while strangers go on: before so many more of them have come. How long that takes is measured by `Codo.Bench connections`.
        const int most = 4000;
        Task<HttpResponseMessage>? asked = null;
        var (askedAt, answered) = (0, 0);
        try
        {
            for (var n = 0; n < 20_000; n++)
            {
                var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                open.Enqueue(socket);
                socket.Bind(new IPEndPoint(new IPAddress([127, 1, (byte)(1 + n / 200 % 250), (byte)(1 + n % 200)]), 0));
                await socket.ConnectAsync(IPAddress.Loopback, host.Address.Port);
                try
                {
                    if (Kinds[n % 3] is { Length: > 0 } said) await socket.SendAsync(System.Text.Encoding.ASCII.GetBytes(said));
                }
                catch (SocketException)
                {
                    // The host has let it go already.
                }
                // As many as this process may have open itself.
                if (open.Count > 12_000) open.Dequeue().Dispose();
                if (asked is { IsCompleted: true })
                {
                    using var answer = await asked;
                    answer.StatusCode.ShouldBe(HttpStatusCode.OK);
                    answered++;
                    asked = null;
                }

                if (asked is null && n % 500 == 499) (asked, askedAt) = (http.GetAsync("/v1/cron/job/"), n);
                if (asked is not null) (n - askedAt).ShouldBeLessThan(most, "a caller waits for an answer");
            }

            if (asked is not null)
            {
                using var last = await asked;
                last.StatusCode.ShouldBe(HttpStatusCode.OK);
            }

            answered.ShouldBeGreaterThanOrEqualTo(20_000 / most);

            var newest = (await host.Send(HttpMethod.Get, "/v1/cron/log/?limit=1"))["data"]![0]!["log_id"]!.GetValue<long>();
            await Eventually.True(
                async () =>
                    (await host.Send(HttpMethod.Get, "/v1/cron/log/?limit=10&key=status&value=success"))["data"]!
                        .AsArray()
                        .Count(log => log!["log_id"]!.GetValue<long>() > newest) >= 2,
                "the job goes on"
            );
            var failed = await host.Send(HttpMethod.Get, "/v1/cron/log/?key=status&value=faild");
            failed["count"]!.GetValue<long>().ShouldBe(0, failed.ToJsonString());
        }
        finally
        {
            foreach (var socket in open) socket.Dispose();
        }

        host.Output.ShouldNotContain("Out of memory");
        (await host.Stop()).ShouldBe(0, host.Output);
    }

    [Fact]
    public async Task A_command_for_which_there_is_no_descriptor_is_a_failed_run_and_the_host_goes_on()
    {
        using var folder = new TestFolder();
        await using var host = await HostProcess.Start(folder.At("codo"));
        await host.Send(HttpMethod.Post, "/v1/cron/job/", new { job_id = "any", cmd = "true", cron = "0 0 0 29 2 *" });
        (await Run(host))["status"]!.GetValue<string>().ShouldBe("success");

        // A few are left for what the host itself opens meanwhile, and too few for a command.
        var taken = Directory
            .EnumerateFileSystemEntries($"/proc/{host.Pid}/fd")
            .Select(path => int.Parse(Path.GetFileName(path), System.Globalization.CultureInfo.InvariantCulture))
            .ToHashSet();
        var free = 0;
        var limit = 0;
        while (free < 40) free += taken.Contains(limit++) ? 0 : 1;
        await Limit(host, limit);
        var failed = await Run(host);
        await Limit(host, 4096);
        (failed["status"]!.GetValue<string>(), failed["task_log"]!.GetValue<string>().Contains("ulimit -n", StringComparison.Ordinal)).ShouldBe(
            ("faild", true),
            failed.ToJsonString()
        );
        (await Run(host))["status"]!.GetValue<string>().ShouldBe("success");
    }

    [Fact]
    public async Task One_address_has_its_own_share_and_other_addresses_are_not_touched()
    {
        using var folder = new TestFolder();
        await using var host = await HostProcess.Start(folder.At("codo"), environment: ("Codo__MaxConnectionsPerAddress", "20"));
        var other = await Connect(host, "127.0.0.9");
        var many = new List<Socket>();
        for (var n = 0; n < 60; n++) many.Add(await Connect(host, "127.0.0.8"));
        await Eventually.True(() => many.Count(IsClosed) >= 40, "the first ones are let go");
        IsClosed(other).ShouldBeFalse();
        many.Count(socket => !IsClosed(socket)).ShouldBe(20);
        foreach (var socket in many.Append(other)) socket.Dispose();
    }

    [Theory]
    [InlineData("2001:db8::5", "2001:db8::5", true)]
    [InlineData("2001:db8::/32", "2001:db8:1::5", true)]
    [InlineData("192.0.2.5", "::ffff:192.0.2.5", true)]
    [InlineData("2001:db8::5", "2001:db8::6", false)]
    public async Task A_proxy_has_no_share_of_its_own_whatever_kind_of_address_it_has(string proxy, string address, bool isProxy)
    {
        using var limit = new ConnectionLimit(most: 100, mostOpen: 110, mostPerAddress: 1, [TrustedHosts.Network("Codo:KnownProxies", proxy)]);
        var go = new TaskCompletionSource();
        var guarded = limit.Guard(_ => go.Task);
        var from = new IPEndPoint(IPAddress.Parse(address), 1);
        var (first, second) = (new Connection { RemoteEndPoint = from }, new Connection { RemoteEndPoint = from });
        await limit.Room(TestContext.Current.CancellationToken);
        var one = guarded(first);
        await limit.Room(TestContext.Current.CancellationToken);
        var two = guarded(second);
        (first.IsEnded, second.IsEnded).ShouldBe((!isProxy, false));
        // As when the host stops and one of them does not end by itself.
        limit.EndAll();
        second.IsEnded.ShouldBeTrue();
        go.SetResult();
        await Task.WhenAll(one, two);
    }

    private sealed class Connection : DefaultConnectionContext
    {
        public bool IsEnded { get; private set; }

        public override void Abort(ConnectionAbortedException abortReason) => IsEnded = true;
    }

    private static async Task<System.Text.Json.Nodes.JsonObject> Run(HostProcess host)
    {
        var id = (await host.Send(HttpMethod.Post, "/v1/cron/job/run/", new { job_id = "any" }))["log_id"]!.GetValue<long>();
        return await Eventually.Get<System.Text.Json.Nodes.JsonObject>(
            async () => (await host.Send(HttpMethod.Get, $"/v1/cron/log/?key=log_id&value={id}"))["data"]![0]!.AsObject(),
            log => log["status"]!.GetValue<string>() is not ("queued" or "running"),
            "the run has ended"
        );
    }

    // Only the soft limit: lowering the hard one could not be taken back.
    private static async Task Limit(HostProcess host, int limit)
    {
        using var changed = Process.Start("prlimit", ["--pid", $"{host.Pid}", $"--nofile={limit}:"]);
        await changed.WaitForExitAsync();
        changed.ExitCode.ShouldBe(0);
    }

    private static async Task<Socket> Connect(HostProcess host, string from)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Parse(from), 0));
        await socket.ConnectAsync(IPAddress.Loopback, host.Address.Port);
        return socket;
    }

    // Readable without a byte to read: the other side has closed it.
    private static bool IsClosed(Socket socket) => socket.Poll(0, SelectMode.SelectRead) && socket.Available == 0;
}
