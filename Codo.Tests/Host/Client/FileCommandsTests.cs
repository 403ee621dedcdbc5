using System.Globalization;
using System.Text;
using Codo.Host.Client;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;

namespace Codo.Tests.Host.Client;

/// <summary>Each test has a space of its own.</summary>
[Collection<ClientCollection>]
public sealed class FileCommandsTests(ClientHost fixture)
{
    private async Task<string> Space()
    {
        var name = ClientHost.NewName("space");
        (await fixture.Host.Post("/v2/accounts/space/", new { name }))["code"]!.GetValue<int>().ShouldBe(0);
        return name;
    }

    private async Task<(string Space, string Folder, string Job, string Template, string Rule)> Filled()
    {
        var (space, folder) = (await Space(), fixture.NewFolder());
        var (job, template, rule) = (ClientHost.NewName("a/b"), ClientHost.NewName("发布"), ClientHost.NewName("rule"));
        await fixture.Host.Post(
            "/v1/cron/job/",
            new { job_id = job, cmd = "echo 1\necho 2", cron = "0 0 3 * * *", space, env = new { A = "yes", TOKEN = "s3cret" } }
        );
        var id = (await fixture.Host.Post("/v2/task_layout/temp/", new { temp_name = template, space }))["temp_id"]!.GetValue<long>();
        var steps = new[] { new { command_name = "s1", command = "echo", args = "WORD", group = 1, level = 1, retries = 2 } };
        await fixture.Host.Put(
            "/v2/task_layout/details/",
            new { temp_id = id, new_temp_data = steps, temp_args = new[] { "WORD" }, groups = new[] { new { group = 1, batch = "50%" } } }
        );
        (await fixture.Host.Post("/v2/alerts/rule/", new { name = rule, subject = job, failures = 3, space }))["code"]!.GetValue<int>().ShouldBe(0);
        return (space, folder, job, template, rule);
    }

    [Fact]
    public async Task What_is_exported_does_not_differ_and_has_no_secret()
    {
        var (space, folder, job, template, rule) = await Filled();
        (await fixture.Run("export", folder, "--space", space)).Errors.ShouldContain("3 in");
        var text = await File.ReadAllTextAsync(Path.Combine(folder, "jobs", job.Replace("/", "%2F", StringComparison.Ordinal) + ".yaml"));
        text.ShouldStartWith($"kind: job\njob_id: {job}\ncmd: |-\n  echo 1\n  echo 2\ncron: 0 0 3 * * *\n");
        text.ShouldContain("A: 'yes'");
        text.ShouldNotContain("s3cret");
        text.ShouldNotContain("misfire");
        File.Exists(Path.Combine(folder, "templates", template + ".yaml")).ShouldBeTrue();
        File.Exists(Path.Combine(folder, "rules", rule + ".yaml")).ShouldBeTrue();

        (await fixture.Run("diff", folder, "--space", space, "--prune")).ShouldBe(new ClientRun(0, "", ""));
        (await fixture.Run("export", folder, "--space", space)).Errors.ShouldContain("0 written, 0 removed");
        (await fixture.Run("apply", folder, "--space", space)).Errors.ShouldBe("Nothing differs.\n");
    }

    [Fact]
    public async Task Apply_shows_the_difference_and_changes_nothing_unless_it_is_confirmed()
    {
        var (space, folder, job, template, _) = await Filled();
        await fixture.Run("export", folder, "--space", space);
        foreach (var file in Directory.GetFiles(folder, "*.yaml", SearchOption.AllDirectories))
            await File.WriteAllTextAsync(
                file,
                (await File.ReadAllTextAsync(file))
                    .Replace("0 0 3", "0 30 3", StringComparison.Ordinal)
                    .Replace("retries: 2", "retries: 5", StringComparison.Ordinal)
                    .Replace("failures: 3", "failures: 4", StringComparison.Ordinal)
            );
        var run = await fixture.Run("apply", folder, "--space", space);
        run.Code.ShouldBe(ExitCodes.Differs);
        run.Output.ShouldContain($"~ job {job}\n    - cron: 0 0 3 * * *\n    + cron: 0 30 3 * * *\n");
        run.Output.ShouldContain($"~ template {template}\n    -   retries: 2\n    +   retries: 5\n");
        (await fixture.Run("diff", folder, "--space", space)).Code.ShouldBe(ExitCodes.Differs);

        (await fixture.Run("apply", folder, "--space", space, "--yes")).Errors.ShouldBe("3 changed.\n");
        (await fixture.Run("diff", folder, "--space", space)).Output.ShouldBe("");
        var there = (await fixture.Host.Get($"/v1/cron/job/?job_id={Uri.EscapeDataString(job)}"))["data"]![0]!;
        there["cron"]!.GetValue<string>().ShouldBe("0 30 3 * * *");
    }

