using Codo.Platform.Processes;

namespace Codo.Tests.Platform.Processes;

/// <summary>Where a command may hold a character of which a shell would read one byte as a character of its own.</summary>
public sealed class CommandFormTests
{
    // 功 is A5 5C in Big5; チ is 83 60 and ポ 83 7C in Shift JIS.
    [Theory]
    [InlineData("big5", "echo '功' 中 \"中\"")]
    [InlineData("big5", "echo a # 功\necho '功'")]
    [InlineData("big5", "#!/bin/sh\n# 功\necho '功'")]
    [InlineData("big5", "#!/usr/bin/python3\nprint(\"功\")")]
    [InlineData("big5", "echo '功' \"a\" ${x} \\")]
    [InlineData("shift_jis", "echo 'チポ'")]
    [InlineData("big5", "echo \"功能\"")]
    [InlineData("big5", "echo \"功 \\\"功a\"")]
    [InlineData("shift_jis", "echo \"サポート\" \"表示\" \"ポ\"")]
    [InlineData("gb18030", "echo 🙂 \"é\" 中")]
    [InlineData("euc-jp", "echo \"表チポ\"")]
    [InlineData("utf-8", "echo \"功\"")]
    public void Takes_what_a_shell_reads_as_it_is_meant(string encoding, string command) =>
        Should.NotThrow(() => new CommandForm(Encoding: CommandForm.EncodingOf(encoding)).DemandReadable(command));

    [Theory]
    [InlineData("big5", "echo 功")]
    [InlineData("big5", "echo \"功\"")]
    [InlineData("big5", "echo \\功")]
    [InlineData("big5", "echo \"功$x\"")]
    [InlineData("big5", "echo \"功`date`\"")]
    [InlineData("big5", "echo \"功\\n\"")]
    [InlineData("big5", "echo \"功\n\"")]
    [InlineData("big5", "echo \"\\功\"")]
    [InlineData("big5", "echo \"功")]
    [InlineData("big5", "echo \"$(echo 功能)\"")]
    [InlineData("big5", "echo '功' \"${x}\" '功' 功")]
    [InlineData("big5", "# 功\necho 功")]
    [InlineData("big5", "echo `echo '功'`")]
    [InlineData("big5", "cat <<'E'\n功\nE")]
    [InlineData("big5", "#!/usr/bin/env bash\necho \"功\"")]
    [InlineData("shift_jis", "echo \"チ\"")]
    [InlineData("shift_jis", "echo ポ")]
    public void Refuses_what_a_shell_would_read_otherwise(string encoding, string command) =>
        Should
            .Throw<CommandNotStartedException>(() => new CommandForm(Encoding: CommandForm.EncodingOf(encoding)).DemandReadable(command))
            .Text.En.ShouldContain("between single quotes");
}
