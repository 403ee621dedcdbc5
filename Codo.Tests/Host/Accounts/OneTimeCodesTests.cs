using System.ComponentModel.DataAnnotations;
using Codo.Host.Accounts;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Microsoft.Extensions.DependencyInjection;
using OtpNet;
using OrderHost = Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Host.Accounts;

/// <summary>The second factor: a code that an authenticator shows, good once.</summary>
public sealed class OneTimeCodesTests(AccountsHost fixture) : IClassFixture<AccountsHost>
{
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task Is_set_up_confirmed_asked_for_and_taken_away()
    {
        // The step in which the test began: one that ends meanwhile changes no code.
        var began = DateTime.UtcNow;
        await host.Account("coded");
        var token = await host.Token("coded");
        (await host.Post("/v2/accounts/otp/", new { password = "wrong password" }, token)).Code().ShouldBe(-1);
        var setUp = await host.Post("/v2/accounts/otp/", new { password = AccountsClient.Password }, token);
        setUp.Code().ShouldBe(0, setUp.ToJsonString());
        var key = (string)setUp["otp_key"]!;
        ((string)setUp["otp_uri"]!).ShouldBe($"otpauth://totp/Codo:coded?secret={key}&issuer=Codo");
        // Sealed, and not in force before a first code.
        (await host.Count($"SELECT count(*) FROM accounts.own_account WHERE position(convert_to('{key}', 'UTF8') IN otp_key) > 0")).ShouldBe(0);
        (await host.Token("coded")).ShouldNotBeEmpty();
        const string signIns = "SELECT count(*) FROM platform.audit WHERE action = 'sign_in' AND username = 'coded'";
        (await host.Count($"{signIns} AND after->>'how' = 'password'")).ShouldBe(2);
        (await host.Put("/v2/accounts/otp/", new { otp = "000000" }, token)).Code().ShouldBe(-1);
        (await host.Put("/v2/accounts/otp/", new { otp = Code(key, began) }, token)).Code().ShouldBe(0);

        (await Try("coded")).ShouldBe(-3);
        (await Try("coded", Code(key, began, 5))).ShouldBe(-3);
        (await Try("coded", Code(key, began))).ShouldBe(-3, "the code that confirmed the key was used");
        (await Try("coded", Code(key, began, 1))).ShouldBe(0);
        (await Try("coded", Code(key, began, 1))).ShouldBe(-3, "no code is good twice");
        (await Try("coded", Code(key, began))).ShouldBe(-3, "nor an earlier one after it");
        (await host.Count($"{signIns} AND after->>'how' = 'password, code'")).ShouldBe(1);
        await host.Services.GetRequiredService<RefusedAttempts>().StopAsync(TestContext.Current.CancellationToken);
        await Eventually.True(async () => await Failed() == 5, "each is written, and the one that did not confirm the key");

        (await host.Delete("/v2/accounts/otp/", new { password = AccountsClient.Password, otp = "000000" }, token)).Code().ShouldBe(-1);
        await host.Services.GetRequiredService<RefusedAttempts>().StopAsync(TestContext.Current.CancellationToken);
        await Eventually.True(async () => await Failed() == 6, "a code that is guessed at in a session is an attempt as well");
        await host.Ask<int>("UPDATE accounts.own_account SET otp_step = 0 WHERE name = 'coded' RETURNING 1");
        (await host.Delete("/v2/accounts/otp/", new { password = AccountsClient.Password, otp = Code(key) }, token)).Code().ShouldBe(0);
        (await Try("coded")).ShouldBe(0);

        Task<long> Failed() => host.Count($"{signIns} AND result = 'failed' AND object_id = 'code'");
    }

    [Fact]
    public async Task Two_sign_ins_with_one_code_at_once_are_one()
    {
        await host.Account("raced");
        var token = await host.Token("raced");
        var key = (string)(await host.Post("/v2/accounts/otp/", new { password = AccountsClient.Password }, token))["otp_key"]!;
        await Confirm(host, key, token);
        var code = Code(key);
        var codes = await Task.WhenAll(Enumerable.Range(0, 6).Select(_ => Try("raced", code)));
        codes.Count(one => one == 0).ShouldBe(1);
    }

