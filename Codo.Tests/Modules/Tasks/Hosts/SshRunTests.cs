using System.Diagnostics;
using Codo.Modules.Tasks.Hosts;
using Codo.Platform.Processes;
using Codo.Tests.Support;

namespace Codo.Tests.Modules.Tasks.Hosts;

public sealed class SshRunTests(TestSshd sshd) : IClassFixture<TestSshd>
{
    /// <summary>What a shell, a quoting layer or a wire is likely to mangle. None of it ends a here-document.</summary>
    private const string Awkward =
        "it's \"quoted\" '' \\ \\\\ \\n \\' $HOME $(id) `id` ${x} $'a' !! !x %s * ? [a] {a,b} ~ # ; & | < > ( ) \t你好 🙂 é\n\n  two  blanks  \n\\";

    [Theory]
    [InlineData("/bin/bash")]
    [InlineData("/bin/dash")]
    [InlineData("/bin/zsh")]
    public async Task Runs_the_command_unchanged_in_the_users_login_shell(string shell)
    {
        await using var connection = await SshConnection.ConnectAsync(sshd.Target(user: sshd.MakeAccount(shell)));

        (await RemoteRun.ToEnd(connection, "echo out; echo err >&2; echo out again; exit 3")).ShouldBe((new CommandEnd(3), "out\nerr\nout again\n"));
        (await RemoteRun.ToEnd(connection, $"cat <<'END OF IT'\n{Awkward}\nEND OF IT")).Output.ShouldBe(Awkward + "\n");
        (await RemoteRun.ToEnd(connection, "printf '%s' 'it'\\''s' \"$CODO_STEP\"", new() { ["CODO_STEP"] = Awkward })).Output.ShouldBe("it's" + Awkward);
        (await RemoteRun.ToEnd(connection, "tr '\\0' ' ' </proc/$$/cmdline; ps -o comm= $$")).Output.ShouldStartWith(
            $"{shell} {(shell == "/bin/zsh" ? "-f " : "")}-c tr "
        );
        (await RemoteRun.ToEnd(connection, "-n 2>/dev/null; echo after")).Output.ShouldBe("after\n");
        (await RemoteRun.ToEnd(connection, "read line; echo \"status $?\"; cat")).Output.ShouldBe("status 1\n");
        (await RemoteRun.ToEnd(connection, "kill -KILL $$")).ShouldBe((new CommandEnd(137), ""));
        (await RemoteRun.ToEnd(connection, "yes | head -1")).Output.ShouldBe("y\n");
        (await RemoteRun.ToEnd(connection, "no-such-program-here")).End.ExitCode.ShouldBe(127);

        // With `setsid --wait` and no shell in between, each of these reported 0, 9 or 15.
        (await RemoteRun.ToEnd(connection, "sh -c 'exit 5'")).End.ExitCode.ShouldBe(5);
        (await RemoteRun.ToEnd(connection, "kill -TERM $$; sleep 1")).End.Signal.ShouldBe("SIGTERM");
    }

    [Theory]
    [InlineData("/usr/bin/ksh")]
    [InlineData("/usr/bin/fish")]
    public async Task Runs_commands_in_ksh_and_fish(string shell)
    {
        await using var connection = await SshConnection.ConnectAsync(sshd.Target(user: sshd.MakeAccount(shell)));
        (await RemoteRun.ToEnd(connection, "echo out; echo err >&2; echo 'a b' \"c'd\" 你好; exit 3")).ShouldBe((new CommandEnd(3), "out\nerr\na b c'd 你好\n"));
        (await RemoteRun.ToEnd(connection, "echo 'one\ntwo' '`x` $HOME {a,b}'")).Output.ShouldBe("one\ntwo `x` $HOME {a,b}\n");
        (await RemoteRun.ToEnd(connection, "sh -c 'ps -o args= $PPID'; true")).Output.ShouldStartWith(shell);
        (await RemoteRun.ToEnd(connection, "sh -c 'kill -TERM $PPID'; sleep 1")).End.Signal.ShouldBe("SIGTERM");
        (await RemoteRun.ToEnd(connection, "echo 'secret'; sh -c 'exit 5'", form: new CommandForm(Private: true))).ShouldBe((new CommandEnd(5), "secret\n"));
    }

