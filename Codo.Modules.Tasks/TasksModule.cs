using Codo.Modules.Tasks.Execution;
using Codo.Modules.Tasks.Hosts;
using Codo.Modules.Tasks.Layout;
using Codo.Modules.Tasks.Logs;
using Codo.Modules.Tasks.Orders;
using Codo.Modules.Tasks.Risks;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Events;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Codo.Platform.Telemetry;
using Codo.Platform.Ui;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Modules.Tasks;

/// <summary>The module's registration and its table of contents.</summary>
public static class TasksModule
{
    public static IServiceCollection AddTasks(this IServiceCollection services)
    {
        services.AddHealthChecks().AddCheck<OrderWords>(OrderWords.Check);
        return services
            .AddSettings<TaskSettings>("Codo:Tasks")
            .AddSingleton<IResourceReader, TemplateResources>()
            .AddSingleton<IResourceReader, ExecuteUserResources>()
            .AddSingleton<IResourceReader, OrderResources>()
            .AddOperators(Operators, ResourceKind.Template, ResourceKind.ExecuteUser, ResourceKind.Library)
            .AddSingleton<ISettleRestored, SettleRestoredOrders>()
            .AddSingleton<IStampRunAs, StampSteps>().AddSingleton<HostKeys>().AddSingleton<OpenKeys>().AddSingleton<Bastions>()
            .AddOrders()
            .AddLogs()
            .AddConsole()
            .AddHandlers(typeof(TasksModule).Assembly);
    }

    private static IServiceCollection AddOrders(this IServiceCollection services) =>
        services
            .AddSingleton<OrderArguments>()
            .AddSingleton<OrderWords>()
            .AddSingleton<OrderFeeds>()
            .AddScoped<Drafting>()
            .AddScoped<Acceptance>()
            .AddScoped<Approving>()
            .AddSingleton<RunPlans>()
            .AddSingleton<StartCheck>()
            .AddSingleton<AdvanceOrder>()
            .AddSingleton<DatabaseThrottle>()
            .AddSingleton<LaneSlots>()
            .AddSingleton<RunningAttempts>()
            .AddSingleton<StepUsage>()
            .AddSingleton<HostAccess>()
            .AddSingleton<RemoteSteps>()
            .AddSingleton<StepRun>()
            .AddSingleton<LaneRunner>()
            .AddGauges<OrderGauges>()
            .AddSingleton<IOutboxReader, OrderSituationReader>()
            .AddSingleton<IOutboxReader, BrokenOrderReader>()
            .AddSingleton<IOutboxReader, ApprovalReminderReader>()
            .AddSingleton<IOutboxReader, BrokenGlassReader>()
            .AddSingleton<IOutboxReader, PushedBackReader>()
            .AddSingleton<IOutboxReader, ExpiredOrderReader>()
            .AddSingleton<IOutboxReader>(new TurnedDownReader(OrderEvents.Blocked))
            .AddSingleton<IOutboxReader>(new TurnedDownReader(OrderEvents.Rejected))
            .AddSingleton<Advancing>()
            .AddSingleton<ChangedOrders>()
            .AddHostedService<AdvanceChangedOrders>()
            .AddSingleton<OrphanedProcesses>()
            .AddSingleton<Recovery>()
            .AddSingleton<PendingOrders>()
            .AddSingleton<UnplacedLanes>()
            .AddPoll<UnplacedLanes>("orders placement", PlacementWatch.Period, PlacementWatch.LongestRest, (watch, stopping) => watch.Poll(stopping))
            .AddSingleton<OrderWork>()
            .AddSingleton<OrderMirror>()
            .AddSingleton<INodeWork>(provider => provider.GetRequiredService<OrderWork>())
            .AddLoop<OrderMirror>("orders dashboard", TimeSpan.FromSeconds(30), (mirror, stopping) => mirror.Round(stopping), mirror => mirror.Wake)
            .AddLoop<OrderWork>("orders strays", TimeSpan.FromSeconds(15), (work, stopping) => work.RecoverStrays(stopping))
            .AddLoop<OrderWork>("orders cleanup", TimeSpan.FromHours(1), (work, stopping) => work.Clean(stopping))
            .AddSingleton<OrderRetention>()
            .AddLoop<OrderRetention>("orders retention", TimeSpan.FromHours(1), (retention, stopping) => retention.DropOld(stopping))
            .AddSingleton<TemplateRetention>()
            .AddLoop<TemplateRetention>("templates retention", TimeSpan.FromHours(1), (retention, stopping) => retention.DropOld(stopping))
            .AddLoop<PendingOrders>("orders pending", TimeSpan.FromSeconds(10), (pending, stopping) => pending.EndOverdue(stopping));

