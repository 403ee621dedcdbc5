using Codo.Modules.Tasks.Risks;
using Codo.Platform.Localization;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Execution;

/// <summary>What an order needs, as it is stored with it, and the approvals that it has.</summary>
internal sealed class OrderApproval
{
    private const string ReadSql = """
        SELECT needed, team_id, team_name, not_submitter, submitter_id, not_editor_id, valid_hours, reason_required, plan_sha256, plan, compared,
            CAST(risks AS text) AS risks
        FROM tasks.order_approval WHERE list_id = @ListId
        """;

    private const string InsertSql = """
        INSERT INTO tasks.order_approval (list_id, needed, team_id, team_name, not_submitter, submitter_id, not_editor_id, valid_hours, reason_required,
            candidate_ids, candidates, plan_sha256, plan, compared, risks)
        VALUES (@ListId, @Needed, @TeamId, @TeamName, @NotSubmitter, @SubmitterId, @NotEditorId, @ValidHours, @ReasonRequired, @CandidateIds, @Candidates,
            @Sha256, @Plan, @Compared, CAST(@Risks AS jsonb))
        """;

    /// <summary>In SQL, whether the time of an approval <c>p</c> is over.</summary>
    // A rule allows at most 8,760 hours. A larger number comes from damage, and would leave PostgreSQL's range of dates.
    public const string IsOver = """
        EXISTS (SELECT FROM tasks.order_approval v WHERE v.list_id = p.list_id AND v.valid_hours IS NOT NULL
            AND p.at < clock_timestamp() - make_interval(hours => LEAST(v.valid_hours, 8760)))
        """;

    /// <summary>
    /// In SQL, whether a verdict <c>p</c> on an order <c>o</c> counts: approvals whose time is over become void only with the next one. Of an order that was
    /// approved in time they go on counting.
    /// </summary>
    public const string Counts = $"""
        (NOT p.void AND (p.verdict <> 'approve' OR o.schedule <> 'new' OR NOT {IsOver}))
        """;

    /// <summary>
    /// In SQL, those who can approve an order <c>o</c>, whether or not they have: rows of <c>id</c>, <c>name</c> and <c>place</c>. Of a team they are its
    /// members of now, else those who could at its acceptance. Since then a start may have asked for a second person: that leaves out the submitter.
    /// </summary>
    public const string Candidates = """
        (SELECT c.id, c.name, c.place FROM tasks.order_approval k, LATERAL (
            SELECT n.id, n.name, n.place FROM unnest(k.candidate_ids, k.candidates) WITH ORDINALITY AS n(id, name, place) WHERE k.team_id IS NULL
            UNION ALL
            SELECT m.user_id, COALESCE(NULLIF(u.nickname, ''), u.username, ''), row_number() OVER (ORDER BY m.user_id)
            FROM (SELECT DISTINCT t.user_id FROM accounts.team_member t WHERE t.team_id = k.team_id) m LEFT JOIN accounts.person u USING (user_id)) c
        WHERE k.list_id = o.list_id AND c.id IS DISTINCT FROM k.not_editor_id
            AND NOT (k.not_submitter AND (c.id IN (k.submitter_id, COALESCE(o.creator_id, k.submitter_id)) OR (o.creator_id IS NULL AND (o.creator = c.name
                OR EXISTS (SELECT FROM accounts.person w WHERE w.user_id = c.id AND o.creator IN (w.username, w.nickname)))))))
        """;

    // Approvals of another plan, and those whose time is over, no longer count.
    private const string VoidSql = $"""
        UPDATE tasks.approval p SET void = true WHERE p.list_id = @ListId AND NOT p.void AND p.verdict = 'approve'
            AND (p.plan_sha256 <> @Sha256 OR {IsOver})
        """;

    private const string PlanSql = """
        UPDATE tasks.order_approval SET plan_sha256 = @Sha256, plan = @Plan, compared = true, stopped_zh = '', stopped_en = '', risks = CAST(@Risks AS jsonb)
            WHERE list_id = @ListId
        """;

    private const string CountSql = """
        SELECT user_id FROM tasks.approval WHERE list_id = @ListId AND NOT void AND verdict = 'approve'
        """;

    private const string AddSql = """
        INSERT INTO tasks.approval (list_id, user_id, nickname, verdict, comment, plan_sha256) VALUES (@ListId, @UserId, @Nickname, @Verdict, @Comment, @Sha256)
        """;

    private OrderApproval(long listId, ApprovalRule rule, string sha256, RunPlan? plan, bool isCompared, IReadOnlyList<StepRisk> risks) =>
        (ListId, Rule, Sha256, Plan, IsCompared, Risks) = (listId, rule, sha256, plan, isCompared, risks);

