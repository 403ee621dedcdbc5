using System.Text.Json.Nodes;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Dapper;
using LibraryHost = Codo.Tests.Modules.Tasks.Layout.LibraryHost;
using OrderHost = Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Host.Accounts;

public sealed class ViewersHost(TestPostgres postgres) : HostFixture(postgres, ("Codo:Auth:DefaultRole", "viewer"));

/// <summary>Spaces, teams and grants by the API, and what somebody without them tries.</summary>
public sealed class RightsTests(ViewersHost fixture, TestPostgres postgres) : IClassFixture<ViewersHost>
{
    private const string Job = "/v1/cron/job/", Grant = "/v2/accounts/grant/", Rule = "/v2/alerts/rule/", Channel = "/v2/alerts/channel/",
        ApprovalRule = "/v2/task/approval/rule/";
    private static int people = 100;
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task A_role_is_granted_to_a_person_and_a_team_holds_at_once_and_is_taken_back()
    {
        var (space, job) = await SpaceWithJob();
        var (ann, annToken) = Person();
        var (bob, bobToken) = Person();
        (await Finds(annToken, job)).ShouldBeFalse();
        var team = (long)(await host.Post("/v2/accounts/team/", new { name = Name("team") }))["team_id"]!;
        (await host.Post("/v2/accounts/team/member/", new { team_id = team, user_id = bob })).Code().ShouldBe(0);
        var toTeam = await Give(null, "operator", space, team);
        await Give(ann, "viewer", space);
        (await Finds(annToken, job)).ShouldBeTrue();
        var nowhere = await host.Send(HttpMethod.Post, "/v1/cron/job/run/", $$"""{"job_id": "{{job}}"}""", annToken, "en");
        ((string)nowhere["hint"]!).ShouldBe("This needs run on some job (role operator / editor / admin); an admin of its space or a superuser can grant it");
        await Give(ann, "operator", (await SpaceWithJob()).Space);
        (await host.Post("/v1/cron/job/run/", new { job_id = job }, bobToken)).Code().ShouldBe(0);
        var refused = await host.Send(HttpMethod.Post, "/v1/cron/job/run/", $$"""{"job_id": "{{job}}"}""", annToken, "en");
        refused.Code().ShouldBe(-2);
        ((string)refused["hint"]!).ShouldBe($"This needs run on job:{job} (space {space}) (role operator / editor / admin); a superuser can grant it");
        (await host.Delete(Grant, new { grant_id = toTeam })).Code().ShouldBe(0);
        (await Finds(bobToken, job)).ShouldBeFalse();
        (await host.Count($"SELECT count(*) FROM platform.audit WHERE kind = 'grant' AND object_id = '{toTeam}'")).ShouldBe(2);
        (await host.Count($"SELECT count(*) FROM platform.audit WHERE kind = 'team' AND object_id = '{team}'")).ShouldBe(2);
        (await host.Count($"SELECT count(*) FROM platform.audit WHERE kind = 'space' AND after ->> 'name' = '{space}'")).ShouldBe(1);
    }

    [Fact]
    public async Task An_admin_of_a_space_grants_in_it_and_nowhere_else_and_nobody_else_grants()
    {
        var (space, job) = await SpaceWithJob();
        var (other, _) = await SpaceWithJob();
        var (ann, annToken) = Person();
        var (bob, bobToken) = Person();
        object To(string where, string role = "admin") => new { user_id = bob, role, space = where };
        (await host.Post(Grant, To(space), annToken)).Code().ShouldBe(-1);
        var admin = await Give(ann, "admin", space);
        (await host.Post(Grant, To(other), annToken)).Code().ShouldBe(-1);
        (await host.Post(Grant, To("default"), annToken)).Code().ShouldBe(-2);
        (await host.Post(Grant, To(space, "editor"), annToken)).Code().ShouldBe(0);
        (await host.Post(Grant, To(space, "editor"), annToken)).Code().ShouldBe(-1);
        (await host.Post(Grant, To(space, "viewer"), bobToken)).Code().ShouldBe(-2);
        // An editor neither raises the own role nor takes another's.
        var own = (await host.Get($"{Grant}?space={space}", bobToken))["data"]!.AsArray();
        own.Select(row => (long)row!["user_id"]!).ShouldBe([bob]);
        (await host.Put(Grant, new { grant_id = (long)own[0]!["grant_id"]!, role = "admin" }, bobToken)).Code().ShouldBe(-2);
        (await host.Delete(Grant, new { grant_id = admin }, bobToken)).Code().ShouldBe(-2);
        // The last admin may go: superusers are there.
        (await host.Delete(Grant, new { grant_id = admin }, annToken)).Code().ShouldBe(0);
        (await host.Post(Grant, To(space, "viewer"), annToken)).Code().ShouldBe(-1);
        var missing = await host.Send(HttpMethod.Get, $"/v2/accounts/explain/?verb=admin&object=job:{job}", null, bobToken);
        ((bool)missing["allowed"]!).ShouldBeFalse();
        ((string)missing["missing"]!).ShouldContain("可由超级用户授予");
    }

