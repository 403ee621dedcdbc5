using System.Text.Json.Nodes;
using Codo.Host.Client.Import;
using Codo.Platform.Processes;
using Codo.Tests.Platform.Processes;

namespace Codo.Tests.Host.Client;

[Collection<ClientCollection>]
public sealed class RundeckTests(ClientHost fixture)
{
    private static readonly TimeZoneInfo Berlin = TimeZoneInfo.FindSystemTimeZoneById("Europe/Berlin");

    private const string AsYaml = """
        - defaultTab: nodes
          description: Cleans the cache
          executionEnabled: true
          group: ops/daily
          id: 3f1c0f6e-0001-4000-8000-000000000001
          loglevel: INFO
          multipleExecutions: true
          name: clean cache
          nodeFilterEditable: false
          options:
          - name: days
            value: '7'
          - name: token
            secure: true
            storagePath: keys/token
          retry:
            delay: 30s
            retry: '2'
          schedule:
            month: '*'
            time:
              hour: '03'
              minute: '15'
              seconds: '0'
            weekday:
              day: MON-FRI
            year: '*'
          scheduleEnabled: true
          sequence:
            commands:
            - description: Old files
              exec: echo removed ${option.days} days
            - script: |
                #!/bin/bash
                echo "script $1 $RD_OPTION_DAYS"
              args: a-${option.days}
            keepgoing: false
            strategy: node-first
          timeout: 1h30m
          timeZone: Europe/Berlin
          uuid: 3f1c0f6e-0001-4000-8000-000000000001
        - name: by hand
          sequence: {commands: [{exec: 'true'}], keepgoing: false, strategy: node-first}
        - name: on nodes
          nodefilters:
            dispatch: {keepgoing: false, threadcount: '4'}
            filter: 'name: web1, web2'
          schedule: {crontab: '0 0 4 ? * 1 *'}
          scheduleEnabled: false
          sequence: {commands: [{exec: uptime}], keepgoing: true}
        - name: by tag
          nodefilters: {filter: 'tags: web'}
          schedule: {crontab: '0 0 4 ? * 1 *'}
          sequence: {commands: [{exec: uptime}]}
        - name: calls
          schedule: {crontab: '0 0 4 ? * 1 *'}
          sequence: {commands: [{jobref: {name: clean cache, group: ops/daily}}]}
        - name: plug-in
          schedule: {crontab: '0 0 4 ? * 1 *'}
          sequence: {commands: [{type: com.example.Step, configuration: {}}]}
        - name: needs
          options: [{name: version, required: true}]
          schedule: {crontab: '0 0 4 ? * 1 *'}
          sequence: {commands: [{exec: uptime}]}
        - name: execution
          schedule: {crontab: '0 0 4 ? * 1 *'}
          sequence: {commands: [{exec: 'echo ${job.execid}'}]}
        """;

    private const string AsXml = """
        <joblist>
          <job>
            <context>
              <options preserveOrder='true'>
                <option name='days' value='7' />
              </options>
            </context>
            <description>Cleans the cache</description>
            <group>ops/daily</group>
            <id>3f1c0f6e-0001-4000-8000-000000000001</id>
            <name>clean cache</name>
            <multipleExecutions>true</multipleExecutions>
            <retry delay='30s'>2</retry>
            <schedule>
              <month month='*' />
              <time hour='03' minute='15' seconds='0' />
              <weekday day='MON-FRI' />
              <year year='*' />
            </schedule>
            <scheduleEnabled>true</scheduleEnabled>
            <sequence keepgoing='false' strategy='node-first'>
              <command>
                <description>Old files</description>
                <exec>echo removed ${option.days} days</exec>
              </command>
              <command>
                <script><![CDATA[#!/bin/bash
        echo "script $1 $RD_OPTION_DAYS"
        ]]></script>
                <scriptargs>a-${option.days}</scriptargs>
              </command>
            </sequence>
            <timeout>1h30m</timeout>
            <timeZone>Europe/Berlin</timeZone>
            <uuid>3f1c0f6e-0001-4000-8000-000000000001</uuid>
          </job>
        </joblist>
        """;

