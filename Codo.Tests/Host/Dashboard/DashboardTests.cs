using System.Net;
using System.Text.Json.Nodes;
using Codo.Modules.Cron.Executions;
using Codo.Modules.Tasks.Execution;
using Codo.Platform.Cluster;
using Codo.Platform.Dashboard;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Dapper;
using Hangfire;
using Hangfire.Common;
using Hangfire.States;
using Hangfire.Storage;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Playwright;
using Npgsql;
using OrderHost = Codo.Tests.Modules.Tasks.Orders.OrderHost;

namespace Codo.Tests.Host.Dashboard;

public sealed class DashboardFixture(TestPostgres postgres) : HostFixture(postgres)
{
    private readonly TestFolder folder = new();

    public string NewFile() => folder.At(Guid.NewGuid().ToString("N"));

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        folder.Dispose();
        GC.SuppressFinalize(this);
    }
}

/// <summary>The Hangfire dashboard shows commands and orders as they are, not the wake-ups that started them.</summary>
public sealed class DashboardTests(DashboardFixture fixture) : IClassFixture<DashboardFixture>
{
    private static readonly string[] Arguments =
    [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ];

    private readonly TestHost host = fixture.Host;

    private IMonitoringApi Monitor => host.Services.GetRequiredService<JobStorage>().GetMonitoringApi();

    [Fact]
    public async Task A_scheduled_command_that_fails_is_failed_with_its_cause_and_its_last_lines()
    {
        await host.Make(
            new
            {
                job_id = "fails",
                cmd = "echo \"$DB_PASSWORD\"; echo the last line; exit 7",
                cron = "* * * * * *",
                env = new { DB_PASSWORD = "hunter2-hunter2" },
            }
        );
        var id = await Shows("fails", "Failed");
        var failed = Monitor.JobDetails(id).History[0];
        failed.Data["ExceptionMessage"].ShouldBe("exit code 7");
        failed.Data["ExceptionDetails"].ShouldContain("the last line");
        failed.Data["ExceptionDetails"].ShouldNotContain("hunter2");
        failed.Data["Output"].ShouldStartWith("/runs/");
        // The command's; of a wake-up's own failure see below.
        (Monitor.JobDetails(id).ExpireAt - Monitor.JobDetails(id).CreatedAt)!.Value.TotalDays.ShouldBeInRange(6.9, 7.1);
        Monitor.FailedByDatesCount().Values.Sum().ShouldBeGreaterThan(0);
        await host.Delete("/v1/cron/job/", new { job_id = "fails" });
    }

    [Fact]
    public async Task A_command_that_runs_is_in_no_workers_hand_and_moves_on_when_it_ends()
    {
        var go = fixture.NewFile();
        await host.Make(new { job_id = "slow", cmd = $"while ! test -e {go}; do sleep 0.05; done; echo done", cron = "* * * * * *", overlap = "skip" });
        var id = await Shows("slow", "Running", "Deleted");
        var running = await Eventually.Get(
            () => Task.FromResult(Jobs("slow").Find(job => State(job) == "Running")),
            job => job is not null,
            "one of its background jobs is Running"
        );
        Monitor.ProcessingJobs(0, 100).ShouldNotContain(job => job.Key == running);
        var data = Monitor.JobDetails(running).History[0].Data;
        (data.ContainsKey("Since"), data.ContainsKey("Node"), data["Output"].StartsWith("/runs/", StringComparison.Ordinal)).ShouldBe((true, true, true));
        // The next due time is skipped, and its wake-up says so.
        await Eventually.True(
            () =>
                Jobs("slow")
                    .Exists(job => State(job) == "Deleted" && Monitor.JobDetails(job).History[0].Reason.StartsWith("skipped: ", StringComparison.Ordinal)),
            "a wake-up without an execution is Deleted"
        );
        await host.Patch("/v1/cron/job/", new { job_id = "slow" });
        await File.WriteAllTextAsync(go, "");
        await Eventually.True(() => State(running) == "Succeeded", "it has succeeded");
        Monitor.JobDetails(running).History[0].Data["Result"].ShouldBe("exit code 0");
        // On a busy machine the mirror may meet the execution before its command has been started.
        var states = Monitor.JobDetails(running).History.Select(state => state.StateName).Reverse().Where(state => state != "Queued");
        states.ShouldBe(["Enqueued", "Processing", "Running", "Succeeded"]);
        id.ShouldNotBeNull();
    }

