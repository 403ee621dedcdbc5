using System.Text;
using Codo.Platform.Http;

namespace Codo.Tests.Platform.Http;

/// <summary>Lists of a body that are too long are found before anything is made of them.</summary>
public sealed class ItemLimitsTests
{
    private const string Steps = "at most 3 steps", Groups = "at most 2 groups";

    [Theory]
    [InlineData("{}", null)]
    [InlineData("""{"new_steps": [{}, {}, {}], "groups": [1, [2, 2, 2]], "free": [1, 2, 3, 4, 5]}""", null)]
    [InlineData("""{"new_steps": [{}, {}, {}, {}]}""", Steps)]
    [InlineData("""{"new_steps": [null, 1, "x", [[]]]}""", Steps)]
    [InlineData("""{"new_\u0073teps": [1, 2, 3, 4]}""", Steps)]
    [InlineData("""{"free": {"new_steps": [1, 2, 3, 4]}, "groups": [1, 2, 3]}""", Groups)]
    [InlineData("""{"new_steps": [1], "new_steps": [1, 2, 3, 4]}""", Steps)]
    [InlineData("""{"new_steps": {"a": 1}, "groups": "1, 2, 3"}""", null)]
    // What is malformed before the limit is left to whoever reads it, with its place; behind the limit nothing is read.
    [InlineData("""{"new_steps": [{}, {}, {}""", null)]
    [InlineData("""{"new_steps": [{}, {}, x, {}]}""", null)]
    [InlineData("""{"\ud83d": 1, "new_steps": [{}, x]}""", null)]
    [InlineData("""{"new_steps": [{}, {}, {}, {} and then anything""", Steps)]
    public void The_first_list_that_is_too_long_is_refused_and_nothing_else(string body, string? said) =>
        (ItemLimits.Exceeded(typeof(Sent), Encoding.UTF8.GetBytes(body))?.Text.En).ShouldBe(said);

    [Fact]
    public void A_list_of_millions_is_read_no_further_than_to_its_limit()
    {
        var body = Encoding.UTF8.GetBytes("""{"new_steps": [""" + string.Join(',', Enumerable.Repeat("{}", 2_700_000)) + "]}");
        var before = GC.GetAllocatedBytesForCurrentThread();
        ItemLimits.Exceeded(typeof(Sent), body)!.Text.Zh.ShouldBe("最多 3 步");
        (GC.GetAllocatedBytesForCurrentThread() - before).ShouldBeLessThan(1 << 20);
    }

    private sealed record Sent(
        [property: MostItems(3, "最多 3 步", Steps)] IReadOnlyList<object?>? NewSteps,
        [property: MostItems(2, "最多 2 组", Groups)] int[]? Groups,
        int[]? Free
    );
}
