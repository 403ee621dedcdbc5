using System.Text.Json.Nodes;
using Codo.Platform.Events;
using Codo.Platform.Localization;
using Codo.Tests.Support;
using Dapper;
using MediatR;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

namespace Codo.Tests.Platform.Events;

/// <summary>The relay on a real database, with listeners that a test makes fail.</summary>
public sealed class OutboxRelayTests(TestPostgres postgres)
{
    [Fact]
    public async Task Messages_of_a_stream_are_published_in_order_and_one_that_fails_blocks_only_its_own()
    {
        await using var bench = await Bench.Start(postgres);
        bench.Failing.Add("a1");
        await bench.Write(("a", "a1"), ("b", "b1"), ("a", "a2"), ("b", "b2"), ("b", "b3"));
        await bench.Relay.PublishDue(CancellationToken.None);
        bench.Told.ShouldBe(["b1", "b2", "b3"]);
        (await bench.Ask<string>("SELECT string_agg(payload ->> 'name' || attempts, ' ' ORDER BY message_id) FROM platform.outbox")).ShouldBe("a11 a20");
        bench.Failing.Clear();
        await bench.Ask<int>("UPDATE platform.outbox SET next_try_at = now() RETURNING 1");
        await bench.Relay.PublishDue(CancellationToken.None);
        bench.Told.ShouldBe(["b1", "b2", "b3", "a1", "a2"]);
        (await bench.Ask<long>("SELECT count(*) FROM platform.outbox")).ShouldBe(0);
    }

    [Fact]
    public async Task What_was_written_before_the_clock_was_put_back_is_published_now_and_what_is_for_later_waits()
    {
        await using var bench = await Bench.Start(postgres);
        await bench.Write(("a", "a1"), ("a", "a2"), ("b", "?later"));
        await bench.Ask<int>(
            "UPDATE platform.outbox SET at = now() + interval '1 day', next_try_at = now() + interval '1 day' WHERE payload ->> 'name' <> 'a2' RETURNING 1"
        );
        (await bench.Health()).ShouldBe("0 dead letters (GET /v2/outbox/), messages that wait for a time from before PostgreSQL's clock was put back: 1");
        await bench.Relay.PublishDue(CancellationToken.None);
        bench.Told.ShouldBe(["a1", "a2"]);
        (await bench.Health()).ShouldBe("delivered");
    }

    [Fact]
    public async Task A_message_that_can_never_be_published_becomes_a_dead_letter_and_the_rest_of_its_stream_goes_on()
    {
        await using var bench = await Bench.Start(postgres);
        bench.Failing.Add("bad");
        await bench.Write(("a", "bad"), ("a", "good"));
        for (var attempt = 0; attempt < OutboxRelay.MostAttempts; attempt++)
        {
            bench.Told.ShouldBeEmpty();
            await bench.Ask<int?>("WITH u AS (UPDATE platform.outbox SET next_try_at = now() RETURNING 1) SELECT count(*)::int FROM u");
            await bench.Relay.PublishDue(CancellationToken.None);
        }
        bench.Told.ShouldBe(["good"]);
        bench.Troubles.ShouldBe([DeadLetters.Problem]);
        (await bench.Ask<string>("SELECT cause FROM platform.outbox WHERE dead_at IS NOT NULL"))!.ShouldContain("the listener cannot take it");
        // It is not tried again by itself.
        await bench.Relay.PublishDue(CancellationToken.None);
        (await bench.Ask<int>("SELECT attempts FROM platform.outbox")).ShouldBe(OutboxRelay.MostAttempts);
    }

