using Codo.Platform.Http;
using Codo.Platform.Localization;
using FluentValidation;
using MediatR;

namespace Codo.Modules.Tasks.Orders;

/// <summary>Approves a new order, as one approval; moves the time of one that was approved and has steps that wait for it.</summary>
internal static class ApproveOrder
{
    /// <param name="Hold">Puts the whole order off until the start time, not only its timed steps. Absent: an approval does so for a time more than a minute
    /// ahead (<c>Codo:Tasks:LaterMeansHold</c>).</param>
    /// <param name="Comment">Why; some rules ask for it.</param>
    internal sealed record Command(long? ListId, string? StartTime, bool? Hold, string? Comment) : IRequest<Result>;

    /// <param name="BeginsAt">When the order begins at the earliest.</param>
    /// <param name="Hold">Whether the whole order waits for its start time.</param>
    /// <param name="ApprovalsMissing">Approvals that it still needs; 0 when it is approved.</param>
    internal sealed record Result(DateTime BeginsAt, bool Hold, int ApprovalsMissing, IReadOnlyList<Text> Warnings) : Answer(Said(ApprovalsMissing));

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command)
                .Must(command => command.ListId is not null && !string.IsNullOrWhiteSpace(command.StartTime))
                .Refuse("订单ID和开始时间不能为空", "list_id and start_time are required");
            RuleFor(command => command.Comment).AtMost(DecideOrder.MostComment, "comment");
        }
    }

    internal sealed class Handler(Approving approving, Zone zone) : IRequestHandler<Command, Result>
    {
        public async Task<Result> Handle(Command command, CancellationToken cancellationToken)
        {
            if (!Times.TryParse(command.StartTime, zone.Info, out var start))
                throw Refusal.Invalid("start_time " + Times.Expected.Zh, "start_time " + Times.Expected.En);
            var decision = new Decision(command.ListId!.Value, start, command.Hold, command.Comment?.Trim() ?? "", null, Moves: true);
            var decided = await approving.Approve(decision, cancellationToken);
            return new Result(decided.BeginsAt, decided.Hold, decided.Missing, decided.Warnings);
        }
    }

    /// <summary>The original's words for an approval that starts the order, and how many are missing where one does not.</summary>
    internal static Text Said(int missing) =>
        missing == 0
            ? new Text("任务开始成功", "The order is approved")
            : new Text($"审批已记录，还需 {missing} 人审批", $"The approval is recorded; {missing} more {(missing == 1 ? "is" : "are")} needed");
}
