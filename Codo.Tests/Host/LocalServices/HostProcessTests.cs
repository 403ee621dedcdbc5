using Codo.Host.LocalServices;
using Codo.Tests.Support;
using Npgsql;

namespace Codo.Tests.Host.LocalServices;

/// <summary>The real process with everything of its own: how it starts, dies, comes back and ends.</summary>
public sealed class HostProcessTests
{
    [Fact]
    public async Task Comes_back_with_its_data_after_kill_9_and_leaves_no_PostgreSQL_behind()
    {
        using var folder = new TestFolder();
        var data = folder.At("codo");
        (int Id, string Started) postgres;
        await using (var killed = await HostProcess.Start(data))
        {
            await Execute(data, "CREATE TABLE public.kept AS SELECT 42 AS answer");
            postgres = PostmasterOf(data);
            await killed.Kill();

            // At once, while the first host's PostgreSQL may still be shutting down.
            await using var again = await HostProcess.Start(data);
            (await Execute(data, "SELECT answer FROM public.kept")).ShouldBe(42);
            PostmasterOf(data).ShouldNotBe(postgres);
        }

        await Eventually.True(() => IsGone(postgres), "the first host's PostgreSQL has ended");
    }

    [Fact]
    public async Task Refuses_a_second_host_on_its_data_directory_and_goes_on()
    {
        using var folder = new TestFolder();
        await using var first = await HostProcess.Start(folder.At("codo"));

        var second = await HostProcess.Run([$"--Codo:DataDirectory={first.DataDirectory}", "--urls=http://127.0.0.1:0"]);

        // Not 2, after which systemd leaves it down: what has the directory may be a command that ends.
        second.ExitCode.ShouldBe(75);
        second.Errors.ShouldStartWith($"Another Codo host, or a command such as codo backup, is running on the data directory {first.DataDirectory}.");
        (await first.Send(HttpMethod.Get, "/v1/cron/job/"))["code"]!.GetValue<int>().ShouldBe(0);
    }

    [Theory]
    [InlineData(15, false)]
    [InlineData(2, true)]
    public async Task A_signal_ends_it_with_0_and_PostgreSQL_after_it(int signal, bool wholeGroup)
    {
        using var folder = new TestFolder();
        await using var host = await HostProcess.Start(folder.At("codo"));
        var postgres = PostmasterOf(host.DataDirectory);

        (await host.Stop(signal, wholeGroup)).ShouldBe(0, host.Output);

        IsGone(postgres).ShouldBeTrue();
        (await File.ReadAllTextAsync(folder.At("codo/postgres.log"))).ShouldContain("database system is shut down");
        // Had PostgreSQL gone first, the host would have complained.
        host.Output.ShouldNotContain("PostgreSQL ended by itself");
        host.Output.ShouldNotContain("Npgsql");
    }

