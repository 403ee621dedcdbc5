using Codo.Host.LocalServices;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Dapper;
using Npgsql;

namespace Codo.Tests.Upgrades;

/// <summary>After an upgrade everybody may do what they could before it, or less.</summary>
public sealed class RightsUpgradeTests(TestPostgres postgres)
{
    private const string MasterKey = "InqaQ3Q7wAaQXgNh_RM7l7T-ZoQez_n3dxVJtpkdmWY", TokenSecret = "T8BJH9buRaWSaRMR4aXDlSBq24eaHkdTn2_sbHS-QDY";

    private sealed record Person(long Id, string Name, bool IsSuperuser = false);

    private static readonly Person Super = new(1, "admin", true),
        Olga = new(901, "olga"),
        Rita = new(902, "rita"),
        User = new(903, "tom"),
        Maker = new(904, "max");

    // What the version before asked of each action: its routes and slices, written down once more.
    private static bool Before(Person person, string verb, string what, string[] operators)
    {
        if (person.IsSuperuser) return true;
        var isOperator = operators.Length == 0 || operators.Contains(person.Name);
        return (what, verb) switch
        {
            ("job:nightly" or "job:", "see") => true,
            ("job:nightly" or "job:", "run" or "edit") => isOperator,
            // Every token submitted orders, read templates and execute-users.
            ("template:own" or "template:foreign" or "template:" or "execute_user:1" or "execute_user:", "see") => true,
            ("template:own" or "template:foreign" or "template:", "run") => true,
            ("template:own", "edit") => person == User || (person == Maker && isOperator),
            ("template:own", "approve") => person == User,
            ("template:foreign", "edit" or "approve") => false,
            ("template:" or "execute_user:1" or "execute_user:", "edit") => isOperator,
            ("execute_user:1" or "execute_user:", "run") => isOperator,
            ("library:", "see") => true,
            ("library:", "edit") => isOperator,
            ("library:", "run") => isOperator,
            // Orders of the template: the users that it had when they were accepted, and the submitter.
            ("order:own", "see" or "run") => person == User || person == Rita,
            ("order:own", "approve") => person == User,
            // Rules, channels and host keys were the superusers'.
            _ => false,
        };
    }

    [Theory]
    [InlineData("")]
    [InlineData("olga,max")]
    public async Task Who_may_do_what_is_the_same_or_less(string list)
    {
        var database = await postgres.CreateDatabase();
        await Execute(database, await File.ReadAllTextAsync(Path.Combine(AppContext.BaseDirectory, "Upgrades", "0.1.0.sql")));
        await Execute(database, """
            INSERT INTO tasks.scheduler_temp_list (temp_id, temp_name, creator, creator_id) VALUES (9001, 'own', 'max', 904), (9002, 'foreign', 'x', 777);
            INSERT INTO tasks.scheduler_temp_user (temp_id, user_id, nickname) VALUES (9001, 903, 'tom');
            INSERT INTO tasks.scheduler_task_list (list_id, task_name, task_type, hosts, args, creator, creator_id, approver_ids, schedule, temp_id,
                    start_time, not_before, ended_at)
                VALUES (9003, 'o', 'own', '{}', '{}', 'rita', 902, '{903}', 'OK', 9001, now(), now(), now());
            """);
        await DatabaseRoles.Settle(TestPostgres.AsSuperuser(database));
        (string, string)[] settings = [("Codo:Auth:TokenSecret", TokenSecret), ("Codo:MasterKey", MasterKey), ("Codo:TimeZone", "")];
        (string, string)[] operators = list.Length == 0 ? [] : [("Codo:Cron:Operators", list), ("Codo:Tasks:Operators", list)];
        string[] names = list.Length == 0 ? [] : list.Split(',');
        await using (var host = await TestHost.Start(postgres, database, [.. settings, .. operators]))
            await Compare(host, names);
        // The upgrade decided once: without the lists later starts give nobody more.
        await using (var later = await TestHost.Start(postgres, database, settings))
            if (list.Length > 0) (await May(later, Rita, "edit", "job:nightly")).ShouldBeFalse();
        // A setting goes before it.
        await using var set = await TestHost.Start(postgres, database, [.. settings, ("Codo:Auth:DefaultRole", "operator")]);
        (await May(set, Rita, "run", "job:nightly")).ShouldBeTrue();
        (await May(set, Rita, "edit", "job:nightly")).ShouldBeFalse();
    }

    private static async Task Compare(TestHost host, string[] operators)
    {
        var lost = new List<string>();
        foreach (var person in new[] { Super, Olga, Rita, User, Maker })
            foreach (
                var what in new[]
                {
                    "job:nightly",
                    "job:",
                    "template:own",
                    "template:foreign",
                    "template:",
                    "execute_user:1",
                    "execute_user:",
                    "library:",
                    "order:own",
                    "alert_rule:1",
                    "alert_rule:",
                    "alert_channel:1",
                    "alert_channel:",
                    "space:default",
                }
            )
                foreach (var verb in new[] { "see", "run", "edit", "approve", "admin" })
                {
                    // Spaces are new: that there is one, everybody may know.
                    if (what == "space:default" && verb == "see") continue;
                    var (before, after) = (Before(person, verb, what, operators), await May(host, person, verb, what));
                    (after && !before).ShouldBeFalse($"{person.Name} may {verb} {what} now and could not");
                    if (before && !after) lost.Add($"{person.Name} {verb} {what}");
                }
        // Without a list nothing is lost. With one, everyone else has lost what viewer does not have; who had submitted orders from a template goes on.
        lost.Order()
            .ShouldBe(
                operators.Length == 0
                    ? []
                    : new[] { "rita run template:", "rita run template:foreign", "tom run template:", "tom run template:foreign" }.Order()
            );
    }

    private static async Task<bool> May(TestHost host, Person person, string verb, string what)
    {
        var token = TestTokens.Sign(TestTokens.Payload(person.Id, person.Name, person.IsSuperuser), TokenSecret);
        var name = what.Replace("template:own", "template:9001").Replace("template:foreign", "template:9002").Replace("order:own", "order:9003");
        var answer = await host.Get($"/v2/accounts/may/?object={Uri.EscapeDataString(name)}", token);
        if (answer.Code() != 0) return false;
        return answer["verbs"]!.AsArray().Any(word => (string)word! == verb);
    }

    private static async Task Execute(string database, string sql)
    {
        await using var connection = new NpgsqlConnection(TestPostgres.AsSuperuser(database));
        await connection.OpenAsync();
        await connection.ExecuteAsync(sql, commandTimeout: 60);
    }
}
