using System.Text.Json;
using System.Text.Json.Serialization;
using Codo.Modules.Cron.Executions;
using Codo.Platform.Cluster;
using Codo.Platform.Events;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Jobs;

/// <summary>
/// Changes the fields that the request carries. What runs goes on under what it was started with; the account starts anew from now. A trigger keeps each
/// version of the job's content.
/// </summary>
internal static class EditJob
{
    [Echoed(
        "next_run_time",
        "status",
        "cron1",
        "cron_text",
        "creator_id",
        "creator",
        "create_time",
        "updater_id",
        "updater",
        "update_time",
        "last_status",
        "last_exec_time",
        "last_seconds",
        "state",
        "broken",
        "held"
    )]
    internal sealed record Command(
        string? JobId,
        string? Cmd,
        string? Cron,
        string? TimeZone,
        int? Timeout,
        string? Overlap,
        string? Misfire,
        int? MisfireWindow,
        int? Retries,
        int? RetryDelay,
        JsonElement? Env,
        string[]? SecretEnv,
        string? WorkingDirectory,
        string? Interpreter,
        string? Encoding,
        string? RunAs,
        string? Node,
        string? Description,
        string[]? Tags,
        string[]? Owners,
        string? Space
    ) : IRequest<Result>, IJobFields, IVersioned
    {
        /// <summary>The version that the change was made to; null is any.</summary>
        public int? Version { get; set; }

        /// <summary>The version whose content this is; null for an edit.</summary>
        [JsonIgnore]
        public int? RestoredFrom { get; init; }
    }

