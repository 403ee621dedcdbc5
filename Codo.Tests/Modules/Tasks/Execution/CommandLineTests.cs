using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;
using Codo.Modules.Tasks.Layout;
using CsCheck;
using StepLine = Codo.Modules.Tasks.Execution.CommandLine; // A package of Garnet's brings a namespace CommandLine.

namespace Codo.Tests.Modules.Tasks.Execution;

public sealed class CommandLineTests
{
    private static readonly string[] Shells = ["/bin/sh", "bash", "dash", "zsh", "ksh", "fish"];

    [Theory]
    [InlineData("ls", null, "ls")]
    [InlineData("ls", "", "ls")]
    [InlineData("ls", "-l", "ls -l")]
    [InlineData("deploy", "VERSION", "deploy v1.2")]
    [InlineData("deploy", "--version VERSION --force", "deploy --version v1.2 --force")]
    [InlineData("deploy", "  VERSION\t\nVERSION ", "deploy   v1.2\t\nv1.2 ")]
    [InlineData("deploy", "VERSIONS xVERSION --v=VERSION VERSION.", "deploy VERSIONS xVERSION --v=VERSION VERSION.")]
    [InlineData("deploy", "version", "deploy version")]
    [InlineData("VERSION", "x", "VERSION x")]
    [InlineData("deploy", "BLANKS", "deploy 'a b'")]
    [InlineData("deploy", "QUOTE", "deploy 'it'\\''s'")]
    [InlineData("deploy", "BACKSLASH", "deploy 'C:'\\\\'dir'\\\\''")]
    [InlineData("deploy", "SELF", "deploy '%self'")]
    [InlineData("deploy", "EMPTY x", "deploy '' x")]
    [InlineData("deploy", "LINES", "deploy 'a\nb'")]
    [InlineData("deploy", "EQUALS", "deploy '=ls'")]
    [InlineData("deploy", "HOME", "deploy '~root'")]
    [InlineData("deploy", "PATH", "deploy /a_b/c-d.e,f:g@h%i+j=k")]
    [InlineData("deploy", "CHINESE", "deploy '中文'")]
    [InlineData("deploy", "NUMBER FLAG LIST NOTHING", "deploy 3.10 true '[1,\"a\"]' NOTHING")]
    [InlineData("deploy", "FLOW_ID", "deploy 4711")]
    [InlineData("deploy", "--log=/tmp/FLOW_ID.log xFLOW_IDx FLOW_IDFLOW_ID", "deploy --log=/tmp/4711.log x4711x 47114711")]
    [InlineData("FLOW_ID", "x", "FLOW_ID x")]
    [InlineData("deploy", "CALLED_FLOW_ID", "deploy 'the FLOW_ID stays'")]
    [InlineData("echo", "\"x BLANKS y\"", "echo \"x \"'a b'\" y\"")]
    [InlineData("echo", "\"x VERSION y\"", "echo \"x v1.2 y\"")]
    [InlineData("echo", "'x QUOTE y'", "echo 'x ''it'\\''s'' y'")]
    [InlineData("echo", "'x BACKSLASH y'", "echo 'x ''C:'\\\\'dir'\\\\''' y'")]
    [InlineData("echo", "\"x BACKSLASH y\"", "echo \"x \"'C:'\\\\'dir'\\\\''\" y\"")]
    [InlineData("echo '", "BLANKS '", "echo ' ''a b'' '")]
    [InlineData("echo", "$( date ) BLANKS", "echo $( date ) 'a b'")]
    [InlineData("echo", "` date ` BLANKS", "echo ` date ` 'a b'")]
    [InlineData("echo", "`date \"+%F x\"` \"`date \"+%F x\"`\" BLANKS", "echo `date \"+%F x\"` \"`date \"+%F x\"`\" 'a b'")]
    [InlineData("tr", "'\\\\' / < BLANKS", "tr '\\\\' / < 'a b'")]
    [InlineData("ls", "log[0-9]* $A[0] \"x[ BLANKS ]\"", "ls log[0-9]* $A[0] \"x[ \"'a b'\" ]\"")]
    [InlineData("echo", "# x\nBLANKS", "echo # x\n'a b'")]
    [InlineData("echo", "a#b $# BLANKS", "echo a#b $# 'a b'")]
    [InlineData("echo", "${A} \"${B} BLANKS \"", "echo ${A} \"${B} \"'a b'\" \"")]
    [InlineData("echo", "\\\" BLANKS \\' BLANKS", "echo \\\" 'a b' \\' 'a b'")]
    [InlineData("echo", "` VERSION ` # VERSION", "echo ` v1.2 ` # v1.2")]
    public void Puts_values_in_place_of_words(string command, string? args, string expected)
    {
        var values = StepLine.Values(
            JsonNode
                .Parse(
                    """
                    {"VERSION": "v1.2", "BLANKS": "a b", "QUOTE": "it's", "EMPTY": "", "LINES": "a\nb", "EQUALS": "=ls", "HOME": "~root", "CHINESE": "中文",
                     "BACKSLASH": "C:\\dir\\", "SELF": "%self",
                     "PATH": "/a_b/c-d.e,f:g@h%i+j=k", "NUMBER": 3.10, "FLAG": true, "LIST": [1, "a"], "NOTHING": null, "FLOW_ID": "mine",
                         "CALLED_FLOW_ID": "the FLOW_ID stays"}
                    """
                )!
                .AsObject()
        );
        StepLine.TryRender(command, args, values, 4711, _ => false, out var line, out var why).ShouldBeTrue(why.En);
        line!.Line.ShouldBe(expected);
        line.Shown.ShouldBe(expected);
    }

