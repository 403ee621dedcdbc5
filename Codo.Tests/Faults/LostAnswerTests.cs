using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Dapper;
using Npgsql;

namespace Codo.Tests.Faults;

/// <summary>What PostgreSQL has committed although its answer was lost, or has not stored although the command has run.</summary>
public sealed class LostAnswerTests : IAsyncLifetime
{
    private TestPostgres postgres = null!;
    private TestHost host = null!;

    public async ValueTask InitializeAsync()
    {
        // Of its own: a setting of the whole server is changed.
        postgres = await TestPostgres.StartNew();
        host = await TestHost.Start(postgres);
    }

    public async ValueTask DisposeAsync()
    {
        await host.DisposeAsync();
        await postgres.DisposeAsync();
    }

    // The claim waits for a standby that there is not; ended by then, its transaction is committed and nobody is told.
    [Fact]
    public async Task A_claim_that_is_committed_without_an_answer_starts_its_commands_once_and_the_jobs_go_on()
    {
        using var folder = new TestFolder();
        var ran = folder.At("ran");
        await using var superuser = new NpgsqlConnection(TestPostgres.AsSuperuser(host.Postgres));
        await superuser.OpenAsync(TestContext.Current.CancellationToken);
        await superuser.ExecuteAsync("ALTER SYSTEM SET synchronous_commit = local");
        await superuser.ExecuteAsync("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
        await superuser.ExecuteAsync("SELECT pg_reload_conf()");
        await Eventually.True(async () => await superuser.ExecuteScalarAsync<string>("SHOW synchronous_standby_names") == "nobody", "the server waits for it");
        await superuser.ExecuteAsync(
            """
            CREATE TABLE public.losing (yes bool);
            INSERT INTO public.losing VALUES (true);
            CREATE FUNCTION public.lose() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF EXISTS (SELECT FROM public.losing) THEN PERFORM set_config('synchronous_commit', 'on', true); END IF;
                RETURN NULL;
            END $$;
            CREATE TRIGGER lose AFTER INSERT ON cron.attempt FOR EACH STATEMENT EXECUTE FUNCTION public.lose();
            GRANT SELECT ON public.losing TO PUBLIC;
            """
        );
        string[] jobs = ["skip", "queue"];
        foreach (var overlap in jobs) await host.Make(new { job_id = overlap, cmd = $"echo $CODO_RUN_ID >> {ran}", cron = "* * * * * *", overlap });

        await Eventually.True(
            () => superuser.ExecuteScalarAsync<bool>("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')"),
            "a claim waits"
        );
        await superuser.ExecuteAsync("DELETE FROM public.losing");
        (
            await superuser.ExecuteScalarAsync<long>("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
        ).ShouldBeGreaterThan(0);

        foreach (var job in jobs)
            await Eventually.True(
                async () =>
                    await host.Ask<long>("SELECT count(*) FROM cron.cron_log WHERE job_id = @job AND status = 'success'", new { job }) > 2,
                "the job goes on"
            );
        (
            await host.Ask<string?>("SELECT string_agg(DISTINCT status, ' ') FROM cron.attempt WHERE ended_at IS NOT NULL")
        ).ShouldBe("success", "nothing is given up");
        var lines = await File.ReadAllLinesAsync(ran, TestContext.Current.CancellationToken);
        lines.Length.ShouldBe(lines.Distinct().Count(), "nothing ran twice");
    }

    [Fact]
    public async Task A_run_whose_end_is_not_taken_is_interrupted_with_the_reason_and_its_job_goes_on()
    {
        await host.Ask<int>(
            """
            CREATE FUNCTION cron.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF NEW.status = 'success' AND NEW.nominal_at <= (SELECT create_time + interval '3 seconds' FROM cron.job WHERE job_id = 'refused')
                    THEN RAISE EXCEPTION 'not this one' USING ERRCODE = '22000'; END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER refuse BEFORE UPDATE ON cron.attempt FOR EACH ROW EXECUTE FUNCTION cron.refuse();
            SELECT 1
            """
        );
        await host.Make(new { job_id = "refused", cmd = "true", cron = "* * * * * *" });
        await Eventually.True(() => host.Ask<bool>("SELECT EXISTS (SELECT FROM cron.cron_log WHERE status = 'success')"), "the job goes on");
        var first = await host.Ask<string>("SELECT status || ': ' || cause_en FROM cron.cron_log WHERE status <> 'skipped' ORDER BY nominal_at LIMIT 1");
        first.ShouldStartWith("interrupted: Node ");
        first.ShouldEndWith(" could not record how it ended; the command is gone or was ended");
    }
}
