using Codo.Platform.Cluster;
using Codo.Platform.Events;
using Codo.Tests.Support;
using Dapper;
using MediatR;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

namespace Codo.Tests.Platform.Cluster;

public sealed class RetentionGuardTests(TestPostgres postgres)
{
    private const string JumpSql = """
        INSERT INTO platform.node (name, incarnation, machine, boot_id, process_id, version, clock_seen_at)
        VALUES ('another', 1, 'm', 'b', 1, 'v', clock_timestamp() - interval '400 days')
        """;

    [Fact]
    public async Task A_jump_or_its_end_that_could_not_be_told_is_told_by_the_next_look()
    {
        DefaultTypeMap.MatchNamesWithUnderscores = true;
        await using var source = NpgsqlDataSource.Create(await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate)));
        var listener = new TroubleListener();
        await using var services = new ServiceCollection().AddSingleton<IMediator>(listener).BuildServiceProvider();
        var node = new Node("guarded");
        using var guard = new RetentionGuard(source, node, services.GetRequiredService<IServiceScopeFactory>(), NullLogger<RetentionGuard>.Instance);
        await using var connection = await source.OpenConnectionAsync(TestContext.Current.CancellationToken);
        await connection.ExecuteAsync(JumpSql);

        await FailsOnce();
        (await guard.CheckHealthAsync(new HealthCheckContext(), TestContext.Current.CancellationToken)).Status.ShouldBe(HealthStatus.Degraded);
        (await Look()).ShouldBeNull();
        (await Look()).ShouldBeNull();
        listener.Told.ShouldBe(["found clock"]);

        await using (var transaction = await connection.BeginTransactionAsync(TestContext.Current.CancellationToken))
        {
            await RetentionGuard.Confirm(connection, transaction);
            await transaction.CommitAsync(TestContext.Current.CancellationToken);
        }
        await FailsOnce();
        (await Look()).ShouldNotBeNull();
        (await Look()).ShouldNotBeNull();
        listener.Told.ShouldBe(["found clock", "over clock"]);

        Task<DateTime?> Look()
        {
            node.Renewed(BootTime.Now, TimeSpan.Zero, DateTime.UtcNow);
            return guard.Allows(TestContext.Current.CancellationToken);
        }

        async Task FailsOnce()
        {
            listener.Fails = true;
            await Should.ThrowAsync<InvalidOperationException>(() => Look());
            listener.Fails = false;
        }
    }

    [Fact]
    public async Task A_reading_of_before_a_jump_does_not_take_back_what_a_later_one_has_found()
    {
        DefaultTypeMap.MatchNamesWithUnderscores = true;
        await using var source = NpgsqlDataSource.Create(await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate)));
        var listener = new TroubleListener { Held = new TaskCompletionSource() };
        await using var services = new ServiceCollection().AddSingleton<IMediator>(listener).BuildServiceProvider();
        var node = new Node("guarded");
        node.Renewed(BootTime.Now, TimeSpan.Zero, DateTime.UtcNow);
        using var guard = new RetentionGuard(source, node, services.GetRequiredService<IServiceScopeFactory>(), NullLogger<RetentionGuard>.Instance);
        await using var connection = await source.OpenConnectionAsync(TestContext.Current.CancellationToken);

        var first = guard.Allows(TestContext.Current.CancellationToken);
        await listener.Begun.Task;
        await connection.ExecuteAsync(JumpSql);
        var second = guard.Allows(TestContext.Current.CancellationToken);
        // Ten times as long as a reading takes.
        for (var asked = 0; asked < 10; asked++) await connection.ExecuteAsync("SELECT 1");
        listener.Held.SetResult();
        (await first).ShouldNotBeNull();
        (await second).ShouldBeNull();
        listener.Told.ShouldBe(["over clock", "found clock"]);
        (await guard.CheckHealthAsync(new HealthCheckContext(), TestContext.Current.CancellationToken)).Status.ShouldBe(HealthStatus.Degraded);
    }

    private sealed class TroubleListener : Listener
    {
        public bool Fails { get; set; }

        /// <summary>What the first of them waits for.</summary>
        public TaskCompletionSource? Held { get; init; }

        public TaskCompletionSource Begun { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public List<string> Told { get; } = [];

        public override async Task Publish(object notification, CancellationToken cancellationToken = default)
        {
            if (Held is not null && Begun.TrySetResult()) await Held.Task;
            if (Fails) throw new InvalidOperationException("no incident can be opened or ended");
            Told.Add(
                notification switch
                {
                    SystemTroubleFound found => "found " + found.Key,
                    SystemTroubleOver over => "over " + over.Key,
                    _ => "",
                }
            );
        }
    }
}
