using System.ComponentModel;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using Codo.Platform.Processes;
using Codo.Tests.Support;

namespace Codo.Tests.Platform.Processes;

public sealed class LocalCommandTests
{
    [Theory]
    [InlineData("exit 0", 0, null)]
    [InlineData("exit 3", 3, null)]
    [InlineData("no-such-program-here", 127, null)]
    [InlineData("kill -KILL $$", 137, "SIGKILL")]
    [InlineData("kill -TERM $$", 143, "SIGTERM")]
    [InlineData("kill -SEGV $$; sleep 1", 139, "SIGSEGV")]
    public async Task Tells_how_the_command_ended(string command, int exitCode, string? signal)
    {
        var end = await RunAsync(command);
        end.End.ExitCode.ShouldBe(exitCode);
        end.End.Signal.ShouldBe(signal);
        end.End.Holders.ShouldBe(0);
    }

    [Fact]
    public async Task Keeps_the_order_of_output_and_error()
    {
        var run = await RunAsync("for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done");
        run.Output.ShouldBe(string.Concat(Enumerable.Range(1, 5).Select(i => $"out {i}\nerr {i}\n")));
    }

    [Fact]
    public async Task Finds_standard_input_at_its_end()
    {
        var run = await RunAsync("read line; echo \"status $?\"; cat; echo end");
        run.Output.ShouldBe("status 1\nend\n");
    }

    [Fact]
    public async Task Looks_as_if_sh_had_been_called_directly()
    {
        var run = await RunAsync("echo \"$0 $#\"; tr '\\0' '|' </proc/$$/cmdline");
        run.Output.ShouldBe("/bin/sh 0\n/bin/sh|-c|echo \"$0 $#\"; tr '\\0' '|' </proc/$$/cmdline|");
    }

    [Fact]
    public async Task Leads_a_session_of_its_own()
    {
        var command = LocalCommand.Start("ps -o pid=,pgid=,sid= $$ | tr -s ' '", NewRunId());
        var (_, output) = await ReadAsync(command);
        var id = command.Mark.ProcessGroup;
        output.Trim().ShouldBe($"{id} {id} {id}");
        command.Mark.StartTicks.ShouldBeGreaterThan(0);
        command.Mark.BootId.ShouldBe(RunMark.CurrentBootId);
    }

    [Fact]
    public async Task Ends_a_pipeline_whose_reader_is_gone_without_a_word()
    {
        // 32 and 33 are glibc's own, which it ignores between a spawn and the program's start.
        var run = await RunAsync("yes | head -1; grep SigIgn /proc/self/status | tail -c 9");
        run.Output.ShouldBeOneOf("y\n00000000\n", "y\n80000000\n");
    }

    [Theory]
    [InlineData("printf '%s' 'it''s \"quoted\" $HOME `x` \\ ; & | > *'", "its \"quoted\" $HOME `x` \\ ; & | > *")]
    [InlineData("echo one\necho two\n\n# and a comment", "one\ntwo\n")]
    [InlineData("printf '你好 🙂'", "你好 🙂")]
    [InlineData("-n 2>/dev/null; echo after", "after\n")]
    [InlineData("", "")]
    public async Task Passes_the_command_on_unchanged(string command, string output) =>
        (await RunAsync(command)).Output.ShouldBe(output);

    [Fact]
    public async Task Takes_the_longest_command_that_the_system_takes()
    {
        var command = "printf %s ".PadRight(LocalCommand.MaxCommandBytes, 'x');
        (await RunAsync(command)).Output.Length.ShouldBe(LocalCommand.MaxCommandBytes - 10);
    }