    [Fact]
    public async Task A_grant_ends_at_its_time_and_one_on_an_object_ends_with_it()
    {
        var (_, job) = await SpaceWithJob();
        var (ann, annToken) = Person();
        (await host.Post(Grant, new { user_id = ann, role = "viewer", @object = $"job:{job}", until = "2020-01-01 00:00" })).Code().ShouldBe(-1);
        var made = await host.Post(Grant, new { user_id = ann, role = "editor", @object = $"job:{job}", until = "2099-01-01 00:00" });
        made.Code().ShouldBe(0);
        (await Finds(annToken, job)).ShouldBeTrue();
        await using (var connection = await host.Source.OpenConnectionAsync())
            await connection.ExecuteAsync(
                "UPDATE accounts.role_grant SET until = now() - interval '1 second' WHERE grant_id = @Id",
                new { Id = (long)made["grant_id"]! }
            );
        await Eventually.True(async () => !await Finds(annToken, job), "it is over");
        // One that has run out is given again, one that holds is not.
        object again = new { user_id = ann, role = "editor", @object = $"job:{job}", until = "2099-02-01 00:00" };
        var renewed = await host.Post(Grant, again);
        renewed.Code().ShouldBe(0, renewed.ToJsonString());
        ((long)renewed["grant_id"]!).ShouldBe((long)made["grant_id"]!);
        (await Finds(annToken, job)).ShouldBeTrue();
        (await host.Post(Grant, again)).Code().ShouldBe(-1);
        (await host.Post(Grant, new { user_id = ann, role = "operator", @object = $"job:{job}" })).Code().ShouldBe(0);
        (await host.Delete(Job, new { job_id = job })).Code().ShouldBe(0);
        (await host.Post(Job, new { job_id = job, cmd = "true", cron = CronClient.Never, space = "default" })).Code().ShouldBe(0);
        // Every node knows within a second.
        await Eventually.True(async () => (await host.Post("/v1/cron/job/run/", new { job_id = job }, annToken)).Code() == -2, "the grant is gone");
    }

    [Fact]
    public async Task A_grant_that_is_made_while_its_object_goes_does_not_wait_for_the_next_of_that_name()
    {
        var (_, job) = await SpaceWithJob();
        var (ann, _) = Person();
        await using var connection = await host.Source.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        await ObjectGrants.Forget(connection, transaction, Caller.Codo, ResourceKind.Job, job);
        var granting = host.Post(Grant, new { user_id = ann, role = "editor", @object = $"job:{job}" });
        // For the deletion: the job is there until it is committed.
        const string waits =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%grant%'";
        await Eventually.True(async () => granting.IsCompleted || await host.Count(waits) > 0, "the grant waits");
        await connection.ExecuteAsync("DELETE FROM cron.job WHERE job_id = @job", new { job }, transaction);
        await transaction.CommitAsync();
        var answer = await granting;
        answer.Code().ShouldBe(-1, answer.ToJsonString());
        (await host.Count($"SELECT count(*) FROM accounts.role_grant WHERE object_id = '{job}'")).ShouldBe(0);
    }

    [Fact]
    public async Task An_admin_for_a_time_grants_nothing_for_longer()
    {
        var (space, _) = await SpaceWithJob();
        var (ann, token) = Person();
        var (bob, _) = Person();
        string In(TimeSpan time) => (DateTimeOffset.UtcNow + time).ToString("O", System.Globalization.CultureInfo.InvariantCulture);
        var admin = await host.Post(Grant, new { user_id = ann, role = "admin", space, until = In(TimeSpan.FromHours(1)) });
        admin.Code().ShouldBe(0);
        object To(string? until) => new { user_id = bob, role = "viewer", space, until };
        (await host.Post(Grant, To(null), token)).Code().ShouldBe(-2);
        (await host.Post(Grant, To(In(TimeSpan.FromHours(2))), token)).Code().ShouldBe(-2);
        (await host.Post(Grant, To(In(TimeSpan.FromMinutes(30))), token)).Code().ShouldBe(0);
        (await host.Put(Grant, new { grant_id = (long)admin["grant_id"]!, until = "" }, token)).Code().ShouldBe(-2);
    }

    [Fact]
    public async Task Who_is_admin_of_one_object_through_a_team_gets_the_form_to_grant()
    {
        var (_, job) = await SpaceWithJob();
        var (ann, token) = Person();
        const string form = "data-api=\"POST /v2/accounts/grant/\"";
        (await Page("/people/grants", token)).Text.ShouldNotContain(form);
        var team = (long)(await host.Post("/v2/accounts/team/", new { name = Name("team") }))["team_id"]!;
        (await host.Post("/v2/accounts/team/member/", new { team_id = team, user_id = ann })).Code().ShouldBe(0);
        (await host.Post(Grant, new { team_id = team, role = "admin", @object = $"job:{job}" })).Code().ShouldBe(0);
        (await Page("/people/grants", token)).Text.ShouldContain(form);
    }

