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
    /// <param name="Batch">Of <c>next_batch</c>: the batch that is to begin; another one is refused.</param>
    internal sealed record Command(
        long? ListId,
        int? TaskGroup,
        int? TaskLevel,
        string? ExecIp,
        string? HandType,
        long? SchedulerId,
        bool? Force,
        bool? IncludeStopped,
        int? Batch
    ) : IRequest<Result>;

    /// <param name="NotRestarted">Of <c>restart_failed</c>: hosts that it could not restart although others are; else empty.</param>
    internal sealed record Result(Text Msg, IReadOnlyList<NotRestarted> NotRestarted) : Answer(Msg);

    /// <summary>A host that stays as it is, and why.</summary>
    internal sealed record NotRestarted(string Host, Text Why);

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
            RuleFor(command => command.Batch).Must(batch => batch is null or > 0).Refuse("batch 必须大于 0", "batch must be greater than 0");
        }

        private static bool HasPlace(Command command) =>
            command.ListId is not null
            && command.TaskGroup is not null
            && (OfGroup.Contains(command.HandType) || (command.TaskLevel is not null && !string.IsNullOrEmpty(command.ExecIp)));
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access, OrphanedProcesses orphans, AdvanceOrder advance) : IRequestHandler<Command, Result>
    {
        private const int MostNamed = 10;

        public async Task<Result> Handle(Command command, CancellationToken cancellationToken)
        {
            // Killing what is left takes seconds, so it comes before the transaction; whether it is gone is asked again within.
            if (command.HandType is "restart" or "restart_failed") await RestartLane.EndOrphans(source, orphans, access, command);
            var (result, stopped) = await Intervene(command, cancellationToken);
            // Hosts may take tens of seconds to answer, and no connection to PostgreSQL waits for them.
            if (stopped is not null) await orphans.EndAll(command.ListId!.Value, stopped.LaneId);
            return result;
        }

        private async Task<(Result Result, LockedLane? Stopped)> Intervene(Command command, CancellationToken cancellationToken)
        {
            var (id, group, level) = (command.ListId!.Value, command.TaskGroup!.Value, command.TaskLevel ?? 0);
            var caller = access.Caller;
            IReadOnlyList<NotRestarted> left = [];
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
                "restart_failed" => await Failed(),
                "stop_one" => (await StopLane.Apply(connection, transaction, caller, stopped!), new Text("终止此组任务成功", "Stopped")),
                "skip" => (await SkipStep.Apply(connection, transaction, caller, await Lane(), level, command.SchedulerId), new Text("审核执行成功", "Skipped")),
                _ => (await LetNextBatch.Apply(connection, transaction, id, group, command.Batch), new Text("审核执行成功", "The next batch begins")),
            };
            await Audit.Write(connection, transaction, caller, command.HandType!, "order", order.ListId.ToString(CultureInfo.InvariantCulture), after: done);
            await AdvanceOrder.Note(connection, transaction, id);
            await Control.Notify(connection, transaction, "");
            await transaction.CommitAsync(cancellationToken);
            await advance.Enqueue(connection, id);
            return (new Result(text, left), stopped);

            Task<LockedLane> Lane() => Intervention.Lane(connection, transaction, id, group, command.ExecIp!);

            async Task<(object Done, Text Said)> Failed()
            {
                (var restarted, left) = await RestartLane.Failed(
                    connection,
                    transaction,
                    caller,
                    id,
                    group,
                    command.Force == true,
                    command.IncludeStopped == true
                );
                return (restarted, Restarted(left));
            }
        }

        // A client that knows no not_restarted shows this.
        private static Text Restarted(IReadOnlyList<NotRestarted> left)
        {
            if (left.Count == 0) return new Text("重新执行成功", "Restarted");
            var count = Text.Count(left.Count, "台主机", "host");
            var hosts = string.Join(", ", left.Take(MostNamed).Select(one => one.Host)) + (left.Count > MostNamed ? " …" : "");
            return new Text(
                $"重新执行成功，{count.Zh}除外：{hosts}（{left[0].Why.Zh}）",
                $"Restarted, except for {count.En}: {hosts} ({left[0].Why.En})"
            );
        }
    }
}