    [Fact]
    public async Task Fish_is_given_no_command_of_which_it_would_read_a_character_as_a_backslash()
    {
        var account = sshd.MakeAccount("/usr/bin/fish");
        var ran = Path.Combine(sshd.Home(account), "ran");
        var big5 = new CommandForm(Encoding: CommandForm.EncodingOf("big5"));
        await using var connection = await SshConnection.ConnectAsync(sshd.Target(user: account));
        foreach (var form in (CommandForm[])[big5, big5 with { Private = true }, big5 with { Pty = true }])
        {
            // 功 is A5 5C.
            var (end, output) = await RemoteRun.ToEnd(connection, $"echo '功'\\''; touch {ran}; #'", form: form);
            (end.ExitCode, output).ShouldBe(
                (126, "codo: fish would read a character of this command as a backslash in the host's encoding, so the command was not run\n")
            );
        }

        File.Exists(ran).ShouldBeFalse();
        (await RemoteRun.ToEnd(connection, "echo '中' \\\\; exit 3", form: big5)).End.ExitCode.ShouldBe(3);
        (await RemoteRun.ToEnd(connection, "#!/bin/sh\necho '功'; exit 4", form: big5)).End.ExitCode.ShouldBe(4);
    }

    [Theory]
    [InlineData("/bin/bash")]
    [InlineData("/bin/dash")]
    public async Task A_command_is_not_run_of_whose_characters_a_shell_would_read_one_half_as_its_own(string shell)
    {
        var account = sshd.MakeAccount(shell);
        var ran = Path.Combine(sshd.Home(account), "ran");
        var big5 = new CommandForm(Encoding: CommandForm.EncodingOf("big5"));
        await using var connection = await SshConnection.ConnectAsync(sshd.Target(user: account));
        foreach (var form in (CommandForm[])[big5, big5 with { Private = true }, big5 with { Pty = true }])
            foreach (var first in (string[])["", "#!/bin/sh\n"])
            {
                // 功 is A5 5C.
                var command = $"{first}echo \"功\" '$(touch {ran})' \"功\"";
                (await Should.ThrowAsync<CommandNotStartedException>(() => RemoteRun.ToEnd(connection, command, form: form))).Text.En.ShouldContain("'功'");
            }

        File.Exists(ran).ShouldBeFalse();
        (await RemoteRun.ToEnd(connection, "echo '功' \"中\" # 功\nexit 3", form: big5)).End.ExitCode.ShouldBe(3);
    }

    [Fact]
    public async Task A_script_whose_session_was_killed_is_gone_from_its_host()
    {
        await using var connection = await SshConnection.ConnectAsync(sshd.Target());
        var (end, output) = await RemoteRun.ToEnd(connection, "#!/bin/sh\necho \"$0\"; kill -9 0");
        end.Signal.ShouldBe("SIGKILL");
        output.ShouldContain("/codo-test-");
        Directory.Exists(Path.GetDirectoryName(output.TrimEnd('\n'))).ShouldBeFalse();
    }

    [Fact]
    public async Task A_script_that_had_to_be_killed_is_gone_from_its_host()
    {
        await using var connection = await SshConnection.ConnectAsync(sshd.Target());
        var run = new RemoteRun(connection, "#!/bin/sh\ntrap '' TERM; echo \"$0\"; while :; do sleep 1; done");
        await Eventually.True(() => run.Output.EndsWith('\n'), "it runs");
        var file = run.Output.TrimEnd('\n');
        File.Exists(file).ShouldBeTrue(file);
        (await connection.KillAsync(await run.Mark, TimeSpan.FromSeconds(0.3))).ShouldBe(new RunLeft(0));
        (await run.End).Signal.ShouldBe("SIGKILL");
        Directory.Exists(Path.GetDirectoryName(file)).ShouldBeFalse();
    }