    [Fact]
    public async Task A_run_by_hand_has_a_background_job_and_one_that_is_killed_says_by_whom()
    {
        await host.Make(new { job_id = "by hand", cmd = "exec sleep 1000", cron = CronClient.Never });
        var log = await host.RunNow("by hand");
        var id = await Eventually.Get(
            () => Task.FromResult(Jobs("by hand").SingleOrDefault()),
            job => job is not null && State(job) == "Running",
            "it is shown as running"
        );
        (await host.Post("/v1/cron/job/kill/", new { log_id = log })).Code().ShouldBe(0);
        await Eventually.True(() => State(id) == "Failed", "it is shown as failed");
        var data = Monitor.JobDetails(id).History[0].Data;
        (data["ExceptionType"], data["ExceptionMessage"].Contains("admin", StringComparison.Ordinal)).ShouldBe(("killed", true));
        (await host.Ask<string>("SELECT dashboard_job FROM cron.cron_log WHERE log_id = @log", new { log })).ShouldBe(id);
        await Eventually.True(
            async () => await host.Ask<long>("SELECT count(*) FROM cron.dashboard_job WHERE log_id = @log", new { log }) == 0,
            "nothing waits for it any more"
        );
    }

    [Fact]
    public async Task An_execution_that_somebody_else_recovered_is_settled_by_the_next_round()
    {
        var go = fixture.NewFile();
        await host.Make(new { job_id = "recovered", cmd = $"while ! test -e {go}; do sleep 0.05; done", cron = CronClient.Never });
        var log = await host.RunNow("recovered");
        var id = await Eventually.Get(
            () => Task.FromResult(Jobs("recovered").SingleOrDefault()),
            job => job is not null && State(job) == "Running",
            "it is shown as running"
        );
        await host.Ask<int>(
            "UPDATE cron.cron_log SET status = 'interrupted', ended_at = now(), cause_en = 'Node x was cut off' WHERE log_id = @log RETURNING 1",
            new { log }
        );
        host.Services.GetRequiredService<Codo.Modules.Cron.Executions.ExecutionMirror>().Wake.Set();
        await Eventually.True(() => State(id) == "Failed", "it is shown as failed");
        Monitor.JobDetails(id).History[0].Data["ExceptionMessage"].ShouldBe("Node x was cut off");
        await File.WriteAllTextAsync(go, "");
    }

    [Fact]
    public async Task A_retry_that_begins_one_that_is_killed_and_one_that_is_lost_are_shown_before_the_mirror_looks_by_itself()
    {
        // It does so each 30 s.
        const double Soon = 20;
        var go = fixture.NewFile();
        var (begun, first) = await AwaitsRetry("retry-begins", $"test $CODO_ATTEMPT = 2 && while ! test -e {go}; do sleep 0.05; done");
        var (killed, second) = await AwaitsRetry("retry-killed", "false");
        var (lost, third) = await AwaitsRetry("retry-lost", "false");

        await host.Ask<int>("UPDATE cron.active_execution SET not_before = clock_timestamp() WHERE log_id = @begun RETURNING 1", new { begun });
        await host.Running(begun);
        await Eventually.True(() => State(first) == "Running", "the retry is shown as running", Soon);

        (await host.Post("/v1/cron/job/kill/", new { log_id = killed })).Code().ShouldBe(0);
        await Eventually.True(() => State(second) == "Failed", "the one that was killed is shown as failed", Soon);

        // As if this node had claimed it and forgotten it.
        var node = host.Services.GetRequiredService<Node>();
        await host.Ask<int>(
            """
            WITH taken AS (
                UPDATE cron.active_execution SET state = 'running', node = @Name, incarnation = @Incarnation WHERE log_id = @lost RETURNING log_id, nominal_at
            )
            UPDATE cron.cron_log l SET status = 'running' FROM taken t WHERE l.log_id = t.log_id AND l.nominal_at = t.nominal_at RETURNING 1
            """,
            new
            {
                node.Name,
                node.Incarnation,
                lost,
            }
        );
        (await host.Ended(lost)).Status().ShouldBe("interrupted");
        await Eventually.True(() => State(third) == "Failed", "the one that was lost is shown as failed", Soon);

        await File.WriteAllTextAsync(go, "");
        await Eventually.True(() => State(first) == "Succeeded", "the retry has succeeded");
    }

