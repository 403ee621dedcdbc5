using System.Text.Json.Nodes;
using Codo.Modules.Tasks.Execution;
using Codo.Platform.Security;
using Codo.Tests.Modules.Alerts;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Tests.Modules.Tasks.Orders;

/// <summary>How many approve, who may not, what becomes of it, and that what is approved is what runs.</summary>
public sealed class ApprovalTests(OrderFixture fixture) : IClassFixture<OrderFixture>
{
    private static readonly string Ann = TestTokens.For(7, "ann"),
        Bob = TestTokens.For(8, "bob"),
        Carol = TestTokens.For(9, "carol"),
        Eve = TestTokens.For(10, "eve");
    private static readonly string[] Users = ["7,,,ann", "8,,,bob", "9,,,carol"];

    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task An_order_that_needs_two_starts_with_the_second_and_shows_who_is_missing()
    {
        var order = await Waiting(new { approvals = 2 }, submitter: Ann);
        (await host.Check(order))["approval_button"]!.GetValue<bool>().ShouldBeTrue();
        var first = await Decide(order, "approve", Bob, comment: "looks good");
        (first.Code(), (string)first["msg"]!, (int)first["approvals_missing"]!).ShouldBe((0, "审批已记录，还需 1 人审批", 1));
        var check = await Shown(order, Carol);
        ((int)check["approvals_needed"]!, (int)check["approvals_given"]!, (string)check["waits_for"]!).ShouldBe((2, 1, "carol"));
        ((string)check["approvals"]![0]!["user"]!, (string)check["approvals"]![0]!["comment"]!).ShouldBe(("bob", "looks good"));
        check["approval_button"]!.GetValue<bool>().ShouldBeTrue();
        (await Shown(order, Bob))["approval_button"]!.GetValue<bool>().ShouldBeFalse();
        var row = (await host.Get("/v2/task/list/", Bob))["data"]!.AsArray().Single(one => (long)one!["list_id"]! == order)!;
        ((int)row["approvals_needed"]!, (int)row["approvals_given"]!, (string)row["waits_for"]!).ShouldBe((2, 1, "carol"));
        var grid = (await host.Get($"/v2/task/grid/?list_id={order}", Bob))["order"]!;
        ((int)grid["approvals_needed"]!, (int)grid["approvals_given"]!, (string)grid["waits_for"]!).ShouldBe((2, 1, "carol"));

        var second = await host.Patch("/v2/task/list/", new { list_id = order, start_time = "2020-01-01 00:00" }, Carol);
        ((string)second["msg"]!, (int)second["approvals_missing"]!).ShouldBe(("任务开始成功", 0));
        (await host.Ended(order)).ShouldBe("3");
    }

    [Fact]
    public async Task An_order_that_was_submitted_before_the_clock_was_put_back_starts_with_its_approval_or_at_the_time_that_was_asked_for()
    {
        var order = await Waiting(new { approvals = 1 }, submitter: Ann, step: OrderHost.Step("true", trigger: "timed"));
        var later = await Waiting(new { approvals = 1 }, submitter: Ann, step: OrderHost.Step("true", trigger: "timed"));
        await Sql(
            $"""
            UPDATE tasks.scheduler_task_list SET create_time = create_time + interval '1 hour', not_before = not_before + interval '1 hour',
                start_time = CASE WHEN list_id = {later} THEN '2099-01-01' ELSE start_time + interval '1 hour' END WHERE list_id IN ({order}, {later})
            """
        );
        (await Decide(order, "approve", Bob)).Code().ShouldBe(0);
        (await Decide(later, "approve", Bob)).Code().ShouldBe(0);
        (await host.Ended(order)).ShouldBe("3");
        await host.Stands(later, "7");

        // A time that the first of two approvals names is before the time of the submission, and is asked for all the same.
        var named = await Waiting(new { approvals = 2 }, submitter: Ann, step: OrderHost.Step("true", trigger: "timed"));
        await Sql(
            $"""
            UPDATE tasks.scheduler_task_list SET create_time = create_time + interval '100 years', not_before = not_before + interval '100 years',
                start_time = start_time + interval '100 years' WHERE list_id = {named}
            """
        );
        (await Decide(named, "approve", Bob, later: true)).Code().ShouldBe(0);
        (await Decide(named, "approve", Carol)).Code().ShouldBe(0);
        const string waits = "schedule <> 'new' AND start_time > clock_timestamp() + interval '10 years'";
        (await host.Count($"SELECT count(*) FROM tasks.scheduler_task_list WHERE list_id = {named} AND {waits}")).ShouldBe(1);
        await host.Stands(named, "7");

        // One that neither of them names is none, whenever the first of them has approved.
        var unnamed = await Waiting(new { approvals = 2 }, submitter: Ann, step: OrderHost.Step("true", trigger: "timed"));
        await Sql(
            $"""
            UPDATE tasks.scheduler_task_list SET create_time = create_time - interval '1 minute', start_time = create_time - interval '1 minute'
            WHERE list_id = {unnamed}
            """
        );
        (await Decide(unnamed, "approve", Bob)).Code().ShouldBe(0);
        await Sql(
            $"""
            UPDATE tasks.scheduler_task_list SET create_time = create_time + interval '100 years', not_before = not_before + interval '100 years',
                start_time = start_time + interval '100 years' WHERE list_id = {unnamed}
            """
        );
        (await Decide(unnamed, "approve", Carol)).Code().ShouldBe(0);
        (await host.Ended(unnamed)).ShouldBe("3");
    }

    [Fact]
    public async Task Each_refusal_says_why_in_two_languages()
    {
        var order = await Waiting(new { approvals = 2, not_editor = true, reason_required = true }, submitter: Ann, editor: Bob);
        await Says(order, Eve, "没有审批权限", "no right to approve");
        await Says(order, Ann, "提交人不能审批自己的订单", "the submitter may not approve");
        await Says(order, Bob, "最后修改模板的人不能审批", "last edited the template");
        await Says(order, Carol, "要求填写理由", "asks for a reason", code: -1);
        (await Decide(order, "approve", Carol, comment: "ok")).Code().ShouldBe(0);
        await Says(order, Carol, "你已经审批过，还需 1 人", "approved it already; 1 more", code: -1, comment: "ok");
        await Says(order, TestTokens.Admin, "执行内容已改变", "has changed", code: -1, comment: "ok", sha256: new string('0', 64));
        (await Decide(order, "reject", TestTokens.Admin, comment: "not today")).Code().ShouldBe(0);
        await Says(order, TestTokens.Admin, "订单已结束", "has ended", code: -1, comment: "ok");
    }

