using Codo.Platform.Data;
using Npgsql;

namespace Codo.Tests.Platform.Data;

public sealed class PostgresTests
{
    [Theory]
    [InlineData("Host=db.example.com;Database=codo", true)]
    [InlineData("Host=db1:5432, db2:5433;Database=codo", true)]
    [InlineData("Host=/run/postgresql;Database=codo", false)]
    [InlineData("Host=@codo;Database=codo", false)]
    public void A_server_that_goes_without_a_word_is_noticed_while_a_statement_runs(string given, bool isTcp)
    {
        var limited = new NpgsqlConnectionStringBuilder(Postgres.WithLimits(given, 7, "named"));
        (limited.TcpKeepAlive, limited.TcpKeepAliveTime, limited.TcpKeepAliveInterval).ShouldBe(isTcp ? (true, 30, 10) : (false, 0, 0));
        (limited.MaxPoolSize, limited.ApplicationName, limited.CommandTimeout, limited.Timezone).ShouldBe((7, "named", 15, "UTC"));
    }
}