    [Fact]
    public async Task An_order_is_one_background_job_from_its_acceptance_to_its_end()
    {
        var go = fixture.NewFile();
        var template = await OrderHost.Template(host, OrderHost.Step($"while ! test -e {go}; do sleep 0.05; done"), OrderHost.Step("exit 3", level: 2));
        var order = await OrderHost.Order(host, template, schedule: "new");
        var id = await Eventually.Get(
            () => Task.FromResult(Orders(order).SingleOrDefault()),
            job => job is not null && State(job) == "Waiting",
            "it waits for its approval"
        );
        (await host.Patch("/v2/task/list/", new { list_id = order, start_time = "2026-01-01 00:00" })).Code().ShouldBe(0);
        await Eventually.True(() => State(id) == "Running", "it runs");
        await File.WriteAllTextAsync(go, "");
        await Eventually.True(
            () => Monitor.JobDetails(id).History[0].Reason?.Contains("has failed", StringComparison.Ordinal) == true,
            "it waits for a person"
        );
        (await host.Put("/v2/task/list/", new { list_id = order })).Code().ShouldBe(0);
        await Eventually.True(() => State(id) == "Failed", "it has failed");
        var details = Monitor.JobDetails(id);
        details.History[0].Data["ExceptionDetails"].ShouldContain("failed");
        details.History[0].Data["Output"].ShouldBe($"/orders/{order}");
        // Whoever ended it may come to this only after the mirror has settled it.
        const string settled = "SELECT NOT EXISTS (SELECT FROM tasks.dashboard_job WHERE list_id = @order)";
        await Eventually.True(() => host.Ask<bool>(settled, new { order }), "it is settled");
        await using (var connection = await host.Source.OpenConnectionAsync())
            await host.Services.GetRequiredService<Codo.Modules.Tasks.Orders.AdvanceOrder>().Enqueue(connection, order);
        Orders(order).ShouldBe([id]);
        details.History.ShouldNotContain(state => state.StateName == "Succeeded");
    }

    [Fact]
    public async Task The_page_of_orders_links_one_that_has_ended_to_its_background_job_and_says_of_one_that_nothing_of_it_ran()
    {
        var template = await OrderHost.Template(host, OrderHost.Step("true"));
        var (ran, never) = (await OrderHost.Order(host, template), await OrderHost.Order(host, template, schedule: "new"));
        await Eventually.True(() => Orders(never) is [var job] && State(job) == "Waiting", "it waits for its approval");
        (await host.Put("/v2/task/list/", new { list_id = never })).Code().ShouldBe(0);
        foreach (var (order, word, state) in new[] { (ran, "succeeded", "Succeeded"), (never, "ended before anything of it ran", "Deleted") })
        {
            await OrderHost.Ended(host, order);
            const string settled = "SELECT NOT EXISTS (SELECT FROM tasks.dashboard_job WHERE list_id = @order)";
            await Eventually.True(() => host.Ask<bool>(settled, new { order }), "it is settled");
            var id = await host.Ask<string>("SELECT dashboard_job FROM tasks.scheduler_task_list WHERE list_id = @order", new { order });
            Orders(order).ShouldContain(id);
            State(id).ShouldBe(state);
            var row = await RowOf("/hangfire/orders", $"/orders/{order}");
            row.ShouldContain($"/jobs/details/{id}\"");
            row.ShouldContain(word);
        }
    }

