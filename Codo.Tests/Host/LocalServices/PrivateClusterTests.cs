using System.Globalization;
using Codo.Host.LocalServices;
using Codo.Tests.Support;
using Dapper;
using Npgsql;

namespace Codo.Tests.Host.LocalServices;

/// <summary>One host with its own PostgreSQL for the attacks below, none of which changes it.</summary>
public sealed class PrivateCluster : IAsyncLifetime
{
    private readonly TestFolder folder = new();

    internal HostProcess Host { get; private set; } = null!;

    internal string Sockets => Path.Combine(Host.DataDirectory, "postgres-socket");

    public async ValueTask InitializeAsync() => Host = await HostProcess.Start(folder.At("codo"));

    public async ValueTask DisposeAsync()
    {
        await Host.DisposeAsync();
        folder.Dispose();
    }

    internal async Task<NpgsqlConnection> Connect(string role)
    {
        var connection = new NpgsqlConnection($"Host={Sockets};Username={role};Database=codo;Pooling=false");
        await connection.OpenAsync();
        return connection;
    }

    internal static int Postmaster(string data) =>
        int.Parse(File.ReadLines(Path.Combine(data, "postgres/postmaster.pid")).First(), CultureInfo.InvariantCulture);
}

/// <summary>The private PostgreSQL is Codo's alone, and Codo's own role can do no more than its work.</summary>
public sealed class PrivateClusterTests(PrivateCluster cluster) : IClassFixture<PrivateCluster>
{
    private static readonly string[] Roles = ["codo", "codo_host", "codo_audit", "postgres", ""];

    [Fact]
    public async Task Other_users_of_the_machine_cannot_connect_as_any_role()
    {
        await using var user = await TestUser.Make();
        // Its own user neither: what runs as it gets no further than its files.
        PostgresUser?[] others = [user.Identity, Find("postgres"), Find(PostgresUser.OwnName), Find("nobody")];
        foreach (var other in others.OfType<PostgresUser>())
            foreach (var role in Roles)
                (await Asked(other, role)).ShouldContain(
                    other.Name == PostgresUser.OwnName ? "FATAL" : "Permission denied",
                    Case.Sensitive,
                    $"{other.Name} as {role}"
                );

        // The socket lies in a directory that is closed; the rules would refuse without it as well.
        var socket = Path.Combine(cluster.Sockets, ".s.PGSQL.5432");
        var (folder, file) = (File.GetUnixFileMode(cluster.Sockets), File.GetUnixFileMode(socket));
        (folder, file).ShouldBe(
            (
                UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute,
                UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
            )
        );
        try
        {
            File.SetUnixFileMode(cluster.Sockets, folder | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute);
            File.SetUnixFileMode(socket, file | UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.OtherRead | UnixFileMode.OtherWrite);
            foreach (var other in others.OfType<PostgresUser>())
                foreach (var role in Roles)
                    (await Asked(other, role)).ShouldContain("FATAL", Case.Sensitive, $"{other.Name} as {role}, with the socket open to all");
        }
        finally
        {
            File.SetUnixFileMode(cluster.Sockets, folder);
            File.SetUnixFileMode(socket, file);
        }

        (await Asked(null, "codo_host")).ShouldBe("42");
    }