    [Fact]
    public void A_job_in_YAML_and_in_XML_becomes_the_same_job()
    {
        var (yaml, xml) = (RundeckJobs.Read("jobs.yaml", AsYaml, TimeZoneInfo.Utc)[0], RundeckJobs.Read("jobs.xml", AsXml, TimeZoneInfo.Utc)[0]);
        var job = yaml.Job.ShouldNotBeNull(yaml.Refused);
        (Text("cron"), Text("time_zone"), Text("overlap"), Text("timeout"), Text("retries"), Text("retry_delay")).ShouldBe(
            ("0 15 3 * * 1-5", "Europe/Berlin", "allow", "5400", "2", "30")
        );
        Text("description").ShouldBe("ops/daily/clean cache\nCleans the cache");
        job["env"]!["RD_OPTION_DAYS"]!.GetValue<string>().ShouldBe("7");
        job["secret_env"]!.AsArray().Single()!.GetValue<string>().ShouldBe("RD_OPTION_TOKEN");
        yaml.Changes.ShouldContain(change => change.Contains("RD_OPTION_TOKEN", StringComparison.Ordinal));
        foreach (var field in (string[])["job_id", "cmd", "cron", "timeout", "retries", "retry_delay", "overlap", "description"])
            xml.Job![field]!.ToJsonString().ShouldBe(job[field]!.ToJsonString(), field);

        string Text(string field) => Codo.Host.Client.Fields.Text(job, field);
    }

    [Fact]
    public void What_has_no_schedule_or_is_more_than_commands_is_refused_with_the_reason()
    {
        var items = RundeckJobs.Read("jobs.yaml", AsYaml, Berlin);
        items[1].Refused!.ShouldContain("no schedule");
        items[3].Refused!.ShouldContain("more than names");
        items[4].Refused!.ShouldContain("clean cache");
        items[5].Refused!.ShouldContain("com.example.Step");
        items[6].Refused!.ShouldContain("version");
        items[7].Refused!.ShouldContain("${job.execid}");
        var onNodes = items[2];
        onNodes.IsPaused.ShouldBeTrue();
        onNodes.Job!["cmd"]!.GetValue<string>().ShouldBe(
            """
            set -e
            ssh -o BatchMode=yes web1 sh -s <<'STEP'
            {
            /bin/sh -c 'uptime'
            exit
            } </dev/null
            STEP
            ssh -o BatchMode=yes web2 sh -s <<'STEP'
            {
            /bin/sh -c 'uptime'
            exit
            } </dev/null
            STEP
            """
        );
    }

    [Fact]
    public async Task The_steps_of_a_job_run_one_after_another()
    {
        var id = Guid.NewGuid().ToString();
        var text = AsXml.Replace("3f1c0f6e-0001-4000-8000-000000000001", id, StringComparison.Ordinal);
        var run = await fixture.RunWith(text, "import", "rundeck", "-", "--time-zone", "UTC", "--apply");
        run.Code.ShouldBe(0, run.Errors);
        run.Errors.ShouldContain("1 made");
        run.Output.ShouldNotContain("Fires differ");
        var name = ImportName.Of("clean-cache", id);
        (await fixture.Run("job", "run", name, "-f")).Text.ShouldBe("removed 7 days\nscript a-7 7\n");
        (await fixture.RunWith(text, "import", "rundeck", "-", "--time-zone", "UTC", "--apply")).Errors.ShouldContain("1 unchanged");
    }

    [Fact]
    public async Task Secret_options_in_whatever_order_are_the_same_job_at_the_next_import()
    {
        var text = $$"""
            - name: secrets
              uuid: {{Guid.NewGuid()}}
              options:
              - {name: zulu, secure: true}
              - {name: alpha, secure: true}
              schedule: {crontab: '0 0 4 ? * 1 *'}
              sequence: {commands: [{exec: 'true'}]}
            """;
        (await Import()).Errors.ShouldContain("1 made, 0 changed");
        (await Import()).Errors.ShouldContain("0 made, 0 changed, 1 unchanged");

        Task<ClientRun> Import() => fixture.RunWith(text, "import", "rundeck", "-", "--time-zone", "UTC", "--apply");
    }