    [Fact]
    public void Refuses_what_cannot_be_started_with_a_sentence()
    {
        Refused(() => LocalCommand.Start(new string('x', LocalCommand.MaxCommandBytes + 1), "r")).ShouldContain("131072 bytes");
        Refused(() => LocalCommand.Start("echo a\0b", "r")).ShouldContain("NUL");
        Refused(() => LocalCommand.Start("echo \"功\"", "r", form: new CommandForm(Encoding: CommandForm.EncodingOf("big5")))).ShouldContain("'功'");
        Refused(() => LocalCommand.Start("true", "r", workingDirectory: "/no/such/place")).ShouldContain("/no/such/place");
        Refused(() => LocalCommand.Start("true", "r", new Dictionary<string, string> { ["A=B"] = "" })).ShouldContain("A=B");
        Refused(() => LocalCommand.Start("true", "r", new Dictionary<string, string> { ["LONG"] = new('x', 200_000) })).ShouldContain("Argument list too long");

        static string Refused(Action start) => Should.Throw<CommandNotStartedException>(start).Message;
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_command_whose_end_could_not_be_heard_of_is_gone_and_leaves_no_zombie(bool isOpened)
    {
        const int tooManyFiles = 24;
        var (runId, child) = (NewRunId(), 0);
        var file = Path.GetTempFileName();
        Should.Throw<Win32Exception>(() => SessionProcess.Start(
            ["/bin/sh", "-c", "sleep 1000 & exec sleep 1000"],
            new Dictionary<string, string?> { ["PATH"] = Environment.GetEnvironmentVariable("PATH"), [RunMark.Variable] = runId },
            workingDirectory: null,
            withInput: true,
            open: id =>
            {
                child = id;
                if (isOpened) return FileNobodyCanWaitFor(file);
                Marshal.SetLastPInvokeError(tooManyFiles);
                return -1;
            }
        ));
        File.Delete(file);
        child.ShouldBeGreaterThan(0);
        Directory.Exists($"/proc/{child}").ShouldBeFalse();
        // What it has begun itself is killed too, and is another process's to wait for.
        await Eventually.True(async () => !await ProcessTree.IsAliveAsync(new RunMark(runId, 0, 0, "")), "nothing of the run is left");
        // And the next one runs.
        (await RunAsync("echo next")).Output.ShouldBe("next\n");
    }

    // epoll takes no file of a disk. Whoever gets the descriptor closes it.
    private static int FileNobodyCanWaitFor(string path)
    {
        var file = File.OpenHandle(path);
        var descriptor = (int)file.DangerousGetHandle();
        file.SetHandleAsInvalid();
        return descriptor;
    }

    [Fact]
    public async Task Starts_in_the_working_directory() =>
        (await ReadAsync(LocalCommand.Start("pwd", NewRunId(), workingDirectory: "/usr/lib"))).Output.ShouldBe("/usr/lib\n");

    [Fact]
    public async Task Gets_the_hosts_environment_without_its_settings()
    {
        string[] secrets =
        [
            "Codo__MasterKey",
            "CODO__AUTH__TOKENSECRET",
            "ConnectionStrings__Postgres",
            "connectionstrings__redis",
            "ASPNETCORE_URLS",
            "DOTNET_ENVIRONMENT",
        ];
        foreach (var name in secrets)
            Environment.SetEnvironmentVariable(name, "secret-value");
        try
        {
            var runId = NewRunId();
            var own = new Dictionary<string, string> { ["CODO_JOB_ID"] = "备份", ["EMPTY"] = "" };
            var (_, output) = await ReadAsync(LocalCommand.Start("env", runId, own));
            var lines = output.Split('\n');
            lines.ShouldContain($"PATH={Environment.GetEnvironmentVariable("PATH")}");
            lines.ShouldContain($"CODO_RUN_ID={runId}");
            lines.ShouldContain("CODO_JOB_ID=备份");
            lines.ShouldContain("EMPTY=");
            output.ShouldNotContain("secret-value");
        }
        finally
        {
            foreach (var name in secrets) Environment.SetEnvironmentVariable(name, null);
        }
    }

    [Fact]
    public async Task Does_not_wait_for_a_background_child_that_holds_the_output()
    {
        var clock = Stopwatch.StartNew();
        var command = LocalCommand.Start("sleep 1000 & echo done", NewRunId());
        var (end, output) = await ReadAsync(command);
        output.ShouldBe("done\n");
        end.ShouldBe(new CommandEnd(0, Holders: 1));
        clock.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(30));
        (await ProcessTree.KillAsync(command.Mark)).ShouldBe(0);
    }