    [Fact]
    public async Task A_dead_letter_that_could_not_be_told_of_is_told_by_the_next_look_and_one_of_an_earlier_start_by_the_first()
    {
        await using var bench = await Bench.Start(postgres);
        await bench.Relay.TellOfDeadLetters();
        bench.IsDeaf = true;
        await bench.Ask<long>(
            "INSERT INTO platform.outbox (stream, kind, attempts) VALUES ('x', 'unheard', @most) RETURNING message_id",
            new { most = OutboxRelay.MostAttempts - 1 }
        );
        await bench.Relay.PublishDue(CancellationToken.None);
        (await bench.Ask<long>("SELECT count(*) FROM platform.outbox WHERE dead_at IS NOT NULL")).ShouldBe(1);
        (await bench.Relay.Untold.Wait(TimeSpan.Zero, CancellationToken.None)).ShouldBeTrue("the next look does not wait for its hour");
        await Should.ThrowAsync<InvalidDataException>(() => bench.Relay.TellOfDeadLetters());
        bench.Troubles.ShouldBeEmpty();
        bench.IsDeaf = false;
        await bench.Relay.TellOfDeadLetters();
        bench.Troubles.ShouldBe([DeadLetters.Problem]);
        await bench.Relay.TellOfDeadLetters();
        bench.Troubles.Count.ShouldBe(1, "it is told once");
        await bench.Another().TellOfDeadLetters();
        bench.Troubles.Count.ShouldBe(2, "another start does not know what an earlier one has told");
    }

    [Fact]
    public async Task A_start_that_finds_no_dead_letter_ends_the_incident_that_an_earlier_one_opened()
    {
        const string open = "SELECT count(*) FROM alerts.task_monitor WHERE fingerprint = 'codo:outbox' AND state <> 'resolved'";
        await using var host = await TestHost.Start(postgres);
        await host.FirstRounds("dead letters");
        await using (var scope = host.Services.CreateAsyncScope())
            await scope
                .ServiceProvider.GetRequiredService<IMediator>()
                .Publish(new SystemTroubleFound(DeadLetters.Problem, Text.Same("title"), Text.Same("detail")));
        (await host.Count(open)).ShouldBe(1);
        await using var again = await host.Again();
        await Eventually.True(async () => await again.Count(open) == 0, "the incident is over");
    }

    [Fact]
    public async Task A_start_that_finds_a_dead_letter_leaves_the_incident_that_tells_of_it_as_it_is()
    {
        await using var host = await TestHost.Start(postgres);
        await host.FirstRounds("dead letters");
        await host.Ask<long>(
            "INSERT INTO platform.outbox (stream, kind, attempts, dead_at) VALUES ('x', 'unheard', @most, clock_timestamp()) RETURNING message_id",
            new { most = OutboxRelay.MostAttempts }
        );
        await using (var scope = host.Services.CreateAsyncScope())
            await scope
                .ServiceProvider.GetRequiredService<IMediator>()
                .Publish(new SystemTroubleFound(DeadLetters.Problem, Text.Same("title"), Text.Same("message 7 and its cause")));
        await using var again = await host.Again();
        await again.FirstRounds("dead letters");
        (await again.Ask<string>("SELECT count || ' ' || state || ' ' || detail_en FROM alerts.task_monitor WHERE fingerprint = 'codo:outbox'"))
            .ShouldBe("1 open message 7 and its cause");
    }

    [Fact]
    public async Task A_message_of_a_kind_that_nobody_reads_is_a_dead_letter_in_the_end_and_not_lost()
    {
        await using var bench = await Bench.Start(postgres);
        await bench.Ask<long>(
            "INSERT INTO platform.outbox (stream, kind, attempts) VALUES ('x', 'unheard', @most) RETURNING message_id",
            new { most = OutboxRelay.MostAttempts - 1 }
        );
        await bench.Relay.PublishDue(CancellationToken.None);
        (await bench.Ask<string>("SELECT cause FROM platform.outbox WHERE dead_at IS NOT NULL"))!.ShouldContain("unheard");
    }

    [Fact]
    public async Task Messages_that_are_read_together_are_one_event_and_a_damaged_one_among_them_spoils_only_itself()
    {
        await using var bench = await Bench.Start(postgres);
        await bench.Write(("m1", "+x"), ("m2", "+y"), ("m3", "+damaged"), ("m4", "+z"));
        await bench.Relay.PublishDue(CancellationToken.None);
        bench.Told.Order().ShouldBe(["+x", "+y", "+z"]);
        (await bench.Ask<string>("SELECT stream FROM platform.outbox")).ShouldBe("m3");
        await bench.Write(("m1", "+p"), ("m2", "+q"));
        await bench.Relay.PublishDue(CancellationToken.None);
        bench.Told.ShouldContain("+p +q");
    }

