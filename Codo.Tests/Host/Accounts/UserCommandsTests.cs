using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Codo.Host.LocalServices;
using Codo.Tests.Support;
using Dapper;
using Npgsql;

namespace Codo.Tests.Host.Accounts;

/// <summary>The first account of an installation, and those that an administrator makes.</summary>
public sealed class UserCommandsTests
{
    [Fact]
    public async Task The_first_start_makes_admin_whose_password_is_in_a_file_and_an_administrator_makes_the_others()
    {
        using var folder = new TestFolder();
        var data = folder.At("codo");
        var file = Path.Combine(data, "secrets/admin-password");
        (string, string)[] place = [("Codo__DataDirectory", data)];
        await using (var host = await HostProcess.Start(data))
        {
            File.GetUnixFileMode(file).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
            var password = (await File.ReadAllTextAsync(file)).Trim();
            password.Length.ShouldBeGreaterThanOrEqualTo(20);
            host.Output.ShouldNotContain(password);
            host.Output.ShouldContain(file);
            var admin = await SignIn(host, "admin", password);
            ((int)admin["code"]!, (bool)admin["data"]!["is_superuser"]!).ShouldBe((0, true));

            // Beside the running host.
            (await HostProcess.RunWith("a good password\n", ["user", "add", "ann"], place)).ExitCode.ShouldBe(0);
            (await HostProcess.RunWith("a good password\n", ["user", "add", "ANN"], place)).Errors.ShouldContain("There is an account ANN already");
            (await HostProcess.RunWith("short\n", ["user", "add", "bob"], place)).Errors.ShouldContain("at least 10 characters");
            var ann = (string)(await SignIn(host, "ann", "a good password"))["auth_key"]!;
            (await Status(host, ann)).ShouldBe(HttpStatusCode.OK);
            (await HostProcess.RunWith("", ["user", "disable", "ann"], place)).Output.ShouldBe("ann is disabled.\n");
            await Eventually.True(async () => await Status(host, ann) == HttpStatusCode.Unauthorized, "the host refuses ann");
            (await HostProcess.RunWith("", ["user", "enable", "ann"], place)).ExitCode.ShouldBe(0);
            (await HostProcess.RunWith("another password\n", ["user", "passwd", "ann"], place)).ExitCode.ShouldBe(0);
            ((int)(await SignIn(host, "ann", "a good password"))["code"]!).ShouldBe(-1);
            await Eventually.True(async () => await Status(host, ann) == HttpStatusCode.Unauthorized, "the old sign-in has ended");
            ((int)(await SignIn(host, "ann", "another password"))["code"]!).ShouldBe(0);
            (await HostProcess.RunWith("", ["user", "passwd", "nobody"], place)).Errors.ShouldContain("There is no account nobody");
            await FindsPeopleByTheirNames(data, place);
            File.Delete(file);
        }

        // Without one.
        var list = await HostProcess.RunWith("", ["user", "list"], place);
        list.ExitCode.ShouldBe(0, list.Errors);
        list.Output.ShouldContain("admin");
        list.Output.ShouldContain("ann");
        await using (var again = await HostProcess.Start(data)) File.Exists(file).ShouldBeFalse("there is an account already");
    }

    [Fact]
    public async Task A_weak_password_of_the_settings_is_refused_and_a_good_one_is_admins()
    {
        using var folder = new TestFolder();
        var data = folder.At("codo");
        var refused = await HostProcess.Run(
            [$"--Codo:DataDirectory={data}", "--urls=http://127.0.0.1:0"],
            environment: ("Codo__Auth__AdminPassword", "password123")
        );
        (refused.ExitCode, refused.Errors.Trim()).ShouldBe((2, "Codo:Auth:AdminPassword: This password is among the commonest; choose another."));
        await using var host = await HostProcess.Start(data, environment: ("Codo__Auth__AdminPassword", "set by the operator"));
        ((int)(await SignIn(host, "admin", "set by the operator"))["code"]!).ShouldBe(0);
        host.Output.ShouldNotContain("set by the operator");
        (await File.ReadAllTextAsync($"/proc/{host.Pid}/environ")).ShouldNotContain("set by the operator");
    }

