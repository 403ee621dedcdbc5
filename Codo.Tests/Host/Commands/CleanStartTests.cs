using Codo.Host.Commands;

namespace Codo.Tests.Host.Commands;

public sealed class CleanStartTests
{
    [Fact]
    public void Settings_that_are_secrets_leave_the_command_line()
    {
        var (open, secret) = CleanStart.Divide([
            "codo",
            "serve",
            "--urls=http://127.0.0.1:0",
            "--Codo:MasterKey=k=1",
            "--ConnectionStrings:Postgres",
            "Host=db;Password=p",
            "--Codo:TimeZone",
            "UTC",
            "--codo:auth:tokensecret",
            "s",
            "--config",
            "/etc/secret.json",
        ]);
        open.ShouldBe(["codo", "serve", "--urls=http://127.0.0.1:0", "--Codo:TimeZone", "UTC", "--config", "/etc/secret.json"]);
        secret.ShouldBe(["--Codo:MasterKey=k=1", "--ConnectionStrings:Postgres", "Host=db;Password=p", "--codo:auth:tokensecret", "s"]);
    }
}