    [Fact]
    public async Task What_is_under_way_leads_to_its_page_in_the_console()
    {
        await host.Make(new { job_id = "linked", cmd = "exec sleep 1000", cron = CronClient.Never });
        var log = await host.RunNow("linked");
        var order = await OrderHost.Order(host, await OrderHost.Template(host, OrderHost.Step("exec sleep 1000")));
        await host.Running(log);
        await OrderHost.Stands(host, order, "2");
        (await RowOf("/hangfire/executions", $"/runs/{log}")).ShouldContain("linked");
        (await RowOf("/hangfire/running", $"/runs/{log}")).ShouldContain("linked");
        (await RowOf("/hangfire/running", $"/orders/{order}")).ShouldContain("127.0.0.1");
        foreach (var address in (string[])[$"/runs/{log}", $"/orders/{order}"]) (await host.Page(address, TestTokens.Admin)).Status.ShouldBe(200);
        (await host.Post("/v1/cron/job/kill/", new { log_id = log })).Code().ShouldBe(0);
        (await host.Put("/v2/task/list/", new { list_id = order })).Code().ShouldBe(0);
    }

    [Fact]
    public async Task An_order_whose_batch_waits_for_a_person_waits()
    {
        var template = await OrderHost.Template(
            host,
            [new JsonObject { ["group"] = 1, ["batch"] = "1", ["batch_pause"] = 0, ["max_failures"] = 0, ["next"] = "confirm" }],
            [],
            OrderHost.Step("true", forceHost: "127.0.0.1")
        );
        var order = await OrderHost.Order(host, template, new Dictionary<string, string> { ["1"] = "10.1.0.1,10.1.0.2" });
        var id = await Eventually.Get(() => Task.FromResult(Orders(order).SingleOrDefault()), job => job is not null, "it is shown");
        await Eventually.True(
            () => State(id) == "Waiting" && Monitor.JobDetails(id).History[0].Reason == "a batch waits for a person",
            "it waits for a person"
        );
        (await host.Patch("/v2/task/check/", new { list_id = order, task_group = 1, hand_type = "next_batch" })).Code().ShouldBe(0);
        await Eventually.True(() => State(id) == "Succeeded", "it goes on to its end");
    }

    [Fact]
    public async Task An_order_at_a_hand_step_waits_also_where_another_host_was_stopped()
    {
        var go = fixture.NewFile();
        var template = await OrderHost.Template(
            host,
            OrderHost.Step($"while ! test -e {go}; do sleep 0.05; done", forceHost: "127.0.0.1"),
            OrderHost.Step("true", level: 2, trigger: "hand", forceHost: "127.0.0.1")
        );
        var order = await OrderHost.Order(host, template, new Dictionary<string, string> { ["1"] = "10.1.0.1,10.1.0.2" });
        var id = await Eventually.Get(
            () => Task.FromResult(Orders(order).SingleOrDefault()),
            job => job is not null && State(job) == "Running",
            "it runs"
        );
        (await OrderHost.Intervene(host, order, "stop_one", ip: "10.1.0.1")).Code().ShouldBe(0);
        await File.WriteAllTextAsync(go, "");
        await Eventually.True(
            async () => (string)(await OrderHost.Check(host, order))["status"]! == "6"
                && State(id) == "Waiting" && Monitor.JobDetails(id).History[0].Reason == "a step waits for a person",
            "it waits for a person"
        );
        (await host.Put("/v2/task/list/", new { list_id = order })).Code().ShouldBe(0);
        await Eventually.True(() => State(id) == "Failed", "it has ended");
    }

    [Fact]
    public void A_wake_up_that_fails_itself_goes_with_the_day()
    {
        var wakeUp = Job.FromExpression<FireDueJobs>(fire => fire.Fire(1, "failed itself", null!, CancellationToken.None));
        // As its worker does with what it throws.
        var id = host.Services.GetRequiredService<IBackgroundJobClient>().Create(wakeUp, new FailedState(new IOException("the database is away")));
        State(id).ShouldBe("Deleted");
        (Monitor.JobDetails(id).ExpireAt - Monitor.JobDetails(id).CreatedAt)!.Value.TotalDays.ShouldBeInRange(0.9, 1.1);
    }

