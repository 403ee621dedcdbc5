using System.Globalization;
using Codo.Host.Commands;
using Codo.Host.LocalServices;
using Codo.Tests.Support;
using Dapper;
using Npgsql;

namespace Codo.Tests.Host.LocalServices;

/// <summary>
/// A private cluster of version 0.1.0 (one role, a superuser; <c>trust</c>; under root the files of <c>postgres</c>) is taken over: its data and tokens go on,
/// and it is no longer open.
/// </summary>
public sealed class PrivateClusterUpgradeTests
{
    private const string MasterKey = "InqaQ3Q7wAaQXgNh_RM7l7T-ZoQez_n3dxVJtpkdmWY", TokenSecret = "T8BJH9buRaWSaRMR4aXDlSBq24eaHkdTn2_sbHS-QDY";

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Is_taken_over_with_its_data_and_closed_also_after_a_takeover_that_was_cut_off(bool cutOff)
    {
        using var folder = new TestFolder();
        var data = folder.At("codo");
        var before = await MakeOld(data);
        var postgres = Path.Combine(data, "postgres");
        if (cutOff && before is not null) CutOff(postgres, PostgresUser.ForRoot(postgres)!);

        await using var host = await HostProcess.Start(data);

        // Data, secrets and tokens of before.
        var token = IssueToken.Sign(TokenSecret, "admin", superuser: true, TimeSpan.FromDays(1), DateTimeOffset.UtcNow);
        using var http = new HttpClient { BaseAddress = host.Address };
        using var response = await http.SendAsync(TestHost.Request(HttpMethod.Get, "/v1/cron/job/?limit=100", null, token));
        var text = await response.Content.ReadAsStringAsync();
        response.IsSuccessStatusCode.ShouldBeTrue(text);
        text.ShouldContain("nightly");
        text.ShouldContain("hello");
        await using var connection = new NpgsqlConnection($"Host={data}/postgres-socket;Username=codo_host;Database=codo;Pooling=false");
        await connection.OpenAsync();
        (await connection.ExecuteScalarAsync<long>("SELECT count(*) FROM platform.audit")).ShouldBe(
            await connection.ExecuteScalarAsync<long>("SELECT max(audit_id) FROM platform.audit")
        );
        await host.Send(
            HttpMethod.Post,
            "/v1/cron/job/",
            new
            {
                job_id = "after",
                cmd = "true",
                cron = "0 0 0 29 2 *",
            }
        );
        (await connection.ExecuteScalarAsync<string>("SELECT object_id FROM platform.audit ORDER BY audit_id DESC LIMIT 1")).ShouldBe("after");

        // Nobody had an account: this start made one, whose password nobody knows who cannot read the data directory.
        (await connection.ExecuteScalarAsync<string>("SELECT name FROM accounts.own_account")).ShouldBe("admin");
        File.GetUnixFileMode(Path.Combine(data, "secrets/admin-password")).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);