    [Fact]
    public async Task Opens_a_data_directory_that_only_root_may_enter_just_enough()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "Only root hands PostgreSQL to another user.");
        using var folder = new TestFolder();
        var data = folder.At("codo");
        Directory.CreateDirectory(data, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);

        await using var host = await HostProcess.Start(data);

        File.GetUnixFileMode(data)
            .ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute);
        File.GetUnixFileMode(Path.Combine(data, "secrets")).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    [Fact]
    public async Task Says_which_directory_above_is_closed_to_its_PostgreSQL()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "Only root hands PostgreSQL to another user.");
        using var folder = new TestFolder(open: false);

        var refused = await HostProcess.Run([$"--Codo:DataDirectory={folder.At("codo")}", "--urls=http://127.0.0.1:0"]);

        refused.ExitCode.ShouldBe(2);
        refused.Errors.ShouldContain($"chmod o+x {folder.Path}`");
    }

    [Theory]
    [InlineData("Codo:MasterKey", "Codo__Auth__TokenSecret", "Codo__MasterKey is empty.")]
    [InlineData("Codo:Auth:TokenSecret", "Codo__MasterKey", "Codo__Auth__TokenSecret is empty.")]
    public async Task An_external_PostgreSQL_needs_secrets_that_are_set(string empty, string set, string sentence)
    {
        using var folder = new TestFolder();

        var refused = await HostProcess.Run(
            ["serve", $"--Codo:DataDirectory={folder.At("codo")}", "--ConnectionStrings:Postgres=Host=/nowhere;Username=codo", $"--{empty}="],
            null,
            null,
            "/",
            (set, new string('s', 32))
        );

        refused.ExitCode.ShouldBe(2);
        refused.Errors.ShouldStartWith(sentence);
    }

    [Fact]
    public async Task A_connection_string_that_cannot_be_read_is_named_and_not_repeated()
    {
        using var folder = new TestFolder();
        var secret = new string('s', 32);

        var refused = await HostProcess.Run([
            $"--Codo:DataDirectory={folder.At("codo")}",
            "--ConnectionStrings:Postgres=pass-word",
            $"--Codo:MasterKey={secret}",
            $"--Codo:Auth:TokenSecret={secret}",
        ]);

        refused.ExitCode.ShouldBe(2);
        refused.Errors.ShouldStartWith("ConnectionStrings:Postgres:");
        refused.Errors.ShouldNotContain("pass-word");
    }

    [Theory]
    [InlineData("redis://:pass-word@10.0.0.1:6379/0")]
    [InlineData("10.0.0.1:6379,password=first,pass-word=second")]
    [InlineData("10.0.0.1:6379,ssl=pass-word")]
    [InlineData("not a pass-word")]
    [InlineData("password=pass-word")]
    public async Task A_Redis_configuration_that_cannot_be_read_is_named_and_not_repeated(string configuration)
    {
        using var folder = new TestFolder();
        var secret = new string('s', 32);

        var refused = await HostProcess.Run([
            $"--Codo:DataDirectory={folder.At("codo")}",
            $"--ConnectionStrings:Redis={configuration}",
            $"--Codo:MasterKey={secret}",
            $"--Codo:Auth:TokenSecret={secret}",
        ]);

        refused.ExitCode.ShouldBe(2, refused.Output);
        refused.Errors.ShouldStartWith("ConnectionStrings:Redis");
        (refused.Output + refused.Errors).ShouldNotContain("pass-word");
    }

    [Theory]
    [InlineData("redis")]
    [InlineData("redis_1:6379,password=x,ssl=true")]
    [InlineData("10.0.0.1:6379,10.0.0.2:6379,abortConnect=false")]
    [InlineData("[::1]:6379")]
    [InlineData("a.example.com:26379,serviceName=primary")]
    [InlineData("!/run/redis.sock")]
    public void A_Redis_configuration_that_the_client_takes_is_taken(string configuration) => SharedRedis.Readable(configuration).ShouldBe(configuration);

    /// <summary>With its start time: a process id is soon another process's.</summary>
    private static (int Id, string Started) PostmasterOf(string data)
    {
        var id = int.Parse(File.ReadLines(Path.Combine(data, "postgres/postmaster.pid")).First(), System.Globalization.CultureInfo.InvariantCulture);
        return (id, Stat(id)?.Started ?? throw new InvalidOperationException($"Process {id} is not there."));
    }

    /// <summary>A zombie is gone too: it is only waiting for whoever adopted it to look.</summary>
    private static bool IsGone((int Id, string Started) process) => Stat(process.Id) is not { } now || now.Started != process.Started || now.State == "Z";

    private static (string State, string Started)? Stat(int id)
    {
        try
        {
            var fields = File.ReadAllText($"/proc/{id}/stat").Split(") ")[^1].Split(' ');
            return (fields[0], fields[19]);
        }
        catch (IOException)
        {
            return null;
        }
    }

    private static async Task<object?> Execute(string data, string sql)
    {
        await using var connection = new NpgsqlConnection($"Host={data}/postgres-socket;Username=codo;Database=codo;Pooling=false");
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        return await command.ExecuteScalarAsync();
    }
}
