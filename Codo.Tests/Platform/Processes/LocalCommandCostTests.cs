using Codo.Platform.Processes;
using Codo.Tests.Support;

namespace Codo.Tests.Platform.Processes;

/// <summary>What a command's output costs this process in memory, and what becomes of it while the process is busy.</summary>
[Collection<MeasuredAlone>]
public sealed class LocalCommandCostTests
{
    [Fact]
    public async Task Reads_two_hundred_megabytes_in_bounded_memory()
    {
        var buffer = new OutputBuffer(1024 * 1024);
        var before = GC.GetTotalMemory(forceFullCollection: true);
        var end = await LocalCommand.Start("head -c 209715200 /dev/zero | tr '\\0' x; echo; echo the end", $"test-{Guid.NewGuid():N}").ReadToEndAsync(bytes =>
        {
            buffer.Append(bytes.Span);
            return ValueTask.CompletedTask;
        });
        end.ExitCode.ShouldBe(0);
        buffer.Total.ShouldBe(209_715_200 + 9);
        buffer.ToString().ShouldEndWith("x\nthe end\n");
        await Eventually.True(
            () => GC.GetTotalMemory(forceFullCollection: true) - before < 190 * 1024 * 1024,
            "it is not held in memory"
        );
    }

    [Fact]
    public async Task Loses_nothing_of_many_commands_at_once_on_a_busy_machine()
    {
        using var over = new CancellationTokenSource();
        // Every thread of the pool is busy, so that nobody hears in time that a pipe can be read.
        for (var i = 0; i < 64; i++) _ = Task.Run(() => Busy(over.Token));
        try
        {
            var runs = await Task.WhenAll(
                Enumerable.Range(0, 60).Select(_ => LocalCommandTests.ReadAsync(LocalCommand.Start("seq 1 2000", LocalCommandTests.NewRunId())))
            );
            foreach (var run in runs) run.Output.Length.ShouldBe(8893);
        }
        finally
        {
            // Whatever happens, the tests that follow need the pool.
            await over.CancelAsync();
        }
    }

    private static async Task Busy(CancellationToken over)
    {
        while (!over.IsCancellationRequested)
        {
            Thread.SpinWait(2_000_000);
            await Task.Yield();
        }
    }
}
