using Npgsql;
using StackExchange.Redis;

namespace Codo.Tests.Support;

/// <summary>What every other test stands on.</summary>
public sealed class TestServersTests(TestPostgres shared)
{
    [Fact]
    public async Task A_database_is_a_copy_of_its_template()
    {
        var template = await shared.Template(
            "with_one_table",
            async database => await Execute(database, "CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 42 AS answer")
        );

        (await Execute(await shared.CreateDatabase(template), "SELECT answer FROM s.t")).ShouldBe(42);
        (await Execute(await shared.CreateDatabase(), "SELECT count(*) FROM pg_tables WHERE tablename = 't'")).ShouldBe(0L);
    }

    [Fact]
    public async Task A_private_server_keeps_its_data_over_a_restart()
    {
        await using var own = await TestPostgres.StartNew();
        var database = await own.CreateDatabase() + ";Pooling=false";
        await Execute(database, "CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 42 AS answer");

        await own.Stop();
        await Should.ThrowAsync<NpgsqlException>(() => Execute(database, "SELECT 1"));
        await own.Start();
        await own.Restart();

        (await Execute(database, "SELECT answer FROM s.t")).ShouldBe(42);
    }

    [Fact]
    public async Task Redis_keeps_its_data_over_a_kill_and_loses_it_when_asked_to()
    {
        await using var redis = await TestRedis.StartNew();
        (await Set(redis.Configuration)).ShouldBe("there");

        await redis.Kill();
        await redis.Start();
        (await Get(redis.Configuration)).ShouldBe("there");

        await redis.RestartEmpty();
        (await Get(redis.Configuration)).ShouldBeNull();
    }

    private static async Task<object?> Execute(string database, string sql)
    {
        await using var connection = new NpgsqlConnection(database);
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        return await command.ExecuteScalarAsync();
    }

    private static async Task<string?> Set(string configuration)
    {
        await using var connection = await ConnectionMultiplexer.ConnectAsync(configuration);
        await connection.GetDatabase().StringSetAsync("k", "there");
        return await connection.GetDatabase().StringGetAsync("k");
    }

    private static async Task<string?> Get(string configuration)
    {
        await using var connection = await ConnectionMultiplexer.ConnectAsync(configuration);
        return await connection.GetDatabase().StringGetAsync("k");
    }
}
