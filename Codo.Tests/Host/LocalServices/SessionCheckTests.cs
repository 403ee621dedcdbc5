using System.Net.Sockets;
using Codo.Host.LocalServices;
using Codo.Tests.Support;
using Npgsql;

namespace Codo.Tests.Host.LocalServices;

public sealed class SessionCheckTests(TestPostgres postgres)
{
    [Fact]
    public async Task A_pooler_in_transaction_mode_is_refused_and_PostgreSQL_itself_is_not()
    {
        var database = await postgres.CreateDatabase();
        await SessionCheck.Verify(database);
        using var folder = new TestFolder();
        using var pooler = new TransactionPooler(folder.Path, database);
        (await Should.ThrowAsync<StartRefused>(() => SessionCheck.Verify(pooler.ConnectionString))).Message.ShouldContain("transaction mode");
    }

    [Fact]
    public async Task A_host_waits_for_a_PostgreSQL_that_is_away_and_a_command_says_so()
    {
        var database = new NpgsqlConnectionStringBuilder(await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate)));
        var real = Path.Combine(database.Host!, $".s.PGSQL.{database.Port}");
        using var folder = new TestFolder();
        var place = folder.At($".s.PGSQL.{database.Port}");
        database.Host = folder.Path;
        (string, string)[] environment =
        [
            ("ConnectionStrings__Postgres", database.ConnectionString),
            ("Codo__MasterKey", "a-master-key-for-tests-of-more-than-32-bytes"),
            ("Codo__Auth__TokenSecret", TestTokens.Secret),
        ];
        var migrated = await HostProcess.Run(["migrate", $"--Codo:DataDirectory={folder.At("other")}"], environment: environment);
        migrated.ExitCode.ShouldBe(75, migrated.Errors);
        migrated.Errors.ShouldStartWith("ConnectionStrings:Postgres:");

        // It is there, hangs up twice as one that starts does, and then is PostgreSQL.
        var starting = HostProcess.Start(folder.At("data"), environment: environment);
        using (var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            socket.Bind(new UnixDomainSocketEndPoint(place));
            socket.Listen();
            for (var i = 0; i < 2; i++) (await socket.AcceptAsync(TestContext.Current.CancellationToken)).Dispose();
        }
        File.Delete(place);
        File.CreateSymbolicLink(place, real);
        await using var host = await starting;
        host.Output.ShouldContain("the start waits for it");
        (await host.Stop()).ShouldBe(0);
    }
}
