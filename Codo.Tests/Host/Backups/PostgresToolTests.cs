using Codo.Host.Backups;
using Codo.Tests.Support;
using Npgsql;

namespace Codo.Tests.Host.Backups;

/// <summary>pg_dump and pg_restore connect as the host does.</summary>
public sealed class PostgresToolTests
{
    [Theory]
    [InlineData("db", "db", "5432")]
    [InlineData("db:6432", "db", "6432")]
    [InlineData("a,b:6432", "a,b", "5432,6432")]
    [InlineData("::1", "::1", "5432")]
    [InlineData("fe80::1:5433", "fe80::1:5433", "5432")]
    [InlineData("[::1]", "::1", "5432")]
    [InlineData("[::1]:6432,10.0.0.1", "::1,10.0.0.1", "6432,5432")]
    [InlineData("/var/run/a:1", "/var/run/a:1", "5432")]
    public void A_port_stands_behind_a_name_and_is_no_part_of_an_address(string hosts, string names, string ports)
    {
        var variables = Of($"Host={hosts};Username=codo");
        variables["PGHOST"].ShouldBe(names);
        variables["PGPORT"].ShouldBe(ports);
    }

    [Fact]
    public void What_the_connection_string_leaves_open_comes_from_the_environment()
    {
        string[] open = ["PGUSER", "PGPASSWORD", "PGPASSFILE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY"];
        var variables = Of("Host=db;SSL Mode=VerifyFull", open.ToDictionary(name => name, name => $"of {name}"));
        foreach (var name in open) variables[name].ShouldBe($"of {name}");
        variables["PGDATABASE"].ShouldBe("of PGUSER");

        variables = Of(
            "Host=db;Username=codo;Password=secret;Passfile=/p;Root Certificate=/r;SSL Certificate=/c;SSL Key=/k;SSL Mode=VerifyFull",
            open.ToDictionary(name => name, name => $"of {name}")
        );
        open.Select(name => variables[name]).ShouldBe(["codo", "secret", "/p", "/r", "/c", "/k"]);
        variables["PGDATABASE"].ShouldBe("codo");

        variables = Of("Host=db;Username=codo");
        open.Where(variables.ContainsKey).ShouldBe(["PGUSER", "PGSSLROOTCERT"]);
    }

    [Theory]
    [InlineData("Require")]
    [InlineData("Prefer")]
    public void A_certificate_that_the_host_does_not_check_is_not_checked_by_the_tools(string mode)
    {
        // They check it as soon as there is a file.
        Dictionary<string, string> environment = new() { ["PGSSLROOTCERT"] = "/r" };
        foreach (var root in new[] { "", ";Root Certificate=/r" })
            Of($"Host=db;Username=codo;SSL Mode={mode}{root}", environment)["PGSSLROOTCERT"].ShouldBe("/nonexistent");
    }

    [Theory]
    [InlineData("VerifyFull", "verify-full")]
    [InlineData("VerifyCA", "verify-ca")]
    public void A_certificate_that_is_checked_is_checked_by_what_the_machine_trusts(string mode, string libpq)
    {
        using var folder = new TestFolder();
        File.WriteAllText(folder.At("ca-certificates.crt"), "");
        var variables = Of($"Host=db;Username=codo;SSL Mode={mode}", null, folder.At("absent.crt"), folder.At("ca-certificates.crt"));
        variables["PGSSLMODE"].ShouldBe(libpq);
        variables["PGSSLROOTCERT"].ShouldBe(folder.At("ca-certificates.crt"));
    }

    private static Dictionary<string, string> Of(string text, Dictionary<string, string>? environment = null, params string[] authorities) =>
        PostgresTool
            .Environment(new NpgsqlConnectionStringBuilder(text), name => environment?.GetValueOrDefault(name), authorities)
            .ToDictionary(one => one.Name, one => one.Value);
}
