using System.Data;
using System.Net.Sockets;
using System.Text;
using Codo.Platform.Data;
using Codo.Tests.Support;
using Dapper;
using Npgsql;

namespace Codo.Tests.Platform.Data;

public sealed class DatabaseErrorsTests(TestPostgres postgres)
{
    // Npgsql issue 6391: the statement's columns are not known, and its next answer is not understood.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_statement_that_failed_while_it_was_prepared_is_forgotten_or_costs_its_connection(bool isForgotten)
    {
        await using var source = NpgsqlDataSource.Create(Postgres.WithLimits(await postgres.CreateDatabase(), 1, "prepared"));
        await Ask(1);
        await Ask(1);
        DatabaseErrors.IsTransient(await Should.ThrowAsync<PostgresException>(() => Ask(0))).ShouldBeFalse();
        if (!isForgotten) DatabaseErrors.IsTransient(await Should.ThrowAsync<Exception>(() => Ask(1))).ShouldBeTrue();
        for (var time = 0; time < 5; time++) await Ask(1);

        async Task Ask(int divisor)
        {
            await using var connection = await source.OpenConnectionAsync();
            try
            {
                (await connection.ExecuteScalarAsync<int>("SELECT 1 / @divisor", new { divisor })).ShouldBe(1);
            }
            catch (PostgresException) when (isForgotten)
            {
                DatabaseErrors.ForgetPrepared(connection);
                throw;
            }
        }
    }

    [Theory]
    [InlineData("57P01", true)]
    [InlineData("57P03", true)]
    [InlineData("57014", true)]
    [InlineData("53300", true)]
    [InlineData("08006", true)]
    [InlineData("55P03", true)]
    [InlineData("40001", true)]
    [InlineData("40P01", true)]
    [InlineData("22021", false)]
    [InlineData("23514", false)]
    [InlineData("23505", false)]
    [InlineData("42703", false)]
    public void A_state_of_postgresql_is_transient_or_permanent_and_never_both(string state, bool isTransient)
    {
        var error = new PostgresException("it says", "ERROR", "ERROR", state);
        (DatabaseErrors.IsTransient(error), DatabaseErrors.IsPermanent(error)).ShouldBe((isTransient, !isTransient));
    }

    [Fact]
    public void A_lost_connection_and_a_time_limit_are_transient_and_a_text_that_cannot_be_sent_is_not()
    {
        DatabaseErrors.IsTransient(new NpgsqlException("lost", new SocketException())).ShouldBeTrue();
        DatabaseErrors.IsTransient(new TimeoutException()).ShouldBeTrue();
        DatabaseErrors.IsTransient(new NpgsqlException("half a pair", new EncoderFallbackException())).ShouldBeFalse();
        DatabaseErrors.IsPermanent(new InvalidCastException()).ShouldBeTrue();
        DatabaseErrors.IsPermanent(new DataException("Error parsing column 25", new InvalidCastException())).ShouldBeTrue();
        DatabaseErrors.IsPermanent(new OperationCanceledException()).ShouldBeFalse();
    }

    // Lone surrogates do not survive an attribute.
    [Fact]
    public void Text_from_outside_is_stored_without_what_postgresql_refuses()
    {
        foreach (var (text, stored) in new[]
        {
            ("plain", "plain"), ("a\0b", "a␀b"), ("half \uD83D", "half \uFFFD"), ("\uDE00 half", "\uFFFD half"), ("\uD83D\uDE00 whole", "\uD83D\uDE00 whole"),
        }) OutsideText.Clean(text).ShouldBe(stored);
    }

    [Theory]
    [InlineData("UTC+05:30", 330)]
    [InlineData("UTC-03:00", -180)]
    [InlineData("UTC+00:00", 0)]
    public void A_fixed_zone_is_read_by_its_name(string id, int minutes)
    {
        FixedZone.Parse(id)!.BaseUtcOffset.ShouldBe(TimeSpan.FromMinutes(minutes));
        FixedZone.At(TimeSpan.FromMinutes(minutes)).Id.ShouldBe(id);
        FixedZone.Parse(id)!.SupportsDaylightSavingTime.ShouldBeFalse();
    }

    [Theory]
    [InlineData("UTC")]
    [InlineData("UTC+5:30")]
    [InlineData("UTC+25:00")]
    [InlineData("Europe/Dublin")]
    public void Other_names_are_no_fixed_zones(string id) => FixedZone.Parse(id).ShouldBeNull();

    [Fact]
    public void A_start_waits_for_what_is_away_and_not_for_what_is_set_wrong()
    {
        var lost = new NpgsqlException("lost", new SocketException((int)SocketError.ConnectionRefused));
        var wrong = new PostgresException("password authentication failed", "FATAL", "FATAL", "28P01");
        Exception[] away =
        [
            lost,
            new SocketException((int)SocketError.HostNotFound),
            new TimeoutException(),
            new PostgresException("the database system is starting up", "FATAL", "FATAL", "57P03"),
            new NpgsqlException("No suitable host was found."),
            new NpgsqlException("Unable to connect to a suitable host.", new AggregateException(lost, lost)),
        ];
        away.ShouldAllBe(error => DatabaseErrors.IsAway(error));
        Exception[] set =
        [
            wrong,
            new SocketException((int)SocketError.AccessDenied),
            new NpgsqlException("No password has been provided but the backend requires one (in SASL/SCRAM-SHA-256)"),
            new NpgsqlException("Unable to connect to a suitable host.", new AggregateException(lost, wrong)),
        ];
        set.ShouldAllBe(error => !DatabaseErrors.IsAway(error));
        DatabaseErrors.Causes(set[^1]).ShouldBe("lost; 28P01: password authentication failed");
    }
}
