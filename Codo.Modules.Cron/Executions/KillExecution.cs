using Codo.Platform.Cluster;
using Codo.Platform.Events;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Executions;

/// <summary>Ends an execution: one that runs with its whole process tree, one that is queued before it starts.</summary>
internal static class KillExecution
{
    internal sealed record Command(long? LogId) : IRequest<Result>;

    internal sealed record Result(long LogId) : Answer(new Text("终止成功", "It is being ended"));

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(kill => kill.LogId).NotNull().Refuse("log_id 不能为空", "log_id is missing");
    }

    internal sealed class Handler(NpgsqlDataSource source, Outbox outbox, ExecutionMirror mirror, Access access) : IRequestHandler<Command, Result>
    {
        private const string LockSql = """
            SELECT job, job_id, state, node FROM cron.active_execution WHERE log_id = @LogId FOR UPDATE
            """;

        private const string StopSql = """
            UPDATE cron.active_execution SET stop_zh = @Zh, stop_en = @En WHERE log_id = @LogId AND state = 'running'
            """;

        private const string EndedSql = """
            SELECT job FROM cron.cron_log WHERE log_id = @LogId
            """;

        private readonly Caller caller = access.Caller;

        public async Task<Result> Handle(Command request, CancellationToken cancellationToken)
        {
            var absent = Refusal.NotFound($"日志 {request.LogId} 不存在", $"There is no log {request.LogId}");
            var cause = new Text($"被 {caller.Nickname} 终止", $"Ended by {caller.Nickname}");
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            if (await connection.QuerySingleOrDefaultAsync<Row>(LockSql, new { request.LogId }, transaction) is not { } unfinished)
            {
                var ended = await connection.ExecuteScalarAsync<long?>(EndedSql, new { request.LogId }, transaction) ?? throw absent;
                await access.Demand(Verbs.Run, await JobAccess.OfRow(connection, ended), absent);
                throw Refusal.Conflict($"日志 {request.LogId} 的执行已经结束", $"The execution of log {request.LogId} has ended");
            }
            await access.Demand(Verbs.Run, await JobAccess.OfRow(connection, unfinished.Job), absent);
            if (unfinished.State == ExecutionStatus.Running) await connection.ExecuteAsync(StopSql, new { request.LogId, cause.Zh, cause.En }, transaction);
            else await QueuedExecutions.Drop(connection, transaction, request.LogId!.Value, cause);
            await Audit.Write(connection, transaction, caller, "kill", "job", unfinished.JobId, after: new { request.LogId });
            if (unfinished.Node is not null) await Control.Notify(connection, transaction, unfinished.Node);
            await transaction.CommitAsync(cancellationToken);
            outbox.Wake();
            // One that was queued has ended with this.
            mirror.Wake.Set();
            return new Result(request.LogId!.Value);
        }

        private sealed record Row(long Job, string JobId, ExecutionStatus State, string? Node);
    }
}