    [Fact]
    public async Task Codes_that_were_turned_off_are_not_turned_on_again_by_the_request_behind()
    {
        await host.Account("twice");
        var token = await host.Token("twice");
        var key = (string)(await host.Post("/v2/accounts/otp/", new { password = AccountsClient.Password }, token))["otp_key"]!;
        await Confirm(host, key, token);
        await using var connection = await host.Source.OpenConnectionAsync();
        // As a second request has read it, which comes after the first one has ended.
        var stale = (await OwnAccount.Find(connection, "twice")).ShouldNotBeNull();
        await host.Ask<int>("UPDATE accounts.own_account SET otp_step = 0 WHERE name = 'twice' RETURNING 1");
        var code = Code(key);
        (await host.Delete("/v2/accounts/otp/", new { password = AccountsClient.Password, otp = code }, token)).Code().ShouldBe(0);
        (await host.Services.GetRequiredService<OneTimeCodes>().Take(connection, null, stale, code)).ShouldBeFalse();
        (await Try("twice")).ShouldBe(0);

        // What a version before has left behind: codes without a key.
        await host.Ask<int>("UPDATE accounts.own_account SET otp_on = true, otp_key = NULL WHERE name = 'twice' RETURNING 1");
        (await Try("twice", code)).ShouldBe(-3);
        await using var transaction = await connection.BeginTransactionAsync();
        (await DropOtp.Handler.Drop(connection, transaction, Caller.Codo, stale.UserId)).ShouldBeTrue();
        (await DropOtp.Handler.Drop(connection, transaction, Caller.Codo, stale.UserId)).ShouldBeFalse();
        await transaction.CommitAsync();
        (await Try("twice")).ShouldBe(0);
    }

    [Fact]
    public async Task Of_two_requests_that_begin_at_once_both_show_the_key_that_is_kept()
    {
        await host.Account("begun");
        await using var connection = await host.Source.OpenConnectionAsync();
        var (codes, early) = (host.Services.GetRequiredService<OneTimeCodes>(), (await OwnAccount.Find(connection, "begun")).ShouldNotBeNull());
        var key = await codes.Pending(connection, null, early);
        (await codes.Pending(connection, null, early)).ShouldBe(key);
        await Confirm(host, OneTimeCodes.Shown(key, "begun").Key, await host.Token("begun"));
        await Should.ThrowAsync<Refusal>(() => codes.Pending(connection, null, early));
    }

    [Fact]
    public async Task A_key_that_somebody_with_the_old_password_has_seen_is_not_the_one_that_is_confirmed_after_a_new_one()
    {
        const string renewed = "a much better one";
        await host.Account("seen");
        var seen = await Key(AccountsClient.Password, await host.Token("seen"));
        var token = await NewPassword(AccountsClient.Password, renewed, await host.Token("seen"));
        var key = await Key(renewed, token);
        key.ShouldNotBe(seen);
        await Confirm(host, key, token);
        // One in force is the owner's.
        await NewPassword(renewed, AccountsClient.Password, token);
        (await Try("seen")).ShouldBe(-3);
        (await Try("seen", Code(key))).ShouldBe(0);

        async Task<string> Key(string password, string by) => (string)(await host.Post("/v2/accounts/otp/", new { password }, by))["otp_key"]!;

        async Task<string> NewPassword(string password, string next, string by)
        {
            var changed = await host.Post("/v2/accounts/password/", new { password, new_password = next }, by);
            changed.Code().ShouldBe(0, changed.ToJsonString());
            return (string)changed["auth_key"]!;
        }
    }

    [Fact]
    public async Task Who_knows_the_password_does_not_guess_the_code_from_many_addresses()
    {
        await host.Account("guessed");
        var token = await host.Token("guessed");
        var key = (string)(await host.Post("/v2/accounts/otp/", new { password = AccountsClient.Password }, token))["otp_key"]!;
        await Confirm(host, key, token);
        for (var i = 0; i < 10; i++) (await Try("guessed", Code(key, steps: 100 + i))).ShouldBe(-3);
        (await Try("guessed", Code(key))).ShouldBe(429);
    }

    [Fact]
    public async Task Who_found_an_access_token_does_not_use_up_the_owners_tries()
    {
        await host.Account("found");
        var token = await host.Token("found");
        var key = (string)(await host.Post("/v2/accounts/otp/", new { password = AccountsClient.Password }, token))["otp_key"]!;
        await Confirm(host, key, token);
        var made = await host.Post("/v2/accounts/token/", new { name = "ci", scopes = new[] { "see" }, days = 1 }, token);
        made.Code().ShouldBe(0, made.ToJsonString());
        for (var i = 0; i < 15; i++) (await host.Put("/v2/accounts/otp/", new { otp = "000000" }, (string)made["token"]!)).Code().ShouldBeLessThan(0);
        (await Try("found", Code(key))).ShouldBe(0);
    }