    [Fact]
    public async Task An_order_whose_background_job_fails_itself_is_shown_anew()
    {
        var order = await OrderHost.Order(host, await OrderHost.Template(host, OrderHost.Step("true")), schedule: "new");
        var id = await Eventually.Get(
            () => Task.FromResult(Orders(order).SingleOrDefault()),
            job => job is not null && State(job) == "Waiting",
            "it waits for its approval"
        );
        await using var connection = await host.Source.OpenConnectionAsync();
        await connection.ExecuteAsync("ALTER TABLE tasks.advance RENAME TO advance_away");
        try
        {
            await host.Services.GetRequiredService<Codo.Modules.Tasks.Orders.AdvanceOrder>().Enqueue(connection, order);
            await Eventually.True(() => Monitor.JobDetails(id).History.Any(state => state.StateName == "Deleted"), "it has failed");
        }
        finally
        {
            await connection.ExecuteAsync("ALTER TABLE tasks.advance_away RENAME TO advance");
        }

        host.Services.GetRequiredService<OrderMirror>().Wake.Set();
        await Eventually.True(() => State(id) == "Waiting", "the mirror shows the order again");
        (await host.Ask<bool>("SELECT expireat IS NULL FROM hangfire.job WHERE CAST(id AS text) = @id", new { id })).ShouldBeTrue();
    }

    [Fact]
    public async Task An_order_whose_row_takes_no_change_gets_no_further_background_job_and_holds_up_no_other()
    {
        var template = await OrderHost.Template(host, OrderHost.Step("true"));
        var refused = await OrderHost.Order(host, template, schedule: "new");
        var other = await OrderHost.Order(host, template, schedule: "new");
        await Eventually.True(
            () =>
                host.Ask<bool>(
                    "SELECT count(*) = 2 FROM tasks.dashboard_job WHERE list_id IN (@refused, @other) AND background_job IS NOT NULL AND state = 'new'",
                    new { refused, other }
                ),
            "both are shown"
        );
        await using var connection = await host.Source.OpenConnectionAsync();
        await using (var transaction = await connection.BeginTransactionAsync())
        {
            await connection.ExecuteAsync(
                "UPDATE tasks.dashboard_job SET background_job = NULL, state = '', looked_at = '2000-01-01' WHERE list_id IN (@refused, @other)",
                new { refused, other },
                transaction
            );
            await connection.ExecuteAsync(
                $"""
                CREATE FUNCTION tasks.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    RAISE EXCEPTION 'not this one' USING ERRCODE = '22000';
                END $$;
                CREATE TRIGGER refuse_change BEFORE UPDATE ON tasks.dashboard_job FOR EACH ROW WHEN (NEW.list_id = {refused})
                    EXECUTE FUNCTION tasks.refuse_change()
                """,
                transaction: transaction
            );
            await transaction.CommitAsync();
        }
        var mirror = host.Services.GetRequiredService<OrderMirror>();
        try
        {
            mirror.Wake.Set();
            await Eventually.True(() => IsNamed(other), "the other is shown again");
            for (var round = 0; round < 3; round++) await mirror.Round(TestContext.Current.CancellationToken);
            Orders(refused).Count.ShouldBe(1);
        }
        finally
        {
            await connection.ExecuteAsync("DROP FUNCTION tasks.refuse_change() CASCADE");
        }
        mirror.Wake.Set();
        await Eventually.True(() => IsNamed(refused), "it is shown again");

        Task<bool> IsNamed(long order) => host.Ask<bool>("SELECT background_job IS NOT NULL FROM tasks.dashboard_job WHERE list_id = @order", new { order });
    }