    [Theory]
    [InlineData("echo ` V `")]
    [InlineData("echo \"` V `\"")]
    [InlineData("echo # V")]
    [InlineData("echo;# V")]
    [InlineData("echo \"$(cat V )\"")]
    [InlineData("echo \"$(cat \" V \" )\"")]
    [InlineData("echo $(( V ))")]
    [InlineData("(( V ))")]
    [InlineData("echo $[ V ]")]
    [InlineData("echo ${A:- V }")]
    [InlineData("echo \"${A:- V }\"")]
    [InlineData("echo $'a\\' V '")]
    [InlineData("echo $\"a V \"")]
    [InlineData("cat <<E\n V \nE")]
    [InlineData("cat <<< V")]
    [InlineData("echo '\\' V")]
    [InlineData("echo 'a\\' \" V '")]
    [InlineData("echo ` ' ` V '")]
    [InlineData("echo \"` \" `\" V \"")]
    [InlineData("echo \"`$(a '\"' )`\" V")]
    [InlineData("echo `# it's` V")]
    [InlineData("echo `true`#' \n V '")]
    [InlineData("echo $(true)#' \n V '")]
    [InlineData("echo x\r#' \n V '")]
    [InlineData("echo x &#' \n V '")]
    [InlineData("echo \\ #' \n V '")]
    [InlineData("echo \"$A[ V ]\"")]
    [InlineData("echo $#A[1+ V ]")]
    [InlineData("A[ V ]=1")]
    public void Refuses_a_value_that_cannot_be_quoted_where_it_stands(string template)
    {
        var (command, args) = (template.Split(' ')[0], template[(template.IndexOf(' ', StringComparison.Ordinal) + 1)..]);
        StepLine.TryRender(command, args, One("V", "$(id)"), 1, _ => false, out var line, out var why).ShouldBeFalse();
        line.ShouldBeNull();
        why.En.ShouldStartWith("the value of V needs quotes");
        StepLine.TryRender(command, args, One("V", "plain-1.0"), 1, _ => false, out line, out _).ShouldBeTrue();
        line!.Line.ShouldContain(" plain-1.0");
    }

    // The line is cut in front of a declared word, and behind the escaped blank this one is no comment.
    [Fact]
    public void Refuses_a_value_behind_a_declared_word_that_may_be_a_comment_or_not()
    {
        var values = new Dictionary<string, string> { ["#'"] = "x", ["V"] = "$(id)" };
        StepLine.TryRender("echo \\", "#' \n V '", values, 1, _ => false, out _, out var why).ShouldBeFalse();
        why.En.ShouldStartWith("the value of V needs quotes");
    }

    [Theory]
    [InlineData("")]
    [InlineData("#!/bin/sh -e\n")]
    [InlineData("#! /usr/bin/env bash\n")]
    [InlineData("#!/usr/bin/env -S zsh -f\n")]
    [InlineData("#!/usr/bin/env -iS /bin/dash\n")]
    [InlineData("#!/usr/local/bin/ksh93\n")]
    public void Quotes_values_for_scripts_of_shells(string first) => Rendered(first + "echo", "V", One("V", "a b")).ShouldBe(first + "echo 'a b'");