    [Fact]
    public async Task Who_is_in_which_team_is_shown_to_its_people_and_to_whoever_grants()
    {
        var (space, _) = await SpaceWithJob();
        var (ann, annToken) = Person();
        var (_, bobToken) = Person();
        var (carol, carolToken) = Person();
        var name = Name("team");
        var team = (long)(await host.Post("/v2/accounts/team/", new { name }))["team_id"]!;
        (await host.Post("/v2/accounts/team/member/", new { team_id = team, user_id = ann })).Code().ShouldBe(0);
        await Give(carol, "admin", space);
        await Finds(annToken, "none");
        await Eventually.True(async () => await host.Count($"SELECT count(*) FROM accounts.person WHERE user_id = {ann}") == 1, "she is known");
        foreach (var (token, isShown) in new[] { (annToken, true), (bobToken, false), (carolToken, true), (TestTokens.Admin, true) })
        {
            var (status, text) = await Page($"/people?q=person{ann}", token);
            (status, text.Contains($"person{ann}", StringComparison.Ordinal)).ShouldBe((200, true));
            text.Contains(name, StringComparison.Ordinal).ShouldBe(isShown);
        }
    }

    [Fact]
    public async Task A_grant_on_one_object_opens_its_pages_though_its_space_is_not_seen()
    {
        var (ann, token) = Person();
        var granted = await GrantOnEach(ann, "viewer", onTemplate: "approver");
        var log = await host.RunNow(granted.Job);
        await host.Ended(log);
        var order = await OrderHost.Order(host, granted.Template.Id);
        foreach (var (path, shown) in new[]
        {
            ("/jobs", granted.Job),
            ($"/jobs/{granted.Job}", granted.Job),
            ($"/jobs/{granted.Job}/versions", granted.Job),
            ($"/runs/{log}", granted.Job),
            ("/ledger", granted.Job),
            ("/templates", granted.Template.Name),
            ($"/templates/{granted.Template.Id}", granted.Template.Name),
            ($"/orders/{order}", "an order"),
            ("/execute-users", granted.User.Name),
            ("/alerting", granted.Rule.Name),
            ("/alerting/channels", granted.Channel.Name),
        })
        {
            var (status, text) = await Page(path, token);
            status.ShouldBe(200, path);
            text.ShouldContain(shown, Case.Sensitive, path);
        }
    }

    [Fact]
    public async Task An_editor_of_one_object_sends_it_back_with_its_space_and_moves_it_nowhere()
    {
        var (ann, token) = Person();
        var granted = await GrantOnEach(ann, "editor");
        // The form of a rule keeps it where it is.
        (await Page($"/alerting?edit={granted.Rule.Id}", token)).Text.ShouldContain($"<option value=\"{granted.Space}\" selected");
        var job = await Shown($"{Job}?job_id={granted.Job}");
        var rule = await Shown($"{Rule}?rule_id={granted.Rule.Id}");
        var channel = await Shown($"{Channel}?channel_id={granted.Channel.Id}");
        foreach (var (path, body) in new[]
        {
            (Job, job),
            (Rule, rule),
            (Channel, channel),
            (LibraryHost.Details, new JsonObject { ["temp_id"] = granted.Template.Id, ["space"] = granted.Space }),
            (LibraryHost.User, new JsonObject { ["id"] = granted.User.Id, ["space"] = granted.Space }),
        })
        {
            var kept = await host.Put(path, body.ToJsonString(), token);
            kept.Code().ShouldBe(0, $"{path} {kept.ToJsonString()}");
            body["space"] = "default";
            var moved = await host.Put(path, body.ToJsonString(), token);
            moved.Code().ShouldBe(-2, $"{path} {moved.ToJsonString()}");
        }

        async Task<JsonObject> Shown(string path)
        {
            var row = (await host.Get(path, token))["data"]!.AsArray().ShouldHaveSingleItem()!.AsObject();
            ((string)row["space"]!, row.ContainsKey("space_id")).ShouldBe((granted.Space, false), path);
            return row;
        }
    }

    [Fact]
    public async Task The_form_of_a_rule_keeps_the_channels_that_its_editor_does_not_see()
    {
        var (space, _) = await SpaceWithJob();
        var (ann, token) = Person();
        await Give(ann, "editor", space);
        var channels = new List<long>();
        foreach (var place in new[] { "default", space })
        {
            var channel = new { name = Name("channel"), kind = "webhook", enabled = false, settings = new { url = "http://127.0.0.1:9/" }, space = place };
            channels.Add((long)(await host.Post(Channel, channel))["channel_id"]!);
        }
        var rule = (long)(await host.Post(Rule, new { name = Name("rule"), subject = "nothing", space, channels }))["rule_id"]!;
        ((int)(await host.Get($"{Channel}?channel_id={channels[0]}", token))["count"]!).ShouldBe(0);
        var (status, text) = await Page($"/alerting?edit={rule}", token);
        status.ShouldBe(200);
        foreach (var channel in channels) text.ShouldContain($"name=\"channels\" value=\"{channel}\" data-kind=\"each\" checked");
        text.ShouldContain($"#{channels[0]}</label>");
        (await host.Put(Rule, new { rule_id = rule, channels }, token)).Code().ShouldBe(0);
    }