    [Fact]
    public async Task Half_a_script_is_not_left_on_its_host()
    {
        var tools = Directory.CreateDirectory(Path.Combine(sshd.Folder, "full")).FullName;
        await File.WriteAllTextAsync(Path.Combine(tools, "chmod"), "#!/bin/sh\nexit 1\n");
        File.SetUnixFileMode(Path.Combine(tools, "chmod"), (UnixFileMode)0b111_101_101);
        await using var connection = await SshConnection.ConnectAsync(sshd.Target(user: sshd.MakeAccount("/bin/zsh", $"PATH={tools}:$PATH")));
        var (end, output) = await RemoteRun.ToEnd(connection, "#!/bin/sh\necho never");
        end.ExitCode.ShouldBe(126);
        output.ShouldStartWith("codo: the script cannot be written to /");
        Directory.Exists(Path.GetDirectoryName(output[output.IndexOf('/', StringComparison.Ordinal)..].TrimEnd('\n'))).ShouldBeFalse();
    }

    [Fact]
    public async Task Tells_where_the_runs_processes_are()
    {
        await using var connection = await SshConnection.ConnectAsync(sshd.Target());
        var run = new RemoteRun(connection, "echo $$ $CODO_RUN_ID; ps -o pgid=,sid= $$");
        var mark = await run.Mark;
        await run.End;
        run.Output.Split((char[])[' ', '\n'], StringSplitOptions.RemoveEmptyEntries)
            .ShouldBe([$"{mark.ProcessGroup}", mark.RunId, $"{mark.ProcessGroup}", $"{mark.ProcessGroup}"]);
        mark.StartTicks.ShouldBeGreaterThan(0);
        mark.BootId.ShouldBe(RunMark.CurrentBootId);
    }

    [Fact]
    public async Task Passes_on_what_the_shells_start_file_says()
    {
        await using var connection = await SshConnection.ConnectAsync(sshd.Target(user: sshd.MakeAccount("/bin/zsh", "echo welcome; echo on error >&2")));
        var run = new RemoteRun(connection, "echo command");
        (await run.End).ExitCode.ShouldBe(0);
        (await run.Mark).ProcessGroup.ShouldBeGreaterThan(1);
        run.Output.ShouldEndWith("command\n");
        run.Output.ShouldStartWith("welcome\n");
    }

    [Fact]
    public async Task Does_without_setsid_where_there_is_none()
    {
        var tools = Directory.CreateDirectory(Path.Combine(sshd.Folder, "tools")).FullName;
        foreach (var tool in (string[])["sh", "cat", "grep", "tr", "awk", "sleep", "ps"])
            File.CreateSymbolicLink(Path.Combine(tools, tool), $"/usr/bin/{tool}");
        await using var connection = await SshConnection.ConnectAsync(sshd.Target(user: sshd.MakeAccount("/bin/zsh", $"PATH={tools}")));
        (await RemoteRun.ToEnd(connection, "command -v setsid || echo none; exit 3")).ShouldBe((new CommandEnd(3), "none\n"));

        var run = new RemoteRun(connection, "trap '' TERM; echo up; sleep 1000 & sleep 1000; sleep 1000");
        await run.Up;
        (await connection.KillAsync(await run.Mark, TimeSpan.FromSeconds(0.3))).ShouldBe(new RunLeft(0));
        (await run.End).Signal.ShouldBe("SIGKILL");
    }

    [Fact]
    public async Task Does_not_say_of_processes_which_it_cannot_look_for_that_there_are_none()
    {
        var tools = Directory.CreateDirectory(Path.Combine(sshd.Folder, "few")).FullName;
        foreach (var tool in (string[])["sh", "cat", "sleep"])
            File.CreateSymbolicLink(Path.Combine(tools, tool), $"/usr/bin/{tool}");
        var account = sshd.MakeAccount("/bin/zsh", $"PATH={tools}");
        var over = Path.Combine(sshd.Home(account), "over");
        await using var connection = await SshConnection.ConnectAsync(sshd.Target(user: account));
        var run = new RemoteRun(connection, $"echo up; until test -e {over}; do sleep 0.05; done; exit 3");
        await run.Up;
        (await run.Mark).ProcessGroup.ShouldBe(0);
        (await connection.ProbeAsync(await run.Mark)).Processes.ShouldBeNull();
        (await connection.KillAsync(await run.Mark, TimeSpan.FromSeconds(0.3))).Processes.ShouldBeNull();
        await File.WriteAllTextAsync(over, "", TestContext.Current.CancellationToken);
        (await run.End).ExitCode.ShouldBe(3);
    }