    [Fact]
    public async Task Does_not_wait_for_a_background_child_that_writes_without_end()
    {
        var command = LocalCommand.Start("yes & exit 4", NewRunId());
        var (end, _) = await ReadAsync(command);
        end.ShouldBe(new CommandEnd(4, Holders: 1));
        (await ProcessTree.KillAsync(command.Mark)).ShouldBe(0);
    }

    [Fact]
    public async Task Reads_all_that_was_written_before_the_end_however_slow_the_reader_is()
    {
        // The child holds the pipe, which is full when the command ends; the reader takes longer than the time that is waited after the end.
        var command = LocalCommand.Start("sleep 1000 & head -c 60000 /dev/zero | tr '\\0' x; exit 0", NewRunId());
        var read = 0;
        var end = await command.ReadToEndAsync(async bytes =>
        {
            read += bytes.Length;
            var clock = Stopwatch.StartNew();
            await Eventually.True(() => clock.ElapsedMilliseconds > 400, "a slow reader");
        });
        read.ShouldBe(60_000);
        end.Holders.ShouldBe(1);
        (await ProcessTree.KillAsync(command.Mark)).ShouldBe(0);
    }

    [Fact]
    public async Task Reads_what_a_child_writes_shortly_after_the_end()
    {
        var output = "";
        // On a busy machine the child may write later than is waited for.
        for (var tries = 0; tries < 5 && output != "early\nlate\n"; tries++)
        {
            output = (await RunAsync("(sleep 0.05; echo late) & echo early")).Output;
            output.ShouldBeOneOf("early\n", "early\nlate\n");
        }
        output.ShouldBe("early\nlate\n");
    }

    [Fact]
    public async Task What_is_left_in_the_background_writes_on_and_comes_to_its_end()
    {
        using var folder = new TestFolder();
        var command = LocalCommand.Start(
            $"(i=0; until test $i -ge 100 -a -e {folder.At("go")}; do i=$((i + 1)); echo $i; seq 2000; sleep 0.1; done; touch {folder.At("done")}) & exit 0",
            NewRunId()
        );
        (await ReadAsync(command)).End.Holders.ShouldNotBe(0);
        // Its end is not waited for: it comes after this file alone.
        await File.WriteAllTextAsync(folder.At("go"), "", TestContext.Current.CancellationToken);
        await Eventually.True(() => File.Exists(folder.At("done")), "it has come to its end");
        await Eventually.True(async () => !await ProcessTree.IsAliveAsync(command.Mark), "nothing is left of it");
    }

    [Fact]
    public async Task Counts_all_who_hold_the_output_and_none_who_does_not()
    {
        var command = LocalCommand.Start("sleep 1000 & sleep 1000 >/dev/null 2>&1 & sleep 1000 >/dev/null & exit 0", NewRunId());
        (await ReadAsync(command)).End.ShouldBe(new CommandEnd(0, Holders: 2));
        (await ProcessTree.KillAsync(command.Mark)).ShouldBe(0);
    }

    [Fact]
    public async Task Goes_on_after_the_command_closed_its_output()
    {
        var run = await RunAsync("exec >/dev/null 2>&1; sleep 0.1; exit 9");
        run.End.ShouldBe(new CommandEnd(9));
    }