    [Theory]
    [InlineData("#!/usr/bin/python3\nprint(", "V )")]
    [InlineData("#!/usr/bin/env python3\nprint(", "V )")]
    [InlineData("#!/usr/bin/env", "python3\nprint( V )")]
    [InlineData("#!/usr/bin/env -S -u sh python3\nprint(", "V )")]
    [InlineData("#!/usr/bin/env -S A='x sh y' python3\nprint(", "V )")]
    [InlineData("#!/usr/bin/fish\necho", "V")]
    [InlineData("#!/usr/bin/awk -f\nBEGIN { print", "V }")]
    public void Puts_nothing_that_needs_quotes_into_scripts_of_other_languages(string command, string args)
    {
        StepLine.TryRender(command, args, One("V", "a b"), 1, _ => false, out _, out var why).ShouldBeFalse();
        why.En.ShouldBe("the value of V needs quotes, and it is no shell that reads the command: call the script from a shell's line instead");
        Rendered(command, args, One("V", "1.2")).ShouldBe($"{command} {args.Replace("V", "1.2", StringComparison.Ordinal)}");
    }

    [Fact]
    public void A_word_with_quotes_is_no_argument_of_another_language_either() =>
        Rendered("#!/usr/bin/perl\nprint", "'a; V b'", new Dictionary<string, string> { ["'a;"] = "x", ["b'"] = "y", ["V"] = "1" })
            .ShouldBe("#!/usr/bin/perl\nprint 'a; 1 b'");

    [Theory]
    [InlineData("/usr/bin/python3", "import sys\nsys.stdout.write(''.join([", "V ]))")]
    [InlineData("/usr/bin/perl", "print(join('',", "V ))")]
    public void A_value_reaches_another_language_whole_or_not_at_all(string interpreter, string command, string args)
    {
        const string marker = "ran-by-a-value";
        string[] values =
        [
            "\\'",
            "\\",
            "\\\\'",
            "it's",
            "a b",
            "C:\\dir\\",
            "",
            $"\\']));import os;os.system(\"echo {marker}\") #",
            $"\\'));system(\"echo {marker}\"); #",
        ];
        foreach (var value in values)
        {
            if (StepLine.TryRender($"#!{interpreter}\n{command}", args, One("V", value), 1, _ => false, out var line, out var why))
                Run(interpreter, line!.Line).ShouldBe(value);
            else
                why.En.ShouldStartWith("the value of V needs quotes");
            // The same text where nobody has said that no shell reads it.
            Ran(interpreter, Rendered(command, args, One("V", value)), marker).ShouldBeFalse(value);
        }
    }

    [Theory]
    [InlineData("\\")]
    [InlineData("\\'")]
    [InlineData("\\\\'")]
    [InlineData("'\\")]
    [InlineData("C:\\dir\\")]
    [InlineData("\\\n")]
    [InlineData("\\'; echo ran; #")]
    [InlineData("\\']);import os;os.system(\"id\") #")]
    [InlineData("%self")]
    public void A_backslash_is_a_character_like_any_other_in_every_shell(string value)
    {
        var line = Rendered("printf '[%s]\\0'", "V 'x V y' \"x V y\"", One("V", value));
        foreach (var shell in Shells)
            Run(shell, line).ShouldBe($"[{value}]\0[x {value} y]\0[x {value} y]\0", $"{shell}: {line}");
    }