        // Nothing is the superuser's, no file is the old user's, no rule trusts anybody.
        (await Owners(connection)).ShouldAllBe(owner => owner.StartsWith("codo_host", StringComparison.Ordinal) || owner == "codo_audit platform");
        (await Should.ThrowAsync<PostgresException>(() => connection.ExecuteAsync("DELETE FROM platform.audit"))).SqlState.ShouldBe(
            PostgresErrorCodes.InsufficientPrivilege
        );
        (await File.ReadAllLinesAsync(Path.Combine(postgres, "pg_hba.conf"))).ShouldNotContain(line => line.Contains("trust", StringComparison.Ordinal));
        if (before is null) return;
        var own = PostgresUser.ForRoot(postgres)!;
        own.IsOwn.ShouldBeTrue();
        (await Run(null, "find", postgres, "-uid", before.Id.ToString(CultureInfo.InvariantCulture))).ShouldBe("");
        using var psql = await Children.Start(
            Children.Command(before, "KILL", PrivateClusterTests.Psql(), ["-h", $"{data}/postgres-socket", "-U", "codo", "-w", "-c", "SELECT 1", "codo"])
        );
        psql.StandardInput.Close();
        (await psql.StandardError.ReadToEndAsync()).ShouldContain("Permission denied");
    }

    /// <summary>Who owns objects in Codo's schemas: <c>owner schema</c>, each pair once.</summary>
    internal static async Task<List<string>> Owners(NpgsqlConnection connection) =>
        [
            .. await connection.QueryAsync<string>(
                """
                SELECT DISTINCT pg_get_userbyid(owner) || ' ' || nspname FROM (
                    SELECT relowner AS owner, relnamespace AS schema FROM pg_class UNION SELECT proowner, pronamespace FROM pg_proc UNION SELECT typowner,
                        typnamespace FROM pg_type
                    UNION SELECT nspowner, oid FROM pg_namespace) o
                JOIN pg_namespace n ON n.oid = o.schema WHERE nspname IN ('platform', 'accounts', 'cron', 'tasks', 'alerts', 'hangfire')
                """
            ),
        ];

    /// <summary>What version 0.1.0 made: the cluster with its one role, the dump's data, the two secrets. Returns whose the files are under root.</summary>
    private static async Task<PostgresUser?> MakeOld(string data)
    {
        DataDirectory.Create(data);
        var secrets = Path.Combine(data, "secrets");
        Directory.CreateDirectory(secrets, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        await File.WriteAllTextAsync(Path.Combine(secrets, "master-key"), MasterKey + "\n");
        await File.WriteAllTextAsync(Path.Combine(secrets, "token-secret"), TokenSecret + "\n");

        PostgresUser? user = null;
        if (Environment.IsPrivilegedProcess)
        {
            var fields = File.ReadLines("/etc/passwd").Select(line => line.Split(':')).First(fields => fields[0] is "postgres" or "nobody");
            user = new PostgresUser(fields[0], int.Parse(fields[2], CultureInfo.InvariantCulture), int.Parse(fields[3], CultureInfo.InvariantCulture));
            File.SetUnixFileMode(data, File.GetUnixFileMode(data) | UnixFileMode.OtherExecute);
        }

        var (cluster, sockets, binaries) = (Path.Combine(data, "postgres"), Path.Combine(data, "postgres-socket"), PostgresBinaries.Newest());
        PostgresUser.Own(cluster, user);
        PostgresUser.Own(sockets, user);
        await Run(user, binaries.Initdb, "-D", cluster, "-U", "codo", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions", "--no-sync");
        using var server = await Children.Start(
            Children.Command(user, "INT", binaries.Postgres, ["-D", cluster, "-k", sockets, "-c", "listen_addresses=", "-c", "fsync=off"])
        );
        server.StandardInput.Close();
        _ = Task.WhenAll(server.StandardOutput.ReadToEndAsync(), server.StandardError.ReadToEndAsync());
        await Eventually.True(async () => await Answers(sockets), "the old cluster takes connections");
        await Execute($"Host={sockets};Username=codo;Database=postgres;Pooling=false", "CREATE DATABASE codo");
        await Execute(
            $"Host={sockets};Username=codo;Database=codo;Pooling=false",
            await File.ReadAllTextAsync(Path.Combine(AppContext.BaseDirectory, "Upgrades", "0.1.0.sql"))
        );
        Posix.Signal(server.Id, Posix.Interrupt);
        await server.WaitForExitAsync();
        return user;
    }

    /// <summary>Half of the files have their new owner, and the directory has not: where a power cut leaves a takeover.</summary>
    private static void CutOff(string cluster, PostgresUser next)
    {
        foreach (var (path, number) in Directory.EnumerateFiles(cluster, "*", SearchOption.AllDirectories).Select((path, number) => (path, number)))
            if (number % 2 == 0) Posix.ChangeOwner(path, next.Id, next.Group);
        Posix.ChangeOwner(Path.Combine(cluster, "base"), next.Id, next.Group);
    }

    private static async Task<bool> Answers(string sockets)
    {
        try
        {
            await Execute($"Host={sockets};Username=codo;Database=postgres;Pooling=false", "SELECT 1");
            return true;
        }
        catch (NpgsqlException)
        {
            return false;
        }
    }

    private static async Task Execute(string database, string sql)
    {
        await using var connection = new NpgsqlConnection(database);
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection) { CommandTimeout = 60 };
        await command.ExecuteNonQueryAsync();
    }

    private static async Task<string> Run(PostgresUser? user, string program, params string[] arguments)
    {
        using var process = await Children.Start(Children.Command(user, "KILL", program, arguments));
        process.StandardInput.Close();
        var said = await Task.WhenAll(process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync();
        process.ExitCode.ShouldBe(0, string.Concat(said));
        return said[0];
    }
}