    [Fact]
    public async Task Leaves_the_command_alone_when_reading_is_cancelled()
    {
        using var cancel = new CancellationTokenSource();
        var command = LocalCommand.Start("echo up; sleep 1000", NewRunId());
        await Should.ThrowAsync<OperationCanceledException>(() => command.ReadToEndAsync(_ => new ValueTask(cancel.CancelAsync()), cancel.Token));
        (await ProcessTree.IsAliveAsync(command.Mark)).ShouldBeTrue();
        (await ProcessTree.KillAsync(command.Mark)).ShouldBe(0);
        await Eventually.True(() => !Directory.Exists($"/proc/{command.Mark.ProcessGroup}"), "no zombie is left");
    }

    [Fact]
    public async Task Passes_on_what_the_reader_throws()
    {
        var command = LocalCommand.Start("echo up; sleep 1000", NewRunId());
        await Should.ThrowAsync<InvalidDataException>(() => command.ReadToEndAsync(_ => throw new InvalidDataException()));
        (await ProcessTree.KillAsync(command.Mark)).ShouldBe(0);
    }

    [Theory]
    [InlineData("echo secret-$0-$#; read line; echo \"status $?\"; exit 4", "secret-/bin/sh-0\nstatus 1\n", 4)]
    [InlineData("tr '\\0' ' ' </proc/$$/cmdline | grep -c 'gr[e]p'", "0\n", 1)]
    [InlineData("cat <<'E'\n$x `y` \\ 'z'\nE", "$x `y` \\ 'z'\n", 0)]
    [InlineData("kill -TERM $$; sleep 1", "", 143)]
    public async Task A_private_command_is_in_no_process_argument(string text, string output, int status)
    {
        var command = LocalCommand.Start(text, NewRunId(), form: new CommandForm(Private: true));
        (await ReadAsync(command)).ShouldBe((new CommandEnd(status), output));
    }

    [Fact]
    public async Task A_private_command_may_be_as_long_as_any()
    {
        var command = LocalCommand.Start("printf %s ".PadRight(LocalCommand.MaxCommandBytes, 'x'), NewRunId(), form: new CommandForm(Private: true));
        (await ReadAsync(command)).Output.Length.ShouldBe(LocalCommand.MaxCommandBytes - 10);
    }

    [Theory]
    [InlineData("#!/bin/bash\r\narray=(a b c)\r\necho ${#array[@]} $# \"$BASH\"\r\nexit 5\r\n", "3 0 /bin/bash\n", 5)]
    [InlineData("#!/usr/bin/env -S awk -f\nBEGIN { print \"awk \" 6 * 7; exit 3 }", "awk 42\n", 3)]
    [InlineData("\uFEFF#! /bin/sh -e\nfalse\necho never", "", 1)]
    [InlineData("#!/no/such/interpreter\ntrue", "/no/such/interpreter: not found\n", 127)]
    [InlineData("echo a\r\necho b\r", "a\nb\n", 0)]
    public async Task A_script_is_run_as_it_was_pasted(string text, string output, int status)
    {
        var command = LocalCommand.Start(CommandForm.With(null, text), NewRunId());
        var run = await ReadAsync(command);
        (run.End, run.Output.Replace("sh: 8: ", "", StringComparison.Ordinal)).ShouldBe((new CommandEnd(status), output));
        Directory.Exists(Path.GetDirectoryName(ScriptFile(command))).ShouldBeFalse();
    }

    [Theory]
    [InlineData("/bin/bash -e", "#!/bin/bash -e\ntrue")]
    [InlineData("#!/bin/bash -e", "#!/bin/bash -e\ntrue")]
    [InlineData(" #! /bin/bash ", "#!/bin/bash\ntrue")]
    [InlineData("#!", "true")]
    [InlineData(null, "true")]
    public void An_interpreter_may_be_written_as_in_a_scripts_first_line(string? interpreter, string script) =>
        CommandForm.With(interpreter, "true").ShouldBe(script);