    private static IServiceCollection AddConsole(this IServiceCollection services) =>
        services
            .AddSingleton(new AssetSource(typeof(TasksModule).Assembly))
            .AddSingleton<ILiveTopic, OrdersTopic>()
            .AddSingleton<ILiveTopic, OrderTopic>()
            .AddSingleton<ILiveTopic, LogTopic>()
            .AddSingleton(
                new HeaderFigure(
                    2,
                    new Text("订单待处理", "orders wait"),
                    "/orders",
                    "hand",
                    "warn",
                    "orders",
                    OpenOrders.Waiting,
                    new Text("订单待处理", "order waits")
                )
            )
            .AddHomePanel<OrdersThatWait>(HomePlace.NeedsMe, 1, "orders")
            .AddHomePanel<OrdersThatRun>(HomePlace.Running, 2, "orders")
            .AddNavigation(NavigationGroup.Work, 1, new Text("订单", "Orders"), "/orders", "orders")
            .AddSingleton<IOutputSearch, OrderOutputSearch>()
            .AddNavigation(NavigationGroup.Library, 1, new Text("模板", "Templates"), "/templates", "template")
            .AddNavigation(NavigationGroup.Library, 2, new Text("命令库", "Commands"), "/commands", "terminal")
            .AddNavigation(NavigationGroup.Library, 3, new Text("参数库", "Arguments"), "/arguments", "braces")
            .AddNavigation(NavigationGroup.Library, 4, new Text("执行用户", "Execute-users"), "/execute-users", "key");

    /// <summary>The setting that names those with the operator's right.</summary>
    internal const string Operators = "Codo:Tasks:Operators";

    /// <summary>Bytes of a template as it is sent: a thousand steps are longer than any other body.</summary>
    private const long MostOfTemplate = 8 << 20;