    [Theory]
    [InlineData("")]
    [InlineData("nodefilters: {filter: 'name: web1'}")]
    public async Task A_script_that_reads_its_input_runs_to_its_end(string filters)
    {
        var (code, output) = await RunJob(
            $"""
            {filters}
            sequence:
              commands:
              - script: |
                  #!/bin/bash
                  echo $0; echo a; cat >/dev/null; echo b
                  cat <<'SCRIPT'
                  c
                  SCRIPT
                  cat <<'STEP'
                  d
                  STEP
                  exit 3
            """
        );
        var lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        (code, string.Join(' ', lines[1..])).ShouldBe((3, "a b c d"));
        File.Exists(lines[0]).ShouldBeFalse();
    }

    [Fact]
    public async Task A_script_is_a_file_for_its_interpreter()
    {
        var (code, output) = await RunJob(
            """
            options:
            - name: words
              value: two  words
            sequence:
              commands:
              - args: ${option.words} 'a b'
                script: |
                  #!/bin/bash -f
                  printf '<%s>\n' "$@" /*
              - scriptInterpreter: cat
                script: no shell's text
              - scriptInterpreter: stat -c %a
                script: read by somebody else
            """
        );
        (code, output).ShouldBe((0, "<two  words>\n<a b>\n</*>\nno shell's text\n755\n"));
    }

    [Fact]
    public async Task A_command_changes_nothing_for_the_next_one()
    {
        var (code, output) = await RunJob(
            """
            sequence:
              commands:
              - exec: x=1; cd /; exit 0
              - exec: false; echo "x=$x"; test "$PWD" != / && echo elsewhere
              - exec: exit 4
              - exec: echo never
            """
        );
        (code, output).ShouldBe((4, "x=\nelsewhere\n"));
    }

    [Theory]
    [InlineData("printf '<%s>' ${option.value} x${option.none}y ${option.none}", "<it's  $HOME><xy>")]
    [InlineData("printf '<%s>' \"a ${option.value}\" \"${nothing}|${option.number}\"", "<a it's  $HOME><|7>")]
    [InlineData("printf '<%s>' 'a \" ${option.value}' b\\'${option.value}", "<a \" it's  $HOME><b'it's  $HOME>")]
    [InlineData("sh -c 'echo \"${option.number}\"'", "7\n")]
    public async Task The_value_of_an_option_arrives_whatever_quotes_are_around_it(string exec, string expected)
    {
        foreach (var filters in (string[])["", "nodefilters: {filter: web1}"])
        {
            var (code, output) = await RunJob(
                $"""
                {filters}
                options:
                - name: value
                  value: it's  $HOME
                - name: none
                - name: number
                  value: '7'
                sequence:
                  commands:
                  - exec: |-
                      {exec}
                """
            );
            (code, output).ShouldBe((0, expected));
        }
    }

    [Theory]
    [InlineData("node-first", "a1 a2 b1 b2")]
    [InlineData("step-first", "a1 b1 a2 b2")]
    [InlineData("sequential", "a1 b1 a2 b2")]
    public async Task Steps_go_over_the_nodes_as_the_strategy_says(string strategy, string expected)
    {
        var (code, output) = await RunJob(
            $"""
            nodefilters:
              filter: 'name: b, a'
            sequence:
              strategy: {strategy}
              commands:
              - exec: echo $NODE'1'
              - exec: echo $NODE'2'
            """
        );
        (code, Words(output)).ShouldBe((0, expected));
    }

    [Theory]
    [InlineData("node-first", "false", "false", "a1")]
    [InlineData("node-first", "true", "false", "a1 a2")]
    [InlineData("node-first", "false", "true", "a1 b1 b2")]
    [InlineData("node-first", "true", "true", "a1 a2 b1 b2")]
    [InlineData("step-first", "false", "false", "a1")]
    [InlineData("step-first", "true", "false", "a1 a2 b2")]
    [InlineData("step-first", "false", "true", "a1 b1")]
    [InlineData("step-first", "true", "true", "a1 b1 a2 b2")]
    public async Task What_goes_on_after_a_failed_step_fails_at_the_end(string strategy, string steps, string nodes, string expected)
    {
        var (code, output) = await RunJob(
            $"""
            nodefilters:
              filter: 'name: a, b'
              dispatch:
                keepgoing: {nodes}
            sequence:
              keepgoing: {steps}
              strategy: {strategy}
              commands:
              - exec: echo $NODE'1'; test $NODE != a || exit 3
              - description: The second one
                exec: echo $NODE'2'
            """
        );
        (code, Words(output)).ShouldBe((3, expected));
    }

