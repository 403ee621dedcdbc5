using System.Text.Json.Serialization;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using FluentValidation;
using MediatR;

namespace Codo.Modules.Tasks.Orders;

/// <summary>Approves, rejects or pushes back an order that awaits approval, or starts it without the approvals that it needs.</summary>
internal static class DecideOrder
{
    public const int MostComment = 1000;

    /// <param name="Verdict"><c>approve</c>, <c>reject</c>, <c>push_back</c> or <c>break_glass</c>.</param>
    /// <param name="StartTime">Absent leaves the time that the order has.</param>
    /// <param name="PlanSha256">Of the plan that the person has seen: another one is refused.</param>
    internal sealed record Command(long? ListId, string? Verdict, string? Comment, string? StartTime, bool? Hold, string? PlanSha256) : IRequest<Result>;

    /// <param name="BeginsAt">When the order begins at the earliest; null when it was rejected or pushed back.</param>
    /// <param name="ApprovalsMissing">Approvals that it still needs.</param>
    internal sealed record Result(DateTime? BeginsAt, int ApprovalsMissing, IReadOnlyList<Text> Warnings, [property: JsonIgnore] Text Said) : Answer(Said);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command.ListId).NotNull().Refuse("订单ID不能为空", "list_id is required");
            RuleFor(command => command.Verdict).NotNull().Refuse("verdict 不能为空", "verdict is required");
            RuleFor(command => command.Verdict).OneOf("verdict", "approve", "reject", "push_back", "break_glass");
            RuleFor(command => command.Comment).AtMost(MostComment, "comment");
            RuleFor(command => command.PlanSha256).AtMost(64, "plan_sha256");
        }
    }

    internal sealed class Handler(Approving approving, Zone zone) : IRequestHandler<Command, Result>
    {
        public async Task<Result> Handle(Command command, CancellationToken cancellationToken)
        {
            DateTimeOffset? start = null;
            if (!string.IsNullOrWhiteSpace(command.StartTime))
                start = Times.TryParse(command.StartTime, zone.Info, out var time)
                    ? time
                    : throw Refusal.Invalid("start_time " + Times.Expected.Zh, "start_time " + Times.Expected.En);
            var decision = new Decision(
                command.ListId!.Value,
                start,
                command.Hold,
                command.Comment?.Trim() ?? "",
                command.PlanSha256?.Trim().ToLowerInvariant(),
                command.Verdict == "break_glass"
            );
            if (command.Verdict == "reject")
            {
                await approving.Reject(decision, cancellationToken);
                return new Result(null, 0, [], new Text("订单已驳回", "The order is rejected"));
            }

            if (command.Verdict == "push_back")
                return new Result(
                    null,
                    await approving.PushBack(decision, cancellationToken),
                    [],
                    new Text("订单已退回提交人", "The order is pushed back to its submitter")
                );

            var decided = await approving.Approve(decision, cancellationToken);
            return new Result(decided.BeginsAt, decided.Missing, decided.Warnings, ApproveOrder.Said(decided.Missing));
        }
    }
}