    [Fact]
    public async Task Says_that_a_host_did_not_run_the_command()
    {
        await using var connection = await SshConnection.ConnectAsync(sshd.Target(user: sshd.MakeAccount("/usr/sbin/nologin")));
        var run = new RemoteRun(connection, "echo never");
        (await Should.ThrowAsync<SshFailedException>(() => run.End)).Kind.ShouldBe(SshFailureKind.Refused);
        run.Output.ShouldContain("not available");
    }

    [Fact]
    public async Task Says_that_a_host_opens_no_more_sessions()
    {
        await using var narrow = new TestSshd { MoreConfiguration = "MaxSessions 1" };
        await narrow.InitializeAsync();
        await using var connection = await SshConnection.ConnectAsync(narrow.Target());
        var first = new RemoteRun(connection, "echo up; sleep 1000");
        await first.Up;
        var second = new RemoteRun(connection, "echo never");
        (await Should.ThrowAsync<SshFailedException>(() => second.End)).Kind.ShouldBe(SshFailureKind.Refused);
        // A kill finds another way.
        (await connection.KillAsync(await first.Mark)).ShouldBe(new RunLeft(0));
        (await first.End).Signal.ShouldBe("SIGTERM");
    }

    [Fact]
    public async Task Sends_long_commands_and_refuses_longer_ones_with_a_sentence()
    {
        await using var connection = await SshConnection.ConnectAsync(sshd.Target());
        (await RemoteRun.ToEnd(connection, "printf %s ".PadRight(LocalCommand.MaxCommandBytes, 'x'))).Output.Length.ShouldBe(LocalCommand.MaxCommandBytes - 10);
        (
            await Should.ThrowAsync<CommandNotStartedException>(() => RemoteRun.ToEnd(connection, new string('x', LocalCommand.MaxCommandBytes + 1)))
        ).Text.En.ShouldContain("at most");
        (await Should.ThrowAsync<CommandNotStartedException>(() => RemoteRun.ToEnd(connection, "a\0b"))).Text.En.ShouldContain("NUL");
        (await Should.ThrowAsync<CommandNotStartedException>(() => RemoteRun.ToEnd(connection, "true", new() { ["A B"] = "" }))).Text.En.ShouldContain("A B");
    }

    [Fact]
    public async Task Does_not_wait_for_a_background_child_that_holds_the_output()
    {
        await using var connection = await SshConnection.ConnectAsync(sshd.Target());
        foreach (var child in (string[])["sleep 1000", "yes"])
        {
            var clock = Stopwatch.StartNew();
            var run = new RemoteRun(connection, $"{child} & echo done; exit 4");
            (await run.End).ShouldBe(new CommandEnd(4, Holders: 1));
            run.Output.ShouldContain("done\n");
            clock.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(30));
            (await connection.KillAsync(await run.Mark)).ShouldBe(new RunLeft(0));
        }
    }

    [Fact]
    public async Task Reads_a_hundred_thousand_lines_fast_and_in_order()
    {
        await using var connection = await SshConnection.ConnectAsync(sshd.Target());
        var clock = Stopwatch.StartNew();
        var (end, output) = await RemoteRun.ToEnd(connection, "seq 100000");
        clock.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(30));
        end.ShouldBe(new CommandEnd(0));
        output.ShouldBe(string.Concat(Enumerable.Range(1, 100_000).Select(i => $"{i}\n")));
    }

    [Fact]
    public async Task Passes_on_what_the_reader_throws_and_leaves_the_connection_usable()
    {
        await using var connection = await SshConnection.ConnectAsync(sshd.Target());
        await Should.ThrowAsync<InvalidDataException>(() =>
            connection.RunAsync("yes | head -c 5000000", "test-throws", null, _ => ValueTask.CompletedTask, _ => throw new InvalidDataException())
        );
        await Should.ThrowAsync<InvalidDataException>(() =>
            connection.RunAsync("yes | head -c 5000000", "test-throws", null, _ => throw new InvalidDataException(), _ => ValueTask.CompletedTask)
        );
        (await RemoteRun.ToEnd(connection, "echo still here")).Output.ShouldBe("still here\n");
    }
}
