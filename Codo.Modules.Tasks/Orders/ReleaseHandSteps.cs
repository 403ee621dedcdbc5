using System.Globalization;
using Codo.Modules.Tasks.Execution;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>Lets a hand step go on every host that has begun.</summary>
internal static class ReleaseHandSteps
{
    /// <param name="TaskGroup">With <paramref name="TaskLevel"/>: only on hosts that stand at this very step now. A lane may have several hand steps of one
    /// name, and a gate that nobody has reached yet is to stay closed.</param>
    internal sealed record Command(long? ListId, string? HandTask, int? TaskGroup, int? TaskLevel) : IRequest<Answer>;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command.ListId).NotNull().Refuse("订单ID 不能为空", "list_id is required");
            RuleFor(command => command.HandTask).NotEmpty().Refuse("任务名称不正确", "hand_task names no hand step", -2);
            RuleFor(command => command)
                .Must(command => (command.TaskGroup is null) == (command.TaskLevel is null))
                .Refuse("task_group 和 task_level 必须同时给出", "task_group and task_level go together");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access, AdvanceOrder advance) : IRequestHandler<Command, Answer>
    {
        private const string NamedSql = """
            SELECT EXISTS (SELECT FROM tasks.scheduler_task_info WHERE list_id = @ListId AND trigger = 'hand' AND task_name = @Name)
            """;

        private const string LanesSql = """
            SELECT l.lane_id FROM tasks.lane l
            WHERE l.list_id = @ListId AND l.state <> 'waiting'
              AND EXISTS (SELECT FROM tasks.scheduler_task_info i WHERE i.lane_id = l.lane_id AND i.task_name = @Name AND i.task_status = ANY(@From))
            ORDER BY l.lane_id FOR NO KEY UPDATE OF l
            """;

        private const string StandingSql = """
            SELECT l.lane_id, i.sched_id FROM tasks.lane l
            CROSS JOIN LATERAL (SELECT s.sched_id, s.task_level, s.task_name, s.task_status FROM tasks.scheduler_task_info s WHERE s.lane_id = l.lane_id
                AND s.task_status <> 3 ORDER BY s.task_level, s.sched_id LIMIT 1) i
            WHERE l.list_id = @ListId AND l.task_group = @Group AND l.state <> 'waiting' AND i.task_level = @Level AND i.task_name = @Name
              AND i.task_status = ANY(@From)
            ORDER BY l.lane_id FOR NO KEY UPDATE OF l
            """;

        private const string ReleaseSql = """
            UPDATE tasks.scheduler_task_info SET task_status = 1, outcome = NULL, cause = @By WHERE lane_id = ANY(@Lanes) AND task_name = @Name
                AND task_status = ANY(@From) AND (CAST(@Steps AS bigint[]) IS NULL OR sched_id = ANY(@Steps))
            """;

        public async Task<Answer> Handle(Command command, CancellationToken cancellationToken)
        {
            var caller = access.Caller;
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var order = await Intervention.Lock(connection, transaction, access, command.ListId!.Value);
            var asked = new
            {
                order.ListId,
                Name = command.HandTask,
                From = StepStates.From(StepAction.Release),
                Group = command.TaskGroup,
                Level = command.TaskLevel,
            };
            if (!await connection.ExecuteScalarAsync<bool>(NamedSql, asked, transaction)) throw Refusal.NotFound("任务名称不正确", "hand_task names no hand step", -2);
            var standing = command.TaskLevel is null ? null : (await connection.QueryAsync<(long Lane, long Step)>(StandingSql, asked, transaction)).AsList();
            var lanes = standing is null
                ? (await connection.QueryAsync<long>(LanesSql, asked, transaction)).ToArray()
                : [.. standing.Select(one => one.Lane)];
            var released = await connection.ExecuteAsync(
                ReleaseSql,
                new
                {
                    Lanes = lanes,
                    Steps = standing?.Select(one => one.Step).ToArray(),
                    asked.Name,
                    asked.From,
                    By = Text.Same(caller.Nickname).Both(),
                },
                transaction
            );
            if (released == 0)
                throw Refusal.Conflict("没有正在等待该任务的主机", "No host that has begun waits at this step");
            await Intervention.LetGo(connection, transaction, lanes);
            await Audit.Write(
                connection,
                transaction,
                caller,
                "release",
                "order",
                order.ListId.ToString(CultureInfo.InvariantCulture),
                after: new { hand_task = command.HandTask, steps = released }
            );
            await AdvanceOrder.Note(connection, transaction, order.ListId);
            await transaction.CommitAsync(cancellationToken);
            await advance.Enqueue(connection, order.ListId);
            return new Answer(new Text("审核干预成功", "Released"));
        }
    }
}