    [Fact]
    public async Task The_last_editor_is_whoever_wrote_what_runs_not_whoever_saved_it_again()
    {
        const string details = "/v2/task_layout/details/";
        var template = await Template(new { approvals = 1, not_editor = true }, OrderHost.Step("true"));
        var steps = new JsonObject { ["temp_id"] = template, ["new_temp_data"] = new JsonArray(OrderHost.Step("echo", "bob")) };
        (await host.Put(details, steps.ToJsonString(), Bob)).Code().ShouldBe(0);
        var again = new JsonObject
        {
            ["temp_id"] = template,
            ["new_temp_data"] = (await host.Get($"{details}?temp_id={template}"))["data"]!["temp_list"]!.DeepClone(),
            ["groups"] = new JsonArray(new JsonObject { ["group"] = 1, ["batch"] = "50%" }),
            ["temp_args"] = new JsonArray(),
        };
        foreach (var hasIds in (bool[])[true, false])
        {
            // The console sends steps without their ids.
            if (!hasIds)
                foreach (var step in again["new_temp_data"]!.AsArray()) step!.AsObject().Remove("id").ShouldBeTrue();
            (await host.Put(details, again.ToJsonString(), Carol)).Code().ShouldBe(0);
            var order = (long)(await Submit(template, Ann, "new"))["list_id"]!;
            await Says(order, Bob, "最后修改模板的人不能审批", "last edited the template");
            (await Decide(order, "approve", Carol)).Code().ShouldBe(0);
        }

        // The words that orders may replace are part of what runs.
        foreach (var words in (string[][])[["VALUE"], []])
        {
            var (editor, other) = words.Length > 0 ? (Carol, Bob) : (Bob, Carol);
            (await host.Put(details, new { temp_id = template, temp_args = words }, editor)).Code().ShouldBe(0);
            var order = (long)(await Submit(template, Ann, "new"))["list_id"]!;
            await Says(order, editor, "最后修改模板的人不能审批", "last edited the template");
            (await Decide(order, "approve", other)).Code().ShouldBe(0);
        }
    }

