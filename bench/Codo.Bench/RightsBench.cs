using System.Diagnostics;
using System.Globalization;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Microsoft.AspNetCore.Authorization;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Bench;

/// <summary>What a decision costs, in this process, without a host: through ASP.NET Core's authorization, as the gate, slices and streams ask.</summary>
internal static class RightsBench
{
    private const int People = 1000, Spaces = 100, Grants = 10_000, Rounds = 200_000;

    public static async Task Run()
    {
        var grants = Enumerable
            .Range(1, Grants)
            .Select(number => new RoleGrant
            {
                GrantId = number,
                UserId = number % 2 == 0 ? number % People : null,
                TeamId = number % 2 == 0 ? null : number % 50,
                Role = number % 3 == 0 ? "viewer" : "operator",
                SpaceId = number % 5 == 0 ? null : 1 + (number % Spaces),
                Kind = number % 5 == 0 ? "job" : null,
                ObjectId = number % 5 == 0 ? $"job {number}" : null,
            })
            .ToList();
        var rules = new AccessRules(
            Enumerable.Range(1, Spaces).Select(number => new Space(number, $"space {number}", "", false)),
            Enumerable.Range(0, 50).Select(number => new Team(number, $"team {number}")),
            Enumerable.Range(0, People).SelectMany(person => new[] { ((long)person, (long)(person % 50)), (person, (person * 7) % 50) }),
            grants,
            "viewer",
            [],
            new Dictionary<long, string>()
        );
        await using var services = new ServiceCollection().AddLogging().AddSingleton(TimeProvider.System).AddAccess().BuildServiceProvider();
        var current = services.GetRequiredService<CurrentRules>();
        current.Replace(rules);
        var authorization = services.GetRequiredService<IAuthorizationService>();
        Table.Head("decision", "of", "goal");
        foreach (var (name, verb, resource) in new[]
        {
            ("allowed by a grant on a space", Verbs.See, new Resource("job", "x", 7)),
            ("refused", Verbs.Admin, new Resource("job", "x", 7)),
            ("an order of others", Verbs.Approve, new Resource("order", "1", 7) { People = [1, 2, 3], Watchers = [4], WatcherNames = ["ann"], Template = "5" }),
        })
        {
            var access = Enumerable
                .Range(0, People)
                .Select(person => new Caller(person, $"p{person}", $"p{person}", "", false, "", ""))
                .Select(caller => new Access(caller, current, authorization, TimeProvider.System))
                .ToArray();
            foreach (var one in access) await one.May(verb, resource);
            var start = Stopwatch.GetTimestamp();
            for (var round = 0; round < Rounds; round++) await access[round % People].May(verb, resource);
            var each = Stopwatch.GetElapsedTime(start).TotalMicroseconds / Rounds;
            Table.Row(name, $"{each.ToString("0.00", CultureInfo.InvariantCulture)} µs", "≤ 50 µs");
        }
        var began = Stopwatch.GetTimestamp();
        for (var person = 0; person < People; person++) rules.Sees(new Caller(person, "", "", "", false, "", ""), "job", DateTime.UnixEpoch);
        Table.Row("what a list shows", $"{(Stopwatch.GetElapsedTime(began).TotalMicroseconds / People).ToString("0.0", CultureInfo.InvariantCulture)} µs", "");
    }
}