    [Fact]
    public async Task A_forecast_that_is_kept_is_answered_to_nobody_who_sees_other_jobs_and_not_after_a_change()
    {
        const string Hourly = "0 0 * * * *";
        var ((space, seen), (_, hidden)) = (await SpaceWithJob(), await SpaceWithJob());
        foreach (var job in new[] { seen, hidden }) (await host.Put(Job, new { job_id = job, cron = Hourly })).Code().ShouldBe(0);
        var (ann, token) = Person();
        await Give(ann, "viewer", space);
        var (all, some) = (await Fires(null), await Fires(token));
        (all - some).ShouldBeGreaterThanOrEqualTo(24);
        (await Fires(null), await Fires(token)).ShouldBe((all, some));
        (await host.Patch(Job, new { job_id = seen, paused = true })).Code().ShouldBe(0);
        (await Fires(null), await Fires(token)).ShouldBe((all - 24, some - 24));

        async Task<long> Fires(string? who) => (long)(await host.Get("/v1/cron/forecast/", who))["fires"]!;
    }

    [Fact]
    public async Task Another_node_knows_of_a_grant_and_of_its_end()
    {
        await using var other = await host.Again(("Codo:Auth:DefaultRole", "viewer"));
        var (space, job) = await SpaceWithJob();
        var (ann, annToken) = Person();
        var id = await Give(ann, "viewer", space);
        await Eventually.True(async () => (await other.Get($"{Job}?job_id={job}", annToken)).Code() == 0, "the other node knows");
        (await host.Delete(Grant, new { grant_id = id })).Code().ShouldBe(0);
        await Eventually.True(async () => (await other.Get($"{Job}?job_id={job}", annToken)).Code() == -1, "and that it is taken back");
    }

    [Fact]
    public async Task Whoever_may_not_see_a_job_finds_it_nowhere()
    {
        var (space, job) = await SpaceWithJob();
        var secret = $"secret-{Guid.NewGuid():N}";
        (await host.Put(Job, new { job_id = job, cmd = $"echo {secret}; exit 3" })).Code().ShouldBe(0);
        var log = await host.RunNow(job);
        await host.Ended(log);
        var (_, token) = Person();
        await Eventually.True(async () => await host.Count($"SELECT count(*) FROM alerts.task_monitor WHERE '{job}' = ANY(subjects)") == 1, "it is told");
        var incident = await host.Count($"SELECT id FROM alerts.task_monitor WHERE '{job}' = ANY(subjects)");
        var spaceId = await host.Count($"SELECT space_id FROM accounts.space WHERE name = '{space}'");
        var template = await OrderHost.Template(host, OrderHost.Step("true"));
        (await host.Put(LibraryHost.Details, new { temp_id = template, space })).Code().ShouldBe(0);
        (await host.Put(ApprovalRule, new { space_id = spaceId, approvals = 1 })).Code().ShouldBe(0);
        (await host.Put(ApprovalRule, new { temp_id = template, approvals = 1 })).Code().ShouldBe(0);
        foreach (var path in new[] { $"{ApprovalRule}?space_id={spaceId}", $"{ApprovalRule}?temp_id={template}" })
            ((int)(await host.Get(path))["count"]!).ShouldBe(1, path);

        await Blind();
        // Nor once the job is gone and its ledger stays.
        (await host.Delete(Job, new { job_id = job })).Code().ShouldBe(0);
        await Blind();
        (await host.Get($"/v1/cron/log/output/?log_id={log}")).Code().ShouldBe(0);

        async Task Blind()
        {
            (await host.Get($"{Job}?job_id={job}", token)).ShouldBe(-1, $"job {job} Not Found!");
            foreach (var path in new[]
            {
                $"{Job}?q={job[..12]}",
                $"{Job}?limit=1000",
                $"/v1/cron/log/?job_id={job}",
                $"/v1/cron/log/?key=log_id&value={log}",
                $"/v1/cron/log/?q={secret}",
                $"/v1/cron/log/?key=task_cmd&value={Uri.EscapeDataString($"echo {secret}; exit 3")}",
                $"/v2/alerts/incident/?subject={job}",
                $"/v2/alerts/incident/?id={incident}",
                $"/v2/alerts/delivery/?incident_id={incident}",
                $"{Grant}?limit=1000",
                "/v2/accounts/space/",
                $"{ApprovalRule}?space_id={spaceId}",
                $"{ApprovalRule}?temp_id={template}",
            })
            {
                var answer = await host.Get(path, token);
                answer.ToJsonString().ShouldNotContain(job, Case.Insensitive, path);
                answer.ToJsonString().ShouldNotContain(space, Case.Insensitive, path);
                answer.ToJsonString().ShouldNotContain(secret, Case.Insensitive, path);
                if (path != $"{Job}?limit=1000" && answer["count"] is { } count) ((int)count).ShouldBe(0, path);
            }
            (await host.Get($"/v1/cron/log/output/?log_id={log}", token)).ShouldBe(-1, $"日志 {log} 不存在");
            foreach (var number in new[] { log, 999_999_999 })
                foreach (var topic in new[] { $"run:{number}", $"usage:{number}" })
                {
                    var change = await FirstChange(topic, token);
                    ((string)change["version"]!, (string?)change["refused"]).ShouldBe(("", $"日志 {number} 不存在"), topic);
                }
            (await host.Post("/v1/cron/job/kill/", new { log_id = log }, token)).Code().ShouldBeLessThan(0);
            (await host.Patch("/v2/alerts/incident/", new { id = incident, action = "resolve" }, token)).Code().ShouldBe(-1);
            (await host.Get($"/v2/accounts/explain/?verb=see&object=job:{job}", token)).ShouldBe(-1, $"job:{job} 不存在");
            (await host.Get($"/v2/accounts/may/?object=space:{space}", token)).ShouldBe(-1, $"空间 {space} 不存在");
            using var page = await host.Http.SendAsync(TestHost.Request(HttpMethod.Get, $"/i/{incident}", null, token));
            ((int)page.StatusCode).ShouldBe(404);
        }
    }