    [Fact]
    public async Task Files_make_a_space_anew_and_prune_takes_away_what_they_do_not_have()
    {
        var (space, folder, job, template, rule) = await Filled();
        await fixture.Run("export", folder, "--space", space);
        await fixture.Host.Delete("/v1/cron/job/", new { job_id = job });
        var run = await fixture.Run("apply", folder, "--space", space, "-y");
        // The value of a secret is in no file: it has to be given.
        run.Code.ShouldBe(ExitCodes.Failed);
        var file = Directory.GetFiles(Path.Combine(folder, "jobs")).Single();
        await File.WriteAllTextAsync(
            file,
            (await File.ReadAllTextAsync(file)).Replace("'******'", "again", StringComparison.Ordinal).Replace("******", "again", StringComparison.Ordinal)
        );
        (await fixture.Run("apply", folder, "--space", space, "-y")).Code.ShouldBe(0);
        (await fixture.Run("job", "list", "--space", space, "-o", "name")).Lines.ShouldBe([job]);

        var other = ClientHost.NewName("other");
        await fixture.Host.Post("/v1/cron/job/", new { job_id = other, cmd = "x", cron = "0 0 3 * * *", space });
        (await fixture.Run("diff", folder, "--space", space)).Output.ShouldNotContain(other);
        (await fixture.Run("diff", folder, "--space", space, "--prune")).Output.ShouldContain($"- job {other}\n");
        File.Delete(Path.Combine(folder, "rules", rule + ".yaml"));
        (await fixture.Run("apply", folder, "--space", space, "--prune", "-y")).Code.ShouldBe(0);
        (await fixture.Run("job", "list", "--space", space, "-o", "name")).Lines.ShouldBe([job]);
        // Of rules the files have none any more: those are not theirs.
        (await fixture.Run("export", fixture.NewFolder(), "--space", space, "--kind", "rule")).Errors.ShouldContain("1 in");
        template.ShouldNotBeNull();
    }

    [Fact]
    public async Task An_export_of_one_kind_or_space_leaves_the_files_of_the_others()
    {
        var (first, folder, job, template, rule) = await Filled();
        var (second, _, other, _, _) = await Filled();
        (await fixture.Run("export", folder, "--space", first)).Errors.ShouldContain("3 written, 0 removed");
        (await fixture.Run("export", folder, "--space", first, "--kind", "rule")).Errors.ShouldContain("1 in");
        string[] files = [JobFile(folder, job), Path.Combine(folder, "templates", template + ".yaml"), Path.Combine(folder, "rules", rule + ".yaml")];
        files.Where(File.Exists).ShouldBe(files);
        // The server tells no upper case from lower in names of spaces.
        (await fixture.Run("export", folder, "--space", second.ToUpperInvariant())).Errors.ShouldContain("3 written, 0 removed");

        // What is gone goes where the export has looked for it, and nowhere else.
        var byHand = JobFile(folder, ClientHost.NewName("by-hand"));
        await File.WriteAllTextAsync(byHand, $"kind: job\njob_id: {Path.GetFileNameWithoutExtension(byHand)}\ncmd: x\ncron: 0 0 3 * * *\n");
        foreach (var gone in new[] { job, other }) await fixture.Host.Delete("/v1/cron/job/", new { job_id = gone });
        (await fixture.Run("export", folder, "--space", first)).Errors.ShouldContain("0 written, 1 removed");
        (File.Exists(JobFile(folder, job)), File.Exists(JobFile(folder, other)), File.Exists(byHand)).ShouldBe((false, true, true));
        // A file that names no space is that of an export of all of them.
        (await fixture.Run("export", folder, "--kind", "job")).Errors.ShouldContain("2 removed");
        (File.Exists(JobFile(folder, other)), File.Exists(byHand)).ShouldBe((false, false));
        File.Exists(Path.Combine(folder, "templates", template + ".yaml")).ShouldBeTrue();
    }

