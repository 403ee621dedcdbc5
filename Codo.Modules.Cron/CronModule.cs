using Codo.Modules.Cron.Executions;
using Codo.Modules.Cron.Jobs;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Events;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Codo.Platform.Security;
using Codo.Platform.Telemetry;
using Codo.Platform.Ui;
using Hangfire;
using Hangfire.Server;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Codo.Modules.Cron;

/// <summary>The module's registration and its table of contents.</summary>
public static class CronModule
{
    /// <summary>The setting that names editors of jobs in the space <c>default</c>.</summary>
    internal const string Operators = "Codo:Cron:Operators";

    private static readonly Right See = Right.To(Verbs.See, ResourceKind.Job),
        Run = Right.To(Verbs.Run, ResourceKind.Job),
        Edit = Right.To(Verbs.Edit, ResourceKind.Job),
        Make = Right.ToMake(ResourceKind.Job);

    public static IServiceCollection AddCron(this IServiceCollection services)
    {
        services.AddHealthChecks().AddCheck<ScheduleCheck>("jobs", HealthStatus.Degraded, timeout: TimeSpan.FromSeconds(5));
        return services.AddEngine().AddConsole();
    }

    private static IServiceCollection AddConsole(this IServiceCollection services) =>
        services
            .AddSingleton(new AssetSource(typeof(CronModule).Assembly))
            .AddSingleton<ILiveTopic, JobsTopic>()
            .AddSingleton<ILiveTopic, RunsTopic>()
            .AddSingleton<ILiveTopic, RunTopic>()
            .AddSingleton<ILiveTopic, UsageTopic>()
            .AddSingleton(new HeaderFigure(1, new Text("运行中", "running"), "/ledger?view=running", "play", "run", "runs", ActiveRuns.Count))
            .AddHomePanel<RunsNow>(HomePlace.Running, 1, "runs")
            .AddHomePanel<NextHour>(HomePlace.Next, 1, "jobs")
            .AddHomePanel<LastDayStrip>(HomePlace.Past, 1, "runs")
            .AddNavigation(NavigationGroup.Schedules, 1, new Text("任务", "Jobs"), "/jobs", "clock")
            .AddNavigation(NavigationGroup.Schedules, 2, new Text("台账", "Ledger"), "/ledger", "ledger")
            .AddNavigationPart(NavigationGroup.Schedules, new Text("任务与时间", "Jobs against time"), "/ledger/matrix")
            .AddNavigation(NavigationGroup.Schedules, 3, new Text("预测", "Forecast"), "/forecast", "chart");

    private static IServiceCollection AddEngine(this IServiceCollection services) =>
        services
            .AddHandlers(typeof(CronModule).Assembly)
            .AddSettings<CronSettings>("Codo:Cron")
            .AddSingleton<JobEnvironment>()
            .AddSingleton<IResourceReader, JobResources>()
            .AddOperators(Operators, ResourceKind.Job)
            .AddSingleton<IStampRunAs, StampJobs>()
            .AddSingleton<ISettleRestored, SettleRestoredRuns>()
            .AddQueue("runs", new Text("等待开始的运行", "Runs that wait for their start"), QueuedExecutions.WaitingSql)
            .AddQueue("summaries", new Text("待汇总的运行", "Runs to be added up"), Summaries.WaitingSql)
            .AddSingleton<Ledger>()
            .AddSingleton<ExecutionStore>()
            .AddSingleton<ResultSpool>()
            .AddSingleton<ExecutionMirror>()
            .AddSingleton<Recovery>()
            .AddGauges<CronGauges>()
            .AddSingleton<IOutboxReader, EndedReader>()
            .AddSingleton<IOutboxReader, SkippedReader>()
            .AddSingleton<IOutboxReader, MissedReader>()
            .AddSingleton<IOutboxReader, DeletedReader>()
            .AddSingleton<IOutboxReader, BrokenReader>()
            .AddSingleton<IOutboxReader, MendedReader>()
            .AddSingleton<LiveUsage>()
            .AddSingleton<LedgerSearch>()
            .AddSingleton<IOutputSearch, RunOutputSearch>()
            .AddSingleton<RunRecorder>()
            .AddSingleton<FolderCheck>()
            .AddSingleton<Runner>()
            .AddSingleton<UnplacedRuns>()
            .AddPoll<UnplacedRuns>("cron placement", PlacementWatch.Period, PlacementWatch.LongestRest, (watch, stopping) => watch.Poll(stopping))
            .AddSingleton<INodeWork>(provider => provider.GetRequiredService<Runner>())
            .AddSingleton<WakeSources>()
            .AddSingleton<RecurringJobs>()
            .AddSingleton<ITimeZoneResolver, FixedOffsets>()
            .AddSingleton<IBackgroundProcess, TriggerDueJobs>()
            .AddTransient<FireDueJobs>()
            .AddSingleton<ScheduleCheck>()
            .AddSingleton<JobListCache>()
            .AddSingleton<ForecastCache>()
            .AddSingleton<LastDayCache>()
            .AddSingleton<Summaries>()
            .AddPoll<Summaries>("cron summaries", TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(30), (summaries, stopping) => summaries.Round(stopping))
            .AddSingleton<PartitionMaintenance>()
            .AddHostedService(provider => provider.GetRequiredService<PartitionMaintenance>())
            .AddLoop<PartitionMaintenance>("cron partitions", TimeSpan.FromHours(1), (maintenance, stopping) => maintenance.Maintain(stopping))
            .AddLoop<Ledger>("cron paused jobs", TimeSpan.FromSeconds(60), (ledger, stopping) => ledger.AccountPaused(stopping))
            .AddLoop<ScheduleCheck>("cron schedule check", TimeSpan.FromSeconds(20), (check, stopping) => check.Check(stopping))
            .AddLoop<RecurringJobs>("cron reconciler", TimeSpan.FromSeconds(60), (recurring, stopping) => recurring.ReconcileNext(stopping))
            .AddLoop<ExecutionMirror>("cron dashboard", TimeSpan.FromSeconds(30), (mirror, stopping) => mirror.Round(stopping), mirror => mirror.Wake)
            .AddLoop<RecurringJobs>(
                "cron registration",
                TimeSpan.FromSeconds(60),
                (recurring, stopping) => recurring.ReconcileChanged(stopping),
                recurring => recurring.Changes
            );