    [Fact]
    public async Task An_incident_goes_with_its_job_to_another_space()
    {
        var (theirs, job) = await SpaceWithJob();
        var (mine, _) = await SpaceWithJob();
        var (ann, annToken) = Person();
        var (bob, bobToken) = Person();
        await Give(ann, "viewer", theirs);
        await Give(bob, "viewer", mine);
        await Fails(job, theirs);
        (await Incidents(job, annToken), await Incidents(job, bobToken)).ShouldBe((1, 0));
        (await host.Put(Job, new { job_id = job, space = mine })).Code().ShouldBe(0);
        await Fails(job, mine);
        (await Incidents(job, annToken), await Incidents(job, bobToken)).ShouldBe((0, 1));
    }

    [Fact]
    public async Task A_job_under_the_name_of_a_former_one_opens_nothing_of_its_incidents()
    {
        var (theirs, job) = await SpaceWithJob();
        var (mine, _) = await SpaceWithJob();
        var (ann, token) = Person();
        await Fails(job, theirs);
        (await host.Delete(Job, new { job_id = job })).Code().ShouldBe(0);
        await Eventually.True(
            async () => await host.Count($"SELECT count(*) FROM alerts.task_monitor WHERE subjects = '{{{job}}}' AND state = 'resolved'") == 1,
            "it is over with its job"
        );
        await host.Make(new { job_id = job, cmd = "true", cron = CronClient.Never, space = mine });
        (await host.Post(Grant, new { user_id = ann, role = "viewer", @object = $"job:{job}" })).Code().ShouldBe(0);
        (await Finds(token, job)).ShouldBeTrue();
        (await Incidents(job, token)).ShouldBe(0);
        await Fails(job, mine);
        (await Incidents(job, token)).ShouldBe(1);
    }

    [Fact]
    public async Task An_editor_of_one_space_takes_nothing_out_of_another()
    {
        var (mine, _) = await SpaceWithJob();
        var (theirs, job) = await SpaceWithJob();
        var (ann, token) = Person();
        await Give(ann, "editor", mine);
        var template = await OrderHost.Template(host, OrderHost.Step("echo theirs"));
        (await host.Put("/v2/task_layout/details/", new { temp_id = template, space = theirs })).Code().ShouldBe(0);
        var command = (long)(await host.Post(LibraryHost.Command, new { command_name = Name("c"), command = "true" }))["command_id"]!;
        var word = LibraryHost.Name("WORD").Replace('-', '_');
        var argument = (long)(await host.Post(LibraryHost.Args, new { args_name = Name("a"), args_self = word }))["args_id"]!;
        foreach (var (method, path, body) in new (string, string, object)[]
        {
            ("PUT", Job, new { job_id = job, space = mine }),
            ("PUT", Job, new { job_id = job, cmd = "id" }),
            ("PATCH", Job, new { job_id = job }),
            ("DELETE", Job, new { job_id = job }),
            ("POST", "/v1/cron/job/run/", new { job_id = job }),
            ("POST", Job, new { job_id = Name("j"), cmd = "id", cron = CronClient.Never, space = theirs }),
            ("POST", Job, new { job_id = Name("j"), cmd = "id", cron = CronClient.Never }),
            ("PUT", "/v2/task_layout/details/", new { temp_id = template, space = mine }),
            ("PATCH", "/v2/task_layout/details/", new { temp_id = template, new_user_info = new[] { $"{ann},,,ann" } }),
            ("DELETE", "/v2/task_layout/temp/", new { temp_id = template }),
            ("POST", "/v2/task/accept/", new { task_name = "x", temp_id = template, hosts = new { g = 1 } }),
            ("POST", "/v2/alerts/rule/", new { name = Name("r"), subject = "*", priority = 9999 }),
            ("POST", "/v2/alerts/channel/", new { name = Name("c"), kind = "command", settings = new { command = "cat" } }),
            ("POST", "/v2/alerts/silence/", new { reason = "x", ends_at = "2099-01-01 00:00" }),
            // The library is in default.
            ("POST", LibraryHost.Command, new { command_name = Name("c"), command = "id" }),
            ("PUT", LibraryHost.Command, new { command_id = command, command = "id" }),
            ("DELETE", LibraryHost.Command, new { command_id = command }),
            ("POST", LibraryHost.Args, new { args_name = Name("a"), args_self = word + "_2" }),
            ("PUT", LibraryHost.Args, new { args_id = argument, args_name = Name("a"), args_self = word }),
            ("DELETE", LibraryHost.Args, new { args_id = argument }),
        })
        {
            var answer = await host.Send(new HttpMethod(method), path, System.Text.Json.JsonSerializer.Serialize(body), token);
            answer.Code().ShouldBeLessThan(0, $"{method} {path} {answer.ToJsonString()}");
        }
        var untouched = (await host.Get($"{Job}?job_id={job}"))["data"]![0]!;
        ((string)untouched["space"]!, (string)untouched["cmd"]!, (string)untouched["status"]!).ShouldBe((theirs, "true", "0"));
        // What it may: its own.
        (await host.Post(Job, new { job_id = Name("j"), cmd = "true", cron = CronClient.Never, space = mine }, token)).Code().ShouldBe(0);
        // A rule of its own space says nothing of the others', and a channel of it hears nothing of them.
        (await host.Post("/v2/alerts/rule/", new { name = Name("r"), subject = "*", priority = 9999, space = mine }, token)).Code().ShouldBe(0);
        var channel = new { name = Name("c"), kind = "webhook", settings = new { url = "http://127.0.0.1:9/" }, space = mine };
        ((int)(await host.Post("/v2/alerts/channel/", channel, token))["open_incidents"]!).ShouldBe(0);
    }

