using System.Globalization;
using Codo.Platform.Ui;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.Time.Testing;
using Npgsql;

namespace Codo.Tests.Platform.Ui;

/// <summary>When a topic that is read again and again is read.</summary>
public sealed class LiveTopicTests(TestPostgres postgres)
{
    [Fact]
    public async Task What_a_request_has_changed_is_told_without_the_pause_and_the_pause_after_it_is_whole()
    {
        await using var source = NpgsqlDataSource.Create(await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate)));
        var time = new FakeTimeProvider();
        var topic = new Counted(source, time);
        await using var seen = topic.Follow("", null!, null, TestContext.Current.CancellationToken).GetAsyncEnumerator(TestContext.Current.CancellationToken);
        (await Next()).ShouldBe("0");
        // The clock stands: without a request nothing would ever be read again.
        topic.Value = 1;
        topic.Changed();
        (await Next()).ShouldBe("1");
        topic.Value = 2;
        topic.Changed();
        var next = Next();
        // Ten times as long as a read takes.
        await using var connection = await source.OpenConnectionAsync(TestContext.Current.CancellationToken);
        for (var asked = 0; asked < 10; asked++) await connection.ExecuteAsync("SELECT 1");
        next.IsCompleted.ShouldBeFalse("two pauses in a row were cut short");
        while (!next.IsCompleted)
        {
            time.Advance(TimeSpan.FromMilliseconds(100));
            await Task.Yield();
        }
        (await next).ShouldBe("2");

        async Task<string> Next()
        {
            (await seen.MoveNextAsync()).ShouldBeTrue();
            return seen.Current.Version;
        }
    }

    private sealed class Counted(NpgsqlDataSource source, TimeProvider time) : PolledTopic(source, time)
    {
        public volatile int Value;

        public override string Name => "counted";

        protected override async Task<string> Read(NpgsqlConnection connection, string argument, CancellationToken cancellation)
        {
            var value = await connection.ExecuteScalarAsync<int>(new CommandDefinition("SELECT @Value", new { Value }, cancellationToken: cancellation));
            return value.ToString(CultureInfo.InvariantCulture);
        }
    }
}
