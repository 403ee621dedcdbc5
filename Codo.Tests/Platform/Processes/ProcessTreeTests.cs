using System.Diagnostics;
using System.Text;
using Codo.Platform.Processes;
using Codo.Tests.Support;

namespace Codo.Tests.Platform.Processes;

public sealed class ProcessTreeTests
{
    private static readonly TimeSpan ShortGrace = TimeSpan.FromMilliseconds(300);

    [Fact]
    public async Task Gives_a_command_the_time_to_end_by_itself()
    {
        var run = await StartAsync("trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done");
        (await ProcessTree.KillAsync(run.Command.Mark)).ShouldBe(0);
        (await run.End).ExitCode.ShouldBe(7);
        run.Output.ToString().ShouldEndWith("bye\n");
    }

    [Fact]
    public async Task Gives_it_that_time_also_while_somebody_sets_the_clock()
    {
        var run = await StartAsync("trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done");
        (await ProcessTree.KillAsync(run.Command.Mark, TimeSpan.FromSeconds(60), new JumpingClock())).ShouldBe(0);
        (await run.End).ExitCode.ShouldBe(7);
    }

    [Fact]
    public async Task Ends_a_command_that_ignores_the_signal_and_its_children()
    {
        var run = await StartAsync("trap '' TERM; sleep 1000 & sh -c 'sleep 1000; :' & (trap '' TERM; sleep 1000; :) & echo up; wait; sleep 1000");
        (await ProcessTree.KillAsync(run.Command.Mark, ShortGrace)).ShouldBe(0);
        (await run.End).Signal.ShouldBe("SIGKILL");
        RunningWith(run.Command.Mark.RunId).ShouldBe(0);
    }

    [Theory]
    [InlineData("setsid sleep 1000 & setsid setsid sh -c 'trap \"\" TERM; sleep 1000; :' & echo up; wait")]
    [InlineData("setsid env -i sleep 1000 & env -i sh -c 'sleep 1000; :' & echo up; wait")]
    [InlineData("setsid -f sleep 1000; echo up; sleep 1000")]
    [InlineData("sleep 1000 & kill -STOP $!; echo up; wait")]
    public async Task Ends_what_left_the_session(string command)
    {
        var run = await StartAsync(command);
        (await ProcessTree.KillAsync(run.Command.Mark, ShortGrace)).ShouldBe(0);
        await run.End;
        RunningWith(run.Command.Mark.RunId).ShouldBe(0);
        (await ProcessTree.IsAliveAsync(run.Command.Mark)).ShouldBeFalse();
    }

    [Fact]
    public async Task Ends_what_stayed_behind_after_the_command_ended()
    {
        var run = await StartAsync("sleep 1000 & setsid sleep 1000 & echo up");
        await run.End;
        (await ProcessTree.IsAliveAsync(run.Command.Mark)).ShouldBeTrue();
        (await ProcessTree.KillAsync(run.Command.Mark)).ShouldBe(0);
        (await ProcessTree.IsAliveAsync(run.Command.Mark)).ShouldBeFalse();
    }

    [Fact]
    public async Task Wins_against_a_command_that_forks_without_end()
    {
        var run = await StartAsync("trap '' TERM; echo up; while :; do (trap '' TERM; sleep 5; :) & sleep 0.01; done");
        (await ProcessTree.KillAsync(run.Command.Mark, ShortGrace)).ShouldBe(0);
        await run.End;
        RunningWith(run.Command.Mark.RunId).ShouldBe(0);
    }

    [Fact]
    public async Task Never_touches_a_process_that_has_the_number_by_chance()
    {
        var bystander = await StartAsync("echo up; sleep 1000");
        var mark = bystander.Command.Mark;
        var recycled = mark with { RunId = LocalCommandTests.NewRunId(), StartTicks = mark.StartTicks - 1 };
        (await ProcessTree.IsAliveAsync(recycled)).ShouldBeFalse();
        (await ProcessTree.KillAsync(recycled)).ShouldBe(0);
        var otherBoot = mark with { BootId = "a0000000-0000-0000-0000-000000000000" };
        (await ProcessTree.KillAsync(otherBoot)).ShouldBe(0);
        bystander.End.IsCompleted.ShouldBeFalse();
        (await ProcessTree.KillAsync(mark)).ShouldBe(0);
        await bystander.End;
    }