    /// <summary>Every route of the module.</summary>
    public static void MapTasks(this IEndpointRouteBuilder routes)
    {
        Right see = Right.To(Verbs.See, ResourceKind.Library),
            edit = Right.To(Verbs.Edit, ResourceKind.Library);
        Right seeUser = Right.To(Verbs.See, ResourceKind.ExecuteUser),
            editUser = Right.To(Verbs.Edit, ResourceKind.ExecuteUser),
            makeUser = Right.ToMake(ResourceKind.ExecuteUser);
        Right seeTemplate = Right.To(Verbs.See, ResourceKind.Template),
            editTemplate = Right.To(Verbs.Edit, ResourceKind.Template);
        routes.Get<ListCommands.Query, ListCommands.Result>("/v2/task_layout/command/", "Commands of the library", see);
        routes.Post<CreateCommand.Command, CreateCommand.Result>("/v2/task_layout/command/", "Add a command", edit);
        routes.Put<EditCommand.Command, Answer>("/v2/task_layout/command/", "Change a command", edit);
        routes.Delete<DeleteCommand.Command, Answer>("/v2/task_layout/command/", "Delete a command", edit);

        routes.Get<ListArguments.Query, ListArguments.Result>("/v2/task_layout/args/", "Names of arguments", see);
        routes.Post<CreateArgument.Command, CreateArgument.Result>("/v2/task_layout/args/", "Name an argument", edit);
        routes.Put<EditArgument.Command, Answer>("/v2/task_layout/args/", "Change an argument's name", edit);
        routes.Delete<DeleteArgument.Command, Answer>("/v2/task_layout/args/", "Delete an argument's name", edit);

        routes.Get<ListTemplates.Query, ListTemplates.Result>("/v2/task_layout/temp/", "Templates", seeTemplate);
        routes.Post<CreateTemplate.Command, CreateTemplate.Result>("/v2/task_layout/temp/", "Make a template", Right.ToMake(ResourceKind.Template));
        routes.Delete<DeleteTemplate.Command, Answer>("/v2/task_layout/temp/", "Delete a template", editTemplate);
        routes.Get<ShowTemplate.Query, ShowTemplate.Result>("/v2/task_layout/details/", "A template's steps, groups and users", seeTemplate);
        routes
            .Put<ReplaceSteps.Command, ReplaceSteps.Result>(
                "/v2/task_layout/details/",
                "Replace a template's steps",
                editTemplate
            )
            .WithBody(MostOfTemplate);
        routes.Patch<ReplaceTemplateUsers.Command, Answer>("/v2/task_layout/details/", "Replace a template's users", editTemplate);
        MapVersions(routes, seeTemplate, editTemplate);
        routes.Get<ListTemplateOrders.Query, ListTemplateOrders.Result>("/v2/task_layout/temp/orders/", "A template's newest orders", seeTemplate);
        routes.Get<ListTemplateArguments.Query, ListTemplateArguments.Result>("/v2/task_layout/temp/args/", "Arguments that a template takes", seeTemplate);

        routes.Get<ListExecuteUsers.Query, ListExecuteUsers.Result>("/v2/task_layout/user/", "Execute-users, without their keys", seeUser);
        routes.Post<CreateExecuteUser.Command, CreateExecuteUser.Result>("/v2/task_layout/user/", "Add an execute-user", makeUser);
        routes.Put<EditExecuteUser.Command, EditExecuteUser.Result>("/v2/task_layout/user/", "Change an execute-user", editUser);
        routes.Delete<DeleteExecuteUser.Command, Answer>("/v2/task_layout/user/", "Delete an execute-user", editUser);

        routes.Get<ListHostKeys.Query, ListHostKeys.Result>("/v2/task/host_key/", "Pinned host keys", Right.Superuser);
        routes
            .Post<AddHostKeys.Command, AddHostKeys.Result>("/v2/task/host_key/", "Pin host keys before the first contact", Right.Superuser)
            .WithDescription(
                ("One key (`host`, `port`, `key`), or the text of a known_hosts file (`known_hosts`). Codes: -1 a wrong field, a damaged key, or another key "
                    + "is pinned and `replace` is not sent.")
            );
        routes.Delete<ForgetHostKey.Command, Answer>("/v2/task/host_key/", "Forget a host's key", Right.Superuser);

        routes.Get<ListRiskRules.Query, ListRiskRules.Result>("/v2/task/risk/", "High-risk rules", Right.Superuser);
        routes.Post<CreateRiskRule.Command, CreateRiskRule.Result>("/v2/task/risk/", "Make a high-risk rule", Right.Superuser);
        routes.Put<EditRiskRule.Command, Answer>("/v2/task/risk/", "Change the fields of a high-risk rule that the request carries", Right.Superuser);
        routes.Delete<DeleteRiskRule.Command, Answer>("/v2/task/risk/", "Delete a high-risk rule", Right.Superuser);
        routes.Post<TestRisk.Command, TestRisk.Result>("/v2/task/risk/test/", "What the high-risk rules say to a command; stores nothing", Right.Token);

        OrdersPage.Add();
        MapOrders(routes);
        MapLogs(routes);
        routes.MapPage<OrderListPage>("/orders/");
        routes.MapPage<NewOrderPage>("/orders/new/");
        routes.MapPage<OrderPage>("/orders/{list_id}/");
        routes.MapPage<TimelinePage>("/orders/{list_id}/timeline/");
        routes.MapPage<ComparePage>("/orders/{list_id}/compare/");
        routes.MapPage<OrderOutputPage>("/orders/{list_id}/output/");
        routes.MapPage<ApprovePage>("/orders/{list_id}/approve/");
        routes.MapPage<TemplateListPage>("/templates/");
        routes.MapPage<TemplatePage>("/templates/{temp_id}/");
        routes.MapPage<TemplateVersionsPage>("/templates/{temp_id}/versions/");
        routes.MapPage<DeletedTemplatesPage>("/deleted/templates/");
        routes.MapPage<CommandsPage>("/commands/");
        routes.MapPage<ArgumentsPage>("/arguments/");
        routes.MapPage<ExecuteUsersPage>("/execute-users/");
    }