    [Fact]
    public async Task Steps_on_this_machine_go_on_after_a_failed_one_where_the_job_says_so()
    {
        var (code, output) = await RunJob(
            """
            sequence:
              keepgoing: true
              commands:
              - exec: exit 5
              - script: echo a; exit 3
              - exec: echo b
            """
        );
        (code, Words(output)).ShouldBe((3, "a b"));
    }

    [Theory]
    [InlineData("sequence: {commands: [{exec: 'true', errorhandler: {exec: 'true'}}]}", "error handler")]
    [InlineData("sequence: {strategy: parallel, commands: [{exec: 'true'}, {exec: 'true'}]}", "parallel")]
    [InlineData("sequence: {strategy: ruleset, commands: [{exec: 'true'}]}", "ruleset")]
    [InlineData("sequence: {commands: [{script: 'true', scriptInterpreter: sh -c, interpreterArgsQuoted: true}]}", "one argument of sh -c")]
    [InlineData("sequence: {commands: [{script: 'true', scriptInterpreter: 'sh -c \"${scriptfile} >log\"'}]}", "puts ${scriptfile} into a line of its own")]
    [InlineData("sequence: {commands: [{script: 'echo @node.name@'}]}", "@node.name@")]
    [InlineData("sequence: {commands: [{script: 'echo $RD_NODE_NAME'}]}", "RD_NODE_NAME")]
    [InlineData("sequence: {commands: [{exec: 'rm -r /srv/$RD_JOB_NAME'}]}", "RD_JOB_NAME")]
    [InlineData("sequence: {commands: [{exec: 'echo \"$(date -d ${option.day})\"'}]}", "RD_OPTION_DAY")]
    [InlineData("sequence: {commands: [{exec: 'echo $((1 + ${option.day}))'}]}", "RD_OPTION_DAY")]
    [InlineData("sequence: {commands: [{exec: 'echo \\${option.day}'}]}", "RD_OPTION_DAY")]
    [InlineData("sequence: {commands: [{exec: 'true'}]}\nnodefilters: {filter: a, filterExclude: b}", "filterExclude b")]
    [InlineData("sequence: {commands: [{exec: 'true'}]}\nnodefilters: {include: {tags: web}}", "include")]
    [InlineData("sequence: {commands: [{exec: 'true'}]}\nnodefilters: {filter: 'a,b'}\norchestrator: {type: subset}", "subset")]
    [InlineData("sequence: {commands: [{exec: 'true'}]}\ntimeout: 99999999999s", "longer than 30 days")]
    [InlineData("sequence: {commands: [{exec: 'true'}]}\ntimeout: '99999999999999999999'", "longer than 30 days")]
    [InlineData("sequence: {commands: [{exec: 'true'}]}\ntimeout: 29d25h", "longer than 30 days")]
    [InlineData("sequence: {commands: [{exec: 'true'}]}\nretry: {retry: '1', delay: 30000d}", "longer than 30 days")]
    public void What_would_not_run_as_in_Rundeck_is_refused_with_the_reason(string fields, string reason) =>
        ReadJob(fields).Refused.ShouldNotBeNull().ShouldContain(reason);