    [Theory]
    [InlineData("user", "list")]
    [InlineData("audit", "verify")]
    [InlineData("migrate")]
    [InlineData("backup", "/codo-test-of-nothing.backup")]
    public async Task Where_there_is_no_database_a_command_makes_none(params string[] arguments)
    {
        using var folder = new TestFolder();
        var (exitCode, _, errors) = await HostProcess.Run([.. arguments], environment: ("Codo__DataDirectory", folder.At("codo")));
        exitCode.ShouldBe(2, errors);
        errors.ShouldStartWith($"There is no database in {folder.At("codo")} that ");
        Directory.Exists(folder.At("codo")).ShouldBeFalse();
    }

    [Fact]
    public async Task Root_does_not_take_the_database_of_a_host_that_runs_as_another_user()
    {
        await using var user = await TestUser.Make();
        using var folder = new TestFolder();
        var data = folder.At("codo");
        var cluster = Path.Combine(data, "postgres");
        Directory.CreateDirectory(cluster);
        await File.WriteAllTextAsync(Path.Combine(cluster, "PG_VERSION"), "15\n", TestContext.Current.CancellationToken);
        foreach (var place in (string[])[data, cluster]) Posix.ChangeOwner(place, user.Identity.Id, user.Identity.Group);
        string[][] commands = [["user", "list"], ["serve", "--urls=http://127.0.0.1:0"]];
        foreach (var arguments in commands)
        {
            var (exitCode, _, errors) = await HostProcess.Run(arguments, environment: ("Codo__DataDirectory", data));
            exitCode.ShouldBe(2, errors);
            errors.ShouldContain($"Run this as {user.Identity.Name},");
        }

        PostgresUser.OwnerOf(cluster).ShouldBe(user.Identity.Id);
        Directory.GetFileSystemEntries(data).ShouldBe([cluster]);
    }

    // Beside the running host: the list names them, and so they are found by their names.
    private static async Task FindsPeopleByTheirNames(string data, (string, string)[] place)
    {
        await using var inside = new NpgsqlConnection(EmbeddedPostgres.OfRunningHost(data) + ";Pooling=false");
        await inside.ExecuteAsync(
            """
            INSERT INTO accounts.person (user_id, username, kind, managed) VALUES (4711, 'Carl', 'oidc', true), (4712, 'dora', 'oidc', true),
                (4713, 'Dora', 'codo-admin', false), (4714, 'ann', 'codo-admin', false)
            """
        );
        (await HostProcess.RunWith("", ["user", "disable", "carl"], place)).Output.ShouldBe("carl is disabled.\n");
        (await HostProcess.RunWith("", ["user", "disable", "ann"], place)).Output.ShouldBe("ann is disabled.\n");
        (await HostProcess.RunWith("", ["user", "disable", "dora"], place)).Errors
            .ShouldContain("Several people are called dora: 4712, 4713; give the id.");
        (await HostProcess.RunWith("", ["user", "disable", "4713"], place)).Output.ShouldBe("4713 is disabled.\n");
        // An account's name is the account's.
        (await inside.QueryAsync<string>("SELECT concat(username, ' ', kind) FROM accounts.person WHERE disabled ORDER BY lower(username)"))
            .ShouldBe(["ann own", "Carl oidc", "Dora codo-admin"]);
        (await HostProcess.RunWith("", ["user", "enable", "CARL"], place)).Output.ShouldBe("CARL is enabled.\n");
    }

    private static async Task<JsonObject> SignIn(HostProcess host, string username, string password)
    {
        using var http = new HttpClient { BaseAddress = host.Address };
        using var response = await http.PostAsJsonAsync("/v2/accounts/login/", new { username, password });
        return (await response.Content.ReadFromJsonAsync<JsonObject>())!;
    }

    private static async Task<HttpStatusCode> Status(HostProcess host, string token)
    {
        using var http = new HttpClient { BaseAddress = host.Address };
        using var request = TestHost.Request(HttpMethod.Get, "/v2/accounts/me/", null, token);
        using var response = await http.SendAsync(request);
        return response.StatusCode;
    }
}