    private static void MapVersions(IEndpointRouteBuilder routes, Right seeTemplate, Right editTemplate)
    {
        routes.Get<ListTemplateVersions.Query, ListTemplateVersions.Result>(
            "/v2/task_layout/temp/versions/",
            "The versions of a template, newest first",
            seeTemplate
        );
        routes.Get<ShowTemplateVersion.Query, ShowTemplateVersion.Result>(
            "/v2/task_layout/temp/version/",
            "One version of a template, and in which fields it differs from another",
            seeTemplate
        );
        routes
            .Post<RestoreTemplateVersion.Command, RestoreTemplateVersion.Result>(
                "/v2/task_layout/temp/version/",
                "Save the content of an old version of a template again",
                editTemplate
            )
            .WithDescription("Codes: -1 no such version, a field that is refused today, or another version is stored than `current`; -2 no right to edit it.");
        routes.Get<ListDeletedTemplates.Query, ListDeletedTemplates.Result>(
            "/v2/task_layout/temp/deleted/",
            "Deleted templates that can be brought back, the last first",
            seeTemplate
        );
        routes
            .Post<UndeleteTemplate.Command, UndeleteTemplate.Result>(
                "/v2/task_layout/temp/deleted/",
                "Bring a deleted template back, with its steps, users and versions",
                editTemplate
            )
            .WithDescription(
                "Codes: -1 nothing is kept under this number, or its space is gone and `space` is missing; -2 its name is taken by now, or no right to edit it."
            );
    }

    private static void MapLogs(IEndpointRouteBuilder routes)
    {
        routes.Get<ReadLog.Query, ReadLog.Result>("/v2/task/log/", "A step's log, from some line on", SeeOrder);
        routes
            .Get<CompareOutput.Query, CompareOutput.Result>("/v2/task/compare/", "The output of one step of an order, compared across its hosts", SeeOrder)
            .WithDescription("Codes: -1 a missing or unknown list_id, or no such step.");
        routes.Get<ShowStepUsage.Query, ShowStepUsage.Result>("/v2/task/log/usage/", "What a step on one host has used, and its processes", SeeOrder);
        routes.Get<SearchLogs.Query, SearchLogs.Result>("/v2/task/log/search/", "Lines of all logs that contain a text, newest first", SeeOrder);
        routes
            .MapGet("/v2/task/log/stream/", (Delegate)StreamLog.Handle)
            .WithSummary("A log, or all output of an order, as server-sent events")
            .WithDescription(LogEvents)
            .Needs(SeeOrder)
            .WithMetadata(new TakesQuery("log_key", "list_id", "sched_id", "attempt", "after"));
        routes
            .MapGet("/ws/v1/task/log/", (Delegate)WatchLog.WithTimes)
            .WithSummary("A log over a WebSocket, as the original sends it")
            .WithDescription(LogSocket)
            .Needs(SeeOrder);
        routes
            .MapGet("/ws/v1/task/log_data/", (Delegate)WatchLog.OutputOnly)
            .WithSummary("The same without times and commands")
            .WithDescription(LogSocket)
            .Needs(SeeOrder);
    }

    private const string LogEvents =
        "With `log_key` the lines of that log, one event a line; with `list_id` those of all hosts and steps of an order, each with its host and step. An "
            + "event's id resumes the stream (`Last-Event-ID`, or `after`).";

    private const string LogSocket =
        "The client sends a `log_key`; the server sends the whole log so far, its lines joined by `----`, and again when there is more, at most twice a "
            + "second. Past 1,000 lines the older ones give way to a line that says so.";

    private const string StateEvents =
        "First `grid`, as `/v2/task/grid/` answers it; then `lanes`, the hosts that changed, and `order`, its own row. An event's id resumes the stream "
            + "(`Last-Event-ID`).";

    private const string AcceptCodes =
        "Codes: -1 a wrong field or another schedule; -2 a ready order without the right to approve; -3 an unknown template or one without steps; "
        + "-4 a group without hosts or with too many; 5 no IP address or host name; 6 a required field is missing.";

    private static readonly Right SeeOrder = Right.To(Verbs.See, ResourceKind.Order);