    [Fact]
    public async Task An_execution_whose_ledger_row_takes_no_change_gets_no_further_background_job_and_holds_up_no_other()
    {
        foreach (var job in (string[])["refused run", "other run"]) await host.Make(new { job_id = job, cmd = "exec sleep 1000", cron = CronClient.Never });
        var (refused, other) = (await host.RunNow("refused run"), await host.RunNow("other run"));
        await Eventually.True(
            () =>
                host.Ask<bool>(
                    "SELECT count(*) = 2 FROM cron.dashboard_job WHERE log_id IN (@refused, @other) AND background_job IS NOT NULL AND state = 'running'",
                    new { refused, other }
                ),
            "both are shown"
        );
        await using var connection = await host.Source.OpenConnectionAsync();
        await using (var transaction = await connection.BeginTransactionAsync())
        {
            await connection.ExecuteAsync(
                "UPDATE cron.dashboard_job SET background_job = NULL, state = '', looked_at = '2000-01-01' WHERE log_id IN (@refused, @other)",
                new { refused, other },
                transaction
            );
            await connection.ExecuteAsync(
                $"""
                CREATE FUNCTION cron.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    RAISE EXCEPTION 'not this one' USING ERRCODE = '22000';
                END $$;
                CREATE TRIGGER refuse_change BEFORE UPDATE ON cron.cron_log FOR EACH ROW WHEN (NEW.log_id = {refused})
                    EXECUTE FUNCTION cron.refuse_change()
                """,
                transaction: transaction
            );
            await transaction.CommitAsync();
        }
        var mirror = host.Services.GetRequiredService<ExecutionMirror>();
        try
        {
            mirror.Wake.Set();
            await Eventually.True(() => IsNamed(other), "the other is shown again");
            for (var round = 0; round < 3; round++) await mirror.Round(TestContext.Current.CancellationToken);
            Jobs("refused run").Count.ShouldBe(1);
        }
        finally
        {
            await connection.ExecuteAsync("DROP FUNCTION cron.refuse_change() CASCADE");
        }
        mirror.Wake.Set();
        await Eventually.True(() => IsNamed(refused), "it is shown again");
        foreach (var log in (long[])[refused, other]) (await host.Post("/v1/cron/job/kill/", new { log_id = log })).Code().ShouldBe(0);

        Task<bool> IsNamed(long log) => host.Ask<bool>("SELECT background_job IS NOT NULL FROM cron.dashboard_job WHERE log_id = @log", new { log });
    }

    [Fact]
    public async Task A_round_full_of_rows_that_cannot_be_shown_calls_for_no_other_at_once()
    {
        await Eventually.True(() => host.Services.GetRequiredService<Node>().HoldsLease, "the host holds its lease");
        var mirror = new Refusing(host.Services);
        await mirror.Round(TestContext.Current.CancellationToken);
        mirror.Tried.ShouldBe(10);
        (await mirror.Wake.Wait(TimeSpan.Zero, TestContext.Current.CancellationToken)).ShouldBeFalse();
    }

    [Fact]
    public async Task What_names_no_background_job_holds_up_neither_an_approval_nor_what_is_shown_of_others()
    {
        var template = await OrderHost.Template(host, OrderHost.Step("true"));
        var orders = new List<long>();
        foreach (var name in new[] { "no number", "-1", "99999999999999999999" })
        {
            var order = await OrderHost.Order(host, template, schedule: "new");
            orders.Add(order);
            await Eventually.True(() => Orders(order).Count == 1, "it is shown");
            await host.Ask<int>("UPDATE tasks.dashboard_job SET background_job = @name WHERE list_id = @order RETURNING 1", new { order, name });
            (await host.Patch("/v2/task/list/", new { list_id = order, start_time = "2026-01-01 00:00" })).Code().ShouldBe(0, name);
            await OrderHost.Ended(host, order);
        }
        await Eventually.True(
            () => host.Ask<bool>("SELECT NOT EXISTS (SELECT FROM tasks.dashboard_job WHERE list_id = ANY(@orders))", new { orders }),
            "the mirror is over with them"
        );

        await host.Make(new { job_id = "unnamed", cmd = "sleep 60", cron = CronClient.Never });
        var log = await host.RunNow("unnamed");
        await Eventually.True(() => Jobs("unnamed").Count > 0, "it is shown");
        await host.Ask<int>("UPDATE cron.dashboard_job SET background_job = 'no number' WHERE log_id = @log RETURNING 1", new { log });
        (await host.Post("/v1/cron/job/kill/", new { log_id = log })).Code().ShouldBe(0);
        await Eventually.True(
            () => host.Ask<bool>("SELECT NOT EXISTS (SELECT FROM cron.dashboard_job WHERE log_id = @log)", new { log }),
            "the mirror is over with it"
        );
    }

