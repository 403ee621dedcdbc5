using Codo.Host.LocalServices;
using Codo.Tests.Support;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

namespace Codo.Tests.Host.LocalServices;

public sealed class EmbeddedPostgresTests
{
    [Fact]
    public async Task Is_brought_back_when_it_dies_on_the_same_connection_string()
    {
        using var folder = new TestFolder();
        using var directory = DataDirectory.Hold(folder.At("codo"));
        await using var postgres = await EmbeddedPostgres.Start(directory, NullLogger.Instance);
        await Execute(postgres, "CREATE SCHEMA s; CREATE TABLE s.kept AS SELECT 42 AS answer");
        var killed = postgres.Pid!.Value;

        Posix.Signal(killed, Posix.Kill);

        await Eventually.True(() => postgres.Pid is { } pid && pid != killed, "another postmaster runs");
        (await Eventually.Get(() => Answer(postgres), answer => answer is 42, "the table is there")).ShouldBe(42);
    }

    [Fact]
    public async Task Takes_a_short_socket_directory_when_the_data_directory_has_a_long_name()
    {
        using var folder = new TestFolder();
        var longName = folder.At(new string('d', 120));
        string sockets;
        using (var directory = DataDirectory.Hold(longName))
        {
            await using var postgres = await EmbeddedPostgres.Start(directory, NullLogger.Instance);
            (await Execute(postgres, "SELECT 42")).ShouldBe(42);
            sockets = new NpgsqlConnectionStringBuilder(postgres.ConnectionString).Host!;
            File.GetUnixFileMode(sockets).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }

        Directory.Exists(sockets).ShouldBeFalse();
    }

    [Fact]
    public async Task Makes_its_cluster_anew_when_initdb_was_cut_off()
    {
        using var folder = new TestFolder();
        Directory.CreateDirectory(folder.At("codo/postgres.new/base"));
        using var directory = DataDirectory.Hold(folder.At("codo"));

        await using var postgres = await EmbeddedPostgres.Start(directory, NullLogger.Instance);

        (await Execute(postgres, "SHOW fsync")).ShouldBe("on");
        Directory.Exists(folder.At("codo/postgres.new")).ShouldBeFalse();
    }

    [Fact]
    public async Task A_pid_file_whose_number_is_somebody_elses_by_now_does_not_keep_it_from_starting()
    {
        using var folder = new TestFolder();
        using var directory = DataDirectory.Hold(folder.At("codo"));
        await using (await EmbeddedPostgres.Start(directory, NullLogger.Instance))
        {
            File.Copy(folder.At("codo/postgres/postmaster.pid"), folder.At("pid"));
        }

        var lines = await File.ReadAllLinesAsync(folder.At("pid"));
        lines[0] = $"{Environment.ProcessId}";
        await File.WriteAllLinesAsync(folder.At("codo/postgres/postmaster.pid"), lines);

        await using var again = await EmbeddedPostgres.Start(directory, NullLogger.Instance);
        (await Execute(again, "SELECT 42")).ShouldBe(42);
    }

    [Fact]
    public async Task A_log_that_cannot_be_written_does_not_make_it_stand_still()
    {
        using var folder = new TestFolder();
        var (data, sockets) = (folder.At("data"), folder.At("socket"));
        var user = PostgresUser.ForRoot(data);
        PostgresUser.Own(sockets, user);
        var settings = new Dictionary<string, string> { ["fsync"] = "off" };
        var cluster = new PostgresCluster(PostgresBinaries.Newest(), user, data, sockets, settings, _ => throw new IOException("No space left on device"));
        await cluster.Create(sync: false);
        await cluster.Start();
        try
        {
            await using var connection = new NpgsqlConnection(cluster.ConnectionString("postgres", PostgresCluster.Superuser) + ";Pooling=false");
            await connection.OpenAsync();
            // More than a pipe takes.
            await using var noise = new NpgsqlCommand("DO $$ BEGIN FOR i IN 1..2000 LOOP RAISE LOG '%', repeat('x', 200); END LOOP; END $$", connection);
            await noise.ExecuteNonQueryAsync();
            await using var command = new NpgsqlCommand("SELECT 1", connection);
            (await command.ExecuteScalarAsync()).ShouldBe(1);
        }
        finally
        {
            await cluster.Stop();
        }
    }

    [Fact]
    public async Task Who_may_connect_is_written_without_a_file_that_stays_where_that_fails()
    {
        using var folder = new TestFolder();
        // It cannot be replaced; on a full disk it could not even be written beside it.
        Directory.CreateDirectory(folder.At("data/pg_hba.conf"));
        await File.WriteAllTextAsync(folder.At($"data/pg_hba.conf.{Guid.NewGuid():N}"), "of a start of before", TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(folder.At("data/pg_hba.conf.old"), "of somebody's own", TestContext.Current.CancellationToken);
        var cluster = new PostgresCluster(
            PostgresBinaries.Newest(),
            null,
            folder.At("data"),
            folder.At("socket"),
            new Dictionary<string, string>(),
            _ => { }
        );

        for (var tries = 0; tries < 2; tries++) await Should.ThrowAsync<Exception>(() => cluster.Start());

        Directory.GetFiles(folder.At("data")).ShouldBe([folder.At("data/pg_hba.conf.old")]);
    }

    [Fact]
    public void Missing_binaries_are_named_with_the_command_that_installs_them()
    {
        using var folder = new TestFolder();
        Should.Throw<StartRefused>(() => PostgresBinaries.Newest(folder.Path)).Message.ShouldContain("apt-get install -y postgresql`");

        File.WriteAllText(folder.At("PG_VERSION"), "9\n");
        Should.Throw<StartRefused>(() => PostgresBinaries.Of(folder.Path)).Message.ShouldContain("apt-get install -y postgresql-9`");
    }

    [Fact]
    public void A_new_cluster_takes_the_newest_binaries_and_an_old_one_its_own()
    {
        using var folder = new TestFolder();
        foreach (var major in (int[])[14, 17, 9])
            Pretend(folder.At($"{major}/bin"), major);
        var path = string.Join(':', folder.At("14/bin"), folder.At("17/bin"), folder.At("9/bin"));
        File.WriteAllText(folder.At("PG_VERSION"), "14\n");

        PostgresBinaries.Newest(path).Major.ShouldBe(17);
        PostgresBinaries.Of(folder.Path, path).Directory.ShouldBe(folder.At("14/bin"));
    }

    private static void Pretend(string bin, int major)
    {
        Directory.CreateDirectory(bin);
        foreach (var program in (string[])["postgres", "initdb"])
        {
            File.WriteAllText(Path.Combine(bin, program), $"#!/bin/sh\necho 'postgres (PostgreSQL) {major}.3 (Debian)'\n");
            File.SetUnixFileMode(Path.Combine(bin, program), UnixFileMode.UserRead | UnixFileMode.UserExecute);
        }
    }

    private static async Task<object?> Answer(EmbeddedPostgres postgres)
    {
        try
        {
            return await Execute(postgres, "SELECT answer FROM s.kept");
        }
        catch (NpgsqlException)
        {
            return null;
        }
    }

    private static async Task<object?> Execute(EmbeddedPostgres postgres, string sql)
    {
        await using var connection = new NpgsqlConnection(postgres.ConnectionString + ";Pooling=false");
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        return await command.ExecuteScalarAsync();
    }
}