    [Fact]
    public async Task Never_touches_itself_or_the_first_process()
    {
        var itself = new RunMark("none", Environment.ProcessId, ProcessStart(Environment.ProcessId), RunMark.CurrentBootId);
        var first = new RunMark("none", 1, ProcessStart(1), RunMark.CurrentBootId);
        (await ProcessTree.IsAliveAsync(itself with { RunId = LocalCommandTests.NewRunId(), ProcessGroup = 0, StartTicks = 0 })).ShouldBeFalse();
        (await ProcessTree.IsAliveAsync(first)).ShouldBeFalse();
    }

    [Fact]
    public async Task Ends_after_the_death_of_its_host_what_the_host_had_started()
    {
        var folder = Directory.CreateTempSubdirectory("codo-tree-").FullName;
        var start = new ProcessStartInfo(
            "dotnet",
            [typeof(HostThatDies).Assembly.Location, "--filter-class", typeof(HostThatDies).FullName!, "--explicit", "only"]
        )
        {
            Environment = { [HostThatDies.Folder] = folder },
            RedirectStandardOutput = true,
        };
        using var host = Process.Start(start)!;
        var said = host.StandardOutput.ReadToEndAsync();
        var record = Path.Combine(folder, "mark");
        await Eventually.True(
            () => host.HasExited ? throw new InvalidOperationException(said.Result) : File.Exists(record),
            "the host has started its command",
            seconds: 60
        );
        host.Kill();
        await host.WaitForExitAsync();

        var fields = (await File.ReadAllTextAsync(record)).Split(' ');
        var mark = new RunMark(fields[0], int.Parse(fields[1]), long.Parse(fields[2]), fields[3]);
        RunningWith(mark.RunId).ShouldBe(3);
        (await ProcessTree.IsAliveAsync(mark)).ShouldBeTrue();
        (await ProcessTree.KillAsync(mark, ShortGrace)).ShouldBe(0);
        RunningWith(mark.RunId).ShouldBe(0);
        Directory.Delete(folder, recursive: true);
    }

    /// <summary>A command that has said that it is up.</summary>
    private static async Task<(LocalCommand Command, Task<CommandEnd> End, StringBuilder Output)> StartAsync(string text)
    {
        var command = LocalCommand.Start(text, LocalCommandTests.NewRunId());
        var output = new StringBuilder();
        var up = new TaskCompletionSource();
        var end = command.ReadToEndAsync(bytes =>
        {
            output.Append(Encoding.UTF8.GetString(bytes.Span));
            up.TrySetResult();
            return ValueTask.CompletedTask;
        });
        await up.Task.WaitAsync(TimeSpan.FromSeconds(60));
        return (command, end, output);
    }

    /// <summary>Somebody sets it on by ten minutes before every look.</summary>
    private sealed class JumpingClock : TimeProvider
    {
        private int looks;

        public override DateTimeOffset GetUtcNow() => base.GetUtcNow().AddMinutes(10 * Interlocked.Increment(ref looks));
    }

    private static long ProcessStart(int id) => long.Parse(File.ReadAllText($"/proc/{id}/stat").Split(") ")[1].Split(' ')[19]);

    /// <summary>Counted without the code under test, by grep; zombies have an empty environment.</summary>
    private static int RunningWith(string runId)
    {
        using var grep = Process.Start(
            new ProcessStartInfo("sh", ["-c", $"grep -lsa CODO_RUN_ID={runId} /proc/[0-9]*/environ | wc -l"]) { RedirectStandardOutput = true }
        )!;
        return int.Parse(grep.StandardOutput.ReadToEnd());
    }
}

/// <summary>What another test starts as a process of its own, to kill it.</summary>
public sealed class HostThatDies
{
    public const string Folder = "CODO_TEST_HOST_THAT_DIES";

    [Fact(Explicit = true)]
    public async Task Starts_a_command_and_waits_to_be_killed()
    {
        var folder = Environment.GetEnvironmentVariable(Folder) ?? throw new InvalidOperationException($"{Folder} is not set: another test starts this one.");
        var command = LocalCommand.Start("trap '' TERM; setsid sleep 1000 & sleep 1000 & echo up; wait; wait; wait", LocalCommandTests.NewRunId());
        var mark = command.Mark;
        await command.ReadToEndAsync(async _ =>
        {
            await File.WriteAllTextAsync(Path.Combine(folder, "mark.new"), $"{mark.RunId} {mark.ProcessGroup} {mark.StartTicks} {mark.BootId}");
            File.Move(Path.Combine(folder, "mark.new"), Path.Combine(folder, "mark"));
        });
    }
}