    [Fact]
    public async Task Where_it_is_required_the_first_sign_in_sets_it_up_and_nobody_drops_it()
    {
        await using var strict = await host.Again(
            ("Codo:Auth:RequireOtp", "superusers,approver,editor"),
            ("Codo:Cron:Operators", "lister"),
            ("Codo:KnownProxies", "127.0.0.1")
        );
        await strict.Account("chief", superuser: true);
        await strict.Account("worker");
        (await strict.Token("worker")).ShouldNotBeEmpty();
        // Somebody who gives a code all the same, before there is a key, is shown the key.
        var (early, before) = await strict.SignIn("chief", otp: "000000");
        before.Dispose();
        early.Code().ShouldBe(-4, early.ToJsonString());
        var (asked, first) = await strict.SignIn("chief");
        using (first) (asked.Code(), first.Cookies().Length).ShouldBe((-4, 0));
        var key = (string)asked["otp_key"]!;
        ((string)early["otp_key"]!).ShouldBe(key);
        var (mistyped, wrong) = await strict.SignIn("chief", otp: Code(key, steps: 100));
        wrong.Dispose();
        (mistyped.Code(), (string?)mistyped["otp_key"]).ShouldBe((-4, key), "the key stays on the page");
        mistyped.Msg().ShouldContain("一次性验证码错误");
        var (again, second) = await strict.SignIn("chief");
        second.Dispose();
        ((string)again["otp_key"]!).ShouldBe(key, "a second look shows the same key");
        var (entered, third) = await strict.SignIn("chief", otp: Code(key));
        third.Dispose();
        entered.Code().ShouldBe(0, entered.ToJsonString());
        (await strict.Delete("/v2/accounts/otp/", new { password = AccountsClient.Password, otp = Code(key, 1) }, (string)entered["auth_key"]!))
            .Code()
            .ShouldBe(-1);

        // A role that a team has counts from the next sign-in on.
        var id = await strict.Ask<long>("SELECT user_id FROM accounts.person WHERE username = 'worker'");
        var team = (long)(await strict.Post("/v2/accounts/team/", new { name = "strict" }))["team_id"]!;
        (await strict.Post("/v2/accounts/team/member/", new { team_id = team, user_id = id })).Code().ShouldBe(0);
        (await strict.Post("/v2/accounts/grant/", new { team_id = team, role = "admin", space = "default" })).Code().ShouldBe(0);
        var (refused, fourth) = await strict.SignIn("worker");
        fourth.Dispose();
        refused.Code().ShouldBe(-4);

        // What a template, an approval rule or a list of operators gives counts as its role.
        var named = await Made("named");
        var template = await OrderHost.Template(strict, null, [$"{named},,,named"], OrderHost.Step("true", forceHost: "127.0.0.1"));
        var approvers = (long)(await strict.Post("/v2/accounts/team/", new { name = "approvers" }))["team_id"]!;
        (await strict.Post("/v2/accounts/team/member/", new { team_id = approvers, user_id = await Made("member") })).Code().ShouldBe(0);
        (await strict.Put("/v2/task/approval/rule/", new { temp_id = template, approvals = 1, team_id = approvers })).Code().ShouldBe(0);
        await Made("lister");
        await Made("nobody-special");
        foreach (var (name, code) in new[] { ("named", -4), ("member", -4), ("lister", -4), ("nobody-special", 0) })
        {
            var (answer, response) = await strict.SignIn(name);
            response.Dispose();
            answer.Code().ShouldBe(code, name);
        }

        async Task<long> Made(string name)
        {
            await strict.Account(name);
            return await strict.Ask<long>("SELECT user_id FROM accounts.person WHERE username = @name", new { name });
        }
    }

    [Theory]
    [InlineData("none", "admin", false)]
    [InlineData("all", "", true)]
    [InlineData("superusers", "admin", false)]
    [InlineData("superusers,approver", "approver", true)]
    [InlineData("approver", "admin", true)]
    [InlineData("approver", "editor", false)]
    [InlineData("operator, admin", "editor", true)]
    public void A_role_that_requires_it_stands_for_every_role_with_its_verbs(string required, string role, bool needed)
    {
        var settings = new AuthSettings { RequireOtp = required };
        settings.NeedsOtp(false, ["viewer", role]).ShouldBe(needed);
        settings.NeedsOtp(true, []).ShouldBe(required != "none");
        Validator.TryValidateObject(settings, new ValidationContext(settings), null, true).ShouldBeTrue();
    }

    private async Task<int> Try(string name, string? otp = null)
    {
        var (answer, response) = await host.SignIn(name, otp: otp);
        response.Dispose();
        return answer.Code();
    }

    // The code of the step before: the present one is left for the sign-in. It is too old when a step ends between here and the host.
    private static async Task Confirm(TestHost host, string key, string token)
    {
        var code = -1;
        for (var tries = 0; code != 0 && tries < 3; tries++)
            code = (await host.Put("/v2/accounts/otp/", new { otp = Code(key, steps: -1) }, token)).Code();
        code.ShouldBe(0);
    }

    private static string Code(string key, int steps = 0) => Code(key, DateTime.UtcNow, steps);

    private static string Code(string key, DateTime at, int steps = 0) =>
        new Totp(Base32Encoding.ToBytes(key)).ComputeTotp(at.AddSeconds(30 * steps));
}