    [Fact]
    public async Task An_export_removes_no_file_of_a_space_that_the_caller_does_not_see()
    {
        var (seen, folder, job, _, _) = await Filled();
        var (hidden, _, other, _, _) = await Filled();
        foreach (var space in new[] { seen, hidden }) (await fixture.Run("export", folder, "--space", space)).Code.ShouldBe(0);
        var granted = await fixture.Host.Post("/v2/accounts/grant/", new { user_id = 7401, role = "viewer", space = seen });
        granted["code"]!.GetValue<int>().ShouldBe(0);
        await fixture.Host.Delete("/v1/cron/job/", new { job_id = job });
        (string, string)[] environment = [(Logins.UrlVariable, fixture.Url), (Logins.TokenVariable, TestTokens.For(7401, "exporting"))];
        var run = await ClientHost.RunIn("", environment, "export", folder, "--kind", "job");
        run.Code.ShouldBe(0, run.Errors);
        run.Errors.ShouldContain("1 removed");
        run.Errors.ShouldContain("1 more stay");
        (File.Exists(JobFile(folder, job)), File.Exists(JobFile(folder, other))).ShouldBe((false, true));
    }

    [Fact]
    public async Task Prune_takes_nothing_from_spaces_of_which_there_are_no_files()
    {
        var (space, folder, _, _, _) = await Filled();
        await Filled();
        await fixture.Run("export", folder, "--space", space);
        var extra = ClientHost.NewName("extra");
        await fixture.Host.Post("/v1/cron/job/", new { job_id = extra, cmd = "x", cron = "0 0 3 * * *", space });
        var run = await fixture.Run("diff", folder, "--prune");
        run.Lines.Where(line => line.StartsWith("- ", StringComparison.Ordinal)).ShouldBe([$"- job {extra}"]);
    }

    [Fact]
    public async Task What_the_server_keeps_in_a_form_of_its_own_is_no_difference()
    {
        var (space, folder, job, template) = (await Space(), fixture.NewFolder(), ClientHost.NewName("forms"), ClientHost.NewName("forms"));
        var text = $"""
            kind: job
            job_id: {job}
            cmd: echo
            cron: 0  0 3 * * *
            node: dc=bj&!canary
            env:
              A: first
              B: second
            secret_env: [B, A, B]
            space: {space.ToUpperInvariant()}
            ---
            kind: template
            temp_name: {template}
            space: {space.ToUpperInvariant()}
            steps:
            - command_name: s1
              command: echo
              node: dc=bj&!canary

            """;
        await File.WriteAllTextAsync(Path.Combine(folder, "x.yaml"), text);
        var run = await fixture.Run("apply", folder, "--space", space, "--yes");
        run.Errors.ShouldContain("2 changed.\n", customMessage: run.Errors);
        // The values of secrets are not told.
        text = text.Replace("first", "'******'", StringComparison.Ordinal).Replace("second", "'******'", StringComparison.Ordinal);
        await File.WriteAllTextAsync(Path.Combine(folder, "x.yaml"), text);
        (await fixture.Run("diff", folder, "--space", space)).ShouldBe(new ClientRun(0, "", ""));
    }

    [Fact]
    public async Task A_file_that_names_no_space_is_left_alone_where_its_thing_is_not_in_the_space_that_is_asked_for()
    {
        var (space, other, folder) = (await Space(), await Space(), fixture.NewFolder());
        var (open, inside) = (ClientHost.NewName("open"), ClientHost.NewName("inside"));
        await fixture.Host.Make(new { job_id = open, cmd = "true", cron = CronClient.Never });
        await fixture.Host.Make(new { job_id = inside, cmd = "true", cron = CronClient.Never, space });
        foreach (var job in new[] { open, inside })
            await File.WriteAllTextAsync(Path.Combine(folder, job + ".yaml"), $"kind: job\njob_id: {job}\ncmd: other\ncron: {CronClient.Never}\n");
        (await fixture.Run("diff", folder, "--space", other)).ShouldBe(new ClientRun(0, "", ""));
        (await Jobs(space)).ShouldBe([$"~ job {inside}"]);
        var inDefault = (await Jobs("default")).ToList();
        inDefault.ShouldContain($"~ job {open}");
        inDefault.ShouldNotContain(line => line.Contains(inside));

        async Task<IEnumerable<string>> Jobs(string asked) =>
            (await fixture.Run("diff", folder, "--space", asked)).Lines.Where(line => !line.StartsWith(' '));
    }

