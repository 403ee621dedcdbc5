using System.Diagnostics;
using Codo.Modules.Tasks.Hosts;
using Codo.Platform.Processes;
using Codo.Tests.Support;

namespace Codo.Tests.Modules.Tasks.Hosts;

/// <summary>What connections cost this process in threads and memory.</summary>
[Collection<MeasuredAlone>]
public sealed class SshCostTests(TestSshd sshd) : IClassFixture<TestSshd>
{
    [Fact]
    public async Task Makes_the_command_wait_for_a_slow_reader()
    {
        await using var connection = await SshConnection.ConnectAsync(sshd.Target());
        var before = GC.GetTotalMemory(forceFullCollection: true);
        using var goOn = new SemaphoreSlim(0);
        var bytes = 0L;
        var ending = connection.RunAsync(
            "head -c 52428800 /dev/zero | tr '\\0' x",
            $"test-{Guid.NewGuid():N}",
            null,
            _ => ValueTask.CompletedTask,
            async piece =>
            {
                if (bytes == 0)
                    await goOn.WaitAsync();
                bytes += piece.Length;
            }
        );
        await Eventually.True(() => ThreadsWaiting() > 0, "the connection's thread waits for the reader");
        await Eventually.True(
            () => GC.GetTotalMemory(forceFullCollection: true) - before < 45 * 1024 * 1024,
            "it is not held in memory"
        );
        goOn.Release();
        (await ending).ShouldBe(new CommandEnd(0));
        bytes.ShouldBe(52_428_800);

        // The command itself stands still: it waits in a write to its pipe.
        static int ThreadsWaiting() =>
            TestSshd
                .Run("ps", "-eo", "wchan:32=,comm=")
                .Split('\n')
                .Count(line => line.Contains("pipe_write", StringComparison.Ordinal) && line.EndsWith(" tr", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Runs_on_a_hundred_hosts_at_once_with_few_threads()
    {
        // What the first connection alone brings up.
        await using (var first = await SshConnection.ConnectAsync(sshd.Target())) await RemoteRun.ToEnd(first, "true");
        var threads = Directory.GetDirectories("/proc/self/task").Length;
        var pool = ThreadPool.ThreadCount;
        var clock = Stopwatch.StartNew();
        var connections = await Task.WhenAll(
            Enumerable.Range(0, 100).Select(i => SshConnection.ConnectAsync(sshd.Target(TestSshd.Hosts[i % TestSshd.Hosts.Count])))
        );
        var connected = clock.Elapsed;
        var runs = connections.Select(connection => new RemoteRun(connection, "echo up; exec sleep 1000")).ToList();
        await Task.WhenAll(runs.Select(run => run.Up));
        var started = clock.Elapsed;

        // One thread a connection is SSH.NET's. Reading, waiting and recording must not add to it.
        await Eventually.True(
            () => Directory.GetDirectories("/proc/self/task").Length - threads < 160,
            "one thread a connection"
        );
        await Eventually.True(() => ThreadPool.ThreadCount - pool < 50, "no thread of the pool waits for a host");
        (await RemoteRun.ToEnd(connections[0], "echo next")).Output.ShouldBe("next\n");

        var left = await Task.WhenAll(runs.Zip(connections, async (run, connection) => await connection.KillAsync(await run.Mark)));
        left.ShouldAllBe(one => one == new RunLeft(0));
        (await Task.WhenAll(runs.Select(run => run.End))).ShouldAllBe(end => end.Signal == "SIGTERM");
        await Task.WhenAll(connections.Select(connection => connection.DisposeAsync().AsTask()));
        var ended = clock.Elapsed;
        TestContext.Current.SendDiagnosticMessage(
            ($"100 hosts connected after {connected.TotalSeconds:F1} s, running after {started.TotalSeconds:F1} s, killed after {ended.TotalSeconds:F1} s, "
                + $"{threads} threads before")
        );
    }
}
