using System.Text.Json;
using Codo.Modules.Cron.Executions;
using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Jobs;

internal static class CreateJob
{
    [Echoed(
        "next_run_time",
        "status",
        "cron1",
        "cron_text",
        "creator_id",
        "creator",
        "create_time",
        "updater_id",
        "updater",
        "update_time",
        "last_status",
        "last_exec_time",
        "last_seconds",
        "state",
        "broken",
        "held",
        "version"
    )]
    internal sealed record Command(
        string? JobId,
        string? Cmd,
        string? Cron,
        string? TimeZone,
        int? Timeout,
        string? Overlap,
        string? Misfire,
        int? MisfireWindow,
        int? Retries,
        int? RetryDelay,
        JsonElement? Env,
        string[]? SecretEnv,
        string? WorkingDirectory,
        string? Interpreter,
        string? Encoding,
        string? RunAs,
        string? Node,
        string? Description,
        string[]? Tags,
        string[]? Owners,
        string? Space,
        bool? Paused
    ) : IRequest<Result>, IJobFields;

    /// <param name="CronText">The expression in words.</param>
    /// <param name="NextRunTimes">The next three times, in the job's zone.</param>
    internal sealed record Result(string JobId, int Version, bool Paused, Text CronText, IReadOnlyList<string> NextRunTimes, IReadOnlyList<Text> Warnings)
        : Answer(Messages.Added);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(job => job.JobId).Must(id => !string.IsNullOrWhiteSpace(id)).Refuse("job id 不能为空", "job_id is missing");
            RuleFor(job => job.JobId).AtMost(JobFields.MaxJobId, "job_id");
            RuleFor(job => job.Cmd).Must(cmd => !string.IsNullOrWhiteSpace(cmd)).Refuse("cmd 不能为空", "cmd is missing");
            this.Fields();
        }
    }

    internal sealed class Handler(
        NpgsqlDataSource source,
        RecurringJobs recurring,
        JobEnvironment environments,
        RunAsRule runAs,
        Quotas quotas,
        RiskRules rules,
        FolderCheck folders,
        Zone zone,
        TimeProvider time,
        Access access
    ) : IRequestHandler<Command, Result>
    {
        private const string InsertSql = $"""
            INSERT INTO cron.job (job_id, {JobColumns.Content}, env, creator_id, creator, updater_id, updater, writer_id, accounted_to, next_run_at, risks,
                paused, held_by, held_zh, held_en, space_id)
            SELECT @JobId, {JobColumns.Content}, @Env, @CallerId, @CallerName, @CallerId, @CallerName, @CallerId, @Now, @NextRunAt, CAST(@Risks AS jsonb),
                @Paused, @HeldBy, @HeldZh, @HeldEn, @SpaceId
            FROM jsonb_populate_record(CAST(NULL AS cron.job), CAST(@Content AS jsonb))
            ON CONFLICT (job_id) DO NOTHING RETURNING id
            """;

        private const string MineSql = """
            SELECT count(*) FROM cron.job WHERE creator_id = @UserId
            """;

        private readonly Caller caller = access.Caller;

        public async Task<Result> Handle(Command request, CancellationToken cancellationToken)
        {
            var (result, runAsUser) = await Save(request, cancellationToken);
            return result with { Warnings = [.. result.Warnings, .. await JobAdvice.OfFolder(folders, request.WorkingDirectory, runAsUser)] };
        }

        private async Task<(Result Result, string RunAs)> Save(Command request, CancellationToken cancellationToken)
        {
            var space = await access.SpaceForNew(ResourceKind.Job, request.Space);
            var expression = JobFields.Expression(request.Cron, "添加失败，定时器错误", "Not added: the schedule is wrong");
            var inZone = request.TimeZone is null ? zone.Info : JobFields.Zone(request.TimeZone);
            var variables = environments.Merge(JobFields.Variables(request.Env), request.SecretEnv, null);
            var now = time.GetUtcNow();
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var risk = JobRisk.Of(await rules.Read(connection), request.Cmd!, request.Interpreter?.Trim() ?? "", () => variables.Values);
            risk.Demand();
            var isHeld = risk.NeedsSecond("");
            var content = new
            {
                request.Cmd,
                Cron = expression.ToString(),
                TimeZone = inZone.Id,
                Timeout = request.Timeout is > 0 ? request.Timeout : null,
                Overlap = request.Overlap ?? "skip",
                Misfire = request.Misfire ?? "once",
                MisfireWindow = request.MisfireWindow ?? 60,
                Retries = request.Retries ?? 0,
                RetryDelay = request.RetryDelay ?? 10,
                WorkingDirectory = request.WorkingDirectory ?? "",
                Interpreter = request.Interpreter?.Trim() ?? "",
                Encoding = request.Encoding ?? "utf-8",
                RunAs = runAs.Choose(caller, request.RunAs),
                NodeSelector = NodeSelector.Form(request.Node),
                Description = request.Description ?? "",
                Tags = request.Tags ?? [],
                Owners = request.Owners ?? [],
            };
            var job = new
            {
                request.JobId,
                Content = JsonSerializer.Serialize(content, Json.Stored),
                Env = environments.Seal(variables),
                CallerId = caller.UserId,
                CallerName = caller.Nickname,
                Now = now.UtcDateTime,
                NextRunAt = expression.Next(now, inZone)?.UtcDateTime,
                SpaceId = space,
                Risks = risk.Stored,
                Paused = isHeld || request.Paused == true,
                HeldBy = isHeld ? caller.UserId : (long?)null,
                HeldZh = isHeld ? risk.SecondCause.Zh : "",
                HeldEn = isHeld ? risk.SecondCause.En : "",
            };
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            if (
                await quotas.Jobs() is var most
                && !Quotas.HasRoom(caller, most, await connection.ExecuteScalarAsync<long>(MineSql, new { caller.UserId }, transaction))
            )
                throw Refusal.Conflict($"你的任务数已达上限 {most}（Codo:Quotas:Jobs）", $"You have {most} jobs already (Codo:Quotas:Jobs)");
            var id = await connection.ExecuteScalarAsync<long?>(InsertSql, job, transaction)
                ?? throw Refusal.Conflict($"job {request.JobId} 已存在", $"job {request.JobId} exists already");
            await Audit.Write(
                connection,
                transaction,
                caller,
                "create",
                "job",
                request.JobId!,
                after: new
                {
                    content.Cmd,
                    content.Cron,
                    content.TimeZone,
                    content.Timeout,
                    content.Overlap,
                    content.Misfire,
                    content.MisfireWindow,
                    content.Retries,
                    content.RetryDelay,
                    Env = variables.Values.Keys,
                    SecretEnv = variables.Marked,
                    content.WorkingDirectory,
                    content.Interpreter,
                    content.Encoding,
                    content.RunAs,
                    Node = content.NodeSelector,
                    content.Description,
                    content.Tags,
                    content.Owners,
                    Space = access.NameOf(space),
                    Paused = request.Paused == true ? true : (bool?)null,
                    Risks = risk.Hits.Count == 0 ? null : risk.Hits.Select(hit => hit.Name),
                }
            );
            var unfit = await FittingNodes.Warnings(connection, NodeRoles.Cron, "node", content.NodeSelector);
            await transaction.CommitAsync(cancellationToken);
            recurring.Changed(request.JobId!);
            var advice = JobAdvice.Of(expression, inZone, now, request.Cmd);
            return (new Result(
                request.JobId!,
                1,
                job.Paused,
                advice.CronText,
                advice.NextRunTimes,
                [.. advice.Warnings, .. risk.Warnings, .. JobHold.Warnings(risk, isHeld), .. unfit]
            ), content.RunAs);
        }
    }
}