    [Fact]
    public async Task Each_page_shows_it_in_a_browser_and_a_person_without_the_right_is_asked_to_sign_in()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/chromium"), "chromium is not installed: apt-get install -y chromium");
        // Seldom enough that what was run first is still on the first page when a busy machine comes to look at it.
        const string Often = "*/5 * * * * *";
        await host.Make(new { job_id = "page-fails", cmd = "echo why; exit 4", cron = Often });
        await host.Make(new { job_id = "page-succeeds", cmd = "echo fine", cron = Often });
        await host.Make(new { job_id = "page-runs", cmd = "exec sleep 1000", cron = Often });
        await host.Make(new { job_id = "page-by-hand", cmd = "exec sleep 1000", cron = CronClient.Never });
        (await host.Post("/v1/cron/job/kill/", new { log_id = await host.RunNow("page-by-hand") })).Code().ShouldBe(0);
        var order = await OrderHost.Order(host, await OrderHost.Template(host, OrderHost.Step("exec sleep 1000")));
        await OrderHost.Stands(host, order, "2");
        await Shows("page-fails", "Failed");
        await Shows("page-succeeds", "Succeeded");
        await Eventually.True(
            () => Jobs("page-runs").Exists(job => State(job) == "Running") && Jobs("page-runs").Exists(job => State(job) == "Deleted"),
            "one runs and one is skipped"
        );
        // A wake-up that comes before its fire is accounted for is deleted as well.
        const string SkippedSql = "SELECT EXISTS (SELECT FROM cron.cron_log WHERE job_id = 'page-runs' AND status = 'skipped')";
        await Eventually.True(() => host.Ask<bool>(SkippedSql), "the ledger has the skip");
        await Eventually.True(() => Jobs("page-by-hand").Exists(job => State(job) == "Failed"), "one is killed");

        using var playwright = await Playwright.CreateAsync();
        await using var browser = await playwright.Chromium.LaunchAsync(
            new BrowserTypeLaunchOptions { ExecutablePath = "/usr/bin/chromium", Args = Arguments }
        );
        var page = await browser.NewPageAsync(
            new BrowserNewPageOptions
            {
                ViewportSize = new ViewportSize { Width = 1280, Height = 900 },
            }
        );
        page.SetDefaultTimeout(60_000);
        async Task<string> Open(string path)
        {
            await page.GotoAsync(new Uri(host.Http.BaseAddress!, path).ToString());
            // For a person who wants to look at it.
            if (Environment.GetEnvironmentVariable("CODO_TEST_SCREENSHOTS") is { } folder)
                await page.ScreenshotAsync(
                    new PageScreenshotOptions { Path = Path.Combine(folder, "dashboard" + path.Replace('/', '-') + ".png"), FullPage = true }
                );
            return await page.InnerTextAsync("body");
        }

        // A stranger, then somebody who is no superuser, then one who is: the form leads back to the page.
        (await Open("/hangfire/executions")).ShouldContain("Sign in");
        await page.FillAsync("#token", TestTokens.For(5, "somebody"));
        await page.ClickAsync("form button");
        await page.WaitForSelectorAsync("text=This page needs a superuser");
        await page.FillAsync("#token", TestTokens.Admin);
        await page.ClickAsync("form[action='/sign-in/'] button");
        await page.WaitForSelectorAsync("h1:has-text('Executions')");

