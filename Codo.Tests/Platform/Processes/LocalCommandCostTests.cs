using Codo.Platform.Processes;
using Codo.Tests.Support;

namespace Codo.Tests.Platform.Processes;

/// <summary>What a command's output costs this process in memory.</summary>
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
}
