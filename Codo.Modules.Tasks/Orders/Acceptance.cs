using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Codo.Modules.Tasks.Execution;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>Stores an order with all its steps in one transaction, once for each idempotency key, and has it started.</summary>
internal sealed class Acceptance(
    NpgsqlDataSource source,
    Caller caller,
    Drafting drafting,
    OrderArguments arguments,
    SecretBox box,
    Quotas quotas,
    TeamDirectory teams,
    AdvanceOrder advance,
    OrderMirror mirror
)
{
    private const string DigestPlace = "tasks.idempotency.body";

    private const string KeySql = """
        INSERT INTO tasks.idempotency AS i (user_id, key, body, list_id) VALUES (@UserId, @Key, @Body, 0)
        ON CONFLICT (user_id, key) DO UPDATE SET body = excluded.body, list_id = 0, at = clock_timestamp() WHERE i.at < clock_timestamp() - interval '24 hours'
        """;

    private const string FirstSql = """
        SELECT i.body, i.list_id, COALESCE(a.plan_sha256, '') AS plan_sha256, COALESCE(o.schedule, '') AS schedule, COALESCE(a.needed, 1) AS needed
        FROM tasks.idempotency i LEFT JOIN tasks.scheduler_task_list o USING (list_id) LEFT JOIN tasks.order_approval a USING (list_id)
        WHERE i.user_id = @UserId AND i.key = @Key
        """;

    private const string KeptSql = """
        UPDATE tasks.idempotency SET list_id = @ListId WHERE user_id = @UserId AND key = @Key
        """;

    private const string PendingSql = """
        SELECT count(*) FROM tasks.scheduler_task_list WHERE schedule = 'new' AND creator_id = @UserId
        """;

    private const string OrderSql = """
        INSERT INTO tasks.scheduler_task_list (task_name, task_type, hosts, args, secret_args, details, description, associated_user, creator, creator_id,
            executor, approver_ids,
            watchers, watcher_ids, watcher_names, status, schedule, temp_id, space_id, start_time, hold, traceparent, not_before)
        VALUES (@TaskName, @TaskType, @Hosts, @Args, @SecretArgs, @Details, @Description, @Associated, @Creator, @CreatorId, @Executor, @ApproverIds,
            @Watchers, @WatcherIds, @WatcherNames, @Status, @Schedule, @TempId, @SpaceId, GREATEST(CAST(@StartTime AS timestamptz), clock_timestamp()), @Hold,
                @Traceparent, clock_timestamp() + make_interval(secs => @StartDelay))
        RETURNING list_id
        """;

    private const string GroupsSql = """
        INSERT INTO tasks.order_group (list_id, task_group, batches, batch_pause, max_failures, confirm)
        SELECT @ListId, g.* FROM unnest(CAST(@Groups AS int[]), CAST(@Batches AS int[]), CAST(@Pauses AS int[]), CAST(@MaxFailures AS int[]),
            CAST(@Confirms AS boolean[])) AS g
        """;

    private const string LanesSql = """
        INSERT INTO tasks.lane (list_id, task_group, host, batch, is_selective)
        SELECT @ListId, l.task_group, l.host, l.batch, l.is_selective
        FROM unnest(CAST(@Groups AS int[]), CAST(@Hosts AS text[]), CAST(@Batches AS int[]), CAST(@Selective AS boolean[])) WITH ORDINALITY
            AS l(task_group, host, batch, is_selective, place) ORDER BY l.place
        """;

    private const string StepColumns = """
        task_level, task_name, task_cmd, task_args, trigger, exec_user, force_host, task_status, timeout, retries, retry_delay, on_error, pty, interpreter,
            run_as, node_selector
        """;

    // Every lane of a group has the group's steps; ids rise in the order that they run in.
    private const string StepsSql = $"""
        INSERT INTO tasks.scheduler_task_info (list_id, lane_id, task_group, exec_ip, {StepColumns})
        SELECT l.list_id, l.lane_id, l.task_group, l.host, {StepColumns}
        FROM tasks.lane l
        JOIN jsonb_populate_recordset(CAST(NULL AS tasks.scheduler_task_info), CAST(@Steps AS jsonb)) WITH ORDINALITY AS s USING (task_group)
        WHERE l.list_id = @ListId ORDER BY l.lane_id, s.ordinality
        """;

    /// <param name="idempotencyKey"><see cref="Platform.Http.IdempotencyKey"/>; empty for none.</param>
    public async Task<AcceptOrder.Result> Accept(AcceptOrder.Command command, string idempotencyKey, CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        var key = new
        {
            caller.UserId,
            Key = idempotencyKey,
            Body = idempotencyKey.Length == 0 ? "" : box.Digest(TextOf(command), DigestPlace),
        };
        if (idempotencyKey.Length > 0 && await connection.ExecuteAsync(KeySql, key, transaction) == 0)
            return await First(connection, transaction, TextOf(command), key);
        var draft = await drafting.Make(connection, command);
        if (
            !draft.Ready
            && await quotas.PendingOrders() is var most
            && !Quotas.HasRoom(caller, most, await connection.ExecuteScalarAsync<long>(PendingSql, new { caller.UserId }, transaction))
        )
            throw Refusal.Conflict(
                $"你的待审批订单已达上限 {most}（Codo:Quotas:PendingOrders）",
                $"{most} of your orders await their approval already (Codo:Quotas:PendingOrders)"
            );
        var id = await Store(connection, transaction, draft);
        if (idempotencyKey.Length > 0) await connection.ExecuteAsync(KeptSql, new { caller.UserId, Key = idempotencyKey, ListId = id }, transaction);
        await Audit.Write(connection, transaction, caller, "create", "order", id.ToString(CultureInfo.InvariantCulture),
            after: new
            {
                task_name = draft.TaskName,
                temp_id = draft.Plan.Template.TempId,
                schedule = draft.Ready ? "ready" : "new",
                plan_sha256 = draft.Run.Sha256,
                risks = draft.Run.Risks.Count == 0 ? null : draft.Run.Risks,
            });
        if (!draft.Ready) await OrderEvents.RemindLater(connection, transaction, id);
        await AdvanceOrder.Note(connection, transaction, id);
        await OrderMirror.Note(connection, transaction, id);
        await transaction.CommitAsync(cancellation);
        // What awaits approval has nobody waiting for it: the next look tells of it.
        if (draft.Ready) await advance.Enqueue(connection, id);
        mirror.Wake.Set();
        return new AcceptOrder.Result(id, draft.Run.Sha256, draft.Ready ? 0 : draft.Rule.Needed, draft.Warnings);
    }

    private static string TextOf(AcceptOrder.Command command) => JsonSerializer.Serialize(command, Json.Stored);

    private async Task<AcceptOrder.Result> First(NpgsqlConnection connection, NpgsqlTransaction transaction, string text, object key)
    {
        var first = await connection.QuerySingleAsync<FirstRow>(FirstSql, key, transaction);
        return box.IsDigest(first.Body, text, DigestPlace) || first.Body == Unkeyed(text)
            ? new AcceptOrder.Result(first.ListId, first.PlanSha256, first.Schedule == "new" ? first.Needed : 0, [])
            : throw Refusal.Conflict("同一个 Idempotency-Key 已用于另一个请求", "This Idempotency-Key was used with another body");
    }

    // What the version before this one has stored, for the day that a key is kept.
    private static string Unkeyed(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));

    private async Task<long> Store(NpgsqlConnection connection, NpgsqlTransaction transaction, OrderDraft draft)
    {
        var (args, secrets) = arguments.Seal(draft.Values);
        var candidates = draft.Rule.Candidates(teams, draft.Plan.Template.Users, draft.CreatorId, draft.Creator);
        // A team that approves the order has to see it; whoever joins the team later finds it by its number.
        var watchers = draft.Watchers
            .Concat(draft.Rule.TeamId is null ? [] : candidates.Select(person => new Watcher(person.UserId, person.Name)))
            .DistinctBy(watcher => (watcher.Id, watcher.Id is null ? watcher.Name : ""))
            .ToList();
        var plan = draft.Plan;
        var id = await connection.QuerySingleAsync<long>(
            OrderSql,
            new
            {
                draft.TaskName,
                draft.TaskType,
                Hosts = JsonSerializer.Serialize(
                    plan.Groups.ToDictionary(group => group.Group, group => string.Join(',', group.Lanes.Select(lane => lane.Host))),
                    Json.Stored
                ),
                Args = args,
                SecretArgs = secrets,
                draft.Details,
                draft.Description,
                Associated = draft.Associated.ToJsonString(Json.Stored),
                draft.Creator,
                draft.CreatorId,
                draft.Executor,
                ApproverIds = plan.Template.Users.Select(user => user.UserId).Distinct().ToArray(),
                Watchers = watchers.Where(watcher => watcher.Id is null).Select(watcher => watcher.Name).ToArray(),
                WatcherIds = watchers.Where(watcher => watcher.Id is not null).Select(watcher => watcher.Id!.Value).ToArray(),
                WatcherNames = watchers.Where(watcher => watcher.Id is not null).Select(watcher => watcher.Name).ToArray(),
                Status = (short)plan.FirstStatus,
                Schedule = (draft.Ready ? OrderState.Ready : OrderState.New).Word(),
                plan.Template.TempId,
                plan.Template.SpaceId,
                StartTime = draft.StartTime?.UtcDateTime,
                draft.Hold,
                Traceparent = Activity.Current?.Id,
                StartDelay = (double)draft.StartDelay,
            },
            transaction
        );
        await connection.ExecuteAsync(
            GroupsSql,
            new
            {
                ListId = id,
                Groups = plan.Groups.Select(group => group.Group).ToArray(),
                Batches = plan.Groups.Select(group => group.Batches).ToArray(),
                Pauses = plan.Groups.Select(group => group.BatchPause).ToArray(),
                MaxFailures = plan.Groups.Select(group => group.MaxFailures).ToArray(),
                Confirms = plan.Groups.Select(group => group.Confirm).ToArray(),
            },
            transaction
        );
        var selective = plan.Groups.Where(group => group.Steps.Any(step => step.Node.Length > 0)).Select(group => group.Group).ToHashSet();
        var lanes = plan.Groups.SelectMany(group => group.Lanes.Select(lane => (group.Group, lane.Host, lane.Batch))).ToList();
        await connection.ExecuteAsync(
            LanesSql,
            new
            {
                ListId = id,
                Groups = lanes.Select(lane => lane.Group).ToArray(),
                Hosts = lanes.Select(lane => lane.Host).ToArray(),
                Batches = lanes.Select(lane => lane.Batch).ToArray(),
                Selective = lanes.Select(lane => selective.Contains(lane.Group)).ToArray(),
            },
            transaction
        );
        await connection.ExecuteAsync(StepsSql, new { ListId = id, Steps = Rows(plan.Steps) }, transaction);
        var isLater = !draft.Ready || draft.Hold || draft.StartDelay > 0;
        await OrderApproval.Store(connection, transaction, id, draft.Rule, draft.Run, isLater, candidates);
        // To submit it as ready was the one approval that the rule asks for, and counts for as long as the rule says.
        if (draft.Ready && draft.Rule.IsMore)
            await (await OrderApproval.Read(connection, transaction, id)).Add(connection, transaction, caller, "approve", "", draft.Run.Sha256);
        return id;
    }

    // As jsonb, by the names of the columns.
    private static string Rows(IEnumerable<TemplateStep> steps) =>
        JsonSerializer.Serialize(
            steps.Select(step =>
                new
                {
                    TaskGroup = step.Group,
                    TaskLevel = step.Level,
                    TaskName = step.CommandName,
                    TaskCmd = step.Command,
                    TaskArgs = step.Args,
                    step.Trigger,
                    step.ExecUser,
                    step.ForceHost,
                    TaskStatus = (short)Execution.StepStates.First(step.Trigger),
                    step.Timeout,
                    step.Retries,
                    step.RetryDelay,
                    step.OnError,
                    step.Pty,
                    step.Interpreter,
                    step.RunAs,
                    NodeSelector = step.Node,
                }
            ),
            Json.Stored
        );

    private sealed record FirstRow(string Body, long ListId, string PlanSha256, string Schedule, int Needed);
}