    [Fact]
    public void A_time_limit_and_retries_may_be_options_and_what_does_not_read_is_said()
    {
        const string Steps = "sequence: {commands: [{exec: 'true'}]}\noptions: [{name: limit, value: 30m}, {name: times, value: '3'}, {name: none}]\n";
        var item = ReadJob(Steps + "timeout: ${option.limit}\nretry: {retry: '${option.times}', delay: 1m 30s}");
        var job = item.Job.ShouldNotBeNull(item.Refused);
        (job["timeout"]!.GetValue<int>(), job["retries"]!.GetValue<int>(), job["retry_delay"]!.GetValue<int>()).ShouldBe((1800, 3, 90));
        item.Changes.ShouldContain("Its timeout ${option.limit} is taken from the option's default value: 30m.");
        // Without a value there is no limit there either.
        item = ReadJob(Steps + "timeout: ${option.none}");
        item.Job.ShouldNotBeNull(item.Refused).ContainsKey("timeout").ShouldBeFalse();
        item.Changes.ShouldNotContain(change => change.StartsWith("Its timeout", StringComparison.Ordinal));
        foreach (var text in (string[])["${option.unknown}", "1.5h", "soon", "2 weeks"])
        {
            item = ReadJob(Steps + $"timeout: '{text}'\nretry: '{text}'");
            item.Job.ShouldNotBeNull(item.Refused).ContainsKey("timeout").ShouldBeFalse();
            item.Changes.ShouldContain($"Its timeout {text} is not read: the job has none here.");
            item.Changes.ShouldContain($"Its number of retries {text} is not read: the job has none here.");
        }
    }

    [Theory]
    [InlineData("<sequence><command><exec>true</exec><errorhandler><exec>true</exec></errorhandler></command></sequence>", "error handler")]
    [InlineData("<sequence strategy='parallel'><command><exec>a</exec></command><command><exec>b</exec></command></sequence>", "parallel")]
    [InlineData("<sequence><command><script>a</script><scriptinterpreter argsquoted='true'>sh -c</scriptinterpreter></command></sequence>", "of sh -c")]
    [InlineData("<nodefilters><include><tags>web</tags></include></nodefilters><sequence><command><exec>a</exec></command></sequence>", "include")]
    public void XML_is_refused_for_the_same_reasons(string fields, string reason) => ReadXml(fields).Refused.ShouldNotBeNull().ShouldContain(reason);

    [Fact]
    public void XML_names_order_and_failures_as_YAML_does()
    {
        var yaml = ReadJob(
            """
            nodefilters:
              filter: 'name: a, b'
              dispatch: {keepgoing: true, rankOrder: descending, threadcount: '1'}
            sequence: {keepgoing: true, strategy: step-first, commands: [{exec: date}, {exec: uptime}]}
            """
        );
        var xml = ReadXml(
            "<dispatch><threadcount>1</threadcount><keepgoing>true</keepgoing><rankOrder>descending</rankOrder></dispatch>"
                + "<nodefilters><filter>name: a, b</filter></nodefilters><sequence keepgoing='true' strategy='step-first'>"
                + "<command><exec>date</exec></command><command><exec>uptime</exec></command></sequence>"
        );
        var command = yaml.Job.ShouldNotBeNull(yaml.Refused)["cmd"]!.GetValue<string>();
        command.IndexOf("yes b ", StringComparison.Ordinal).ShouldBeLessThan(command.IndexOf("yes a ", StringComparison.Ordinal));
        xml.Job.ShouldNotBeNull(xml.Refused)["cmd"]!.GetValue<string>().ShouldBe(command);
    }

    private static ImportItem ReadJob(string fields) =>
        RundeckJobs.Read("job.yaml", $"name: job\nschedule:\n  crontab: '0 0 4 ? * 1 *'\n{fields}", TimeZoneInfo.Utc)[0];

    private static ImportItem ReadXml(string fields) =>
        RundeckJobs.Read("job.xml", $"<joblist><job><name>job</name><schedule crontab='0 0 4 ? * 1 *' />{fields}</job></joblist>", TimeZoneInfo.Utc)[0];

    // As Codo runs it; in the place of ssh is a shell of this machine, which has the name of the node.
    private static async Task<(int Code, string Output)> RunJob(string fields)
    {
        var item = ReadJob(fields);
        var job = item.Job.ShouldNotBeNull(item.Refused);
        var options = (job["env"] as JsonObject ?? []).ToDictionary(option => option.Key, option => option.Value!.GetValue<string>());
        var command = "ssh() { NODE=$3 sh -s; }\n" + job["cmd"]!.GetValue<string>();
        var (end, output) = await LocalCommandTests.ReadAsync(LocalCommand.Start(command, Guid.NewGuid().ToString("N"), options));
        return (end.ExitCode, output);
    }

    private static string Words(string output) => string.Join(' ', output.Split('\n', StringSplitOptions.RemoveEmptyEntries));
}