    public long ListId { get; }

    public ApprovalRule Rule { get; }

    /// <summary>Of the plan as it was accepted or last approved; empty for an order of the version before.</summary>
    public string Sha256 { get; }

    /// <summary>Null where it does not read, or was never stored.</summary>
    public RunPlan? Plan { get; }

    public bool IsCompared { get; }

    public IReadOnlyList<StepRisk> Risks { get; }

    /// <summary>What is stored with an order; one of the version before needs one approval by whoever has the right.</summary>
    public static async Task<OrderApproval> Read(NpgsqlConnection connection, NpgsqlTransaction? transaction, long listId)
    {
        var row = await connection.QuerySingleOrDefaultAsync<Row>(ReadSql, new { ListId = listId }, transaction);
        return row is null
            ? new OrderApproval(listId, new ApprovalRule(1, null, "", false, 0, null, null, false), "", null, false, [])
            : new OrderApproval(
                listId,
                new ApprovalRule(
                    row.Needed,
                    row.TeamId,
                    row.TeamName,
                    row.NotSubmitter,
                    row.SubmitterId,
                    row.NotEditorId,
                    row.ValidHours,
                    row.ReasonRequired
                ),
                row.PlanSha256,
                RunPlan.Read(row.Plan),
                row.Compared,
                StepRisk.Read(row.Risks)
            );
    }

    /// <summary>Stores it with a new order.</summary>
    /// <param name="isCompared">Whether time passes before the start.</param>
    public static Task Store(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        long listId,
        ApprovalRule rule,
        PlannedRun run,
        bool isCompared,
        IReadOnlyList<(long UserId, string Name)> candidates
    ) =>
        connection.ExecuteAsync(
            InsertSql,
            new
            {
                ListId = listId,
                rule.Needed,
                rule.TeamId,
                rule.TeamName,
                rule.NotSubmitter,
                rule.SubmitterId,
                rule.NotEditorId,
                rule.ValidHours,
                rule.ReasonRequired,
                CandidateIds = candidates.Select(person => person.UserId).ToArray(),
                Candidates = candidates.Select(person => person.Name).ToArray(),
                run.Sha256,
                Plan = run.Text,
                Compared = isCompared,
                Risks = StepRisk.Store(run.Risks),
            },
            transaction
        );

    /// <summary>Those whose approval of this plan counts now; the others' become void.</summary>
    public async Task<IReadOnlyList<long>> Approvers(NpgsqlConnection connection, NpgsqlTransaction transaction, string sha256)
    {
        await connection.ExecuteAsync(VoidSql, new { ListId, Sha256 = sha256 }, transaction);
        return (await connection.QueryAsync<long>(CountSql, new { ListId }, transaction)).AsList();
    }

    public Task Add(NpgsqlConnection connection, NpgsqlTransaction transaction, Platform.Http.Caller caller, string verdict, string comment, string sha256) =>
        connection.ExecuteAsync(
            AddSql,
            new
            {
                ListId,
                caller.UserId,
                caller.Nickname,
                Verdict = verdict,
                Comment = comment,
                Sha256 = sha256,
            },
            transaction
        );

    /// <summary>The plan that approvals are of from now on, and the start is compared with.</summary>
    public Task Keep(NpgsqlConnection connection, NpgsqlTransaction transaction, PlannedRun run) =>
        connection.ExecuteAsync(PlanSql, new { ListId, run.Sha256, Plan = run.Text, Risks = StepRisk.Store(run.Risks) }, transaction);

    /// <summary>Why what is to run now is not what is kept; null when it is the same.</summary>
    public Text? Difference(PlannedRun now) =>
        Sha256.Length == 0 || Sha256 == now.Sha256 ? null
        : Plan is null ? new Text("审批时的执行计划无法读取", "the plan that was approved does not read")
        : PlanDifference.Joined(PlanDifference.Between(Plan, now.Plan));

    private sealed record Row
    {
        public int Needed { get; init; }
        public long? TeamId { get; init; }
        public string TeamName { get; init; } = "";
        public bool NotSubmitter { get; init; }
        public long SubmitterId { get; init; }
        public long? NotEditorId { get; init; }
        public int? ValidHours { get; init; }
        public bool ReasonRequired { get; init; }
        public string PlanSha256 { get; init; } = "";
        public string Plan { get; init; } = "";
        public bool Compared { get; init; }
        public string Risks { get; init; } = "[]";
    }
}