    private static void MapOrders(IEndpointRouteBuilder routes)
    {
        Right submit = Right.To(Verbs.Run, ResourceKind.Template),
            seeTemplates = Right.To(Verbs.See, ResourceKind.Template),
            approve = Right.To(Verbs.Approve, ResourceKind.Order),
            // Of the interventions the submitter may stop a lane; the slice asks the others for approve.
            end = Right.To(Verbs.Run, ResourceKind.Order);
        routes.Get<GetCsrfKey.Query, GetCsrfKey.Result>("/v2/task/accept/", "The key against cross-site requests", Right.Token);
        routes
            .Post<AcceptOrder.Command, AcceptOrder.Result>("/v2/task/accept/", "Make an order from a template", submit)
            .WithDescription(AcceptCodes)
            .WithIdempotencyKey();
        routes
            .Post<PreviewOrder.Command, PreviewOrder.Result>("/v2/task/preview/", "What an order would run; creates nothing", submit)
            .WithDescription(AcceptCodes);
        routes
            .Post<SubmitPage.Command, AcceptOrder.Result>("/other/v1/submission/post_task/", "Make an order, its body as a text", submit)
            .WithDescription(AcceptCodes + " -1 also: a required field is missing; -2 also: post_data is no JSON.")
            .WithIdempotencyKey();
        routes.Get<ListOrders.Query, ListOrders.Result>("/v2/task/list/", "Orders that have not ended", SeeOrder);
        routes
            .Patch<ApproveOrder.Command, ApproveOrder.Result>("/v2/task/list/", "Approve an order, or move its time", approve)
            .WithDescription("Codes: -1 a missing field, or the order has ended; -2 no right to approve it.");
        routes.Get<ListApprovalRules.Query, ListApprovalRules.Result>(
            "/v2/task/approval/rule/",
            "What orders need before they start, by template and space",
            Right.Own(Verbs.See)
        );
        routes.Put<SetApprovalRule.Command, SetApprovalRule.Result>(
            "/v2/task/approval/rule/",
            "Set what the orders of a template or a space need before they start",
            Right.Superuser
        );
        routes.Delete<DeleteApprovalRule.Command, Answer>("/v2/task/approval/rule/", "Take such a rule away", Right.Superuser);
        routes
            .Post<DecideOrder.Command, DecideOrder.Result>(
                "/v2/task/approval/",
                "Approve, reject or push back an order, or start it without its approvals (admin of its space)",
                approve
            )
            .WithDescription(
                "Codes: -1 a missing field, an order that does not await approval, a plan other than the one that was seen, or a missing comment; -2 the "
                    + "caller may not approve it."
            );
        routes
            .Put<EndOrder.Command, Answer>("/v2/task/list/", "End an order", end)
            .WithDescription("Codes: -1 a missing or unknown list_id, or it has ended; -2 no right to end it.");
        routes
            .Get<CheckOrder.Query, CheckOrder.Result>("/v2/task/check/", "One order", SeeOrder)
            .WithDescription("Codes: -1 a missing or unknown list_id, or no group to show; -2 the group has no hosts.");
        routes
            .Get<ShowGrid.Query, ShowGrid.Result>("/v2/task/grid/", "An order's hosts and steps, compact", SeeOrder)
            .WithDescription("Codes: -1 a missing or unknown list_id.");
        routes
            .Get<ShowTimeline.Query, ShowTimeline.Result>("/v2/task/timeline/", "When an order ran, what it waited for, and who did what to it", SeeOrder)
            .WithDescription("Codes: -1 a missing or unknown list_id.");
        routes
            .Get<ShowPlan.Query, ShowPlan.Result>("/v2/task/plan/", "What an order runs, by groups of equal hosts, for whoever decides about it", SeeOrder)
            .WithDescription("Codes: -1 a missing or unknown list_id.");
        routes
            .MapGet("/v2/task/stream/", (Delegate)StreamOrder.Handle)
            .WithSummary("An order's hosts and steps as they change, as server-sent events")
            .WithDescription(StateEvents)
            .Needs(SeeOrder)
            .WithMetadata(new TakesQuery("list_id"));
        routes
            .Put<ReleaseHandSteps.Command, Answer>("/v2/task/check/", "Let a hand step go on every host that has begun", approve)
            .WithDescription("Codes: -1 a missing list_id, or the order is not running; -2 no such hand step, or no right.");
        routes
            .Patch<InterveneInOrder.Command, InterveneInOrder.Result>("/v2/task/check/", "Release, restart, stop or skip in one lane or group", end)
            .WithDescription(
                "Codes: -1 a missing field, or a state that does not allow it; -2 a missing field of execute, or no right; -5 an unknown hand_type."
            );
        routes.Get<ListHistory.Query, ListHistory.Result>("/v2/task/check_history/", "Orders that have ended", SeeOrder);
        routes.Get<CountOrders.Query, CountOrders.Result>("/v2/task/statement/", "Orders by type", seeTemplates);
        routes.Get<ShowOrderStatistics.Query, ShowOrderStatistics.Result>("/v2/stats/orders/", "What ended orders came to, by template", SeeOrder);
        routes.Map("/other/{**rest}", (RequestDelegate)OtherPages.Refuse).Needs(Right.Anybody).ExcludeFromDescription();
    }
}