    [Fact]
    public async Task The_difference_stands_before_the_question_also_in_a_pipe()
    {
        var (folder, job) = (fixture.NewFolder(), ClientHost.NewName("asked"));
        await File.WriteAllTextAsync(Path.Combine(folder, "x.yaml"), $"kind: job\njob_id: {job}\ncmd: x\ncron: 0 0 3 * * *\n");
        using var pipe = new MemoryStream();
        await using var output = new StreamWriter(pipe, new UTF8Encoding(false), 16 << 10);
        var shown = "";
        using var input = new Answers(() =>
        {
            shown = Encoding.UTF8.GetString(pipe.ToArray());
            return Task.FromResult("n");
        });
        var variables = new Dictionary<string, string> { [Logins.UrlVariable] = fixture.Url, [Logins.TokenVariable] = TestTokens.Admin };
        var context = new ClientContext(input, output, TextWriter.Null, name => variables.GetValueOrDefault(name)) { CanAsk = true };
        (await ClientProgram.Run(["apply", folder], context)).ShouldBe(ExitCodes.Differs);
        shown.ShouldContain($"+ job {job}\n");
    }

    private sealed class Answers(Func<Task<string>> answer) : TextReader
    {
        public override string? ReadLine() => Task.Run(answer).GetAwaiter().GetResult();
    }

    [Fact]
    public async Task What_somebody_saved_before_the_answer_is_not_overwritten()
    {
        var (space, folder, job, template, _) = await Filled();
        await fixture.Run("export", folder, "--space", space);
        foreach (var file in Directory.GetFiles(folder, "*.yaml", SearchOption.AllDirectories))
            await File.WriteAllTextAsync(
                file,
                (await File.ReadAllTextAsync(file))
                    .Replace("0 0 3", "0 30 3", StringComparison.Ordinal)
                    .Replace("retries: 2", "retries: 5", StringComparison.Ordinal)
                    .Replace("failures: 3", "failures: 4", StringComparison.Ordinal)
            );
        var id = (await fixture.Host.Get($"/v2/task_layout/temp/?key=temp_name&value={Uri.EscapeDataString(template)}"))["data"]![0]!["temp_id"]!
            .GetValue<long>();
        var steps = new[] { "s1", "s2" }.Select(name => new { command_name = name, command = "echo", args = "WORD", group = 1, level = 1 });
        using var input = new Answers(async () =>
        {
            (await fixture.Host.Put("/v2/task_layout/details/", new { temp_id = id, new_temp_data = steps })).Code().ShouldBe(0);
            (await fixture.Host.Put("/v1/cron/job/", new { job_id = job, cmd = "echo theirs" })).Code().ShouldBe(0);
            return "y";
        });
        await using var errors = new StringWriter(CultureInfo.InvariantCulture);
        var variables = new Dictionary<string, string> { [Logins.UrlVariable] = fixture.Url, [Logins.TokenVariable] = TestTokens.Admin };
        var context = new ClientContext(input, TextWriter.Null, errors, name => variables.GetValueOrDefault(name)) { CanAsk = true };
        (await ClientProgram.Run(["apply", folder, "--space", space], context)).ShouldBe(ExitCodes.Failed);
        errors.ToString().ShouldContain("admin saved version");
        // The rule: rules have no versions.
        errors.ToString().ShouldEndWith("\n1 changed, 2 refused.\n");
        (await fixture.Host.Get($"/v2/task_layout/details/?temp_id={id}"))["data"]!["temp_list"]!
            .AsArray()
            .Select(step => step!["command_name"]!.GetValue<string>())
            .ShouldBe(["s1", "s2"]);
        var there = (await fixture.Host.Get($"/v1/cron/job/?job_id={Uri.EscapeDataString(job)}"))["data"]![0]!;
        (there["cmd"]!.GetValue<string>(), there["cron"]!.GetValue<string>()).ShouldBe(("echo theirs", "0 0 3 * * *"));

        // What they saved is shown as a difference, and changed once it is asked for.
        (await fixture.Run("apply", folder, "--space", space, "--yes")).Errors.ShouldBe("2 changed.\n");
    }

