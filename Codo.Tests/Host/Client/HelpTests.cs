using Codo.Host.Client;
using Codo.Tests.Support;

namespace Codo.Tests.Host.Client;

[Collection<ClientCollection>]
public sealed class HelpTests(ClientHost fixture)
{
    [Fact]
    public async Task Help_is_a_manual_page_of_every_command()
    {
        var page = (await fixture.Run("help")).Text;
        foreach (
            var title in (string[])["NAME", "SYNOPSIS", "COMMANDS", "EXIT STATUS", "ENVIRONMENT", "FILES"]
        ) page.ShouldContain($"\n{title}\n".TrimStart(title == "NAME" ? '\n' : ' '));
        foreach (
            var command in (string[])[
                "codo job list",
                "codo order watch ID",
                "codo import crontab FILE...",
                "codo apply DIRECTORY",
                "codo serve",
                "codo why JOB TIME..."
            ]
        )
            page.ShouldContain(command);
        (await fixture.Run("help", "job", "run")).Text.ShouldContain("codo-job-run - Run a job now");
        (await fixture.Run("help", "--roff")).Text.ShouldStartWith(".TH CODO 1\n.SH NAME\n");
        (await fixture.Run("help", "nothing")).Code.ShouldBe(ExitCodes.Usage);
    }

    /// <summary>docs/terminal.md and the program tell the same.</summary>
    [Fact]
    public async Task Every_command_and_exit_code_stands_in_the_documentation()
    {
        var document = await File.ReadAllTextAsync(Path.Combine(Root(), "docs/terminal.md"));
        var page = (await fixture.Run("help")).Text;
        var commands = page.Split('\n').Where(
            line => line.StartsWith("       codo ", StringComparison.Ordinal)
        ).Select(line => line.Trim().Split(" [OPTIONS]")[0].Split(' ')).ToList();
        commands.Count.ShouldBeGreaterThan(30);
        string[] ofTheHost = ["serve", "token", "user", "audit", "migrate"];
        foreach (var words in commands.Where(words => ClientProgram.Takes([words[1]]) && !ofTheHost.Contains(words[1])))
            document.ShouldContain(string.Join(' ', words.TakeWhile(word => char.IsLower(word[0]))));
        var shown = string.Join(' ', page.Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries));
        foreach (var code in (int[])[0, 1, 2, 4, 5, 64, 75, 124, 130, 141])
        {
            var row = document.Split('\n').Single(line => line.StartsWith($"| {code} |", StringComparison.Ordinal));
            page.ShouldContain($"\n       {code}\n");
            shown.ShouldContain($" {code} {row.Split('|')[2].Trim().Replace("`", "", StringComparison.Ordinal)}. ");
        }
    }

    [Fact]
    public async Task Completion_knows_commands_options_words_and_names()
    {
        (await fixture.Run("__complete", "jo")).Lines.ShouldBe(["job"]);
        (await fixture.Run("__complete", "job", "l")).Lines.ShouldBe(["list", "logs"]);
        (await fixture.Run("__complete", "job", "list", "--st")).Lines.ShouldBe(["--status"]);
        (await fixture.Run("__complete", "job", "list", "-o", "")).Lines.ShouldContain("yaml");
        var name = ClientHost.NewName("complete");
        await fixture.Host.Post("/v1/cron/job/", new { job_id = name, cmd = "true", cron = "0 0 3 1 1 *" });
        // A shell is not kept waiting for a host that is slow.
        await Eventually.True(async () => (await fixture.Run("__complete", "job", "show", name[..12])).Lines.SequenceEqual([name]), "the name is offered");
    }

    [Theory]
    [InlineData("bash", "-n")]
    [InlineData("zsh", "-n")]
    [InlineData("fish", "--no-execute")]
    public async Task The_scripts_for_shells_read_as_such(string shell, string check)
    {
        var script = (await fixture.Run("completion", shell)).Text;
        script.ShouldContain("codo __complete");
        var program = Programs.Find(shell);
        var file = Path.Combine(fixture.NewFolder(), "script");
        await File.WriteAllTextAsync(file, script);
        (await HostProcess.Run([check, file], binary: program)).ShouldBe((0, "", ""));
    }

    [Fact]
    public async Task What_a_name_holds_is_completed_as_text_and_never_run()
    {
        var bash = Programs.Find("bash");
        var folder = fixture.NewFolder();
        var (made, stub, script) = (Path.Combine(folder, "made"), Path.Combine(folder, "codo"), Path.Combine(folder, "script"));
        await File.WriteAllTextAsync(stub, $"#!/bin/sh\nprintf '%s\\n' '$(touch {made})' '`touch {made}`' 'deploy web'\n");
        File.SetUnixFileMode(stub, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var pressed = "COMP_WORDS=(codo job show '')\nCOMP_CWORD=3\n_codo\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n";
        await File.WriteAllTextAsync(script, (await fixture.Run("completion", "bash")).Text + pressed);
        var path = $"{folder}:{Environment.GetEnvironmentVariable("PATH")}";
        var (code, output, errors) = await HostProcess.Run([script], binary: bash, environment: ("PATH", path));
        (code, errors).ShouldBe((0, ""), output);
        var words = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        words.Length.ShouldBe(3);
        words[2].ShouldBe("deploy\\ web");
        File.Exists(made).ShouldBeFalse();
    }

    [Theory]
    [InlineData("codo job show db:ba", "codo job show db : ba", "job show db:ba", "db:backup db:barrier", "backup,barrier")]
    [InlineData("codo job show db:", "codo job show db :", "job show db:", "db:backup db:barrier", "backup,barrier")]
    // Nothing is left of a name that is typed already.
    [InlineData("codo job show db:", "codo job show db :", "job show db:", "db: db:backup", ",backup")]
    // With blanks between they are words of their own, and where bash does not break at a colon none of the name stands before the word.
    [InlineData("codo job show x : db:ba", "codo job show x : db : ba", "job show x : db:ba", "db:backup db:barrier", "backup,barrier")]
    [InlineData("codo job show db:ba", "codo job show db:ba", "job show db:ba", "db:backup db:barrier", "db:backup,db:barrier")]
    public async Task A_name_with_a_colon_is_one_word_to_the_completion_of_bash(string line, string words, string asked, string names, string offered)
    {
        var bash = Programs.Find("bash");
        var folder = fixture.NewFolder();
        var (heard, stub, script) = (Path.Combine(folder, "heard"), Path.Combine(folder, "codo"), Path.Combine(folder, "script"));
        await File.WriteAllTextAsync(stub, $"#!/bin/sh\nshift\necho \"$*\" >{heard}\nprintf '%s\\n' {names}\n");
        File.SetUnixFileMode(stub, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var pressed = $"COMP_LINE='{line}'\nCOMP_WORDS=({words})\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n_codo\n(IFS=,; echo \"${{COMPREPLY[*]}}\")\n";
        await File.WriteAllTextAsync(script, (await fixture.Run("completion", "bash")).Text + pressed);
        var path = $"{folder}:{Environment.GetEnvironmentVariable("PATH")}";
        (await HostProcess.Run([script], binary: bash, environment: ("PATH", path))).ShouldBe((0, offered + "\n", ""));
        (await File.ReadAllTextAsync(heard)).ShouldBe(asked + "\n");
    }

    private static string Root([System.Runtime.CompilerServices.CallerFilePath] string file = "") => Path.Combine(Path.GetDirectoryName(file)!, "../../..");
}
