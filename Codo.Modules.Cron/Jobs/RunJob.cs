using System.Diagnostics;
using Codo.Modules.Cron.Executions;
using Codo.Platform.Cluster;
using Codo.Platform.Events;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Microsoft.AspNetCore.Http;
using Npgsql;

namespace Codo.Modules.Cron.Jobs;

/// <summary>
/// Runs a job now, also a paused one. The overlap policy holds: where it forbids the run, the request is refused and nothing is recorded. With an
/// <see cref="IdempotencyKey"/> a repeated request answers the first run.
/// </summary>
internal static class RunJob
{
    internal sealed record Command(string? JobId) : IRequest<Result>;

    /// <param name="Repeated">The run is that of a request with the same key before.</param>
    internal sealed record Result(string JobId, long LogId, IReadOnlyList<Text> Warnings, bool Repeated = false)
        : Answer(
            Repeated
                ? new Text($"job {JobId} 此前已由同一请求开始执行（日志 {LogId}）", $"job {JobId} has begun by the same request before (log {LogId})")
                : new Text($"job {JobId} 已开始执行", $"job {JobId} is to run now")
        );

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(job => job.JobId).Must(id => !string.IsNullOrWhiteSpace(id)).Refuse("job id 不能为空", "job_id is missing");
    }

    internal sealed class Handler(
        NpgsqlDataSource source,
        Ledger ledger,
        Outbox outbox,
        Runner runner,
        RiskRules rules,
        JobEnvironment environments,
        ExecutionMirror mirror,
        Node node,
        Hold hold,
        TimeProvider time,
        Access access,
        IHttpContextAccessor http
    ) : IRequestHandler<Command, Result>
    {
        // Who comes second waits here for the first one's end, and finds its run.
        private const string KeySql = """
            INSERT INTO cron.run_key AS k (user_id, key, job, log_id) VALUES (@UserId, @Key, @Job, 0)
            ON CONFLICT (user_id, key, job) DO UPDATE SET log_id = 0, at = clock_timestamp() WHERE k.at < clock_timestamp() - interval '24 hours'
            """;

        private const string FirstSql = """
            SELECT log_id FROM cron.run_key WHERE user_id = @UserId AND key = @Key AND job = @Job
            """;

        private const string KeptSql = """
            UPDATE cron.run_key SET log_id = @LogId WHERE user_id = @UserId AND key = @Key AND job = @Job
            """;

        private const string ActiveSql = """
            SELECT log_id FROM cron.active_execution WHERE job = @Id ORDER BY log_id
            """;

        private const string InsertSql = $"""
            WITH fire AS (
                INSERT INTO cron.cron_log (job, job_id, kind, trigger, by_id, by_name, nominal_at, nominal_until, status, exec_time, task_cmd, spec, env)
                SELECT id, job_id, 'manual', 'manual', @CallerId, @CallerName, @Now, @Now, 'queued', @Now, cmd,
                    {Spec.OfJob} || jsonb_strip_nulls(jsonb_build_object('traceparent', CAST(@TraceParent AS text))), env
                FROM cron.job WHERE id = @Id
                RETURNING log_id, nominal_at, job, job_id, spec ->> 'overlap' AS overlap, COALESCE(spec ->> 'node', '') AS selector
            ), shown AS (
                INSERT INTO cron.dashboard_job (log_id, nominal_at, job) SELECT log_id, nominal_at, job FROM fire
            )
            INSERT INTO cron.active_execution (log_id, nominal_at, job, job_id, not_before, exclusive, node_selector)
            SELECT log_id, nominal_at, job, job_id, nominal_at, overlap <> 'allow', selector FROM fire RETURNING log_id
            """;

        private readonly Caller caller = access.Caller;

        public async Task<Result> Handle(Command request, CancellationToken cancellationToken)
        {
            var key = IdempotencyKey.Of(http.HttpContext);
            if (hold.Current is { } held) throw new Refusal(-1, held.Detail, RefusalKind.Conflict);
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            await JobAccess.Demand(connection, access, Verbs.Run, request.JobId!);
            var (job, _, isTold) = await ledger.LockAndAccount(connection, transaction, request.JobId!)
                ?? throw JobAccess.NotFound(request.JobId);
            if (
                key.Length > 0
                && await connection.ExecuteAsync(KeySql, new { caller.UserId, Key = key, Job = job.Id }, transaction) == 0
            )
            {
                var first = await connection.QuerySingleAsync<long>(FirstSql, new { caller.UserId, Key = key, Job = job.Id }, transaction);
                return new Result(request.JobId!, first, [], Repeated: true);
            }
            var risk = JobRisk.Of(await rules.Read(connection, transaction), job.Cmd, job.Interpreter, () => environments.TryOpen(job.Env)?.Values);
            risk.Demand();
            if (risk.NeedsSecond(job.Released)) throw new Refusal(-2, risk.SecondCause, RefusalKind.Forbidden);
            var unfinished = (await connection.QueryAsync<long>(ActiveSql, new { job.Id }, transaction)).AsList();
            if ((job.Overlap == "skip" && unfinished.Count > 0) || (job.Overlap == "queue" && unfinished.Count > 1))
                throw Refusal.Conflict(
                    $"job {request.JobId} 正在执行（日志 {unfinished[0]}），overlap={job.Overlap}，未重复执行",
                    $"job {request.JobId} is running (log {unfinished[0]}), overlap={job.Overlap}: not run again"
                );
            if (job.Overlap == "replace" && unfinished.Count > 0)
                await ledger.StopOthers(connection, transaction, job.Id);
            var logId = await connection.QuerySingleAsync<long>(
                InsertSql,
                new
                {
                    job.Id,
                    CallerId = caller.UserId,
                    CallerName = caller.Nickname,
                    Now = time.GetUtcNow().UtcDateTime,
                    TraceParent = Activity.Current?.Id,
                },
                transaction
            );
            if (key.Length > 0)
                await connection.ExecuteAsync(
                    KeptSql,
                    new
                    {
                        caller.UserId,
                        Key = key,
                        Job = job.Id,
                        LogId = logId,
                    },
                    transaction
                );
            var placement = await FittingNodes.Warnings(connection, NodeRoles.Cron, "node", job.NodeSelector);
            await Audit.Write(connection, transaction, caller, "run", "job", request.JobId!, after: new { LogId = logId });
            // Another node starts it when this one may not, or does not fit.
            if (!node.MayStart(Runner.WorkName) || job.NodeSelector.Length > 0) await Control.Notify(connection, transaction, "");
            await transaction.CommitAsync(cancellationToken);
            if (isTold) outbox.Wake();
            await runner.StartCommitted();
            mirror.Wake.Set();
            return new Result(request.JobId!, logId, [.. risk.Warnings, .. placement]);
        }
    }
}
