using Codo.Host.Client.Import;

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
            "ssh -o BatchMode=yes web1 sh -s <<'STEP'\nuptime\nSTEP\nssh -o BatchMode=yes web2 sh -s <<'STEP'\nuptime\nSTEP"
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
}