    [Fact]
    public async Task An_execute_user_of_another_space_is_no_key_of_this_one()
    {
        var (mine, _) = await SpaceWithJob();
        var (theirs, _) = await SpaceWithJob();
        var (ann, token) = Person();
        await Give(ann, "editor", mine);
        var alias = Name("user")[..20];
        var template = await OrderHost.Template(host, OrderHost.Step("id", execUser: "root"));
        (await host.Put("/v2/task_layout/details/", new { temp_id = template, space = mine })).Code().ShouldBe(0);
        object steps = new { temp_id = template, new_temp_data = new[] { new { command_name = "s", command = "id", exec_user = alias, group = 1 } } };
        // Named before it is there: the order does not get it later.
        (await host.Put("/v2/task_layout/details/", steps, token)).Code().ShouldBe(0);
        await using (var connection = await host.Source.OpenConnectionAsync())
            await connection.ExecuteAsync(
                "INSERT INTO tasks.scheduler_execute_user (alias_user, user_key, space_id) SELECT @alias, '\\x00', space_id FROM accounts.space "
                    + "WHERE name = @theirs",
                new { alias, theirs }
            );
        object others = new { temp_id = template, new_temp_data = new[] { new { command_name = "s", command = "ls", exec_user = alias, group = 1 } } };
        (await host.Put("/v2/task_layout/details/", others, token)).Code().ShouldBe(-2);
        var order = await OrderHost.Order(host, template, new Dictionary<string, string> { ["1"] = "10.255.255.1" });
        await Eventually.True(async () => (string)(await OrderHost.Steps(host, order))[0]["task_status"]! == "4", "the step failed");
        ((string)(await OrderHost.Steps(host, order))[0]["cause"]!).ShouldContain(alias);
    }

    [Fact]
    public async Task The_form_of_an_execute_user_keeps_a_bastion_that_its_editor_does_not_see()
    {
        var (mine, _) = await SpaceWithJob();
        var (theirs, _) = await SpaceWithJob();
        var (ann, token) = Person();
        await Give(ann, "editor", mine);
        var (gate, inner) = (Name("gate")[..20], Name("inner")[..20]);
        const string MakeSql = """
            INSERT INTO tasks.scheduler_execute_user (alias_user, user_key, ssh_host, via_id, space_id)
            SELECT @alias, '\x00', @address, CAST(@via AS bigint), space_id FROM accounts.space WHERE name = @space RETURNING id
            """;
        var gateId = await host.Ask<long>(MakeSql, new { alias = gate, address = "10.255.255.9", via = (long?)null, space = theirs });
        var innerId = await host.Ask<long>(MakeSql, new { alias = inner, address = "", via = (long?)gateId, space = mine });
        var (status, text) = await Page($"/execute-users?edit={innerId}", token);
        status.ShouldBe(200);
        text.ShouldContain($"<option value=\"{gate}\" selected");
        text.ShouldNotContain("10.255.255.9");

        // Without one, that there is none is what is selected: what the browser selects by itself would be sent as a change.
        (await Page($"/execute-users?edit={gateId}", TestTokens.Admin)).Text.ShouldMatch("<option value(=\"\")? selected");
    }

    [Fact]
    public void A_tokens_scope_cuts_down_what_its_person_may_a_superuser_too()
    {
        // Signed tokens have no scope: what reads one sets it, and the gate and every decision ask for it.
        var caller = new Caller(1, "admin", "admin", "", true, "", "") { Scope = Verbs.See };
        foreach (var right in new[] { Right.Superuser, Right.To(Verbs.Run, "job"), Right.ToMake("template") })
            right.Holds(caller, host.Services).ShouldBeFalse(right.Name);
        Right.To(Verbs.See, "job").Holds(caller, host.Services).ShouldBeTrue();
    }

