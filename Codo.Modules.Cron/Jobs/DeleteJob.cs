using Codo.Modules.Cron.Executions;
using Codo.Platform.Events;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Jobs;

/// <summary>
/// Deletes a job. What runs goes on to its end; what is queued and has not started is taken from the queue. For 30 days it can be brought back
/// (<see cref="UndeleteJob"/>).
/// </summary>
internal static class DeleteJob
{
    internal sealed record Command(string? JobId) : IRequest<Result>;

    /// <param name="DeletedId">What brings it back.</param>
    internal sealed record Result(string JobId, long DeletedId) : Answer(Messages.Deleted);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(job => job.JobId).Must(id => !string.IsNullOrWhiteSpace(id)).Refuse("job id 不能为空", "job_id is missing");
    }

    internal sealed class Handler(NpgsqlDataSource source, Ledger ledger, Outbox outbox, RecurringJobs recurring, ExecutionMirror mirror, Access access)
        : IRequestHandler<Command, Result>
    {
        private readonly Caller caller = access.Caller;

        // Its ledger stays, and with it the space that decides who may see it; its content is its newest version.
        private const string DeleteSql = """
            WITH gone AS (
                DELETE FROM cron.job WHERE id = @Id RETURNING id, space_id, job_id, version, creator_id, creator, create_time, paused, held_by, released,
                    writer_id)
            INSERT INTO cron.deleted_job (job, space_id, job_id, version, by_id, by_name, creator_id, creator, create_time, paused, held_by, released,
                writer_id)
            SELECT id, space_id, job_id, version, @CallerId, @CallerName, creator_id, creator, create_time, paused, held_by, released, writer_id FROM gone
            """;

        // Of a job of which nothing was told nobody needs to hear that it is gone.
        private const string WasToldSql = """
            SELECT troubled OR broken_at IS NOT NULL OR EXISTS (SELECT 1 FROM platform.outbox WHERE stream = 'job:' || j.id) FROM cron.job j WHERE j.id = @Id
            """;

        public async Task<Result> Handle(Command request, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            await JobAccess.Demand(connection, access, Verbs.Edit, request.JobId!);
            var (job, _, isTold) = await ledger.LockAndAccount(connection, transaction, request.JobId!)
                ?? throw JobAccess.NotFound(request.JobId);
            var dropped = await QueuedExecutions.DropOfJob(
                connection,
                transaction,
                job.Id,
                new Text($"任务已被 {caller.Nickname} 删除", $"The job was deleted by {caller.Nickname}")
            );
            var wasTold = await connection.ExecuteScalarAsync<bool>(WasToldSql, new { job.Id }, transaction);
            if (wasTold) await Outbox.Write(connection, transaction, JobEvents.Stream(job.Id), JobEvents.Deleted, new JobEvents.Job(job.JobId));
            await connection.ExecuteAsync(DeleteSql, new { job.Id, CallerId = caller.UserId, CallerName = caller.Nickname }, transaction);
            await ObjectGrants.Forget(connection, transaction, caller, ResourceKind.Job, job.JobId);
            await Audit.Write(
                connection,
                transaction,
                caller,
                "delete",
                "job",
                request.JobId!,
                before: new
                {
                    job.Cmd,
                    job.Cron,
                    job.TimeZone,
                    job.Overlap,
                    job.Misfire,
                }
            );
            await transaction.CommitAsync(cancellationToken);
            recurring.Changed(job.JobId);
            if (isTold || wasTold) outbox.Wake();
            if (dropped > 0) mirror.Wake.Set();
            return new Result(request.JobId!, job.Id);
        }
    }
}
