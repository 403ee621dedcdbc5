using Codo.Modules.Cron.Executions;
using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Jobs;

/// <summary>
/// Brings a deleted job back: under its surrogate id, so that the ledger and its versions are its own again, paused if it was. What was due meanwhile is not
/// made up for. Grants on the job itself have ended with it.
/// </summary>
internal static class UndeleteJob
{
    /// <param name="Space">Another space; needed where its own was deleted meanwhile. Absent, its own.</param>
    internal sealed record Command(long? DeletedId, string? Space) : IRequest<Result>;

    internal sealed record Result(string JobId, int Version, bool Paused, IReadOnlyList<Text> Warnings)
        : Answer(new Text($"任务 {JobId} 已恢复", $"The job {JobId} is back"));

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(command => command.DeletedId).NotNull().Refuse("deleted_id 不能为空", "deleted_id is missing");
    }

    internal sealed class Handler(
        NpgsqlDataSource source,
        RecurringJobs recurring,
        JobEnvironment environments,
        Quotas quotas,
        RunAsRule runAs,
        RiskRules rules,
        Access access
    ) : IRequestHandler<Command, Result>
    {
        private const string LockSql = """
            SELECT d.job, d.job_id, d.space_id, d.version, d.creator_id, d.paused, d.held_by, COALESCE(d.released, '') AS released,
                COALESCE(d.writer_id, v.by_id) AS writer_id,
                v.content ->> 'cmd' AS cmd, v.content ->> 'cron' AS cron, v.content ->> 'time_zone' AS time_zone, v.content ->> 'interpreter' AS interpreter,
                COALESCE(v.content ->> 'run_as', '') AS run_as, v.env, clock_timestamp() AS now,
                NOT EXISTS (SELECT FROM accounts.space s WHERE s.space_id = d.space_id) AS space_is_gone
            FROM cron.deleted_job d JOIN cron.job_version v ON v.job = d.job AND v.version = d.version
            WHERE d.job = @DeletedId AND d.job_id IS NOT NULL AND d.deleted_at > clock_timestamp() - make_interval(days => @Days)
            FOR UPDATE OF d
            """;

        // Versions before selectors ran on every node. Another space is another version, which a trigger keeps.
        private const string InsertSql = $"""
            INSERT INTO cron.job (id, job_id, version, {JobColumns.Content}, env, space_id, creator_id, creator, create_time,
                updater_id, updater, update_time, accounted_to, next_run_at, paused, released, risks, held_by, held_zh, held_en,
                writer_id)
            SELECT d.job, d.job_id, @Version, {JobColumns.Content}, v.env, CAST(@SpaceId AS bigint), d.creator_id, d.creator, d.create_time,
                @CallerId, @CallerName, @Now, @Now, @NextRunAt, d.paused OR @Held, COALESCE(d.released, ''),
                CAST(@Risks AS jsonb), CAST(@HeldBy AS bigint), @HeldZh, @HeldEn, COALESCE(d.writer_id, v.by_id)
            FROM cron.deleted_job d JOIN cron.job_version v ON v.job = d.job AND v.version = d.version
                CROSS JOIN jsonb_populate_record(CAST(NULL AS cron.job),
                    v.content || jsonb_build_object('node_selector', COALESCE(v.content ->> 'node', ''))) AS c
            WHERE d.job = @Job
            ON CONFLICT DO NOTHING RETURNING job_id
            """;

        private const string ForgetSql = """
            DELETE FROM cron.deleted_job WHERE job = @Job
            """;

        private const string OfCreatorSql = """
            SELECT count(*) FROM cron.job WHERE creator_id = @CreatorId
            """;

        private readonly Caller caller = access.Caller;

        public async Task<Result> Handle(Command request, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var asked = new { request.DeletedId, Days = RetentionGuard.DeletedDays };
            var job = await connection.QuerySingleOrDefaultAsync<Deleted>(LockSql, asked, transaction) ?? throw Gone(request.DeletedId!.Value);
            // Grants on it have ended with it: the roles on its space decide.
            var resource = Resource.Any(ResourceKind.Job, job.SpaceId);
            await access.Demand(Verbs.Edit, resource, Gone(request.DeletedId!.Value));
            // Undeleting makes the command run again: as Codo's own user only a superuser may do that.
            await runAs.MayChange(connection, transaction, caller, job.RunAs);
            var space = await access.SpaceForReturn(resource, request.Space, job.SpaceIsGone);
            var version = space == job.SpaceId ? job.Version : job.Version + 1;
            var jobs = await connection.ExecuteScalarAsync<long>(OfCreatorSql, new { job.CreatorId }, transaction);
            if (await quotas.Jobs() is var most && !Quotas.HasRoom(caller, most, jobs))
                throw Refusal.Conflict($"创建人的任务数已达上限 {most}（Codo:Quotas:Jobs）", $"Its creator has {most} jobs already (Codo:Quotas:Jobs)");
            var expression = JobFields.Expression(job.Cron, "恢复失败，定时器错误", "Not brought back: the schedule is wrong");
            var zone = JobFields.Zone(job.TimeZone ?? "");
            var now = new DateTimeOffset(job.Now, TimeSpan.Zero);
            var set = await rules.Read(connection, transaction);
            var risk = JobRisk.Of(set, job.Cmd ?? "", job.Interpreter ?? "", () => environments.TryOpen(job.Env)?.Values);
            risk.Demand();
            var isHeld = risk.NeedsSecond(job.Released);
            var row = new
            {
                job.Job,
                Version = version,
                SpaceId = space,
                CallerId = caller.UserId,
                CallerName = caller.Nickname,
                job.Now,
                NextRunAt = expression.Next(now, zone)?.UtcDateTime,
                Risks = risk.Stored,
                Held = isHeld,
                // Whoever wrote the command cannot release it, whoever brings it back.
                HeldBy = isHeld ? job.HeldBy ?? job.WriterId : (long?)null,
                HeldZh = isHeld ? risk.SecondCause.Zh : "",
                HeldEn = isHeld ? risk.SecondCause.En : "",
            };
            var name = await connection.ExecuteScalarAsync<string?>(InsertSql, row, transaction)
                ?? throw Refusal.Conflict(
                    $"job {job.JobId} 已被另一个任务使用；请先删除那一个",
                    $"There is another job {job.JobId} by now; delete that one first"
                );
            await connection.ExecuteAsync(ForgetSql, new { job.Job }, transaction);
            var after = new { job.Cmd, job.Cron, job.TimeZone, Version = version, space = access.NameOf(space) };
            await Audit.Write(connection, transaction, caller, "undelete", "job", name, after: after);
            await transaction.CommitAsync(cancellationToken);
            recurring.Changed(name);
            return new Result(name, version, job.Paused || isHeld, [.. risk.Warnings, .. JobHold.Warnings(risk, isHeld)]);
        }

        private static Refusal Gone(long id) =>
            Refusal.NotFound(
                $"没有可恢复的任务 {id}（删除后保留 {RetentionGuard.DeletedDays} 天）",
                $"There is no deleted job {id} to bring back (kept for {RetentionGuard.DeletedDays} days)"
            );

        private sealed class Deleted
        {
            public long Job { get; init; }
            public string JobId { get; init; } = "";
            public long SpaceId { get; init; }
            public bool SpaceIsGone { get; init; }
            public int Version { get; init; }
            public long CreatorId { get; init; }
            public bool Paused { get; init; }
            public long? HeldBy { get; init; }
            public string Released { get; init; } = "";
            public long WriterId { get; init; }
            public string? Cmd { get; init; }
            public string? Cron { get; init; }
            public string? TimeZone { get; init; }
            public string? Interpreter { get; init; }
            public string RunAs { get; init; } = "";
            public byte[]? Env { get; init; }
            public DateTime Now { get; init; }
        }
    }
}
