using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Dapper;
using Npgsql;

namespace Codo.Tests.Host;

/// <summary>What health says of a PostgreSQL that is not Codo's own; PrivateClusterTests have the other.</summary>
public sealed class DatabaseRightsTests(TestPostgres postgres)
{
    [Fact]
    public async Task A_superusers_role_is_degraded_and_an_audit_that_could_be_changed_is_a_note()
    {
        await using var ordinary = await TestHost.Start(postgres);
        var rights = (await ordinary.Get("/healthz/ready"))["checks"]!["database_rights"]!;
        (rights["status"]!.GetValue<string>(), rights["detail"]!.GetValue<string>()).ShouldBe(("healthy", "the role codo_host could change platform.audit"));

        await using var superuser = await TestHost.Start(postgres, new NpgsqlConnectionStringBuilder(ordinary.Postgres) { Username = "codo" }.ConnectionString);
        rights = (await superuser.Get("/healthz/ready"))["checks"]!["database_rights"]!;
        rights["status"]!.GetValue<string>().ShouldBe("degraded");
        rights["detail"]!.GetValue<string>().ShouldStartWith("the role codo is a superuser");
        // A stranger learns nothing of it.
        using var stranger = await superuser.Http.GetAsync("/healthz/ready");
        (await stranger.Content.ReadAsStringAsync()).ShouldNotContain("superuser");
    }

    [Fact]
    public async Task The_statements_of_the_docs_close_the_audit_and_the_host_goes_on()
    {
        await using var host = await TestHost.Start(postgres);
        var docs = await File.ReadAllTextAsync(Path.Combine(Folder(), "../../docs/operations.md"));
        // Roles belong to the whole cluster, and the host's has the audit owner's rights in this one.
        var sql = docs[(docs.IndexOf("```sql\nCREATE ROLE codo_audit", StringComparison.Ordinal) + 7)..];
        sql = sql[..sql.IndexOf("```", StringComparison.Ordinal)]
            .Replace("codo_audit", "docs_audit", StringComparison.Ordinal)
            .Replace("TO codo;", "TO codo_host;", StringComparison.Ordinal);
        await using (var superuser = new NpgsqlConnection(TestPostgres.AsSuperuser(host.Postgres)))
        {
            await superuser.ExecuteAsync(sql);
            foreach (
                var partition in await superuser.QueryAsync<string>(
                    "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'platform.audit'::regclass"
                )
            )
                await superuser.ExecuteAsync($"ALTER TABLE {partition} OWNER TO docs_audit");
        }

        var rights = (await host.Get("/healthz/ready"))["checks"]!["database_rights"]!;
        rights["detail"]!.GetValue<string>().ShouldBe("the role codo_host works on its own schemas and adds to the audit, no more");
        await host.Make(new { job_id = "audited", cmd = "true", cron = CronClient.Never });
        (await host.Ask<long>("SELECT count(*) FROM platform.audit WHERE object_id = 'audited'")).ShouldBe(1);
        await Should.ThrowAsync<PostgresException>(() => host.Ask<int>("DELETE FROM platform.audit RETURNING 1"));
        await using var again = await host.Again();
        (await again.Get("/healthz/ready"))["checks"]!["loops"]!["status"]!.GetValue<string>().ShouldBe("healthy");
    }

    private static string Folder([System.Runtime.CompilerServices.CallerFilePath] string file = "") => Path.GetDirectoryName(file)!;
}