    /// <param name="CronText">The expression in words.</param>
    /// <param name="NextRunTimes">The next three times, in the job's zone; those that a paused job would run at, if it were let run.</param>
    /// <param name="Version">The version that is stored now: the one before where nothing has changed.</param>
    /// <param name="Changed">Whether it is a new version.</param>
    internal sealed record Result(
        string JobId,
        int Version,
        Text CronText,
        IReadOnlyList<string> NextRunTimes,
        IReadOnlyList<Text> Warnings,
        [property: JsonIgnore] bool Changed
    ) : Answer(Text.Same($"job {JobId} edit success!"));

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(job => job.JobId).Must(id => !string.IsNullOrWhiteSpace(id)).Refuse("job id 不能为空", "job_id is missing");
            RuleFor(job => job.Version).Within(1, int.MaxValue, "version");
            RuleFor(job => job.Cmd).Must(cmd => cmd is null || !string.IsNullOrWhiteSpace(cmd)).Refuse("cmd 不能为空", "cmd is empty");
            this.Fields();
        }
    }

    internal sealed class Handler(
        NpgsqlDataSource source,
        Ledger ledger,
        Outbox outbox,
        RecurringJobs recurring,
        JobEnvironment environments,
        RunAsRule runAs,
        RiskRules rules,
        FolderCheck folders,
        Zone codoZone,
        Access access
    ) : IRequestHandler<Command, Result>
    {
        private const string UpdateSql = """
            UPDATE cron.job SET cmd = coalesce(@Cmd, cmd), cron = @Cron, time_zone = @TimeZone, timeout = CASE WHEN CAST(@Timeout AS int) IS NULL
                THEN timeout ELSE nullif(@Timeout, 0) END,
                overlap = coalesce(@Overlap, overlap), misfire = coalesce(@Misfire, misfire), misfire_window = coalesce(@MisfireWindow, misfire_window),
                retries = coalesce(@Retries, retries), retry_delay = coalesce(@RetryDelay, retry_delay), env = @Env,
                    working_directory = coalesce(@WorkingDirectory, working_directory),
                interpreter = coalesce(@Interpreter, interpreter), encoding = coalesce(@Encoding, encoding), run_as = @RunAs,
                node_selector = coalesce(@Node, node_selector),
                description = coalesce(@Description, description), tags = coalesce(@Tags, tags), owners = coalesce(@Owners, owners),
                updater_id = @CallerId, updater = @CallerName, update_time = @Now, accounted_to = @Now, next_run_at = @NextRunAt, space_id = @SpaceId,
                    gap_log_id = NULL,
                    gap_nominal_at = NULL, gap_reason = NULL,
                broken_at = NULL, broken_zh = '', broken_en = '', risks = CAST(@Risks AS jsonb), paused = paused OR @Held,
                writer_id = coalesce(CAST(@Writer AS bigint), writer_id), released = @Released,
                held_by = CAST(@HeldBy AS bigint), held_zh = CASE WHEN @Held THEN CAST(@HeldZh AS text) ELSE '' END,
                held_en = CASE WHEN @Held THEN CAST(@HeldEn AS text) ELSE '' END
            WHERE id = @Id RETURNING version
            """;

        private const string ShownSql = $"""
            SELECT {JobColumns.ContentShown}, space_id, version FROM cron.job WHERE id = @Id
            """;

        // A selector that nobody fits is put right so; the command stays the one that the execution was queued with.
        private const string MoveQueuedSql = """
            UPDATE cron.active_execution SET node_selector = @Node WHERE job = @Id AND state = 'queued' AND node_selector <> @Node
            """;

        private readonly Caller caller = access.Caller;

        public async Task<Result> Handle(Command request, CancellationToken cancellationToken)
        {
            var (result, runAsUser) = await Save(request, cancellationToken);
            return result with { Warnings = [.. result.Warnings, .. await JobAdvice.OfFolder(folders, request.WorkingDirectory, runAsUser)] };
        }

        private async Task<(Result Result, string RunAs)> Save(Command request, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            await JobAccess.Demand(connection, access, Verbs.Edit, request.JobId!);
            var (job, now, isTold) = await ledger.LockAndAccount(connection, transaction, request.JobId!)
                ?? throw JobAccess.NotFound(request.JobId);
            // Asked again under the lock: somebody may have moved the job meanwhile, and it must not go back to where it was.
            var space = await access.SpaceFor(await JobAccess.Demand(connection, access, Verbs.Edit, request.JobId!), request.Space);
            if (
                request.Version is { } made
                && await JobVersions.Conflict(connection, transaction, job, request, made, environments, codoZone, access) is { } other
            )
                throw other;
            var expression = JobFields.Expression(request.Cron ?? job.Cron, "修改失败，定时器错误", "Not changed: the schedule is wrong");
            var zone = JobFields.Zone(request.TimeZone ?? job.TimeZone);
            var variables = environments.Merge(JobFields.Variables(request.Env), request.SecretEnv, job.Env);
            // Sealing gives other bytes for the same values, which would be another version.
            var stored = environments.TryOpen(job.Env);
            var isSame = SameVariables(variables, stored) && variables.Marked.SequenceEqual(stored!.Marked, StringComparer.Ordinal);
            var env = isSame || (request.Env is null && request.SecretEnv is null) ? job.Env : environments.Seal(variables);
            var user = runAs.Choose(caller, request.RunAs, job.RunAs);
            var before = await connection.QuerySingleAsync<Shown>(ShownSql, new { job.Id }, transaction);
            var hasOtherVariables = (request.Env is not null || request.SecretEnv is not null) && !SameVariables(variables, stored);
            if (user == job.RunAs && ChangesWhatRuns(request, before, request.Env is null || !hasOtherVariables))
                await runAs.MayChange(connection, transaction, caller, job.RunAs);
            (before.Env, before.SecretEnv) = (environments.Masked(job.Env), (stored ?? JobVariables.None).Marked);
            var cmd = request.Cmd is null || Excerpt.Is(request.Cmd, job.Cmd) ? job.Cmd : request.Cmd;
            var interpreter = request.Interpreter?.Trim() ?? job.Interpreter;
            var risk = JobRisk.Of(await rules.Read(connection, transaction), cmd, interpreter, () => variables.Values);
            risk.Demand();
            // The same command does something else as another user, in another directory or encoding, or on other nodes: the release lapses. With other
            // variables it is kept only for a command that has none in it, because rules see their values there.
            var hasOtherContext =
                user != (job.RunAs is { Length: > 0 } named ? named : runAs.Default)
                || Differs(request.WorkingDirectory, before.WorkingDirectory)
                || Differs(request.Encoding, before.Encoding)
                || Differs(request.Node is null ? null : NodeSelector.Form(request.Node), before.Node);
            var released =
                hasOtherContext ? ""
                : hasOtherVariables ? JobRisk.Kept(job.Released, cmd, interpreter)
                : job.Released;
            var isHeld = risk.NeedsSecond(released);
            var isWriter = hasOtherContext || hasOtherVariables || cmd != job.Cmd || interpreter != job.Interpreter;
            var version = await connection.ExecuteScalarAsync<int>(UpdateSql, new
            {
                Risks = risk.Stored,
                Held = isHeld,
                Released = released,
                Writer = isWriter ? caller.UserId : (long?)null,
                // Whoever wrote what runs stays the one who cannot release it, whoever edits something else.
                HeldBy = !isHeld ? null : isWriter ? caller.UserId : job.HeldBy ?? (long?)job.WriterId,
                HeldZh = isHeld ? risk.SecondCause.Zh : "",
                HeldEn = isHeld ? risk.SecondCause.En : "",
                job.Id,
                Cmd = Excerpt.Is(request.Cmd, job.Cmd) ? null : request.Cmd,
                Cron = expression.ToString(),
                TimeZone = zone.Id,
                request.Timeout,
                request.Overlap,
                request.Misfire,
                request.MisfireWindow,
                request.Retries,
                request.RetryDelay,
                Env = env,
                request.WorkingDirectory,
                Interpreter = request.Interpreter?.Trim(),
                request.Encoding,
                RunAs = user,
                Node = request.Node is null ? null : NodeSelector.Form(request.Node),
                request.Description,
                request.Tags,
                request.Owners,
                CallerId = caller.UserId,
                CallerName = caller.Nickname,
                Now = now.UtcDateTime,
                NextRunAt = expression.Next(now, zone)?.UtcDateTime,
                SpaceId = space,
            }, transaction);
            var after = await connection.QuerySingleAsync<Shown>(ShownSql, new { job.Id }, transaction);
            (after.Env, after.SecretEnv) = (environments.Masked(variables), variables.Marked);
            // What is queued was released for where it was to run.
            if (!isHeld && after.Node != before.Node && await connection.ExecuteAsync(MoveQueuedSql, new { job.Id, after.Node }, transaction) > 0)
                await Control.Notify(connection, transaction, "");
            // What is restored may be what is there, and then the stored version has not come from it.
            if (request.RestoredFrom is { } from && version != before.Version) await JobVersions.Note(connection, transaction, job.Id, version, from);
            await Audit.Write(connection, transaction, caller, request.RestoredFrom is null ? "edit" : "restore", "job", request.JobId!, before, after);
            if (job.BrokenAt is not null) await Outbox.Write(connection, transaction, JobEvents.Stream(job.Id), JobEvents.Mended, new JobEvents.Job(job.JobId));
            var unfit = request.Node is null ? [] : await FittingNodes.Warnings(connection, NodeRoles.Cron, "node", after.Node);
            await transaction.CommitAsync(cancellationToken);
            if (isTold || job.BrokenAt is not null) outbox.Wake();
            recurring.Changed(job.JobId);
            var advice = JobAdvice.Of(expression, zone, now, request.Cmd);
            return (new Result(
                request.JobId!,
                version,
                advice.CronText,
                advice.NextRunTimes,
                [.. advice.Warnings, .. risk.Warnings, .. JobHold.Warnings(risk, isHeld, job.HeldBy is not null), .. unfit],
                version != before.Version
            ), user);
        }

        // Clients send a whole job back: what counts is what differs.
        private static bool ChangesWhatRuns(Command request, Shown before, bool sameVariables) =>
            !sameVariables
            || (Differs(request.Cmd, before.Cmd) && !Excerpt.Is(request.Cmd, before.Cmd))
            || Differs(request.Interpreter?.Trim(), before.Interpreter)
            || Differs(request.Encoding, before.Encoding)
            || Differs(request.WorkingDirectory, before.WorkingDirectory);

        private static bool Differs(string? sent, string stored) => sent is not null && sent != stored;

        private static bool SameVariables(JobVariables variables, JobVariables? before) =>
            before is not null
            && variables.Values.Count == before.Values.Count
            && variables.Values.All(pair => before.Values.TryGetValue(pair.Key, out var value) && value == pair.Value);

        // Npgsql reports an array column as System.Array, which fits no constructor that Dapper would look for: hence properties.
        private sealed class Shown
        {
            public string Cmd { get; init; } = "";
            public string Cron { get; init; } = "";
            public string TimeZone { get; init; } = "";
            public int? Timeout { get; init; }
            public string Overlap { get; init; } = "";
            public string Misfire { get; init; } = "";
            public int MisfireWindow { get; init; }
            public int Retries { get; init; }
            public int RetryDelay { get; init; }
            public string WorkingDirectory { get; init; } = "";
            public string Interpreter { get; init; } = "";
            public string Encoding { get; init; } = "";
            public string RunAs { get; init; } = "";
            public string Node { get; init; } = "";
            public string Description { get; init; } = "";
            public string[] Tags { get; init; } = [];
            public string[] Owners { get; init; } = [];
            public long SpaceId { get; init; }

            // The audit has the fields; their version is counted elsewhere.
            [JsonIgnore]
            public int Version { get; init; }

            public Dictionary<string, string> Env { get; set; } = [];
            public IReadOnlyList<string> SecretEnv { get; set; } = [];
        }
    }
}
