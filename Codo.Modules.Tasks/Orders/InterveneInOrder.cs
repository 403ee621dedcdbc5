using System.Globalization;
using Codo.Modules.Tasks.Execution;
using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>What a person does to one lane, or one group, of a running order.</summary>
internal static class InterveneInOrder
{
    /// <param name="SchedulerId">The step that <c>execute</c> releases, <c>skip</c> counts as done, or <c>restart</c> runs again from.</param>
    /// <param name="Force">Restarts although what is left of an interrupted command may still run.</param>
    /// <param name="IncludeStopped">Of <c>restart_failed</c>: lanes that a person stopped are restarted as well.</param>
    internal sealed record Command(
        long? ListId,
        int? TaskGroup,
        int? TaskLevel,
        string? ExecIp,
        string? HandType,
        long? SchedulerId,
        bool? Force,
        bool? IncludeStopped
    ) : IRequest<Answer>;

    private static readonly string[] OfGroup = ["restart_failed", "next_batch"];

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command).Must(HasPlace).Refuse("缺少必要参数", "list_id, task_group, task_level and exec_ip are required");
            RuleFor(command => command.HandType).NotEmpty().Refuse("执行类型不能为空", "hand_type is required");
            RuleFor(command => command.HandType)
                .Must(type => type is "execute" or "restart" or "stop_one" or "skip" or "restart_failed" or "next_batch")
                .Refuse("错误任务类型", "There is no such hand_type", -5);
            RuleFor(command => command.SchedulerId)
                .NotNull()
                .When(command => command.HandType == "execute")
                .WithState(_ => Refusal.Invalid("审批执行任务参数缺失", "scheduler_id is required", -2));
        }

        private static bool HasPlace(Command command) =>
            command.ListId is not null
            && command.TaskGroup is not null
            && (OfGroup.Contains(command.HandType) || (command.TaskLevel is not null && !string.IsNullOrEmpty(command.ExecIp)));
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access, OrphanedProcesses orphans, AdvanceOrder advance) : IRequestHandler<Command, Answer>
    {
        public async Task<Answer> Handle(Command command, CancellationToken cancellationToken)
        {
            var (id, group) = (command.ListId!.Value, command.TaskGroup!.Value);
            var stoppedToo = command.IncludeStopped == true;
            // Killing what is left takes seconds, so it comes before the transaction; whether it is gone is asked again within.
            if (command.HandType is "restart" or "restart_failed")
                await RestartLane.EndLeftovers(
                    source,
                    orphans,
                    access,
                    id,
                    group,
                    command.HandType == "restart" ? command.ExecIp : null,
                    command.HandType == "restart" || stoppedToo
                );
            var (text, stopped) = await Intervene(command, cancellationToken);
            // Hosts may take tens of seconds to answer, and no connection to PostgreSQL waits for them.
            if (stopped is not null) await orphans.EndAll(id, stopped.LaneId);
            return new Answer(text);
        }

        private async Task<(Text Said, LockedLane? Stopped)> Intervene(Command command, CancellationToken cancellationToken)
        {
            var (id, group, level) = (command.ListId!.Value, command.TaskGroup!.Value, command.TaskLevel ?? 0);
            var caller = access.Caller;
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var order = await Intervention.Lock(connection, transaction, access, id, submitterToo: command.HandType == "stop_one");
            var stopped = command.HandType == "stop_one" ? await Lane() : null;
            var (done, text) = command.HandType switch
            {
                "execute" => (await ReleaseStep.Apply(connection, transaction, caller, id, command.SchedulerId!.Value), new Text("审核执行成功", "Released")),
                "restart" => (
                    await RestartLane.One(connection, transaction, caller, await Lane(), level, command.SchedulerId, command.Force == true),
                    new Text("重新执行成功", "Restarted")
                ),
                "restart_failed" => (
                    await RestartLane.Failed(connection, transaction, caller, id, group, command.Force == true, command.IncludeStopped == true),
                    new Text("重新执行成功", "Restarted")
                ),
                "stop_one" => (await StopLane.Apply(connection, transaction, caller, stopped!), new Text("终止此组任务成功", "Stopped")),
                "skip" => (await SkipStep.Apply(connection, transaction, caller, await Lane(), level, command.SchedulerId), new Text("审核执行成功", "Skipped")),
                _ => (await LetNextBatch.Apply(connection, transaction, id, group), new Text("审核执行成功", "The next batch begins")),
            };
            await Audit.Write(connection, transaction, caller, command.HandType!, "order", order.ListId.ToString(CultureInfo.InvariantCulture), after: done);
            await AdvanceOrder.Note(connection, transaction, id);
            await Control.Notify(connection, transaction, "");
            await transaction.CommitAsync(cancellationToken);
            await advance.Enqueue(connection, id);
            return (text, stopped);

            Task<LockedLane> Lane() => Intervention.Lane(connection, transaction, id, group, command.ExecIp!);
        }
    }
}