    [Fact]
    public async Task Whom_somebody_added_before_the_answer_stays_where_the_file_has_no_users()
    {
        var (space, folder, template) = (await Space(), fixture.NewFolder(), ClientHost.NewName("shared"));
        var file = Path.Combine(folder, "x.yaml");
        var text = $"""
            kind: template
            temp_name: {template}
            space: {space}
            steps:
            - command_name: s1
              command: echo

            """;
        await File.WriteAllTextAsync(file, text);
        (await fixture.Run("apply", folder, "--yes")).Code.ShouldBe(0);
        var id = (await fixture.Host.Get($"/v2/task_layout/temp/?key=temp_name&value={template}"))["data"]![0]!["temp_id"]!.GetValue<long>();
        await File.WriteAllTextAsync(file, text.Replace("echo", "uptime", StringComparison.Ordinal));
        using var input = new Answers(async () =>
        {
            var people = new { temp_id = id, new_user_info = new[] { "77,,,Li Lei" } };
            (await fixture.Host.Patch("/v2/task_layout/details/", people)).Code().ShouldBe(0);
            return "y";
        });
        var variables = new Dictionary<string, string> { [Logins.UrlVariable] = fixture.Url, [Logins.TokenVariable] = TestTokens.Admin };
        var context = new ClientContext(input, TextWriter.Null, TextWriter.Null, name => variables.GetValueOrDefault(name)) { CanAsk = true };
        (await ClientProgram.Run(["apply", folder], context)).ShouldBe(ExitCodes.Done);
        var details = await fixture.Host.Get($"/v2/task_layout/details/?temp_id={id}");
        details["temp_user"]!.AsArray().Select(user => user!.GetValue<string>()).ShouldBe(["77,,,Li Lei"]);
        details["data"]!["temp_list"]![0]!["command"]!.GetValue<string>().ShouldBe("uptime");
    }

    [Fact]
    public async Task A_rule_whose_channel_is_not_on_the_server_keeps_nothing_else_from_being_changed()
    {
        var (space, folder, rule, template) = (await Space(), fixture.NewFolder(), ClientHost.NewName("rule"), ClientHost.NewName("after"));
        var text = $"""
            kind: rule
            name: {rule}
            channels: [nowhere]
            space: {space}
            ---
            kind: template
            temp_name: {template}
            space: {space}
            steps:
            - command_name: s1
              command: echo

            """;
        var file = Path.Combine(folder, "x.yaml");
        await File.WriteAllTextAsync(file, text);
        var run = await fixture.Run("apply", folder, "--yes");
        (run.Code, run.Errors).ShouldBe((ExitCodes.Failed, $"{file}: rule {rule}: There is no channel nowhere.\n1 changed, 1 refused.\n"));
        (await fixture.Host.Get($"/v2/task_layout/temp/?key=temp_name&value={template}"))["data"]!.AsArray().Count.ShouldBe(1);
    }

    [Fact]
    public async Task A_long_value_of_a_variable_is_exported_whole()
    {
        var (space, folder, job, value) = (await Space(), fixture.NewFolder(), ClientHost.NewName("big"), new string('x', 5000));
        await fixture.Host.Make(new { job_id = job, cmd = "true", cron = CronClient.Never, space, env = new { BIG = value } });
        (await fixture.Run("export", folder, "--space", space)).Code.ShouldBe(0);
        (await File.ReadAllTextAsync(JobFile(folder, job))).ShouldContain($"BIG: {value}\n");
        (await fixture.Run("diff", folder, "--space", space)).ShouldBe(new ClientRun(0, "", ""));
        (await fixture.Run("export", "crontab", "--space", space, "--time-zone", "UTC")).Text.ShouldContain($"BIG={value};");
    }

