using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Ui;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Codo.Host.Operations;

/// <summary>What an operator does to Codo itself.</summary>
internal static class OperationsRoutes
{
    private const string WaitingSql = """
        SELECT count(*) FROM platform.outbox WHERE dead_at IS NULL
        """;

    private const string DeadSql = """
        SELECT count(*) FROM platform.outbox WHERE dead_at IS NOT NULL
        """;

    private const string BackgroundSql = """
        SELECT count(*) FROM hangfire.jobqueue WHERE fetchedat IS NULL
        """;

    public static IServiceCollection AddOperations(this IServiceCollection services)
    {
        services.AddHealthChecks().AddCheck<StorageUse>("storage", HealthStatus.Degraded, timeout: TimeSpan.FromSeconds(5));
        return services
            .AddSettings<RetentionSettings>("Codo:Retention")
            .AddSingleton<StorageUse>()
            .AddQueue("outbox", new Text("模块间消息", "Messages between modules"), WaitingSql)
            .AddQueue("dead_letters", new Text("放弃的消息", "Messages given up"), DeadSql)
            .AddQueue("background_jobs", new Text("后台作业", "Background jobs"), BackgroundSql)
            .AddLoop<StorageUse>("storage", TimeSpan.FromHours(1), (storage, stopping) => storage.Maintain(stopping));
    }

    public static void MapOperations(this IEndpointRouteBuilder routes)
    {
        routes.Get<ListOutbox.Query, ListOutbox.Result>(
            "/v2/outbox/",
            "Messages between modules that were given up (dead letters); dead=false: that wait",
            Right.Superuser
        );
        routes.Post<ResendMessage.Command, Answer>("/v2/outbox/resend/", "Send a dead letter again", Right.Superuser);
        routes.Delete<DeleteMessage.Command, Answer>("/v2/outbox/", "Delete a dead letter", Right.Superuser);
        routes.Get<ListNodes.Query, ListNodes.Result>("/v2/nodes/", "The nodes, and what the database takes kind by kind", Right.Superuser);
        routes.Get<FitNodes.Query, FitNodes.Result>(
            "/v2/nodes/fit/",
            "Which nodes that take new work now fit the `node` of a job or a step",
            Right.Own(Verbs.See)
        );
        routes.Get<ListSettings.Query, ListSettings.Result>(
            "/v2/settings/",
            "The settings in force on the node that answers, each with its source; secrets only as set",
            Right.Superuser
        );
        routes.Post<DrainNode.Command, DrainNode.Result>(
            "/v2/nodes/drain/",
            "Drain a node: it takes no new work and finishes what runs, over restarts",
            Right.Superuser
        );
        routes.Post<UndrainNode.Command, Answer>("/v2/nodes/undrain/", "Let a drained node take work again", Right.Superuser);
        routes.Delete<ForgetNode.Command, Answer>("/v2/nodes/", "Forget a node that is gone for good", Right.Superuser);
        routes.Get<ShowHold.Query, ShowHold.Result>(
            "/v2/hold/",
            "Whether the installation is held after a restore, since when, and who can release it",
            Right.Token
        );
        routes.Post<ReleaseHold.Command, Answer>("/v2/hold/release/", "Release a restored installation: schedules, orders and alerts go on", Right.Superuser);
        routes.MapPage<NodesPage>("/nodes/", Right.Superuser);
        routes.MapPage<SettingsPage>("/settings/", Right.Superuser);
        routes.Post<ConfirmRunAs.Command, Answer>(
            "/v2/nodes/run_as/",
            "Confirm that somebody has looked at the run_as that an upgrade has written",
            Right.Superuser
        );
        routes.Post<ConfirmClock.Command, Answer>(
            "/v2/nodes/clock/",
            "Confirm that PostgreSQL's clock is right after it jumped; retention goes on",
            Right.Superuser
        );
    }
}