    /// <summary>Every route of the module.</summary>
    public static void MapCron(this IEndpointRouteBuilder routes)
    {
        ExecutionsPage.Add();
        routes.Get<ListJobs.Query, ListJobs.Result>("/v1/cron/job/", "Jobs, next run first, paused last", See);
        routes.Post<CreateJob.Command, CreateJob.Result>("/v1/cron/job/", "Make a job", Make);
        routes.Put<EditJob.Command, EditJob.Result>("/v1/cron/job/", "Change the fields of a job that the request carries", Edit);
        routes.Delete<DeleteJob.Command, DeleteJob.Result>("/v1/cron/job/", "Delete a job; what runs goes on", Edit);
        routes.Patch<TogglePause.Command, TogglePause.Result>("/v1/cron/job/", "Pause a job, or let it run again", Edit);
        routes.Post<RunJob.Command, RunJob.Result>("/v1/cron/job/run/", "Run a job now", Run).WithIdempotencyKey();
        routes
            .Post<BulkJobs.Command, BulkJobs.Result>("/v1/cron/job/bulk/", "Pause, resume, run or tag many jobs; answered one by one", Run)
            .WithIdempotencyKey();
        routes.Get<ListJobVersions.Query, ListJobVersions.Result>("/v1/cron/job/versions/", "The versions of a job, newest first", See);
        routes.Get<ShowJobVersion.Query, ShowJobVersion.Result>(
            "/v1/cron/job/version/",
            "One version of a job, and in which fields it differs from another",
            See
        );
        routes
            .Post<RestoreJobVersion.Command, RestoreJobVersion.Result>("/v1/cron/job/version/", "Save the content of an old version of a job again", Edit)
            .WithDescription("Codes: -1 no such version, a field that is refused today, or another version is stored than `current`; -2 no right to edit it.");
        routes.Get<ListDeletedJobs.Query, ListDeletedJobs.Result>("/v1/cron/job/deleted/", "Deleted jobs that can be brought back, the last first", See);
        routes
            .Post<UndeleteJob.Command, UndeleteJob.Result>("/v1/cron/job/deleted/", "Bring a deleted job back, with its ledger and its versions", Edit)
            .WithDescription(
                "Codes: -1 nothing is kept under this id, its `job_id` is another job's by now, or its space is gone and `space` is missing; "
                    + "-2 no right to edit jobs in its space."
            );
        routes.Post<KillExecution.Command, KillExecution.Result>("/v1/cron/job/kill/", "End an execution with its whole process tree", Run);
        routes.Get<NextTimes.Query, NextTimes.Result>(
            "/v1/cron/job/next/",
            "The next times of an expression, and what it means in words",
            Right.Own(Verbs.See)
        );
        routes.Get<ListLogs.Query, ListLogs.Result>("/v1/cron/log/", "The fire ledger, newest first", See);
        routes.Get<SearchRuns.Query, SearchRuns.Result>("/v1/cron/log/search/", "Lines of the output of jobs that contain a text, newest run first", See);
        routes.Get<ExplainFire.Query, ExplainFire.Result>("/v1/cron/log/why/", "Why a job ran at a time, or did not, in a sentence", See);
        routes.Get<ShowMatrix.Query, ShowMatrix.Result>("/v1/cron/log/matrix/", "Jobs against time: the worst that became of each slot", See);
        routes.Get<ReadOutput.Query, ReadOutput.Result>("/v1/cron/log/output/", "The output of an execution, whole or since the last time", See);
        routes.Get<ShowUsage.Query, ShowUsage.Result>(
            "/v1/cron/log/usage/",
            "What an execution has used, its process tree, and how long it is likely to go on",
            See
        );
        routes.Get<ShowStatistics.Query, ShowStatistics.Result>("/v2/stats/", "What days and jobs came to: runs, failures, durations, lateness", See);
        routes.Get<Forecast.Query, Forecast.Result>(
            "/v1/cron/forecast/",
            "What the schedules bring: due times, jobs that meet, runs at the same time, changes of the clock",
            See
        );
        routes.MapPage<ForecastPage>("/forecast/");
        routes.MapPage<JobListPage>("/jobs/");
        routes.MapPage<NewJobPage>("/jobs/new/");
        routes.MapPage<JobPage>("/jobs/{job_id}/");
        routes.MapPage<JobVersionsPage>("/jobs/{job_id}/versions/");
        routes.MapPage<DeletedJobsPage>("/deleted/jobs/");
        routes.MapPage<RunPage>("/runs/{log_id}/");
        routes.MapPage<LedgerPage>("/ledger/");
        routes.MapPage<MatrixPage>("/ledger/matrix/");
    }
}
