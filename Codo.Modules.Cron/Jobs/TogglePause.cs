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

/// <summary>Pauses a job that runs, and lets a paused one run again. The due times of the pause are one row of the ledger.</summary>
internal static class TogglePause
{
    /// <param name="Paused">What it should be; null turns it over.</param>
    /// <param name="WithoutRelease">Refuses to let a job run that would be released by that: nobody has looked at its command.</param>
    internal sealed record Command(string? JobId, bool? Paused = null, bool? WithoutRelease = null) : IRequest<Result>;

    /// <param name="Changed">False where the job was as it should be already.</param>
    internal sealed record Result(string JobId, bool Paused, bool Changed) : Answer(Paused
        ? new Text($"job {JobId} 禁用执行成功！", $"job {JobId} is paused")
        : new Text($"job {JobId} 恢复执行成功", $"job {JobId} runs again"));

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(job => job.JobId).Must(id => !string.IsNullOrWhiteSpace(id)).Refuse("job id 不能为空", "job_id is missing");
    }

    internal sealed class Handler(
        NpgsqlDataSource source,
        Ledger ledger,
        Outbox outbox,
        RecurringJobs recurring,
        RiskRules rules,
        JobEnvironment environments,
        Access access
    ) : IRequestHandler<Command, Result>
    {
        private const string ToggleSql = """
            UPDATE cron.job SET paused = @Paused, held_by = NULL, held_zh = '', held_en = '',
                released = CASE WHEN @Digest = '' THEN released ELSE @Digest END,
                updater_id = @CallerId, updater = @CallerName, update_time = clock_timestamp()
            WHERE id = @Id
            """;

        private readonly Caller caller = access.Caller;

        public async Task<Result> Handle(Command request, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            await JobAccess.Demand(connection, access, Verbs.Edit, request.JobId!);
            var locked = await ledger.LockAndAccount(connection, transaction, request.JobId!) ?? throw JobAccess.NotFound(request.JobId);
            var (job, isTold) = (locked.Job, locked.IsTold);
            var paused = request.Paused ?? !locked.WasPaused;
            // A rule may hold the job in this very request: that is the pause that was asked for, and nobody has asked for a release.
            if (paused == locked.WasPaused || paused == job.Paused)
            {
                if (paused && !locked.WasPaused) await Audit.Write(connection, transaction, caller, "pause", "job", request.JobId!);
                await transaction.CommitAsync(cancellationToken);
                if (isTold) outbox.Wake();
                if (job.Paused != locked.WasPaused) recurring.Changed(job.JobId);
                return new Result(request.JobId!, job.Paused, job.Paused != locked.WasPaused);
            }
            var digest = job.Paused ? await JobHold.Release(connection, transaction, rules, environments, caller, job) : "";
            if (request.WithoutRelease == true && digest.Length > 0)
                throw Refusal.Conflict(
                    $"job {job.JobId} 的命令需要另一人放行：请打开 {JobPaths.Of(job.JobId)}，查看命令后放行",
                    $"The command of job {job.JobId} needs a second person to release it: look at it and release it at {JobPaths.Of(job.JobId)}"
                );
            await connection.ExecuteAsync(
                ToggleSql,
                new
                {
                    job.Id,
                    Paused = paused,
                    Digest = digest,
                    CallerId = caller.UserId,
                    CallerName = caller.Nickname,
                },
                transaction
            );
            await Audit.Write(connection, transaction, caller, paused ? "pause" : digest.Length > 0 ? "release" : "resume", "job", request.JobId!);
            await transaction.CommitAsync(cancellationToken);
            if (isTold) outbox.Wake();
            recurring.Changed(job.JobId);
            return new Result(request.JobId!, paused, true);
        }
    }
}