    [Fact]
    public void It_runs_as_a_user_of_its_own_whom_nothing_else_runs_as()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "Only root hands PostgreSQL to another user.");
        var user = Find(PostgresUser.OwnName)!;
        File.ReadLines($"/proc/{PrivateCluster.Postmaster(cluster.Host.DataDirectory)}/status")
            .First(line => line.StartsWith("Uid:", StringComparison.Ordinal))
            .Split('\t')[1..]
            .ShouldAllBe(id => id == user.Id.ToString(CultureInfo.InvariantCulture));
        File.ReadLines("/etc/passwd").First(line => line.StartsWith(PostgresUser.OwnName + ":", StringComparison.Ordinal)).ShouldEndWith("/nologin");
        // What lets somebody in is not that user's to change.
        foreach (var name in (string[])["postgres-hba.conf", "postgres-ident.conf"])
        {
            PostgresUser.OwnerOf(Path.Combine(cluster.Host.DataDirectory, name)).ShouldBe(0);
            File.GetUnixFileMode(Path.Combine(cluster.Host.DataDirectory, name))
                .ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead);
        }
    }

    [Fact]
    public async Task What_runs_as_its_user_cannot_let_anybody_in_by_its_own_files()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "Only root hands PostgreSQL to another user.");
        var (user, data) = (Find(PostgresUser.OwnName)!, Path.Combine(cluster.Host.DataDirectory, "postgres"));
        var before = await File.ReadAllTextAsync(Path.Combine(data, "pg_hba.conf"));
        await using var connection = await cluster.Connect("codo");
        var loaded = await connection.ExecuteScalarAsync<DateTime>("SELECT pg_conf_load_time()");
        // What COPY … TO PROGRAM would run as: it opens its own rules and has them read again.
        using var shell = await Children.Start(
            Children.Command(
                user,
                "KILL",
                "sh",
                [
                    "-c",
                    $"echo 'local all all trust' > {data}/pg_hba.conf; echo 'local all all trust' >> {data}-hba.conf; kill -HUP "
                        + $"{PrivateCluster.Postmaster(cluster.Host.DataDirectory)} && echo told",
                ]
            )
        );
        shell.StandardInput.Close();
        (await shell.StandardOutput.ReadToEndAsync()).ShouldContain("told");
        await Eventually.True(async () => await connection.ExecuteScalarAsync<DateTime>("SELECT pg_conf_load_time()") > loaded, "it has read its rules again");
        (await connection.QueryAsync<string>("SELECT DISTINCT auth_method FROM pg_hba_file_rules")).ShouldBe(["peer"]);
        (await Asked(user, "codo")).ShouldContain("FATAL");
        await File.WriteAllTextAsync(Path.Combine(data, "pg_hba.conf"), before);
    }

    [Fact]
    public async Task It_listens_on_no_port_and_has_no_rule_but_its_own()
    {
        var postmaster = PrivateCluster.Postmaster(cluster.Host.DataDirectory);
        Listening(postmaster).ShouldBeEmpty();
        await using var connection = await cluster.Connect("codo");
        (await connection.ExecuteScalarAsync<string>("SHOW listen_addresses")).ShouldBe("");
        (await connection.QueryAsync<string>("SELECT DISTINCT type || ' ' || auth_method FROM pg_hba_file_rules")).ShouldBe(["local peer"]);
        foreach (var file in Directory.EnumerateFiles(Path.Combine(cluster.Host.DataDirectory, "postgres"), "pg_hba*"))
            (await File.ReadAllLinesAsync(file)).ShouldNotContain(line => !line.StartsWith('#') && line.Contains("trust", StringComparison.Ordinal));
        // The test itself would find one.
        Listening(cluster.Host.Pid).Count.ShouldBeGreaterThan(0);
    }

    [Theory]
    [InlineData("COPY (SELECT 1) TO PROGRAM 'true'")]
    [InlineData("COPY (SELECT 'local all all trust') TO '/tmp/codo-test-pg_hba.conf'")]
    [InlineData("CREATE TEMPORARY TABLE p (line text); COPY p FROM '/etc/passwd'")]
    [InlineData("SELECT pg_read_file('pg_hba.conf')")]
    [InlineData("SELECT lo_export(lo_from_bytea(0, 'local all all trust'), '/tmp/codo-test-pg_hba.conf')")]
    [InlineData("ALTER SYSTEM SET hba_file = '/tmp/pg_hba.conf'")]
    [InlineData("SELECT pg_reload_conf()")]
    [InlineData("SET ROLE codo")]
    [InlineData("SET ROLE codo_audit")]
    [InlineData("SET SESSION AUTHORIZATION codo")]
    [InlineData("GRANT codo_audit TO codo_host")]
    [InlineData("GRANT pg_execute_server_program TO codo_host")]
    [InlineData("ALTER ROLE codo_host SUPERUSER")]
    [InlineData("CREATE ROLE planted SUPERUSER LOGIN")]
    [InlineData("CREATE FUNCTION cron.run(cstring) RETURNS int LANGUAGE c AS '/lib/x86_64-linux-gnu/libc.so.6', 'system'")]
    [InlineData("CREATE EVENT TRIGGER planted ON ddl_command_start EXECUTE FUNCTION platform.refuse_change()")]
    [InlineData("CREATE TABLE public.planted (id int)")]
    [InlineData("UPDATE platform.audit SET username = 'somebody'")]
    [InlineData("DELETE FROM platform.audit")]
    [InlineData("TRUNCATE platform.audit")]
    [InlineData("DELETE FROM platform.audit_default")]
    [InlineData("DROP TABLE platform.audit")]
    [InlineData("DROP TABLE platform.audit_default")]
    [InlineData("DROP SCHEMA platform CASCADE")]
    [InlineData("ALTER TABLE platform.audit DISABLE TRIGGER ALL")]
    [InlineData("ALTER TABLE platform.audit DETACH PARTITION platform.audit_default")]
    [InlineData("ALTER TABLE platform.audit OWNER TO codo_host")]
    [InlineData("CREATE RULE quiet AS ON INSERT TO platform.audit DO INSTEAD NOTHING")]
    [InlineData("CREATE TRIGGER quiet BEFORE INSERT ON platform.audit FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()")]
    [InlineData("CREATE OR REPLACE FUNCTION platform.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'")]
    [InlineData("CREATE OR REPLACE FUNCTION platform.drop_audit_partition(name text) RETURNS void LANGUAGE sql AS 'SELECT'")]
    [InlineData("CREATE TABLE platform.planted (id int)")]
    [InlineData("DELETE FROM platform.schema_version")]
    public async Task The_hosts_role_is_refused(string attack)
    {
        await using var connection = await cluster.Connect("codo_host");
        (await Should.ThrowAsync<PostgresException>(() => connection.ExecuteAsync(attack))).SqlState.ShouldBe(PostgresErrorCodes.InsufficientPrivilege, attack);
    }

    [Fact]
    public async Task The_host_adds_to_the_audit_and_reads_it_and_drops_no_month_that_is_not_old()
    {
        await cluster.Host.Send(HttpMethod.Post, "/v1/cron/job/", new { job_id = "audited", cmd = "true", cron = "0 0 0 29 2 *" });
        await using var connection = await cluster.Connect("codo_host");
        (await connection.ExecuteScalarAsync<long>("SELECT count(*) FROM platform.audit WHERE object_id = 'audited'")).ShouldBe(1);
        var month = await connection.ExecuteScalarAsync<string>("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMM')");
        foreach (var name in (string[])[$"audit_{month}", "audit_default", "audit", "node", "audit_209901"])
            (
                await Should.ThrowAsync<PostgresException>(() => connection.ExecuteAsync("SELECT platform.drop_audit_partition(@name)", new { name }))
            ).MessageText.ShouldContain("may be dropped", Case.Sensitive, name);
        (
            await Should.ThrowAsync<PostgresException>(() => connection.ExecuteAsync("SELECT platform.add_audit_partition('2099-01-01')"))
        ).MessageText.ShouldContain("no partition for");
        (
            await Should.ThrowAsync<PostgresException>(() =>
                connection.ExecuteAsync("SELECT platform.drop_old_audit_rows(clock_timestamp() - interval '80 days')")
            )
        ).MessageText.ShouldContain("may not be dropped");
        (await connection.ExecuteScalarAsync<long>("SELECT platform.drop_old_audit_rows(clock_timestamp() - interval '100 days')")).ShouldBe(0);
        // The functions run as the audit's owner: what they call is not found by a path of the caller's.
        (
            await connection.QueryAsync<string>(
                "SELECT array_to_string(proconfig, ' ') FROM pg_proc WHERE pronamespace = 'platform'::regnamespace AND prosecdef"
            )
        ).ShouldBe(Enumerable.Repeat("search_path=pg_catalog, pg_temp", 3));
    }

    [Fact]
    public async Task Everything_belongs_to_the_hosts_role_or_the_audits_owner_and_health_says_that_it_holds()
    {
        await using var connection = await cluster.Connect("codo_host");
        (await PrivateClusterUpgradeTests.Owners(connection)).ShouldBe(
            ["codo_audit platform", "codo_host accounts", "codo_host alerts", "codo_host cron", "codo_host hangfire", "codo_host platform", "codo_host tasks"],
            ignoreOrder: true
        );
        (await connection.ExecuteScalarAsync<bool>("SELECT pg_has_role('codo_audit', 'MEMBER')")).ShouldBeFalse();
        var rights = (await cluster.Host.Send(HttpMethod.Get, "/healthz/ready"))["checks"]!["database_rights"]!;
        rights["status"]!.GetValue<string>().ShouldBe("healthy");
        rights["detail"]!.GetValue<string>().ShouldContain(Environment.IsPrivilegedProcess ? "no more" : $"PostgreSQL runs as {Environment.UserName}");
    }

    private static PostgresUser? Find(string name) =>
        File.ReadLines("/etc/passwd").Select(line => line.Split(':')).FirstOrDefault(fields => fields[0] == name) is { } fields
            ? new PostgresUser(name, int.Parse(fields[2], CultureInfo.InvariantCulture), int.Parse(fields[3], CultureInfo.InvariantCulture))
            : null;

    internal static string Psql() =>
        Directory.EnumerateDirectories("/usr/lib/postgresql").Select(version => Path.Combine(version, "bin/psql")).FirstOrDefault(File.Exists) ?? "psql";

    /// <summary>What psql says to a user who asks for a number.</summary>
    private async Task<string> Asked(PostgresUser? user, string role)
    {
        List<string> arguments = ["-h", cluster.Sockets, "-d", "codo", "-wXtA", "-c", "SELECT 42"];
        if (role.Length > 0) arguments.AddRange(["-U", role]);
        using var psql = await Children.Start(Children.Command(user, "KILL", Psql(), arguments));
        psql.StandardInput.Close();
        var said = await Task.WhenAll(psql.StandardOutput.ReadToEndAsync(), psql.StandardError.ReadToEndAsync());
        await psql.WaitForExitAsync();
        return string.Concat(said).Trim();
    }

    /// <summary>Ports that a process listens on, by the sockets among its descriptors.</summary>
    private static List<string> Listening(int pid)
    {
        var sockets = Directory
            .EnumerateFiles($"/proc/{pid}/fd")
            .Select(path => new FileInfo(path).LinkTarget ?? "")
            .Where(target => target.StartsWith("socket:[", StringComparison.Ordinal))
            .Select(target => target[8..^1])
            .ToHashSet();
        return
        [
            .. ((string[])["tcp", "tcp6"])
                .SelectMany(kind => File.ReadLines($"/proc/{pid}/net/{kind}").Skip(1))
                .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
                .Where(fields => fields[3] == "0A" && sockets.Contains(fields[9]))
                .Select(fields => fields[1]),
        ];
    }
}
