using Codo.Host.Client;

namespace Codo.Tests.Host.Client;

public sealed class TerminalTextTests
{
    [Fact]
    public void Characters_that_turn_the_direction_are_shown_and_a_name_for_scripts_keeps_them()
    {
        TerminalText.OneLine("a\u202eb\rc").ShouldBe("a⟨U+202E⟩b c");
        TerminalText.Output("\e[31ma\u2066b\e[0m\a").ShouldBe("\e[31ma⟨U+2066⟩b\e[0m?");
        TerminalText.Name("a\u202eb\rc").ShouldBe("a\u202eb c");
    }
}