    [Fact]
    public async Task A_team_approves_and_nobody_else()
    {
        // She has been here before.
        (await host.Get("/v2/accounts/me/", Eve)).Code().ShouldBe(0);
        await Eventually.True(async () => await host.Count("SELECT count(*) FROM accounts.person WHERE user_id = 10") == 1, "she is recorded");
        var made = await host.Post("/v2/accounts/team/", new { name = $"release-{Guid.NewGuid():N}" });
        made.Code().ShouldBe(0, made.ToJsonString());
        var team = (long)made["team_id"]!;
        foreach (var id in new[] { 7, 10 }) (await host.Post("/v2/accounts/team/member/", new { team_id = team, user_id = id })).Code().ShouldBe(0);
        var template = await host.Template(null, Users, OrderHost.Step("true"));
        await Eventually.True(
            async () => (await host.Put("/v2/task/approval/rule/", new { temp_id = template, approvals = 1, team_id = team })).Code() == 0,
            "the team is known"
        );
        (await host.Put("/v2/task/approval/rule/", new { temp_id = template, approvals = 1, team_id = 99_999 })).Code().ShouldBe(-1);
        var order = (long)(await Submit(template, Ann, "new"))["list_id"]!;
        // Bob is the template's user and not in the team; Ann is in the team and submitted it; Eve sees it because the team approves it.
        await Says(order, Bob, "需要团队「release-", "members of the team release-");
        await Says(order, TestTokens.Admin, "需要团队「release-", "members of the team release-");
        await Says(order, Ann, "提交人不能审批自己的订单", "the submitter may not approve");
        ((string)(await Shown(order, Eve))["approval_team"]!).ShouldStartWith("release-");
        (await Shown(order, Eve))["approval_button"]!.GetValue<bool>().ShouldBeTrue();
        (await WaitsFor(order, Eve)).ShouldBe("eve");

        // Who asks beforehand hears what the gate says.
        await Explains(10, allowed: true, "a member of the team that is to approve");
        await Explains(8, allowed: false, "it needs members of the team release-");
        await Explains(7, allowed: false, "the submitter may not approve");
        await Explains(1, allowed: false, "it needs members of the team release-");
        (await MayApprove(Eve)).ShouldBeTrue();
        (await MayApprove(Bob)).ShouldBeFalse();
        // Her own order, and neither is she in the team nor may she approve by a role: no role would help.
        var mia = TestTokens.For(36, "mia");
        var own = (long)(await Submit(template, mia, "new"))["list_id"]!;
        var refused = await Decide(own, "approve", mia);
        (refused.Code(), refused.ContainsKey("hint")).ShouldBe((-2, false), refused.ToJsonString());

        // Who joins later sees it as the others do, and it is said why.
        var late = TestTokens.For(31, "late");
        (await host.Get($"/v2/task/check/?list_id={order}", late)).Code().ShouldNotBe(0);
        (await NeedsMe(late)).ShouldNotContain($"/orders/{order}\"");
        (await host.Post("/v2/accounts/team/member/", new { team_id = team, user_id = 31 })).Code().ShouldBe(0);
        (await Shown(order, late))["approval_button"]!.GetValue<bool>().ShouldBeTrue();
        (await host.Get("/v2/task/list/", late))["data"]!.AsArray().ShouldContain(one => (long)one!["list_id"]! == order);
        ((string)(await host.Get($"/v2/accounts/explain/?person=31&verb=see&object=order:{order}"))["by"]!).ShouldContain("需要审批此订单的团队的成员");
        (await NeedsMe(late)).ShouldContain($"/orders/{order}\"");
        (await NeedsMe(Ann)).Contains($"/orders/{order}\"", StringComparison.Ordinal).ShouldBeFalse("the submitter may not approve it");
        (await NeedsMe(Bob)).Contains($"/orders/{order}\"", StringComparison.Ordinal).ShouldBeFalse("not in the team");
        // Who is still needed is who is in the team now.
        await Eventually.True(async () => await host.Count("SELECT count(*) FROM accounts.person WHERE user_id = 31") == 1, "the name is recorded");
        (await WaitsFor(order, Eve)).ShouldBe("eve，late");
        (await Asked()).ShouldBe([10L, 31L]);
        (await host.Delete("/v2/accounts/team/member/", new { team_id = team, user_id = 31 })).Code().ShouldBe(0);
        (await WaitsFor(order, Eve)).ShouldBe("eve");
        (await Asked()).ShouldBe([10L]);
        (await Decide(order, "approve", Eve)).Code().ShouldBe(0);
        (await host.Ended(order)).ShouldBe("3");

        async Task Explains(long person, bool allowed, string words)
        {
            var path = $"/v2/accounts/explain/?person={person}&verb=approve&object=order:{order}";
            var said = await host.Send(HttpMethod.Get, path, null, TestTokens.Admin, "en");
            ((bool)said["allowed"]!).ShouldBe(allowed, said.ToJsonString());
            ((string)said[allowed ? "by" : "missing"]!).ShouldContain(words);
        }

        async Task<bool> MayApprove(string token) =>
            (await host.Get($"/v2/accounts/may/?object=order:{order}", token))["verbs"]!.AsArray().Any(verb => (string)verb! == "approve");

        // Whom the alerts name.
        async Task<IEnumerable<long>> Asked()
        {
            await using var connection = await host.Source.OpenConnectionAsync(TestContext.Current.CancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(TestContext.Current.CancellationToken);
            return (await OrderSituationReader.Now(connection, transaction, order, DateTime.UnixEpoch))!.Asked.Select(person => person.Id);
        }
    }

    [Fact]
    public async Task A_member_whose_first_visit_is_after_the_last_change_of_rights_is_named_too()
    {
        var team = (long)(await host.Post("/v2/accounts/team/", new { name = $"fresh-{Guid.NewGuid():N}" }))["team_id"]!;
        (await host.Post("/v2/accounts/team/member/", new { team_id = team, user_id = 35 })).Code().ShouldBe(0);
        var newcomer = TestTokens.For(35, "newcomer");
        (await host.Get("/v2/accounts/me/", newcomer)).Code().ShouldBe(0);
        var teams = host.Services.GetRequiredService<TeamDirectory>();
        await Eventually.True(() => teams.Members(team).Any(person => person.Name == "newcomer"), "the name is known");
        var template = await Template(new { approvals = 1, team_id = team }, OrderHost.Step("true"));
        var order = (long)(await Submit(template, Ann, "new"))["list_id"]!;
        (await WaitsFor(order, newcomer)).ShouldBe("newcomer");
    }

    [Fact]
    public async Task A_team_that_is_to_approve_something_is_not_deleted()
    {
        var team = (long)(await host.Post("/v2/accounts/team/", new { name = $"needed-{Guid.NewGuid():N}" }))["team_id"]!;
        (await host.Post("/v2/accounts/team/member/", new { team_id = team, user_id = 10 })).Code().ShouldBe(0);
        var template = await Template(new { approvals = 1, team_id = team }, OrderHost.Step("true"));
        var order = (long)(await Submit(template, Ann, "new"))["list_id"]!;
        await Stays("还有 1 条审批规则和 1 个未结束的订单", "by 1 approval rule and in 1 open order");
        (await host.Put("/v2/task/approval/rule/", new { temp_id = template, approvals = 1 })).Code().ShouldBe(0);
        await Stays("还有 0 条审批规则和 1 个未结束的订单", "by 0 approval rules and in 1 open order");
        (await Decide(order, "reject", Eve)).Code().ShouldBe(0);
        await host.Ended(order);
        (await host.Delete("/v2/accounts/team/", new { team_id = team })).Code().ShouldBe(0);

        async Task Stays(string zh, string en)
        {
            foreach (var (language, words) in new[] { ("zh", zh), ("en", en) })
            {
                var answer = await host.Send(HttpMethod.Delete, "/v2/accounts/team/", $$"""{"team_id": {{team}}}""", null, language);
                (answer.Code(), ((string)answer["msg"]!).Contains(words, StringComparison.Ordinal)).ShouldBe((-1, true), answer.ToJsonString());
            }
        }
    }

    [Fact]
    public async Task The_rule_of_a_space_is_for_its_templates_without_one_of_their_own()
    {
        var name = $"s{Guid.NewGuid():N}"[..12];
        (await host.Post("/v2/accounts/space/", new { name })).Code().ShouldBe(0);
        var space = await host.Ask<long>("SELECT space_id FROM accounts.space WHERE name = @name", new { name });
        (await host.Put("/v2/task/approval/rule/", new { space_id = space, approvals = 3 })).Code().ShouldBe(0);
        var template = await host.Template(null, Users, OrderHost.Step("true"));
        await Sql($"UPDATE tasks.scheduler_temp_list SET space_id = {space} WHERE temp_id = {template}");
        ((int)(await Submit(template, Ann, "new"))["approvals_missing"]!).ShouldBe(3);
        (await host.Put("/v2/task/approval/rule/", new { temp_id = template, approvals = 2 })).Code().ShouldBe(0);
        ((int)(await Submit(template, Ann, "new"))["approvals_missing"]!).ShouldBe(2);
    }

    [Fact]
    public async Task A_rejected_order_has_ended_and_its_steps_say_so()
    {
        var order = await Waiting(new { approvals = 1 }, submitter: Ann);
        (await host.Patch("/v2/task/list/", new { list_id = order, start_time = "2020-01-01 00:00" }, Ann)).Code().ShouldBe(-2);
        ((string)(await Decide(order, "reject", Bob, comment: "wrong hosts"))["msg"]!).ShouldBe("订单已驳回");
        (await host.Ended(order)).ShouldBe("4");
        var step = (await host.Steps(order))[0];
        ((string)step["task_status"]!, (string)step["outcome"]!).ShouldBe(("6", "rejected"));
        ((string)step["cause"]!).ShouldContain("wrong hosts");
        ((string)(await host.Get($"/v2/task/grid/?list_id={order}"))["groups"]![0]!["outcomes"]![0]!).ShouldBe("r");
        (await Decide(order, "reject", Bob)).Code().ShouldBe(-1);
        await ToldOf(order, "rejected", "wrong hosts");
    }

    [Fact]
    public async Task What_is_pushed_back_awaits_approval_with_a_comment_and_none_of_the_approvals_that_it_had()
    {
        var order = await Waiting(new { approvals = 2 }, submitter: Ann);
        (await Decide(order, "approve", Bob)).Code().ShouldBe(0);
        (await Decide(order, "push_back", Carol)).Code().ShouldBe(-1);
        (await Decide(order, "push_back", Eve, comment: "no")).Code().ShouldBe(-2);
        var pushed = await Decide(order, "push_back", Carol, comment: "the hosts of the test, please");
        (pushed.Code(), (int)pushed["approvals_missing"]!).ShouldBe((0, 2));
        var check = await Shown(order, Ann);
        ((string)check["schedule"]!, (int)check["approvals_given"]!).ShouldBe(("new", 0));
        check["approvals"]!.AsArray().Select(one => ((string)one!["verdict"]!, (bool)one["counts"]!)).ShouldBe([("approve", false), ("push_back", true)]);
        // Both may still approve it: the one who had, and the one who pushed it back.
        ((int)(await Decide(order, "approve", Carol))["approvals_missing"]!).ShouldBe(1);
        (await Shown(order, Ann))["approvals"]!.AsArray().Count(one => (string)one!["verdict"]! == "push_back" && (bool)one["counts"]!).ShouldBe(0);
        (await Decide(order, "approve", Bob)).Code().ShouldBe(0);
        (await host.Ended(order)).ShouldBe("3");
        (await Decide(order, "push_back", Bob, comment: "late")).Code().ShouldBe(-1);
    }

    [Fact]
    public async Task The_plan_shows_equal_hosts_together_and_what_is_other_than_the_template_and_the_last_order()
    {
        var template = await Template(new { approvals = 2, valid_hours = 24 }, OrderHost.Step("echo", "one", name: "say"));
        var first = (long)(await Submit(template, Ann, "new", hosts: "127.0.0.1"))["list_id"]!;
        var plan = (await host.Get($"/v2/task/plan/?list_id={first}", Bob))["data"]!;
        (plan["template_differences"]!.AsArray().Count, plan["last_order"], plan["may_not"]).ShouldBe((0, null, null));
        foreach (var person in new[] { Bob, Carol }) (await Decide(first, "approve", person, sha256: (string)plan["plan_sha256"]!)).Code().ShouldBe(0);
        await host.Ended(first);
        var steps = new JsonArray(OrderHost.Step("echo", "two", name: "say"));
        (await host.Put("/v2/task_layout/details/", new { temp_id = template, new_temp_data = steps })).Code().ShouldBe(0);
        var second = (long)(await Submit(template, Ann, "new", hosts: "127.0.0.1,web-1,web-2"))["list_id"]!;
        steps[0]!["args"] = "three";
        (await host.Put("/v2/task_layout/details/", new { temp_id = template, new_temp_data = steps })).Code().ShouldBe(0);
        plan = (await host.Send(HttpMethod.Get, $"/v2/task/plan/?list_id={second}", null, Ann, "en"))["data"]!;
        ((string)plan["may_not"]!).ShouldContain("submitter");
        ((string)plan["rule"]!["words"]!).ShouldBe("2 approvals, not by the submitter, valid for 24 h");
        plan["groups"]![0]!["alike"]!.AsArray().Select(alike => alike!["hosts"]!.AsArray().Count).ShouldBe([1, 2]);
        ((string)plan["groups"]![0]!["alike"]![1]!["steps"]![0]!["command_line"]!).ShouldBe("echo two");
        var difference = plan["template_differences"]![0]!;
        ((string)difference["before"]!, (string)difference["now"]!).ShouldBe(("echo three", "echo two"));
        ((long)plan["last_order"]!["list_id"]!).ShouldBe(first);
        plan["last_order"]!["differences"]!.AsArray().Select(one => (string?)one!["now"]).ShouldContain("echo two");
        (await host.Get($"/v2/task/plan/?list_id={second}", Eve)).Code().ShouldBe(-1);
    }

    [Fact]
    public async Task Of_decisions_at_once_the_lock_lets_one_count()
    {
        for (var round = 0; round < 5; round++)
        {
            var order = await Waiting(new { approvals = 1 }, submitter: Ann);
            var both = await Task.WhenAll(Decide(order, "approve", Bob), Decide(order, "reject", Carol), Decide(order, "approve", TestTokens.Admin));
            both.Count(answer => answer.Code() == 0).ShouldBe(1);
            (await host.Count($"SELECT count(*) FROM tasks.approval WHERE list_id = {order}")).ShouldBe(1);
            await host.Ended(order);

            var two = await Waiting(new { approvals = 2 }, submitter: Ann);
            var same = await Task.WhenAll(Decide(two, "approve", Bob), Decide(two, "approve", Bob), Decide(two, "approve", Bob));
            same.Count(answer => answer.Code() == 0).ShouldBe(1);
            (await host.Count($"SELECT count(*) FROM tasks.scheduler_task_list WHERE list_id = {two} AND schedule = 'new'")).ShouldBe(1);
        }
    }

    [Fact]
    public async Task An_approval_counts_for_as_long_as_the_rule_says()
    {
        var order = await Waiting(new { approvals = 2, valid_hours = 1 }, submitter: Ann);
        (await Decide(order, "approve", Bob)).Code().ShouldBe(0);
        await Sql($"UPDATE tasks.approval SET at = at - interval '61 minutes' WHERE list_id = {order}");
        var check = await Shown(order, Bob);
        ((int)check["approvals_given"]!, (bool)check["approval_button"]!, (bool)check["approvals"]![0]!["counts"]!).ShouldBe((0, true, false));
        var row = (await host.Get("/v2/task/list/", Bob))["data"]!.AsArray().Single(one => (long)one!["list_id"]! == order)!;
        ((int)row["approvals_given"]!, (string)row["waits_for"]!).ShouldBe((0, "bob，carol"));
        // The first of those that wait, since the page shows a few of them.
        await Sql($"UPDATE tasks.scheduler_task_list SET start_time = start_time - interval '10 years' WHERE list_id = {order}");
        (await NeedsMe(Bob)).ShouldContain($"\"wait-{order}\"");
        (await host.Page($"/orders/{order}/approve", Carol, "en")).Html.ShouldContain("1 more approval needed after it");

        ((int)(await Decide(order, "approve", Carol))["approvals_missing"]!).ShouldBe(1);
        ((int)(await Decide(order, "approve", Bob, later: true))["approvals_missing"]!).ShouldBe(0);

        // Its time is over before the start: it awaits approval again.
        await Sql($"UPDATE tasks.approval SET at = at - interval '61 minutes' WHERE list_id = {order}");
        await Start(order);
        await Eventually.True(async () => (string)(await Shown(order))["schedule"]! == "new", "sent back");
        ((string)(await Shown(order))["stopped"]!).ShouldContain("有效期");

        // Of an order that started in time they are not over afterwards.
        foreach (var person in new[] { Bob, Carol }) (await Decide(order, "approve", person)).Code().ShouldBe(0);
        (await host.Ended(order)).ShouldBe("3");
        await Sql($"UPDATE tasks.approval SET at = at - interval '61 minutes' WHERE list_id = {order}");
        ((int)(await Shown(order))["approvals_given"]!).ShouldBe(2);
    }

    [Fact]
    public async Task An_order_whose_command_line_can_no_longer_be_put_together_does_not_start()
    {
        var template = await Template(new { approvals = 1 }, OrderHost.Step("echo", "VALUE", name: "say"));
        var order = (long)(await Submit(template, Ann, "new", "a b"))["list_id"]!;
        (await Decide(order, "approve", Bob, later: true)).Code().ShouldBe(0);
        // As of an order that was accepted by a version which put a value there.
        await Sql($"UPDATE tasks.scheduler_task_info SET task_args = '` VALUE `' WHERE list_id = {order}");
        await Start(order);
        await Eventually.True(async () => (string)(await Shown(order))["schedule"]! == "new", "sent back");
        ((string)(await Shown(order))["stopped"]!).ShouldContain("命令行无法生成");
        (await host.Count($"SELECT count(*) FROM tasks.attempt WHERE list_id = {order}")).ShouldBe(0);
        await Says(order, Bob, "命令行无法生成", "cannot be put together", code: -1);
        (await host.Put("/v2/task/list/", new { list_id = order }, Ann)).Code().ShouldBe(0);
        await host.Ended(order);
    }

    [Fact]
    public async Task To_submit_as_ready_is_an_approval_and_counts_for_as_long_as_the_rule_says()
    {
        var body = new
        {
            task_name = "later",
            temp_id = await Template(new { approvals = 1, not_submitter = false, valid_hours = 24 }, OrderHost.Step("true")),
            hosts = new Dictionary<string, string> { ["1"] = "127.0.0.1" },
            args = new { },
            schedule = "ready",
            exec_time = "2099-01-01 00:00",
            hold = true,
        };
        var accepted = await host.Post("/v2/task/accept/", body, Bob);
        (accepted.Code(), (int)accepted["approvals_missing"]!).ShouldBe((0, 0));
        var order = (long)accepted["list_id"]!;
        await Sql($"UPDATE tasks.approval SET at = at - interval '25 hours' WHERE list_id = {order}");
        await Start(order);
        await Eventually.True(async () => (string)(await Shown(order))["schedule"]! == "new", "sent back");
        ((string)(await Shown(order))["stopped"]!).ShouldContain("有效期");
    }

    [Fact]
    public async Task A_second_approval_moves_nothing()
    {
        var order = await Waiting(new { approvals = 1 }, submitter: Ann);
        (await Decide(order, "approve", Bob, later: true)).Code().ShouldBe(0);
        var now = new { list_id = order, verdict = "approve", comment = "fire", start_time = "2020-01-01 00:00" };
        foreach (var (decision, token) in new[] { (now, Carol), (now with { verdict = "break_glass" }, TestTokens.Admin) })
        {
            var second = await host.Post("/v2/task/approval/", decision, token);
            (second.Code(), (string)second["msg"]!).ShouldBe((-1, "订单不在等待审批"));
        }
        await Says(order, Carol, "订单已审批", "approved already", code: -1);
        (await host.Ask<bool>("SELECT schedule = 'ready' AND start_time > '2098-01-01' FROM tasks.scheduler_task_list WHERE list_id = @order", new { order }))
            .ShouldBeTrue();

        // PATCH moves the time, and lifts a hold.
        var lifted = await host.Patch("/v2/task/list/", new { list_id = order, start_time = "2099-01-01 00:00", hold = false }, Carol);
        (lifted.Code(), lifted["warnings"]!.AsArray().Count).ShouldBe((0, 1), lifted.ToJsonString());
        (await host.Ended(order)).ShouldBe("3");
    }

    // Only hold holds an order; without it the time is one for its timed steps.
    [Fact]
    public async Task Whoever_approves_reads_when_the_order_begins()
    {
        var (plain, timed) = (await Later(OrderHost.Step("true"), hold: false), await Later(OrderHost.Step("true", trigger: "timed"), hold: false));
        var page = await Page(plain, TestTokens.Admin);
        page.ShouldContain("It starts at once");
        page.ShouldNotContain("2099-0");
        (await Page(timed, TestTokens.Admin)).ShouldContain("It starts at once; its timed steps at 2099-06-02 00:00:00");
        var held = await Later(OrderHost.Step("true"), hold: true);
        (await Page(held, TestTokens.Admin)).ShouldContain("Start time 2099-06-02 00:00:00");
        await Sql($"UPDATE tasks.scheduler_task_list SET start_time = now() - interval '1 hour' WHERE list_id = {held}");
        (await Page(held, TestTokens.Admin)).ShouldContain("It starts at once");
        // A later time with the first of two approvals holds the whole order.
        var two = await Waiting(new { approvals = 2 }, submitter: Ann);
        (await Decide(two, "approve", Bob, later: true)).Code().ShouldBe(0);
        (await Page(two, Carol)).ShouldContain("Start time 2099-01-01 00:00:00");
        foreach (var order in (long[])[plain, timed, held, two]) (await Decide(order, "reject", TestTokens.Admin)).Code().ShouldBe(0);

        async Task<long> Later(JsonObject step, bool hold)
        {
            var template = await host.Template(step);
            var hosts = new Dictionary<string, string> { ["1"] = "127.0.0.1" };
            var answer = await host.Post(
                "/v2/task/accept/",
                new { task_name = "later", temp_id = template, hosts, args = new { }, schedule = "new", exec_time = "2099-06-02 00:00", hold }
            );
            answer.Code().ShouldBe(0, answer.ToJsonString());
            return (long)answer["list_id"]!;
        }

        async Task<string> Page(long order, string token) => (await host.Page($"/orders/{order}/approve", token, "en")).Html;
    }

    [Fact]
    public async Task Preview_accept_check_and_approval_have_the_same_hash_whatever_the_id_and_the_time()
    {
        var template = await Template(null, OrderHost.Step("echo", "FLOW_ID TOKEN", name: "say"));
        object Body(string time, string token) => new
        {
            task_name = "n",
            temp_id = template,
            hosts = new Dictionary<string, string> { ["1"] = "127.0.0.1" },
            args = new { TOKEN = token },
            exec_time = time,
        };
        var preview = (string)(await host.Post("/v2/task/preview/", Body("2099-01-01 00:00", "s3cret")))["data"]!["plan_sha256"]!;
        preview.Length.ShouldBe(64);
        var accepted = await host.Post("/v2/task/accept/", Body("2099-02-02 00:00", "s3cret"));
        ((string)accepted["plan_sha256"]!).ShouldBe(preview);
        var order = (long)accepted["list_id"]!;
        ((string)(await Shown(order))["plan_sha256"]!).ShouldBe(preview);
        (await host.Ask<string>("SELECT plan FROM tasks.order_approval WHERE list_id = @order", new { order })).ShouldNotContain("s3cret");
        ((string)(await host.Post("/v2/task/preview/", Body("2099-01-01 00:00", "another")))["data"]!["plan_sha256"]!).ShouldNotBe(preview);
        (await Decide(order, "approve", TestTokens.Admin, sha256: preview)).Code().ShouldBe(0);
        (await host.Ask<string>("SELECT plan_sha256 FROM tasks.approval WHERE list_id = @order", new { order })).ShouldBe(preview);
        (await host.Ended(order)).ShouldBe("3");
    }

    [Fact]
    public async Task Each_of_very_many_scripts_and_a_large_one_is_what_was_approved()
    {
        var scripts = Enumerable.Range(0, 101).Select(_ => fixture.NewFile()).ToList();
        foreach (var script in scripts) await File.WriteAllTextAsync(script, ":\n", TestContext.Current.CancellationToken);
        // More than is read as a whole.
        await using (var large = File.OpenWrite(scripts[0])) large.SetLength(40_000_000);
        foreach (var changed in new[] { scripts[0], scripts[^1] })
        {
            // A command has at most 4,000 characters.
            var steps = scripts.Chunk(20).Select((some, at) => OrderHost.Step(string.Join("; ", some.Select(script => $"sh {script}")), name: $"s{at}"));
            var order = (long)(await Submit(await Template(new { approvals = 1 }, [.. steps]), Ann, "new"))["list_id"]!;
            (await Decide(order, "approve", Bob, later: true)).Code().ShouldBe(0);
            await File.AppendAllTextAsync(changed, "# changed\n", TestContext.Current.CancellationToken);
            await Start(order);
            await Eventually.True(async () => (string)(await Shown(order))["schedule"]! == "new", "sent back");
            ((string)(await Shown(order))["stopped"]!).ShouldContain($"文件 {changed} 已被修改");
        }
    }

    [Fact]
    public async Task A_file_that_was_edited_between_approval_and_start_stops_it_and_the_next_approval_is_of_the_new_one()
    {
        var (script, trace) = (fixture.NewFile(), fixture.NewFile());
        await File.WriteAllTextAsync(script, $"echo one >> {trace}\n", TestContext.Current.CancellationToken);
        var order = await Waiting(new { approvals = 1 }, submitter: Ann, step: OrderHost.Step($"sh {script}", name: "deploy"));
        (await Decide(order, "approve", Bob, later: true)).Code().ShouldBe(0);
        await File.WriteAllTextAsync(script, $"echo two >> {trace}\n", TestContext.Current.CancellationToken);
        await Start(order);
        await Eventually.True(async () => (string)(await Shown(order))["schedule"]! == "new", "sent back");
        ((string)(await Shown(order))["stopped"]!).ShouldContain($"文件 {script} 已被修改");
        File.Exists(trace).ShouldBeFalse("nothing ran");
        (await host.Count($"SELECT count(*) FROM platform.audit WHERE kind = 'order' AND object_id = '{order}' AND action = 'return'")).ShouldBe(1);
        (await Decide(order, "approve", Bob)).Code().ShouldBe(0);
        (await host.Ended(order)).ShouldBe("3");
        (await File.ReadAllTextAsync(trace, TestContext.Current.CancellationToken)).ShouldBe("two\n");
    }

    [Theory]
    [InlineData("UPDATE tasks.scheduler_task_info SET run_as = 'nobody' WHERE list_id = {0}", "run_as")]
    [InlineData("UPDATE tasks.scheduler_task_info SET task_cmd = 'echo other' WHERE list_id = {0}", "命令由")]
    [InlineData("UPDATE tasks.scheduler_task_info SET timeout = 7 WHERE list_id = {0}", "超时")]
    [InlineData("UPDATE tasks.lane SET host = '127.0.0.2' WHERE list_id = {0}", "主机由 127.0.0.1 改为 127.0.0.2")]
    [InlineData("UPDATE tasks.order_group SET max_failures = 5 WHERE list_id = {0}", "分批")]
    public async Task What_was_changed_behind_the_approval_stops_the_start_in_words(string change, string words)
    {
        var order = await Waiting(new { approvals = 1 }, submitter: Ann);
        (await Decide(order, "approve", Bob, later: true)).Code().ShouldBe(0);
        await Sql(string.Format(System.Globalization.CultureInfo.InvariantCulture, change, order));
        await Start(order);
        await Eventually.True(async () => (string)(await Shown(order))["schedule"]! == "new", "sent back");
        ((string)(await Shown(order))["stopped"]!).ShouldContain(words);
        (await host.Count($"SELECT count(*) FROM tasks.attempt WHERE list_id = {order}")).ShouldBe(0);
    }

    [Fact]
    public async Task An_execute_user_that_was_edited_between_approval_and_start_stops_it_in_two_languages()
    {
        var alias = $"u{Guid.NewGuid():N}"[..12];
        var key = await File.ReadAllTextAsync(await Key(), TestContext.Current.CancellationToken);
        var user = new { alias_user = alias, exec_user = "deploy", ssh_port = 22, user_key = key, remarks = "" };
        (await host.Post("/v2/task_layout/user/", user)).Code().ShouldBe(0);
        var step = OrderHost.Step("echo x", name: "ssh", execUser: alias);
        var order = await Waiting(new { approvals = 1 }, submitter: Ann, step: step, hosts: "192.0.2.1");
        (await Decide(order, "approve", Bob, later: true)).Code().ShouldBe(0);
        var id = await host.Ask<long>("SELECT id FROM tasks.scheduler_execute_user WHERE alias_user = @alias", new { alias });
        (await host.Put("/v2/task_layout/user/", new { id, exec_user = "root" })).Code().ShouldBe(0);
        await Start(order);
        await Eventually.True(async () => (string)(await Shown(order))["schedule"]! == "new", "sent back");
        ((string)(await Shown(order))["stopped"]!).ShouldContain($"执行用户 {alias} 由 deploy:22 改为 root:22");
        var english = await host.Send(HttpMethod.Get, $"/v2/task/check/?list_id={order}", null, TestTokens.Admin, "en");
        ((string)english["data"]!["stopped"]!).ShouldContain($"the execute-user {alias} was deploy:22 and is root:22");

        // Between two approvals of several the first no longer counts.
        var two = await Waiting(new { approvals = 2 }, submitter: Ann, step: step, hosts: "192.0.2.1");
        (await Decide(two, "approve", Bob)).Code().ShouldBe(0);
        (await host.Put("/v2/task_layout/user/", new { id, ssh_port = 2222 })).Code().ShouldBe(0);
        var shown = await Shown(two, Bob);
        ((string)shown["plan_changed"]!).ShouldContain("root:2222");
        ((int)shown["approvals_given"]!, (bool)shown["approval_button"]!, (string)shown["waits_for"]!).ShouldBe((0, true, "carol，bob"));
        ((int)(await Decide(two, "approve", Carol))["approvals_missing"]!).ShouldBe(1);
    }

    [Fact]
    public async Task An_order_of_the_version_before_is_approved_as_it_always_was()
    {
        var order = await Waiting(null, submitter: Ann);
        await Sql($"DELETE FROM tasks.order_approval WHERE list_id = {order}");
        ((string)(await Shown(order))["waits_for"]!).ShouldContain("bob");
        (await host.Patch("/v2/task/list/", new { list_id = order, start_time = "2020-01-01 00:00" }, Ann)).Code().ShouldBe(0);
        (await host.Ended(order)).ShouldBe("3");
    }

    [Fact]
    public async Task To_submit_as_ready_is_no_way_around_the_rule_nor_is_deleting_the_template_and_moving_the_time_needs_the_right()
    {
        var template = await Template(new { approvals = 1 }, OrderHost.Step("true"));
        var answer = await Submit(template, Ann, "ready");
        ((string)answer["warnings"]!.AsArray()[^1]!).ShouldContain("审批规则要求 1 个审批");
        var order = (long)answer["list_id"]!;
        (await host.Delete("/v2/task_layout/temp/", new { temp_id = template })).Code().ShouldBe(0);
        (await Decide(order, "approve", Ann)).Code().ShouldBe(-2);
        (await Decide(order, "approve", Bob, later: true)).Code().ShouldBe(0);
        (await host.Patch("/v2/task/list/", new { list_id = order, start_time = "2020-01-01 00:00" }, Ann)).Code().ShouldBe(-2);
        (await host.Patch("/v2/task/list/", new { list_id = order, start_time = "2020-01-01 00:00" }, Bob)).Code().ShouldBe(0);
        (await host.Ended(order)).ShouldBe("3");
    }

    [Fact]
    public async Task An_admin_breaks_the_glass_with_a_reason_and_everybody_hears_of_it()
    {
        var order = await Waiting(new { approvals = 3 }, submitter: Ann);
        (await Decide(order, "break_glass", Bob, comment: "fire")).Code().ShouldBe(-2);
        (await Decide(order, "break_glass", TestTokens.Admin)).Code().ShouldBe(-1);
        (await Decide(order, "break_glass", TestTokens.Admin, comment: "the site is down")).Code().ShouldBe(0);
        (await host.Ended(order)).ShouldBe("3");
        await Eventually.True(
            async () => await host.Count($"SELECT count(*) FROM alerts.task_monitor WHERE fingerprint = 'order:{order}:break_glass' AND state = 'open'") == 1,
            "an incident is open"
        );
        var marked = (await host.Get($"/v2/accounts/audit/?action=break_glass&object={order}"))["data"]!.AsArray().ShouldHaveSingleItem();
        marked!.ToJsonString().ShouldContain("the site is down");
    }

    [Theory]
    [InlineData(33L, true)]
    [InlineData(34L, false)]
    public async Task An_admin_of_its_space_or_of_its_template_breaks_the_glass_without_being_a_superuser(long person, bool isOfSpace)
    {
        var (space, token) = ($"s{Guid.NewGuid():N}"[..12], TestTokens.For(person, $"admin{person}"));
        (await host.Post("/v2/accounts/space/", new { name = space })).Code().ShouldBe(0);
        var template = await Template(new { approvals = 2 }, OrderHost.Step("true"));
        await Sql($"UPDATE tasks.scheduler_temp_list SET space_id = (SELECT space_id FROM accounts.space WHERE name = '{space}') WHERE temp_id = {template}");
        var order = (long)(await Submit(template, Ann, "new"))["list_id"]!;
        (await Decide(order, "break_glass", token, comment: "the site is down")).Code().ShouldNotBe(0);
        object grant = isOfSpace ? new { user_id = person, role = "admin", space } : new { user_id = person, role = "admin", @object = $"template:{template}" };
        (await host.Post("/v2/accounts/grant/", grant)).Code().ShouldBe(0);
        (await Decide(order, "break_glass", token, comment: "the site is down")).Code().ShouldBe(0);
        ((string)(await Shown(order))["approvals"]!.AsArray().ShouldHaveSingleItem()!["verdict"]!).ShouldBe("break_glass");
        var described = (await host.Get("/openapi/v1.json"))["paths"]!["/v2/task/approval"]!["post"]!["requestBody"]!["content"]!["application/json"]!;
        ((string)described["schema"]!["properties"]!["verdict"]!["description"]!).ShouldContain("for admins of its space or template and superusers");
    }

    [Fact]
    public async Task Those_who_can_approve_are_told_when_it_begins_to_wait_and_once_more_after_an_hour()
    {
        await using var stub = await HttpStub.Start();
        await using var alone = await fixture.Another();
        var channel = new { name = "hook", kind = "webhook", language = "en", settings = new { url = stub.Url } };
        (await alone.Post("/v2/alerts/channel/", channel)).Code().ShouldBe(0);
        var template = await alone.Template(null, Users, OrderHost.Step("true"));
        (await alone.Put("/v2/task/approval/rule/", new { temp_id = template, approvals = 1 })).Code().ShouldBe(0);
        var order = await alone.Order(template, schedule: "new", token: Ann);
        await Eventually.True(() => stub.Requests.Count == 1, "told at once");
        var told = stub.Requests.First().Json;
        told["title"]!.GetValue<string>().ShouldContain($"Order {order} an order awaits approval");
        told["people"]!.AsArray().Select(person => person!["name"]!.GetValue<string>()).ShouldBe(["bob", "carol"], ignoreOrder: true);

        // After a while, and however often the reminder is published.
        await using var connection = await alone.Source.OpenConnectionAsync(TestContext.Current.CancellationToken);
        var due = await connection.QuerySingleAsync<double>(
            "SELECT extract(epoch FROM next_try_at - clock_timestamp())::float8 FROM platform.outbox WHERE kind = 'orders.approval_reminder'"
        );
        due.ShouldBeInRange(3400, 3601);
        await connection.ExecuteAsync("UPDATE alerts.task_monitor SET told_at = told_at - interval '1 hour'");
        for (var times = 0; times < 2; times++)
        {
            await connection.ExecuteAsync(
                """
                INSERT INTO platform.outbox (stream, kind, payload) SELECT stream, kind, payload FROM platform.outbox WHERE kind = 'orders.approval_reminder';
                UPDATE platform.outbox SET next_try_at = clock_timestamp() WHERE kind = 'orders.approval_reminder';
                """
            );
            await Eventually.True(
                async () => await connection.ExecuteScalarAsync<long>("SELECT count(*) FROM platform.outbox WHERE kind = 'orders.approval_reminder'") == 0,
                "published"
            );
        }

        await Eventually.True(() => stub.Requests.Count == 2, "told once more");
        stub.Requests.Last().Json["title"]!.GetValue<string>().ShouldContain("still awaits approval");
        (await alone.Post("/v2/task/approval/", new { list_id = order, verdict = "approve" }, Bob)).Code().ShouldBe(0);
        await Eventually.True(() => stub.Requests.Count == 3, "those who heard of it hear that it is over");
    }

    [Fact]
    public async Task One_that_is_sent_back_at_its_start_is_told_of_once_more_an_hour_after_that()
    {
        var order = await Waiting(new { approvals = 1 }, submitter: Ann);
        (await Decide(order, "approve", Bob, later: true)).Code().ShouldBe(0);
        // It was accepted 55 minutes ago: the reminder of then would come just after its approvers are told anew.
        await Sql($"UPDATE platform.outbox SET at = at - interval '55 min', next_try_at = at - interval '55 min' WHERE stream = 'order:{order}:approval'");
        await Sql($"UPDATE tasks.scheduler_task_info SET timeout = 7 WHERE list_id = {order}");
        await Start(order);
        await Eventually.True(async () => (string)(await Shown(order))["schedule"]! == "new", "sent back");
        var due = await host.Ask<double>(
            "SELECT CAST(extract(epoch FROM next_try_at - clock_timestamp()) AS float8) FROM platform.outbox WHERE stream = @stream AND at = next_try_at",
            new { stream = $"order:{order}:approval" }
        );
        due.ShouldBeInRange(3400, 3601);
    }

    [Fact]
    public async Task A_command_that_a_rule_blocks_is_neither_previewed_nor_accepted_nor_started()
    {
        var word = $"w{Guid.NewGuid():N}";
        var late = $"l{Guid.NewGuid():N}";
        var template = await Template(null, OrderHost.Step("echo", word, name: "danger"));
        var waiting = await Waiting(null, submitter: Ann, step: OrderHost.Step("echo", late, name: "later"));
        (await Decide(waiting, "approve", Bob, later: true)).Code().ShouldBe(0);
        await Rule(word, "block");
        var body = new { task_name = "n", temp_id = template, hosts = new Dictionary<string, string> { ["1"] = "127.0.0.1" }, args = new { } };
        var refused = await host.Post("/v2/task/accept/", body, Ann);
        (refused.Code(), (string)refused["msg"]!).ShouldBe((-2, $"任务 danger 命中高危命令规则「{word}」：不许，已禁止执行"));
        (await host.Post("/v2/task/preview/", body, Ann)).Code().ShouldBe(-2);

        // The value that is put in counts, and a rule that came after the approval too.
        await Rule(late, "block");
        await Start(waiting);
        (await host.Ended(waiting)).ShouldBe("4");
        ((string)(await host.Steps(waiting))[0]["cause"]!).ShouldContain(late);
        (await host.Count($"SELECT count(*) FROM tasks.attempt WHERE list_id = {waiting}")).ShouldBe(0);
        await ToldOf(waiting, "blocked", late);
    }

    [Fact]
    public async Task A_command_that_needs_a_second_person_waits_for_one_and_a_warning_is_only_that()
    {
        var (second, warned) = ($"s{Guid.NewGuid():N}", $"x{Guid.NewGuid():N}");
        await Rule(second, "approve");
        await Rule(warned, "warn");
        var template = await Template(null, OrderHost.Step("echo", "VALUE", name: "danger"));
        var answer = await Submit(template, Ann, "ready", second);
        ((int)answer["approvals_missing"]!).ShouldBe(1);
        answer["warnings"]!.AsArray().Select(text => (string)text!).ShouldContain(text => text.Contains(second));
        var order = (long)answer["list_id"]!;
        ((string)(await Shown(order))["risks"]![0]!["action"]!).ShouldBe("approve");
        (await Decide(order, "approve", Ann)).Code().ShouldBe(-2);
        (await Decide(order, "approve", Bob)).Code().ShouldBe(0);
        (await host.Ended(order)).ShouldBe("3");
        var mild = await Submit(template, Ann, "ready", warned);
        mild["warnings"]!.AsArray().Select(text => (string)text!).ShouldContain(text => text.Contains(warned));
        (await host.Ended((long)mild["list_id"]!)).ShouldBe("3");
    }

    [Fact]
    public async Task Whom_a_hook_names_as_the_submitter_does_not_approve_it_under_either_name()
    {
        var order = await SentFor("ann", await Template(new { approvals = 1 }, OrderHost.Step("true")));
        foreach (var ann in new[] { Ann, TestTokens.For(7, "ann", nickname: "安"), TestTokens.For(7, "a.n", nickname: "ann") })
        {
            await Says(order, ann, "提交人不能审批自己的订单", "the submitter may not approve");
            (await Shown(order, ann))["approval_button"]!.GetValue<bool>().ShouldBeFalse();
            (await NeedsMe(ann)).Contains($"/orders/{order}\"", StringComparison.Ordinal).ShouldBeFalse("the submitter may not approve it");
        }

        ((string)(await Shown(order, Bob))["waits_for"]!).ShouldNotContain("ann");
        (await Decide(order, "approve", Bob)).Code().ShouldBe(0);
        (await host.Ended(order)).ShouldBe("3");
    }

    [Fact]
    public async Task Whom_a_hook_names_as_the_submitter_is_no_second_person_for_a_rule_that_came_after_the_approval()
    {
        foreach (var ann in new[] { Ann, TestTokens.For(7, "ann", nickname: "安"), TestTokens.For(7, "a.n", nickname: "ann") })
        {
            var word = $"h{Guid.NewGuid():N}";
            var order = await SentFor("ann", await Template(null, OrderHost.Step("echo", word, name: "danger")));
            (await Decide(order, "approve", ann, later: true)).Code().ShouldBe(0);
            await Rule(word, "approve");
            await Start(order);
            await Eventually.True(async () => (string)(await Shown(order))["schedule"]! == "new", "sent back");
            var shown = await Shown(order);
            ((string)shown["stopped"]!).ShouldContain("需要另一人审批");
            ((string)shown["waits_for"]!).ShouldBe("bob，carol");
            (await host.Count($"SELECT count(*) FROM tasks.attempt WHERE list_id = {order}")).ShouldBe(0);
        }
    }

    [Fact]
    public async Task A_broken_glass_counts_no_longer_once_the_order_awaits_approval_again()
    {
        var order = await Waiting(new { approvals = 1 }, submitter: Ann);
        (await Decide(order, "break_glass", TestTokens.Admin, comment: "the site is down", later: true)).Code().ShouldBe(0);
        await Sql($"UPDATE tasks.scheduler_task_info SET timeout = 7 WHERE list_id = {order}");
        await Start(order);
        await Eventually.True(async () => (string)(await Shown(order))["schedule"]! == "new", "sent back");
        (await Shown(order))["approvals"]!.AsArray().Select(one => ((string)one!["verdict"]!, (bool)one["counts"]!)).ShouldBe([("break_glass", false)]);

        // One that the version before has left.
        await Sql($"UPDATE tasks.approval SET void = false WHERE list_id = {order}");
        (await Decide(order, "push_back", Bob, comment: "not like this")).Code().ShouldBe(0);
        (await Shown(order))["approvals"]!.AsArray().Count(one => (string)one!["verdict"]! == "break_glass" && (bool)one["counts"]!).ShouldBe(0);
    }

    [Fact]
    public async Task An_approval_after_a_push_back_by_somebody_else_answers_it()
    {
        // With a second approval needed it waits for the others.
        var two = await Waiting(new { approvals = 2 }, submitter: Ann);
        await First(two);
        (await Decide(two, "push_back", Carol, comment: "why today?")).Code().ShouldBe(0);
        (await NeedsMe(TestTokens.Admin)).ShouldNotContain($"\"wait-{two}\"");
        (await host.Page($"/orders/{two}/approve", Carol, "en")).Html.ShouldContain("Pushed back by carol");
        (await Decide(two, "approve", Bob)).Code().ShouldBe(0);
        await First(two);
        (await NeedsMe(TestTokens.Admin)).ShouldContain($"\"wait-{two}\"");
        (await NeedsMe(Carol)).ShouldContain($"\"wait-{two}\"");
        (await host.Page($"/orders/{two}/approve", Carol, "en")).Html.ShouldNotContain("Pushed back by carol");
        (await Decide(two, "reject", Carol)).Code().ShouldBe(0);

        // One that is sent back at its start awaits approval, and no answer of its submitter.
        var order = await Waiting(new { approvals = 1 }, submitter: Ann);
        (await Decide(order, "push_back", Carol, comment: "why today?")).Code().ShouldBe(0);
        (await Decide(order, "approve", Bob, later: true)).Code().ShouldBe(0);
        await Sql($"UPDATE tasks.scheduler_task_info SET timeout = 7 WHERE list_id = {order}");
        await Start(order);
        await Eventually.True(async () => (string)(await Shown(order))["schedule"]! == "new", "sent back");
        await First(order);
        (await NeedsMe(Carol)).ShouldContain($"\"wait-{order}\"");
        (await Shown(order))["approvals"]!.AsArray().ShouldAllBe(one => !(bool)one!["counts"]!);
    }

    // The first page shows a few of the orders that wait.
    private Task First(long order) => Sql($"UPDATE tasks.scheduler_task_list SET start_time = start_time - interval '10 years' WHERE list_id = {order}");

    // An incident of the submitter's.
    private Task ToldOf(long order, string what, string why) =>
        Eventually.True(
            async () =>
                await host.Ask<bool>(
                    "SELECT EXISTS (SELECT FROM alerts.task_monitor WHERE fingerprint = @key AND kind = 'failed' AND strpos(detail_zh, @why) > 0)",
                    new { key = $"order:{order}:{what}", why }
                ),
            $"the submitter is told that order {order} is {what}"
        );

    // As a superuser's hook does whose push somebody else has made.
    private async Task<long> SentFor(string submitter, long template)
    {
        var hosts = new Dictionary<string, string> { ["1"] = "127.0.0.1" };
        var answer = await host.Post("/v2/task/accept/", new { task_name = "a push", temp_id = template, hosts, args = new { }, schedule = "new", submitter });
        answer.Code().ShouldBe(0, answer.ToJsonString());
        return (long)answer["list_id"]!;
    }

    private async Task Rule(string word, string action)
    {
        var rule = new { name = word, kind = "words", pattern = $"echo {word}", action, reason = "不许", reason_en = "no" };
        (await host.Post("/v2/task/risk/", rule)).Code().ShouldBe(0);
    }

    private async Task<long> Template(object? rule, params JsonObject[] steps)
    {
        var id = await host.Template(null, Users, steps);
        if (rule is null) return id;
        var body = System.Text.Json.JsonSerializer.SerializeToNode(rule)!.AsObject();
        body["temp_id"] = id;
        var answer = await host.Put("/v2/task/approval/rule/", body.ToJsonString());
        answer.Code().ShouldBe(0, answer.ToJsonString());
        return id;
    }

    private async Task<JsonObject> Submit(long template, string token, string schedule, string? value = null, string hosts = "127.0.0.1")
    {
        var answer = await host.Post(
            "/v2/task/accept/",
            new
            {
                task_name = "an order",
                temp_id = template,
                hosts = new Dictionary<string, string> { ["1"] = hosts },
                args = new { VALUE = value ?? "v" },
                schedule,
            },
            token
        );
        answer.Code().ShouldBe(0, answer.ToJsonString());
        return answer;
    }

    private async Task<long> Waiting(object? rule, string submitter, JsonObject? step = null, string? editor = null, string hosts = "127.0.0.1")
    {
        var template = await Template(rule, step ?? OrderHost.Step("true"));
        if (editor is not null) await Sql($"UPDATE tasks.scheduler_temp_list SET editor_id = 8 WHERE temp_id = {template}");
        return (long)(await Submit(template, submitter, "new", hosts: hosts))["list_id"]!;
    }

    private Task<JsonObject> Decide(long order, string verdict, string token, string? comment = null, string? sha256 = null, bool later = false) =>
        host.Post(
            "/v2/task/approval/",
            new
            {
                list_id = order,
                verdict,
                comment,
                plan_sha256 = sha256,
                start_time = later ? "2099-01-01 00:00" : null,
            },
            token
        );

    private async Task Says(long order, string token, string zh, string en, int code = -2, string? comment = null, string? sha256 = null)
    {
        var body = System.Text.Json.JsonSerializer.Serialize(new { list_id = order, verdict = "approve", comment, plan_sha256 = sha256 });
        foreach (var (language, words) in new[] { ("zh", zh), ("en", en) })
        {
            var answer = await host.Send(HttpMethod.Post, "/v2/task/approval/", body, token, language);
            (answer.Code(), ((string)answer["msg"]!).Contains(words, StringComparison.Ordinal)).ShouldBe((code, true), answer.ToJsonString());
        }
    }

    // An order that is held for its time: its time comes now.
    private async Task Start(long order) =>
        (await host.Patch("/v2/task/list/", new { list_id = order, start_time = "2020-01-01 00:00" })).Code().ShouldBe(0);

    private async Task<JsonObject> Shown(long order, string? token = null) =>
        (await host.Get($"/v2/task/check/?list_id={order}", token))["data"]!.AsObject();

    private async Task<string> WaitsFor(long order, string token) =>
        (string)(await host.Get("/v2/task/list/", token))["data"]!.AsArray().Single(one => (long)one!["list_id"]! == order)!["waits_for"]!;

    private async Task Sql(string sql)
    {
        await using var connection = await host.Source.OpenConnectionAsync(TestContext.Current.CancellationToken);
        await connection.ExecuteAsync(sql);
    }

    private async Task<string> Key()
    {
        var path = fixture.NewFile();
        using var made = System.Diagnostics.Process.Start(
            new System.Diagnostics.ProcessStartInfo("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", path])
        )!;
        await made.WaitForExitAsync(TestContext.Current.CancellationToken);
        return path;
    }

    // The first page, on which an order that awaits approval is only where it waits for its reader.
    private async Task<string> NeedsMe(string token)
    {
        using var response = await host.Http.SendAsync(TestHost.Request(HttpMethod.Get, "/", null, token));
        return await response.Content.ReadAsStringAsync();
    }
}
