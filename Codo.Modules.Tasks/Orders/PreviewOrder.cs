using System.Text.Json;
using Codo.Modules.Tasks.Execution;
using Codo.Modules.Tasks.Hosts;
using Codo.Modules.Tasks.Risks;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>What an order would run, where and when, from the body of accept; it creates nothing.</summary>
internal static class PreviewOrder
{
    internal sealed record Command(
        string? TaskName,
        long? TempId,
        JsonElement? Hosts,
        JsonElement? Args,
        string? Details,
        string? Submitter,
        string? Executor,
        JsonElement? AssociatedUser,
        string? Schedule,
        string? ExecTime,
        string? TaskType,
        bool? Hold,
        int? StartDelay
    ) : IRequest<Result>;

    /// <param name="RunsOn">The host, or the one that the step is forced to.</param>
    /// <param name="CommandLine">As it would run, secrets masked; FLOW_ID stands where the order's id will. Where all together would be too long, only the
    /// first host of a group has it whole.</param>
    /// <param name="Starts">In words.</param>
    /// <param name="Node">Which nodes of Codo may run it; empty for every one.</param>
    internal sealed record Step(
        int Level,
        string TaskName,
        string RunsOn,
        string ExecUser,
        string CommandLine,
        string Trigger,
        Text Starts,
        int Timeout,
        int Retries,
        int RetryDelay,
        string OnError,
        string Node
    );

    internal sealed record Lane(string Host, int Batch, IReadOnlyList<Step> Steps);

    internal sealed record Group(int TaskGroup, Text Starts, int Batches, int BatchPause, int MaxFailures, string Next, IReadOnlyList<Lane> Hosts);

    internal sealed record Preview(
        string TaskName,
        string TaskType,
        string Schedule,
        DateTime? StartTime,
        bool Hold,
        int StartDelay,
        string PlanSha256,
        int ApprovalsMissing,
        IReadOnlyList<RiskView> Risks,
        IReadOnlyList<Group> Groups
    );

    internal sealed record Result(Preview Data, IReadOnlyList<Text> Warnings) : Answer(Messages.Fetched);

    internal sealed class Handler(NpgsqlDataSource source, Drafting drafting) : IRequestHandler<Command, Result>
    {
        // Characters of all command lines of an answer, and of one that is cut.
        private const int MostLines = 8 << 20, CutLine = 100;

        public async Task<Result> Handle(Command command, CancellationToken cancellationToken)
        {
            var accept = new AcceptOrder.Command(
                command.TaskName, command.TempId, command.Hosts, command.Args, command.Details, command.Submitter, command.Executor, command.AssociatedUser,
                command.Schedule, command.ExecTime, command.TaskType, command.Hold, command.StartDelay);
            OrderDraft draft;
            await using (var connection = await source.OpenConnectionAsync(cancellationToken)) draft = await drafting.Make(connection, accept);
            // A step has the same line on every host.
            var lines = draft.Plan.Groups.Select(group => group.Steps.Select(step => Line(step, draft)).ToArray()).ToList();
            var isCut = draft.Plan.Groups.Select((group, position) => lines[position].Sum(line => (long)line.Length) * group.Lanes.Count).Sum() > MostLines;
            var groups = draft
                .Plan.Groups.Select((group, position) =>
                    Show(group, position == 0 ? null : draft.Plan.Groups[position - 1].Group, draft, lines[position], isCut)
                )
                .ToList();
            return new Result(
                new Preview(draft.TaskName, draft.TaskType, draft.Ready ? "ready" : "new", draft.StartTime?.UtcDateTime, draft.Hold, draft.StartDelay,
                    draft.Run.Sha256, draft.Ready ? 0 : draft.Rule.Needed, [.. draft.Run.Risks.Select(RiskView.Of)], groups),
                draft.Warnings
            );
        }

        private static string Line(TemplateStep step, OrderDraft draft) =>
            draft.Values.Line(CommandForm.With(step.Interpreter, step.Command), CommandForm.Clean(step.Args), null).Shown;

        private static string Cut(string line) => line.Length > CutLine ? line[..CutLine] + "…" : line;

        private static Group Show(PlannedGroup group, int? before, OrderDraft draft, string[] lines, bool isCut)
        {
            var others = isCut ? Array.ConvertAll(lines, Cut) : lines;
            return new Group(
                group.Group,
                GroupStarts(before, draft),
                group.Batches,
                group.BatchPause,
                group.MaxFailures,
                group.Confirm ? "confirm" : "auto",
                [
                    .. group.Lanes.Select((lane, place) => new Lane(
                        lane.Host,
                        lane.Batch,
                        [.. group.Steps.Select((step, position) => Show(step, lane, position, (place == 0 ? lines : others)[position]))]
                    )),
                ]
            );
        }

        private static Step Show(TemplateStep step, PlannedLane lane, int position, string line) =>
            new(
                step.Level,
                step.CommandName,
                step.ForceHost.Length > 0 ? step.ForceHost : lane.Host,
                StepHost.User(step.ForceHost.Length > 0 ? step.ForceHost : lane.Host, step.ExecUser, step.RunAs),
                line,
                step.Trigger,
                StepStarts(step, lane, position),
                step.Timeout,
                step.Retries,
                step.RetryDelay,
                step.OnError,
                step.Node
            );

        private static Text GroupStarts(int? before, OrderDraft draft) =>
            before is { } group ? new Text($"组 {group} 全部完成后", $"when group {group} is done")
            : !draft.Ready ? new Text("审批后", "when it is approved")
            : draft.Hold ? new Text("到达 start_time 时", "at start_time")
            : draft.StartDelay > 0 ? new Text($"{draft.StartDelay} 秒后", $"after {draft.StartDelay} s")
            : new Text("立即", "at once");

        private static Text StepStarts(TemplateStep step, PlannedLane lane, int position) => step.Trigger switch
        {
            "hand" => new Text("由人工确认后", "when a person releases it"),
            "timed" => new Text("到达 start_time 时", "at start_time"),
            _ when position > 0 => new Text("前一个任务完成后", "after the step before it"),
            _ when lane.Batch > 1 => new Text($"第 {lane.Batch - 1} 批之后", $"after batch {lane.Batch - 1}"),
            _ => new Text("与组一起", "with its group"),
        };
    }
}