    [Fact]
    public async Task A_pause_is_declared_of_a_broken_job_too_and_that_there_is_none_is_no_difference()
    {
        var (space, folder, runs, broken) = (await Space(), fixture.NewFolder(), ClientHost.NewName("runs"), ClientHost.NewName("broken"));
        foreach (var job in new[] { runs, broken }) await fixture.Host.Make(new { job_id = job, cmd = "true", cron = CronClient.Never, space });
        (await fixture.Run("job", "pause", broken)).Code.ShouldBe(0);
        await fixture.Host.Ask<int>("UPDATE cron.job SET cron = 'every full moon' WHERE job_id = @broken RETURNING 1", new { broken });
        (await fixture.Run("export", folder, "--space", space)).Code.ShouldBe(0);
        (await File.ReadAllTextAsync(JobFile(folder, broken))).ShouldContain("paused: true");
        await File.AppendAllTextAsync(JobFile(folder, runs), "\npaused: false\n");
        (await fixture.Run("diff", folder, "--space", space)).ShouldBe(new ClientRun(0, "", ""));

        (await fixture.Run("job", "pause", runs)).Code.ShouldBe(0);
        (await fixture.Run("diff", folder, "--space", space)).Output.ShouldBe($"~ job {runs}\n    - paused: true\n    + paused: false\n");
        (await fixture.Run("apply", folder, "--space", space, "--yes")).Errors.ShouldBe("1 changed.\n");
        (await fixture.Run("diff", folder, "--space", space)).ShouldBe(new ClientRun(0, "", ""));
        (await fixture.Host.Delete("/v1/cron/job/", new { job_id = broken })).Code().ShouldBe(0);
    }

    private static string JobFile(string folder, string job) =>
        Path.Combine(folder, "jobs", job.Replace("/", "%2F", StringComparison.Ordinal) + ".yaml");

    [Theory]
    [InlineData("kind: job\njob_id: x\ncron: [1\n", "x.yaml:4: ")]
    [InlineData("kind: jobb\njob_id: x\n", "kind is one of job, template, rule")]
    [InlineData("kind: job\ncron: x\n", "job_id is missing")]
    [InlineData("kind: job\njob_id: x\ntimeuot: 5\n", "a job has no field timeuot")]
    [InlineData("kind: job\njob_id: x\nenv: {PORT: 8080}\n", "x.yaml: env.PORT is no text: put it in quotes")]
    [InlineData("kind: rule\nname: x\n---\nkind: rule\nname: x\n", "the rule x is in")]
    public async Task A_file_that_does_not_read_is_named_and_nothing_is_changed(string text, string sentence)
    {
        var folder = fixture.NewFolder();
        await File.WriteAllTextAsync(Path.Combine(folder, "x.yaml"), text);
        var run = await fixture.Run("apply", folder, "--yes");
        (run.Code, run.Output).ShouldBe((ExitCodes.Failed, ""));
        run.Errors.ShouldContain(sentence);
    }

    [Theory]
    [InlineData("plain")]
    [InlineData("yes")]
    [InlineData("123")]
    [InlineData("1e3")]
    [InlineData("* * * * * *")]
    [InlineData("")]
    [InlineData(" blank before")]
    [InlineData("two\nlines\n")]
    [InlineData("ends with two\n\n")]
    [InlineData("  indented\nfirst line")]
    [InlineData("tab\tand \u0007 bell")]
    [InlineData("a: b # c")]
    [InlineData("- x")]
    [InlineData("中文：引号“”")]
    [InlineData("trailing blank \nline")]
    [InlineData("'single' \"double\"")]
    [InlineData("~")]
    [InlineData("2026-01-01")]
    public void Every_text_is_read_from_YAML_as_it_was_written(string text)
    {
        var yaml = Yaml.Write(new System.Text.Json.Nodes.JsonObject { ["a"] = text, ["list"] = new System.Text.Json.Nodes.JsonArray(text, 5, true, null) });
        var back = Yaml.Read("x", yaml).ShouldHaveSingleItem()!;
        back["a"]!.GetValue<string>().ShouldBe(text, yaml);
        back["list"]!.ToJsonString().ShouldBe(new System.Text.Json.Nodes.JsonArray(text, 5, true, null).ToJsonString());
    }

    [Fact]
    public void What_no_number_of_JSON_can_be_is_read_as_text() =>
        Yaml.Read("x", "commit: 7e12345\nleast: -Infinity\n").ShouldHaveSingleItem()!.ToJsonString().ShouldBe(
            """{"commit":"7e12345","least":"-Infinity"}"""
        );

    [Fact]
    public void An_alias_of_aliases_is_refused()
    {
        var text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + string.Concat(
            Enumerable.Range(1, 8).Select(
                n => $"{(char)('a' + n)}: &{(char)('a' + n)} [{string.Join(", ", Enumerable.Repeat("*" + (char)('a' + n - 1), 10))}]\n"
            )
        );
        Should.Throw<ClientFailure>(() => Yaml.Read("bomb.yaml", text)).Message.ShouldContain("too large");
    }
}