    [Theory]
    [InlineData("mkfifo -m 666 {0}")]
    [InlineData("mkdir -m 777 {0}")]
    [InlineData("ln -s /tmp {0}")]
    public async Task A_script_is_not_handed_to_whoever_has_guessed_its_place(string taken)
    {
        var run = NewRunId();
        var place = Path.Combine(Path.GetTempPath(), "codo-" + run);
        (await RunAsync(string.Format(System.Globalization.CultureInfo.InvariantCulture, taken, place))).End.ExitCode.ShouldBe(0);
        var (end, output) = await ReadAsync(LocalCommand.Start("#!/bin/sh\necho never", run));
        (end.ExitCode, output.Contains("cannot be written", StringComparison.Ordinal), output.Contains("never", StringComparison.Ordinal))
            .ShouldBe((126, true, false));
        (await RunAsync($"rm -rf {place}")).End.ExitCode.ShouldBe(0);
    }

    [Fact]
    public async Task A_script_lies_in_a_file_of_mode_700_which_is_gone_when_it_was_killed()
    {
        var command = LocalCommand.Start("#!/bin/sh\ntrap '' TERM; stat -c '%a %n' \"$0\"; umask; while :; do sleep 1; done", NewRunId());
        var file = ScriptFile(command);
        var output = "";
        var reading = command.ReadToEndAsync(bytes =>
        {
            output += Encoding.UTF8.GetString(bytes.Span);
            return ValueTask.CompletedTask;
        });
        await Eventually.True(() => output.Contains("00", StringComparison.Ordinal) && output.Count(letter => letter == '\n') == 2, "it runs");
        output.ShouldStartWith($"700 {file}\n");
        output.ShouldEndWith("0022\n");
        (await ProcessTree.KillAsync(command.Mark, TimeSpan.FromSeconds(0.3))).ShouldBe(0);
        (await reading).Signal.ShouldBe("SIGKILL");
        Directory.Exists(Path.GetDirectoryName(file)).ShouldBeFalse();
    }

    [Fact]
    public async Task A_script_whose_session_was_killed_is_gone()
    {
        var command = LocalCommand.Start("#!/bin/sh\necho \"$0\"; kill -9 0", NewRunId());
        var (end, output) = await ReadAsync(command);
        (end.Signal, output).ShouldBe(("SIGKILL", $"{ScriptFile(command)}\n"));
        Directory.Exists(Path.GetDirectoryName(ScriptFile(command))).ShouldBeFalse();
    }

    [Fact]
    public async Task Half_a_script_is_not_left_behind()
    {
        var tools = Directory.CreateTempSubdirectory("codo-tools-");
        var chmod = Path.Combine(tools.FullName, "chmod");
        await File.WriteAllTextAsync(chmod, "#!/bin/sh\nexit 1\n");
        File.SetUnixFileMode(chmod, (UnixFileMode)0b111_101_101);
        var path = $"{tools.FullName}:{Environment.GetEnvironmentVariable("PATH")}";
        var command = LocalCommand.Start("#!/bin/sh\necho never", NewRunId(), new Dictionary<string, string> { ["PATH"] = path });
        var (end, output) = await ReadAsync(command);
        (end.ExitCode, output).ShouldBe((126, $"codo: the script cannot be written to {ScriptFile(command)}\n"));
        Directory.Exists(Path.GetDirectoryName(ScriptFile(command))).ShouldBeFalse();
        tools.Delete(recursive: true);
    }

    [Theory]
    [InlineData("tty >/dev/null && [ -t 1 ] && echo terminal; exit 6", "terminal\r\n", 6)]
    [InlineData("#!/bin/bash\n[ -t 1 ] && echo \"terminal $BASH\"; exit 7", "terminal /bin/bash\r\n", 7)]
    public async Task A_terminal_is_there_when_it_is_asked_for(string text, string output, int status)
    {
        var command = LocalCommand.Start(text, NewRunId(), form: new CommandForm(Pty: true));
        (await ReadAsync(command)).ShouldBe((new CommandEnd(status), output));
    }