        var executions = await Open("/hangfire/executions");
        foreach (var word in new[] { "page-fails", "faild", "page-succeeds", "success", "page-runs", "running", "skipped", "page-by-hand", "killed", "manual" })
            executions.ShouldContain(word);
        var running = await Open("/hangfire/running");
        running.ShouldContain("page-runs");
        running.ShouldContain($"#{order}");
        (await Open("/hangfire/orders")).ShouldContain("an order");
        (await Open("/hangfire/jobs/failed")).ShouldContain("page-fails");
        (await Open("/hangfire/jobs/succeeded")).ShouldContain("page-succeeds");
        (await Open("/hangfire/jobs/deleted")).ShouldContain("page-runs");
        (await Open("/hangfire/recurring")).ShouldContain("page-fails");
        var job = Jobs("page-fails").First(job => State(job) == "Failed");
        (await Open($"/hangfire/jobs/details/{job}")).ShouldContain("exit code 4");
        await page.ClickAsync("a[href^='/runs/']");
        await page.WaitForSelectorAsync("[data-run-log] >> text=why");
        foreach (var made in new[] { "page-fails", "page-succeeds", "page-runs", "page-by-hand" }) await host.Delete("/v1/cron/job/", new { job_id = made });
    }

    [Fact]
    public async Task A_program_without_the_right_gets_json()
    {
        (await host.Get("/hangfire/executions", TestTokens.For(5, "somebody"))).ToJsonString().ShouldContain("\"code\":403");
        using var stranger = TestHost.Request(HttpMethod.Get, "/hangfire/orders", null, null);
        stranger.Headers.Add("Accept", "text/html");
        using var answer = await host.Http.SendAsync(stranger);
        (answer.StatusCode, answer.Content.Headers.ContentType?.MediaType).ShouldBe((HttpStatusCode.Unauthorized, "text/html"));
    }

    // A run that has failed once and is shown as waiting for its retry.
    private async Task<(long Log, string Id)> AwaitsRetry(string jobId, string cmd)
    {
        await host.Make(
            new
            {
                job_id = jobId,
                cmd,
                cron = CronClient.Never,
                retries = 1,
                retry_delay = 86_400,
            }
        );
        var log = await host.RunNow(jobId);
        const string failed = "SELECT EXISTS (SELECT FROM cron.active_execution WHERE log_id = @log AND state = 'queued' AND attempt = 2)";
        await Eventually.True(() => host.Ask<bool>(failed, new { log }), "it waits for its retry");
        var id = await Eventually.Get(
            () => Task.FromResult(Jobs(jobId).SingleOrDefault()),
            job => job is not null && State(job) == "Queued",
            "it is shown as queued"
        );
        return (log, id);
    }

    // The row of a page of the dashboard that leads to an address.
    private async Task<string> RowOf(string page, string address) =>
        (await host.Page(page, TestTokens.Admin))
            .Html.Split("<tr>")
            .Single(row => row.Contains($"href=\"{address}\"", StringComparison.Ordinal));

    private async Task<string> Shows(string jobId, params string[] states) =>
        (
            await Eventually.Get(
                () => Task.FromResult(Recurring(jobId)),
                job => job?.LastJobId is not null && states.Contains(job.LastJobState),
                $"{jobId} is shown as {string.Join(" or ", states)}"
            )
        )!.LastJobId;

    private RecurringJobDto? Recurring(string jobId)
    {
        using var connection = host.Services.GetRequiredService<JobStorage>().GetConnection();
        return connection.GetRecurringJobs([jobId]).Find(job => !job.Removed);
    }

    private string? State(string job) => Monitor.JobDetails(job)?.History.FirstOrDefault()?.StateName;

    // Newest first.
    private List<string> Jobs(string jobId) => Read("FireDueJobs", $"%\"{jobId}\\\\\"%");

    private List<string> Orders(long order) => Read("Advance", $"%\"{order}\"%");

    private List<string> Read(string type, string arguments)
    {
        using var connection = host.Source.OpenConnection();
        return connection
            .Query<string>(
                "SELECT CAST(id AS text) FROM hangfire.job WHERE CAST(invocationdata AS text) LIKE @type AND CAST(arguments AS text) LIKE @arguments ORDER "
                    + "BY id DESC",
                new { type = $"%{type}%", arguments }
            )
            .AsList();
    }

    /// <summary>A mirror whose rows can none of them be shown.</summary>
    private sealed class Refusing(IServiceProvider services)
        : DashboardMirror<Refusing.Row>(
            services.GetRequiredService<NpgsqlDataSource>(),
            services.GetRequiredService<BackgroundMirror>(),
            services.GetRequiredService<Node>(),
            TimeProvider.System,
            NullLogger.Instance
        )
    {
        public int Tried { get; private set; }

        protected override string Outdated => "SELECT n AS number FROM generate_series(1, @Batch) n";

        protected override string LookedAt => "SELECT 1";

        protected override string Lost => "SELECT '' WHERE false";

        protected override Task Show(NpgsqlConnection connection, NpgsqlTransaction transaction, Row row)
        {
            Tried++;
            return Task.FromException(new InvalidOperationException($"row {row.Number}"));
        }

        internal sealed record Row(int Number);
    }
}
