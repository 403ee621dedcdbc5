using Codo.Host.Accounts;
using Codo.Platform.Cluster;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Codo.Tests.Platform.Cluster;

public sealed class StateWatchHost(TestPostgres postgres) : HostFixture(postgres, ("Codo:Auth:DefaultRole", "viewer"));

/// <summary>What was changed without an announcement is found all the same.</summary>
public sealed class StateWatchTests(StateWatchHost fixture) : IClassFixture<StateWatchHost>
{
    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task Only_what_has_changed_is_told_of()
    {
        var (first, second) = (0, 0);
        var source = host.Services.GetRequiredService<NpgsqlDataSource>();
        var watch = new StateWatch(source, [
            new WatchedState("SELECT value FROM platform.setting WHERE key = 'test.watch'", () => first++),
            new WatchedState("SELECT 1 WHERE false", () => second++),
        ]);
        await watch.Poll(TestContext.Current.CancellationToken);
        (first, second).ShouldBe((1, 1), "once after the start");
        await watch.Poll(TestContext.Current.CancellationToken);
        (first, second).ShouldBe((1, 1));
        await Execute("INSERT INTO platform.setting (key, value) VALUES ('test.watch', '1')");
        await watch.Poll(TestContext.Current.CancellationToken);
        (first, second).ShouldBe((2, 1));
    }

    [Fact]
    public async Task A_grant_a_revocation_and_a_dead_node_of_which_no_announcement_came_are_found()
    {
        const int user = 9_301;
        var told = new List<string>();
        // What the host has registered, told here as well: the host's loops look by themselves too, if more seldom.
        var watch = new StateWatch(
            host.Services.GetRequiredService<NpgsqlDataSource>(),
            host.Services.GetServices<WatchedState>().Select(state => state with { Changed = () => told.Add(state.Version) })
        );
        await Told();
        var token = TestTokens.For(user, "ann");
        (await host.Post("/v1/cron/job/run/", new { job_id = "nobody's" }, token)).Code().ShouldBe(-2);
        // Without its triggers a table announces nothing.
        await Execute(
            $"""
            ALTER TABLE accounts.role_grant DISABLE TRIGGER rights_changed;
            INSERT INTO accounts.role_grant (user_id, role, space_id, by_id, by_name) SELECT {user}, 'admin', space_id, 1, 'test' FROM accounts.space LIMIT 1;
            UPDATE platform.setting SET value = CAST(CAST(value AS bigint) + 1 AS text) WHERE key = 'accounts.rights';
            ALTER TABLE accounts.role_grant ENABLE TRIGGER rights_changed;
            """
        );
        (await Told()).ShouldContain(RulesReader.VersionSql);
        await Eventually.True(async () => (await host.Post("/v1/cron/job/run/", new { job_id = "nobody's" }, token)).Code() == -1, "no such job");
        await Execute($"INSERT INTO accounts.revocation (user_id, by_id) VALUES ({user}, 1)");
        (await Told()).ShouldContain(Revocations.VersionSql);
        await Eventually.True(async () => (await host.Get("/v1/cron/job/", token)).Code() != 0, "the token is taken back");
        await Execute(
            """
            INSERT INTO platform.node (name, incarnation, machine, boot_id, process_id, version, fenced)
            VALUES ('gone', 7, 'another', '', 1, '0.2.0', 7)
            """
        );
        await Eventually.True(async () => await host.Count("SELECT settled FROM platform.node WHERE name = 'gone'") == 7, "what it left is recovered");
        await using (var connection = await host.Source.OpenConnectionAsync(TestContext.Current.CancellationToken))
        await using (var transaction = await connection.BeginTransactionAsync(TestContext.Current.CancellationToken))
        {
            // Seen in here alone, so that the host does not recover it in between.
            var before = await connection.ExecuteScalarAsync<string?>(WorkLoops.UnrecoveredVersion, transaction: transaction);
            await connection.ExecuteAsync("UPDATE platform.node SET incarnation = 8, fenced = 8 WHERE name = 'gone'", transaction: transaction);
            (await connection.ExecuteScalarAsync<string?>(WorkLoops.UnrecoveredVersion, transaction: transaction)).ShouldNotBe(before);
        }
        host.Services.GetServices<WatchedState>().Select(state => state.Version).ShouldContain(WorkLoops.UnrecoveredVersion);

        async Task<List<string>> Told()
        {
            told.Clear();
            await watch.Poll(TestContext.Current.CancellationToken);
            return told;
        }
    }

    private async Task Execute(string sql)
    {
        await using var connection = await host.Services.GetRequiredService<NpgsqlDataSource>().OpenConnectionAsync(TestContext.Current.CancellationToken);
        await connection.ExecuteAsync(sql);
    }
}
