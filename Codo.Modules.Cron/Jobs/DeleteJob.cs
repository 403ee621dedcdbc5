using Codo.Modules.Cron.Executions;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Jobs;

/// <summary>Deletes a job. What runs goes on to its end; what is queued and has not started is taken from the queue.</summary>
internal static class DeleteJob
{
    internal sealed record Command(string? JobId) : IRequest<Result>;

    internal sealed record Result(string JobId) : Answer(Say.Deleted);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(job => job.JobId).Must(id => !string.IsNullOrWhiteSpace(id)).Refuse("job id 不能为空", "job_id is missing");
    }

    internal sealed class Handler(NpgsqlDataSource source, Ledger ledger, News news, RecurringJobs recurring, Caller caller) : IRequestHandler<Command, Result>
    {
        private const string DeleteSql = """
            DELETE FROM cron.job WHERE id = @Id
            """;

        private const string NewsSql = """
            INSERT INTO cron.news (kind, job, job_id, log_id, nominal_at, nominal_until)
            SELECT 'deleted', j.id, j.job_id, 0, clock_timestamp(), clock_timestamp() FROM cron.job j WHERE j.id = @Id AND (j.troubled OR EXISTS (SELECT 1 FROM cron.news n WHERE n.job = j.id))
            """;

        private const string UnqueueSql = """
            WITH gone AS (DELETE FROM cron.going WHERE job = @Id AND state = 'queued' RETURNING log_id, nominal_at)
            UPDATE cron.cron_log l SET status = 'killed', ended_at = clock_timestamp(), cause_zh = @Zh, cause_en = @En
            FROM gone g WHERE l.log_id = g.log_id AND l.nominal_at = g.nominal_at AND l.status = 'queued'
            """;

        public async Task<Result> Handle(Command request, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var (job, _) = await ledger.LockAndAccount(connection, transaction, request.JobId!)
                ?? throw Refusal.NotFound($"job {request.JobId} Not Found!", $"job {request.JobId} Not Found!");
            await connection.ExecuteAsync(UnqueueSql, new { job.Id, Zh = $"任务已被 {caller.Nickname} 删除", En = $"The job was deleted by {caller.Nickname}" }, transaction);
            var isNews = await connection.ExecuteAsync(NewsSql, new { job.Id }, transaction) > 0;
            await connection.ExecuteAsync(DeleteSql, new { job.Id }, transaction);
            await Audit.Write(connection, transaction, caller, "delete", "job", request.JobId!, before: new { job.Cmd, job.Cron, job.TimeZone, job.Overlap, job.Misfire });
            await transaction.CommitAsync(cancellationToken);
            recurring.Changed(job.Id);
            if (isNews) news.Soon();
            return new Result(request.JobId!);
        }
    }
}