    [Fact]
    public async Task What_settings_and_a_templates_users_give_is_listed_beside_grants_and_explained()
    {
        await using var operators = await TestHost.Start(postgres, null, ("Codo:Cron:Operators", "olga"));
        var olga = TestTokens.For(31, "olga");
        var rows = (await operators.Get(Grant, olga))["data"]!.AsArray();
        rows.Select(row => ((string)row!["source"]!, (string)row["username"]!, (string)row["role"]!))
            .ShouldBe([("Codo:Auth:DefaultRole", "*", "viewer"), ("Codo:Cron:Operators", "olga", "editor")]);
        rows.ShouldAllBe(row => row!["grant_id"] == null);
        (await operators.Post(Job, new { job_id = "o", cmd = "true", cron = CronClient.Never }, olga)).Code().ShouldBe(0);
        var why = await operators.Send(HttpMethod.Get, "/v2/accounts/explain/?verb=edit&object=job:o", null, olga, "en");
        ((string)why["by"]!).ShouldBe("Codo:Cron:Operators names the person: editor in the space default");
        // A person who has been here is explained by the name that the settings have.
        await Eventually.True(
            async () => (bool)(await operators.Get("/v2/accounts/explain/?person=31&verb=edit&object=job:o"))["allowed"]!,
            "the person is known"
        );
        (await operators.Get("/v2/accounts/explain/?person=1&verb=edit&object=job:o", olga)).Code().ShouldBe(-2);
        var may = await operators.Send(HttpMethod.Get, "/v2/accounts/may/?object=job:o", null, TestTokens.For(32, "rita"), "en");
        may["verbs"]!.AsArray().Select(verb => (string)verb!).ShouldBe(["see"]);
        ((string)may["missing"]!["run"]!).ShouldBe("This needs run on job:o (space default) (role operator / editor / admin); a superuser can grant it");
        // Of somebody who is shut out nothing is allowed, whatever grants say.
        const string olgas = "/v2/accounts/explain/?person=31&verb=edit&object=job:o";
        (await operators.Patch("/v2/accounts/person/", new { user_id = 31, disabled = true })).Code().ShouldBe(0);
        var shut = await operators.Send(HttpMethod.Get, olgas, null, null, "en");
        ((bool)shut["allowed"]!, (string)shut["by"]!, (string)shut["missing"]!)
            .ShouldBe((false, "", "The person is shut out; a superuser can let them in"));
        (await operators.Patch("/v2/accounts/person/", new { user_id = 31, disabled = false })).Code().ShouldBe(0);
        ((bool)(await operators.Get(olgas))["allowed"]!).ShouldBeTrue();
        var template = await OrderHost.Template(operators, null, ["33,,,tom"], OrderHost.Step("true"));
        var users = (await operators.Get($"{Grant}?object=template:{template}"))["data"]!.AsArray();
        users.Count(row => (string)row!["source"]! == "template" && (long)row["user_id"]! == 33).ShouldBe(1);
    }

    [Fact]
    public async Task A_space_with_something_in_it_stays()
    {
        var (space, job) = await SpaceWithJob();
        var id = await host.Count($"SELECT space_id FROM accounts.space WHERE name = '{space}'");
        var grant = await Give(Person().Id, "viewer", space);
        (await host.Delete("/v2/accounts/space/", new { space_id = id })).Code().ShouldBe(-1);
        (await host.Delete(Job, new { job_id = job })).Code().ShouldBe(0);
        (await host.Delete("/v2/accounts/space/", new { space_id = id })).Code().ShouldBe(0);
        (await host.Delete("/v2/accounts/space/", new { space_id = 1 })).Code().ShouldBe(-1);
        // The grants that went with it are in the audit.
        const string gone = "FROM platform.audit WHERE kind = 'space' AND action = 'delete'";
        (await host.Count($"SELECT before -> 'grants' -> 0 ->> 'grant_id' {gone} AND object_id = '{id}' AND before ->> 'name' = '{space}'")).ShouldBe(grant);
    }

    [Fact]
    public async Task What_is_kept_of_a_deleted_space_is_not_everybodys()
    {
        // The only space besides default, so that whoever sees default sees every space that is left.
        await using var own = await TestHost.Start(postgres);
        (await own.Post("/v2/accounts/space/", new { name = "payments" })).Code().ShouldBe(0);
        await own.Make(new { job_id = "pay", cmd = "echo card 4711", cron = CronClient.Never, space = "payments" });
        await own.Make(new { job_id = "plain", cmd = "echo plain", cron = CronClient.Never });
        foreach (var job in (string[])["pay", "plain"]) await own.Ended(await own.RunNow(job));
        var anybody = TestTokens.For(40, "anybody");
        (await Seen()).ShouldBe((0, 1, 0));
        var space = await own.Count("SELECT space_id FROM accounts.space WHERE name = 'payments'");
        (await own.Delete(Job, new { job_id = "pay" })).Code().ShouldBe(0);
        (await own.Delete("/v2/accounts/space/", new { space_id = space })).Code().ShouldBe(0);
        (await Seen()).ShouldBe((0, 1, 0));
        (await own.Logs("pay")).Count.ShouldBe(1, "a superuser finds it");

        async Task<(int Pay, int Plain, int Found)> Seen() =>
            (
                (await own.Get("/v1/cron/log/?key=job_id&value=pay", anybody))["data"]!.AsArray().Count,
                (await own.Get("/v1/cron/log/?key=job_id&value=plain", anybody))["data"]!.AsArray().Count,
                (await own.Get("/v1/cron/log/search/?q=4711", anybody))["data"]!.AsArray().Count
                    + (await own.Get("/v1/cron/job/deleted/", anybody))["data"]!.AsArray().Count
            );
    }