    [Fact]
    public async Task Two_relays_that_race_publish_each_message_once_and_in_order()
    {
        await using var bench = await Bench.Start(postgres);
        var other = bench.Another();
        for (var round = 0; round < 40; round++)
            await bench.Write(($"s{round % 4}", $"{round:00}"));
        await Task.WhenAll(
            Enumerable
                .Range(0, 4)
                .Select(number =>
                    Task.Run(async () =>
                    {
                        while (await bench.Ask<long>("SELECT count(*) FROM platform.outbox") > 0)
                            await (number % 2 == 0 ? bench.Relay : other).PublishDue(CancellationToken.None);
                    })
                )
        );
        bench.Told.Order().ShouldBe(Enumerable.Range(0, 40).Select(round => $"{round:00}"));
        for (var stream = 0; stream < 4; stream++)
        {
            var mine = bench.Told.Where(name => int.Parse(name, System.Globalization.CultureInfo.InvariantCulture) % 4 == stream).ToList();
            mine.ShouldBe(mine.Order());
        }
    }

    private sealed record Named(string Name) : INotification;

    private sealed class Bench : Listener, IAsyncDisposable
    {
        private readonly ServiceProvider services;
        private readonly NpgsqlDataSource source;

        private static readonly Reader[] Readers = [new("alone"), new("together") { ReadsTogether = true }, new("later") { IsScheduled = true }];

        private Bench(NpgsqlDataSource source)
        {
            this.source = source;
            services = new ServiceCollection().AddSingleton<IMediator>(this).BuildServiceProvider();
            Relay = Another();
        }

        public OutboxRelay Relay { get; }

        public HashSet<string> Failing { get; } = [];

        /// <summary>Whether no incident can be opened.</summary>
        public bool IsDeaf { get; set; }

        public List<string> Told { get; } = [];

        public List<string> Troubles { get; } = [];

        public static async Task<Bench> Start(TestPostgres postgres)
        {
            DefaultTypeMap.MatchNamesWithUnderscores = true;
            return new Bench(NpgsqlDataSource.Create(await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate))));
        }

        public OutboxRelay Another() =>
            new(
                source,
                services.GetRequiredService<IServiceScopeFactory>(),
                new Outbox(),
                Readers,
                NullLogger<OutboxRelay>.Instance
            );

        public async Task<string?> Health() =>
            (await new DeadLetters(source, Readers).CheckHealthAsync(new HealthCheckContext(), TestContext.Current.CancellationToken)).Description;

        public async Task Write(params (string Stream, string Name)[] messages)
        {
            await using var connection = await source.OpenConnectionAsync();
            await using var transaction = await connection.BeginTransactionAsync();
            foreach (var (stream, name) in messages)
                await Outbox.Write(connection, transaction, stream, KindOf(name), new { name });
            await transaction.CommitAsync();
        }

        private static string KindOf(string name) => name[0] switch
        {
            '+' => "together",
            '?' => "later",
            _ => "alone",
        };

        public async Task<T?> Ask<T>(string sql, object? parameters = null)
        {
            await using var connection = await source.OpenConnectionAsync();
            return await connection.ExecuteScalarAsync<T>(sql, parameters);
        }

        public override Task Publish(object notification, CancellationToken cancellationToken = default)
        {
            lock (Told)
            {
                switch (notification)
                {
                    case SystemTroubleFound when IsDeaf:
                        throw new InvalidDataException("no incident can be opened");
                    case SystemTroubleFound trouble:
                        Troubles.Add(trouble.Key);
                        break;
                    case Named named when Failing.Contains(named.Name):
                        throw new InvalidDataException("the listener cannot take it\0");
                    case Named named:
                        Told.Add(named.Name);
                        break;
                }
            }
            return Task.CompletedTask;
        }

        public async ValueTask DisposeAsync()
        {
            await services.DisposeAsync();
            await source.DisposeAsync();
        }
    }

    private sealed class Reader(string kind) : IOutboxReader
    {
        public string Kind => kind;

        public bool ReadsTogether { get; init; }

        public bool IsScheduled { get; init; }

        public Task<INotification?> Read(IReadOnlyList<OutboxMessage> messages, NpgsqlConnection connection, NpgsqlTransaction transaction)
        {
            var names = messages.Select(message => JsonNode.Parse(message.Payload)!["name"]!.GetValue<string>()).ToList();
            if (names.Contains("+damaged")) throw new InvalidDataException("damaged");
            return Task.FromResult<INotification?>(new Named(string.Join(' ', names)));
        }
    }
}
