using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Modules.Cron.Jobs;

/// <summary>
/// Does the same to many jobs, each under its own right and as the request for one job does it. What is refused for one, or fails, does not hold up the
/// others: the answer says of each what became of it.
/// </summary>
internal static class BulkJobs
{
    // The audit's name for a refused item: as Failures writes it for this route.
    private const string Route = "POST /v1/cron/job/bulk/";

    private static readonly string[] Actions = ["pause", "resume", "run", "tag", "untag"];

    /// <param name="Tags">Those to be added or taken away, by <c>tag</c> and <c>untag</c>.</param>
    internal sealed record Command(string[]? JobIds, string? Action, string[]? Tags) : IRequest<Result>;

    /// <param name="Data">One entry a job, in the order of the request.</param>
    internal sealed record Result(IReadOnlyList<Item> Data, int Done, int Refused) : Answer(Refused == 0
        ? new Text($"{Done} 个任务已完成", $"Done for {Done} jobs")
        : new Text($"{Done} 个任务已完成，{Refused} 个被拒绝", $"Done for {Done} jobs, refused for {Refused}"));

    /// <param name="Text">What became of it, as the request for one job answers.</param>
    /// <param name="Hint">What is missing where it was refused, and who can grant it; else null.</param>
    /// <param name="LogId">The run that it began; null otherwise.</param>
    /// <param name="Changed">Whether the job is otherwise than before, or runs: an undo is for these jobs alone.</param>
    /// <param name="Tags">Of <c>tag</c> and <c>untag</c>: those that it has got or lost; else null.</param>
    /// <param name="Warnings">As the request for one job answers them.</param>
    internal sealed record Item(
        string JobId,
        bool Done,
        Text Text,
        Text? Hint,
        long? LogId,
        bool Changed,
        string[]? Tags,
        IReadOnlyList<Text> Warnings
    );

    internal sealed class Validator : AbstractValidator<Command>
    {
        private const int MostJobs = 500, MostTags = 20;

        public Validator()
        {
            RuleFor(bulk => bulk.JobIds)
                .Must(ids => ids is { Length: > 0 and <= MostJobs } && ids.All(id => !string.IsNullOrWhiteSpace(id)))
                .Refuse($"job_ids 必填，1 到 {MostJobs} 个", $"job_ids is required, 1 to {MostJobs} of them");
            RuleFor(bulk => bulk.Action).NotNull().Refuse("action 不能为空", "action is missing");
            RuleFor(bulk => bulk.Action).OneOf("action", Actions);
            RuleFor(bulk => bulk.Tags)
                .Must((bulk, tags) => bulk.Action is not ("tag" or "untag") || tags is { Length: > 0 and <= MostTags })
                .Refuse($"tags 必填，1 到 {MostTags} 个", $"tags is required, 1 to {MostTags} of them");
        }
    }