    [Fact]
    public void Refuses_nul_and_lines_that_no_shell_can_be_given()
    {
        StepLine.TryRender("echo", "V", One("V", "a\0b"), 1, _ => false, out _, out var why).ShouldBeFalse();
        why.En.ShouldBe("the value of V holds a NUL");
        StepLine.TryRender("echo\0", "V", One("V", "a"), 1, _ => false, out _, out why).ShouldBeFalse();
        why.En.ShouldBe("the command holds a NUL");
        StepLine.TryRender("echo", "V", One("V", new string('x', 128 * 1024 - 6)), 1, _ => false, out _, out _).ShouldBeTrue();
        StepLine.TryRender("echo", "V", One("V", new string('x', 128 * 1024 - 5)), 1, _ => false, out _, out why).ShouldBeFalse();
        StepLine.TryRender("echo", "V", One("V", new string('中', 50_000)), 1, _ => false, out _, out _).ShouldBeFalse();
        why.En.ShouldBe("the command line is longer than 131071 bytes");

        var watch = Stopwatch.StartNew();
        StepLine
            .TryRender("echo", string.Join(' ', Enumerable.Repeat("V", 2_000)), One("V", new string('\'', 1 << 20)), 1, _ => false, out _, out _)
            .ShouldBeFalse();
        StepLine.TryRender("echo", string.Join(' ', Enumerable.Repeat("V", 2_000)), One("V", "a b"), 1, _ => false, out _, out _).ShouldBeTrue();
        watch.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(15));
    }

    [Fact]
    public void A_word_that_opens_or_closes_quotes_is_no_argument()
    {
        var values = new Dictionary<string, string> { ["'a;"] = "x", ["b'"] = "y", ["V"] = "reboot", ["<<E"] = "z", ["#"] = "w", ["it's"] = "u" };
        Rendered("echo", "'a; V b'", values).ShouldBe("echo 'a; reboot b'");
        Rendered("echo", "it's; V 'x", values).ShouldBe("echo it's; reboot 'x");
        Rendered("echo", "# V", values).ShouldBe("echo # reboot");
        Rendered("cat", "<<E\nV\nE", values).ShouldBe("cat <<E\nreboot\nE");
    }

    [Fact]
    public void Shows_stars_for_secrets_and_runs_the_line_with_them()
    {
        var values = new Dictionary<string, string> { ["DB_PASSWORD"] = "hunter 2", ["HOST"] = "db1" };
        StepLine.TryRender("mysql", "-h HOST -p DB_PASSWORD \"x DB_PASSWORD y\"", values, 1, name => name == "DB_PASSWORD", out var line, out _).ShouldBeTrue();
        line!.Line.ShouldBe("mysql -h db1 -p 'hunter 2' \"x \"'hunter 2'\" y\"");
        line.Shown.ShouldBe("mysql -h db1 -p ****** \"x ****** y\"");
    }

    [Fact]
    public void Lists_the_words_of_all_steps_once_in_order()
    {
        ArgumentWords.Of(["VERSION --env ENV", null, "", "  ENV\n\tFLOW_ID VERSION ", "log_FLOW_ID"]).ShouldBe(["VERSION", "--env", "ENV", "log_FLOW_ID"]);
        // A mark in front is taken away before a step runs.
        ArgumentWords.Of(["\uFEFFVERSION", "A\u3000B\u00A0C"]).ShouldBe(["VERSION", "A\u3000B\u00A0C"]);
        StepLine.HasNoValue("ENV", One("VERSION", "1")).ShouldBeTrue();
        StepLine.HasNoValue("VERSION", One("VERSION", "")).ShouldBeFalse();
        StepLine.HasNoValue("FLOW_ID", One("VERSION", "")).ShouldBeFalse();
        new[] { "", "a", "a b", "a\tb", "a\n", " a", "a\u3000b" }.Select(StepLine.HasBlanks).ShouldBe([false, false, true, true, true, true, false]);
    }

    [Fact]
    public void Every_value_arrives_as_one_argument_in_every_shell() =>
        Nasty.Array[1, 12].Sample(given =>
        {
            var values = given.Select((value, i) => ($"V{i}", value)).ToDictionary(pair => pair.Item1, pair => pair.value);
            var line = Rendered("printf '[%s]\\0'", string.Join(' ', values.Keys), values);
            foreach (var shell in Shells)
                Run(shell, line).ShouldBe(string.Concat(given.Select(value => $"[{value}]\0")), $"{shell}: {line}");
        }, iter: 40, threads: 2);

    [Fact]
    public void A_value_within_the_quotes_of_its_template_stays_in_its_argument_in_every_shell() =>
        Gen.Select(Nasty, Nasty).Sample((first, second) =>
        {
            var values = new Dictionary<string, string> { ["A"] = first, ["B"] = second };
            var line = Rendered("printf '[%s]\\0'", "\"x A y\" 'x B y' \"$HOME A \" $(: A ) \\\" B # it's", values);
            foreach (var shell in Shells)
                Run(shell, line).ShouldBe($"[x {first} y]\0[x {second} y]\0[/dev/null {first} ]\0[\"]\0[{second}]\0", $"{shell}: {line}");
        }, iter: 40, threads: 2);

    [Fact]
    public void Whatever_the_template_a_value_runs_nothing() =>
        Gen.Select(
                Gen.OneOf(
                    "\"",
                    "'",
                    "`",
                    "$(",
                    ")",
                    "\\",
                    "#",
                    "\n",
                    ";",
                    "(",
                    "((",
                    "${A",
                    "}",
                    "<<E",
                    "E",
                    "$'",
                    "V",
                    "a",
                    "\\\"",
                    "$((",
                    "))",
                    "{",
                    "case",
                    "\\'",
                    "\\\\",
                    "`#'",
                    ")#'",
                    "\r#'",
                    "&#'",
                    "\\ #'",
                    "$A[",
                    "A[",
                    "]"
                ).Array[1, 9],
                Gen.Bool,
                Gen.OneOf(
                    "'\"`x`$(echo {0} >&2)\n;echo {0} >&2;)}\nE\necho {0} >&2\n\"'",
                    "\\'\n;echo {0} >&2\n;#",
                    "x\\\";echo {0} >&2;\"\n;echo {0} >&2\n",
                    "(echo {0} >&2)",
                    "A[$(echo {0} >&2)1]"
                )
            )
            .Sample(
                (pieces, spaced, given) =>
                {
                    var marker = "/nonexistent/ran-" + Guid.NewGuid().ToString("N");
                    var values = One("V", given.Replace("{0}", marker, StringComparison.Ordinal));
                    if (!StepLine.TryRender(":", string.Join(spaced ? " V " : " ", pieces), values, 1, _ => false, out var line, out _))
                        return;
                    foreach (var shell in Shells)
                        Ran(shell, line!.Line, marker).ShouldBeFalse($"{shell}: {line.Line}");
                },
                iter: 100,
                threads: 2
            );

    private static Gen<string> Nasty =>
        Gen.OneOf(
            Gen.OneOf(
                "",
                " ",
                "'",
                "\"",
                "''",
                "'\"'",
                "\\",
                "\\'",
                "$(id)",
                "`id`",
                "$HOME",
                "${HOME}",
                "a b",
                "a\nb",
                "\n",
                "a\n",
                "\t",
                "*",
                "?",
                "[a]",
                "{a,b}",
                "~",
                "~root",
                "=ls",
                "!",
                "!!",
                "#",
                "# x",
                ";",
                "&",
                "|",
                "<",
                ">",
                ">x",
                "(",
                ")",
                "-n",
                "--",
                "-e",
                "%s",
                "%",
                "\\n",
                "中文",
                "😀",
                "é",
                "\u0001",
                "\u001b[0m",
                "\u007f",
                "\r",
                "\r\n",
                "a=b",
                "^",
                "'; reboot; '",
                "\\'; reboot; #",
                "%self",
                "\"$(reboot)\""
            ),
            Gen.String[Gen.Char["'\"\\$`!*?[]{}()<>|&;#~= \t\n\rabé中%-+"], 0, 20],
            Gen.String[Gen.Char['\u0001', '\u00ff'], 0, 30]
        );

    private static string Rendered(string command, string args, IReadOnlyDictionary<string, string> values)
    {
        StepLine.TryRender(command, args, values, 1, _ => false, out var line, out var why).ShouldBeTrue(why.En);
        return line!.Line;
    }

    private static Dictionary<string, string> One(string name, string value) => new() { [name] = value };

    private static string Run(string shell, string line)
    {
        using var process = Start(shell, line);
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        error.Result.ShouldBeEmpty(shell + ": " + line);
        return output;
    }

    // A shell quotes what it cannot run in its complaint; only a line that begins with the marker was written by echo.
    private static bool Ran(string shell, string line, string marker)
    {
        using var process = Start(shell, line);
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return error.Split('\n').Concat(output.Result.Split('\n')).Any(text => text == marker);
    }

    private static Process Start(string shell, string line)
    {
        var start = new ProcessStartInfo(shell)
        {
            ArgumentList = { shell.EndsWith("perl", StringComparison.Ordinal) ? "-e" : "-c", line },
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardOutputEncoding = new UTF8Encoding(false),
            StandardErrorEncoding = new UTF8Encoding(false),
        };
        // fish makes folders in the home that it is given, also when it is told to read nothing.
        start.Environment["HOME"] = "/dev/null";
        if (shell == "fish") start.ArgumentList.Insert(0, "--no-config");
        var process = Process.Start(start)!;
        process.StandardInput.Close();
        return process;
    }
}
