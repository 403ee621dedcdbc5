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

    internal sealed class Handler(NpgsqlDataSource source, Outbox outbox, Caller caller) : IRequestHandler<Command, Result>
    {
        private const string LockSql = """
            SELECT job_id, state, node FROM cron.active_execution WHERE log_id = @LogId FOR UPDATE
            """;

        private const string StopSql = """
            UPDATE cron.active_execution SET stop_zh = @Zh, stop_en = @En WHERE log_id = @LogId AND state = 'running'
            """;

        private const string ExistsSql = """
            SELECT EXISTS (SELECT 1 FROM cron.cron_log WHERE log_id = @LogId)
            """;

        public async Task<Result> Handle(Command request, CancellationToken cancellationToken)
        {
            var cause = new Text($"被 {caller.Nickname} 终止", $"Ended by {caller.Nickname}");
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            if (await connection.QuerySingleOrDefaultAsync<Row>(LockSql, new { request.LogId }, transaction) is not { } going)
            {
                throw await connection.ExecuteScalarAsync<bool>(ExistsSql, new { request.LogId }, transaction)
                    ? Refusal.Conflict($"日志 {request.LogId} 的执行已经结束", $"The execution of log {request.LogId} has ended")
                    : Refusal.NotFound($"日志 {request.LogId} 不存在", $"There is no log {request.LogId}");
            }
            if (going.State == "running") await connection.ExecuteAsync(StopSql, new { request.LogId, cause.Zh, cause.En }, transaction);
            else await QueuedExecutions.Drop(connection, transaction, request.LogId!.Value, cause);
            await Audit.Write(connection, transaction, caller, "kill", "job", going.JobId, after: new { request.LogId });
            if (going.Node is not null) await Control.Notify(connection, transaction, going.Node);
            await transaction.CommitAsync(cancellationToken);
            outbox.Wake();
            return new Result(request.LogId!.Value);
        }

        private sealed record Row(string JobId, string State, string? Node);
    }
}
