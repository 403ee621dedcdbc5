using Codo.Modules.Tasks.Execution;
using Codo.Platform.Localization;

namespace Codo.Tests.Modules.Tasks.Execution;

public sealed class CausesTests
{
    [Theory]
    [InlineData("退出码 1", "Exit status 1")]
    [InlineData("找不到 a / b", "a / b is not found")]
    [InlineData("same / in / both", "same / in / both")]
    [InlineData("", "")]
    public void A_cause_comes_back_in_each_language_whatever_it_contains(string zh, string en) =>
        Causes.Apart(new Text(zh, en).Both()).ShouldBe(new Text(zh, en));

    [Fact]
    public void Several_causes_follow_each_other_in_each_language() =>
        Causes.Apart(new Text("一", "one").Both().And(new Text("二 / 2", "two / 2"))).ShouldBe(new Text("一；二 / 2", "one; two / 2"));

    [Fact]
    public void Causes_of_the_version_before_are_read_as_they_were_written()
    {
        Causes.Apart("退出码 1 / Exit status 1").ShouldBe(new Text("退出码 1", "Exit status 1"));
        Causes.Apart("ann").ShouldBe(Text.Same("ann"));
    }
}