    [Fact]
    public async Task A_command_in_another_encoding_is_written_and_read_in_it()
    {
        var gbk = CommandForm.EncodingOf("gbk")!;
        var output = new MemoryStream();
        var command = LocalCommand.Start("printf '中文' | od -An -tx1; printf '好的\\377'", NewRunId(), form: new CommandForm(Encoding: gbk));
        var transcoding = new Transcoding(bytes => output.WriteAsync(bytes), gbk);
        await command.ReadToEndAsync(transcoding.Append);
        await transcoding.Complete();
        Encoding.UTF8.GetString(output.ToArray()).ShouldStartWith(" d6 d0 ce c4\n好的");
        Should
            .Throw<CommandNotStartedException>(() => LocalCommand.Start("echo 🙂", NewRunId(), form: new CommandForm(Encoding: gbk)))
            .Text.En.ShouldContain("lacks");
    }

    [Theory]
    [InlineData("gbk")]
    [InlineData("gb18030")]
    [InlineData("big5")]
    [InlineData("shift_jis")]
    public async Task A_command_that_ends_within_a_character_leaves_a_replacement_for_it(string name)
    {
        var encoding = CommandForm.EncodingOf(name)!;
        var output = new MemoryStream();
        var command = LocalCommand.Start("printf 'right? \\340'", NewRunId(), form: new CommandForm(Encoding: encoding));
        var transcoding = new Transcoding(bytes => output.WriteAsync(bytes), encoding);
        await command.ReadToEndAsync(transcoding.Append);
        Encoding.UTF8.GetString(output.ToArray()).ShouldBe("right? ");
        await transcoding.Complete();
        await transcoding.Complete();
        Encoding.UTF8.GetString(output.ToArray()).ShouldBe("right? \uFFFD");
    }

    [Fact]
    public async Task Holds_no_thread_while_a_hundred_commands_hang()
    {
        // The first command brings up what .NET needs once for all of them.
        await RunAsync("true");
        var threads = Directory.GetDirectories("/proc/self/task").Length;
        var commands = Enumerable.Range(0, 100).Select(_ => LocalCommand.Start("echo up; exec sleep 1000", NewRunId())).ToList();
        var up = 0;
        var ends = commands.Select(command => command.ReadToEndAsync(_ =>
        {
            Interlocked.Increment(ref up);
            return ValueTask.CompletedTask;
        })).ToList();
        await Eventually.True(() => up == 100, "all commands are up");

        // .NET waits for 63 handles on one thread; a thread a command would be a hundred.
        await Eventually.True(
            () => Directory.GetDirectories("/proc/self/task").Length - threads < 80,
            "few threads; hosts of other tests start some dozens meanwhile"
        );
        (await RunAsync("echo next")).Output.ShouldBe("next\n");

        (await Task.WhenAll(commands.Select(command => ProcessTree.KillAsync(command.Mark)))).ShouldAllBe(left => left == 0);
        (await Task.WhenAll(ends)).ShouldAllBe(end => end.Signal == "SIGTERM");
        foreach (var command in commands) Directory.Exists($"/proc/{command.Mark.ProcessGroup}").ShouldBeFalse("a zombie was left");
    }

    private static string ScriptFile(LocalCommand command) => Path.Combine(Path.GetTempPath(), $"codo-{command.Mark.RunId}", $"codo-{command.Mark.RunId}");

    internal static string NewRunId() => $"test-{Guid.NewGuid():N}";

    internal static async Task<(CommandEnd End, string Output)> ReadAsync(LocalCommand command)
    {
        using var output = new MemoryStream();
        var end = await command.ReadToEndAsync(bytes => output.WriteAsync(bytes));
        return (end, Encoding.UTF8.GetString(output.ToArray()));
    }

    private static Task<(CommandEnd End, string Output)> RunAsync(string command) => ReadAsync(LocalCommand.Start(command, NewRunId()));
}