    internal sealed class Handler(
        NpgsqlDataSource source,
        IRequestHandler<RunJob.Command, RunJob.Result> runs,
        IRequestHandler<TogglePause.Command, TogglePause.Result> pauses,
        IRequestHandler<EditJob.Command, EditJob.Result> edits,
        Access access,
        RefusedAttempts attempts,
        ILogger<Handler> log
    ) : IRequestHandler<Command, Result>
    {
        private const string TagsSql = """
            SELECT tags, version FROM cron.job WHERE job_id = @JobId
            """;

        // Each that is lost is a change of the same job by somebody else.
        private const int MostTries = 20;

        // Each may have waited as long as a statement may take.
        private const int MostUnanswered = 3;

        private static readonly Text Unanswered = new(
                "数据库未应答，结果未知，请查看该任务",
                "The database did not answer; look at the job before asking again"
            ),
            LeftAlone = new("数据库没有应答，未处理该任务", "The database does not answer; this job was left alone"),
            Broken = new("内部错误，结果未知，请查看该任务", "Internal error; look at the job before asking again");

        public async Task<Result> Handle(Command request, CancellationToken cancellationToken)
        {
            var items = new List<Item>();
            var unanswered = 0;
            foreach (var id in request.JobIds!.Distinct(StringComparer.Ordinal))
            {
                if (unanswered == MostUnanswered)
                {
                    items.Add(NotDone(id, LeftAlone));
                    continue;
                }
                try
                {
                    items.Add(await One(request, id, cancellationToken));
                    unanswered = 0;
                }
                catch (Refusal refused)
                {
                    attempts.Refused(access.Caller, Route, refused);
                    items.Add(NotDone(id, refused.Text, refused.Hint));
                    unanswered = 0;
                }
                catch (Exception error) when (!cancellationToken.IsCancellationRequested)
                {
                    // What was done for the others before it is done, and they want to know.
                    log.LogWarning(error, "{Action} of job {JobId}, among many, failed", request.Action, id);
                    var isTransient = DatabaseErrors.IsTransient(error);
                    items.Add(NotDone(id, isTransient ? Unanswered : Broken));
                    unanswered = isTransient ? unanswered + 1 : 0;
                }
            }
            var done = items.Count(item => item.Done);
            return new Result(items, done, items.Count - done);
        }

        private static Item NotDone(string id, Text text, Text? hint = null) => new(id, false, text, hint, null, false, null, []);

        private async Task<Item> One(Command request, string id, CancellationToken cancellation)
        {
            switch (request.Action)
            {
                case "run":
                    var run = await runs.Handle(new RunJob.Command(id), cancellation);
                    return new Item(id, true, run.Msg, null, run.LogId, !run.Repeated, null, run.Warnings);
                case "pause" or "resume":
                    // A list of names shows no command: what a rule holds is released by whoever looks at that one job.
                    var toggle = new TogglePause.Command(id, request.Action == "pause", WithoutRelease: true);
                    var pause = await pauses.Handle(toggle, cancellation);
                    return new Item(id, true, pause.Msg, null, null, pause.Changed, null, []);
                default:
                    return await Tag(id, request.Action == "tag", request.Tags!, cancellation);
            }
        }

        private async Task<Item> Tag(string id, bool add, string[] tags, CancellationToken cancellation)
        {
            for (var tries = 1; ; tries++)
            {
                Tagged before;
                await using (var connection = await source.OpenConnectionAsync(cancellation))
                {
                    await Executions.JobAccess.Demand(connection, access, Verbs.Edit, id);
                    before = await connection.QuerySingleOrDefaultAsync<Tagged>(TagsSql, new { JobId = id }) ?? throw Executions.JobAccess.NotFound(id);
                }
                string[] after = add ? [.. before.Tags.Union(tags)] : [.. before.Tags.Except(tags)];
                string[] changed = add ? [.. after.Except(before.Tags)] : [.. before.Tags.Except(after)];
                if (changed.Length == 0)
                    return new Item(id, true, new Text($"job {id} 的标签没有变化", $"job {id} keeps its tags as they are"), null, null, false, [], []);
                // The handler is asked for itself, without the rules that stand before a request for one job.
                if (!JobFields.Short(after)) throw Refusal.Invalid("tags 最多 50 个，每个 1 到 100 个字符", "tags: 50 at most, of 1 to 100 characters");
                var edit = new EditJob.Command(
                    id, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, after, null, null)
                {
                    Version = before.Version,
                };
                try
                {
                    var answer = await edits.Handle(edit, cancellation);
                    return new Item(id, true, answer.Msg, null, null, true, changed, answer.Warnings);
                }
                catch (Refusal refused) when (refused.Kind == RefusalKind.Conflict && tries < MostTries)
                {
                    // Somebody else has saved meanwhile: the tags are put to what is there now.
                    cancellation.ThrowIfCancellationRequested();
                }
            }
        }

        // With properties, because Dapper gives no array to a constructor.
        private sealed class Tagged
        {
            public string[] Tags { get; init; } = [];
            public int Version { get; init; }
        }
    }
}