    private async Task<JsonObject> FirstChange(string topic, string token)
    {
        using var request = TestHost.Request(HttpMethod.Get, $"/v2/stream/?topics={topic}", null, token);
        using var response = await host.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        while (await reader.ReadLineAsync() is { } line)
            if (line.StartsWith("data: ", StringComparison.Ordinal))
                return JsonNode.Parse(line["data: ".Length..])!.AsObject();
        throw new InvalidOperationException("The stream ended.");
    }

    private static string Name(string what) => $"{what}-{Guid.NewGuid():N}";

    private static (long Id, string Token) Person()
    {
        var id = Interlocked.Increment(ref people);
        return (id, TestTokens.For(id, $"person{id}"));
    }

    private async Task<bool> Finds(string token, string job) => (await host.Get($"{Job}?job_id={job}", token)).Code() == 0;

    private async Task<int> Incidents(string job, string token) => (int)(await host.Get($"/v2/alerts/incident/?subject={job}", token))["count"]!;

    /// <summary>Runs the job so that it fails, until its incident in the space has what was printed.</summary>
    private async Task Fails(string job, string space)
    {
        var said = Name("said");
        (await host.Put(Job, new { job_id = job, cmd = $"echo {said}; exit 3" })).Code().ShouldBe(0);
        await host.Ended(await host.RunNow(job));
        await Eventually.True(
            async () =>
                await host.Count(
                    "SELECT count(*) FROM alerts.task_monitor m JOIN accounts.space s USING (space_id) "
                        + $"WHERE m.subjects = '{{{job}}}' AND s.name = '{space}' AND m.output LIKE '%{said}%'"
                ) == 1,
            "it is told"
        );
    }

    private async Task<(string Space, string Job)> SpaceWithJob()
    {
        var (space, job) = (Name("space"), Name("job"));
        (await host.Post("/v2/accounts/space/", new { name = space })).Code().ShouldBe(0);
        await host.Make(new { job_id = job, cmd = "true", cron = CronClient.Never, space, overlap = "allow" });
        return (space, job);
    }

    /// <summary>A space with one object of each kind in it, and a grant on each of them, but none on the space.</summary>
    private async Task<Granted> GrantOnEach(long person, string role, string? onTemplate = null)
    {
        var (space, job) = await SpaceWithJob();
        var template = await OrderHost.Template(host, OrderHost.Step("true", forceHost: "127.0.0.1"));
        (await host.Put(LibraryHost.Details, new { temp_id = template, space })).Code().ShouldBe(0);
        var name = await host.Ask<string>("SELECT temp_name FROM tasks.scheduler_temp_list WHERE temp_id = @template", new { template });
        var alias = Name("user")[..20];
        var user = await host.Ask<long>(
            "INSERT INTO tasks.scheduler_execute_user (alias_user, user_key, space_id) SELECT @alias, '\\x00', space_id FROM accounts.space "
                + "WHERE name = @space RETURNING id",
            new { alias, space }
        );
        var (rule, channel) = (Name("rule"), Name("channel"));
        var settings = new { url = "http://127.0.0.1:9/" };
        var ruleId = (long)(await host.Post(Rule, new { name = rule, subject = "nothing", space }))["rule_id"]!;
        var channelId = (long)(await host.Post(Channel, new { name = channel, kind = "webhook", settings, space }))["channel_id"]!;
        foreach (var (one, given) in new[]
        {
            ($"job:{job}", role),
            ($"template:{template}", onTemplate ?? role),
            ($"execute_user:{user}", role),
            ($"alert_rule:{ruleId}", role),
            ($"alert_channel:{channelId}", role),
        })
        {
            var answer = await host.Post(Grant, new { user_id = person, role = given, @object = one });
            answer.Code().ShouldBe(0, $"{one} {answer.ToJsonString()}");
        }
        return new Granted(space, job, (template, name), (user, alias), (ruleId, rule), (channelId, channel));
    }

    private async Task<(int Status, string Text)> Page(string path, string token) => await host.Page(path, token);

    private async Task<long> Give(long? person, string role, string space, long? team = null)
    {
        var answer = await host.Post(Grant, new { user_id = person, team_id = team, role, space });
        answer.Code().ShouldBe(0, answer.ToJsonString());
        return (long)answer["grant_id"]!;
    }

    private sealed record Granted(
        string Space,
        string Job,
        (long Id, string Name) Template,
        (long Id, string Name) User,
        (long Id, string Name) Rule,
        (long Id, string Name) Channel
    );
}

internal static class RefusalReading
{
    public static void ShouldBe(this JsonObject answer, int code, string msg) => (answer.Code(), answer.Msg()).ShouldBe((code, msg));
}
