using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Execution;

/// <summary>What an order needs before it starts.</summary>
/// <param name="Needed">Approvals, 1 at least.</param>
/// <param name="TeamId">Whose members approve; null is whoever has the right to approve.</param>
/// <param name="SubmitterId">Whoever sent the request.</param>
/// <param name="NotEditorId">Who last edited the template and may not approve; null is nobody.</param>
/// <param name="ValidHours">Hours that an approval counts; null is for good.</param>
internal sealed record ApprovalRule(
    int Needed,
    long? TeamId,
    string TeamName,
    bool NotSubmitter,
    long SubmitterId,
    long? NotEditorId,
    int? ValidHours,
    bool ReasonRequired
)
{
    private const string OfTemplateSql = """
        SELECT r.approvals, r.team_id, r.not_submitter, r.not_editor, r.valid_hours, r.reason_required, t.editor_id
        FROM tasks.scheduler_temp_list t JOIN tasks.approval_rule r ON r.temp_id = t.temp_id OR r.space_id = t.space_id
        WHERE t.temp_id = @TempId ORDER BY r.temp_id NULLS LAST LIMIT 1
        """;

    /// <summary>The rule of a template, else of its space; without either one approval by whoever has the right, as it always was.</summary>
    /// <param name="needsSecond">A high-risk rule asks for a second person.</param>
    public static async Task<ApprovalRule> Of(NpgsqlConnection connection, Caller caller, TeamDirectory teams, long tempId, bool needsSecond)
    {
        var row = await connection.QuerySingleOrDefaultAsync<Row>(OfTemplateSql, new { TempId = tempId }) ?? new Row();
        return new ApprovalRule(
            Math.Max(1, row.Approvals),
            row.TeamId,
            row.TeamId is { } team ? teams.NameOf(team) ?? $"#{team}" : "",
            row.NotSubmitter || needsSecond,
            caller.UserId,
            row is { NotEditor: true, EditorId: > 0 } ? row.EditorId : null,
            row.ValidHours,
            row.ReasonRequired
        );
    }

    /// <summary>Whether a rule asks for more than the right to approve.</summary>
    public bool IsMore => Needed > 1 || TeamId is not null || NotSubmitter || NotEditorId is not null || ReasonRequired || ValidHours is not null;

    /// <summary>Why somebody may not approve, in words; null when they may.</summary>
    /// <param name="hasRight">Whether they have the right to approve the order.</param>
    /// <param name="creatorId">Whom the order names as its submitter; null where only the name is known, which then decides.</param>
    public Text? Against(Caller caller, TeamDirectory teams, bool hasRight, long? creatorId, string creator)
    {
        if (TeamId is { } team ? !teams.IsMember(team, caller.UserId) : !hasRight)
            return TeamId is null
                ? new Text("你没有审批权限", "You have no right to approve this order")
                : new Text($"你没有审批权限：需要团队「{TeamName}」的成员审批", $"You have no right to approve this order: it needs members of the team {TeamName}");
        if (NotSubmitter && IsSubmitter(caller.UserId, creatorId, creator, caller.Username, caller.Nickname))
            return new Text("你没有审批权限：提交人不能审批自己的订单", "You have no right to approve this order: the submitter may not approve their own order");
        return caller.UserId == NotEditorId
            ? new Text("你没有审批权限：最后修改模板的人不能审批", "You have no right to approve this order: whoever last edited the template may not approve it")
            : null;
    }

    /// <summary>Those who could approve, for whoever asks who is still needed.</summary>
    public List<(long UserId, string Name)> Candidates(
        TeamDirectory teams,
        IReadOnlyList<(long UserId, string Nickname)> users,
        long? creatorId,
        string creator
    ) =>
        [
            .. (TeamId is { } team ? teams.Members(team) : users).Where(person =>
                person.UserId > 0 && person.UserId != NotEditorId && !(NotSubmitter && IsSubmitter(person.UserId, creatorId, creator, person.Item2))
            ).DistinctBy(person => person.UserId),
        ];

    // Whoever sent the request, and whom it was sent for. A name is worth less than an id: it refuses only where the order has no id.
    private bool IsSubmitter(long userId, long? creatorId, string creator, params string[] names) =>
        userId == SubmitterId || (creatorId is { } id ? userId == id : names.Contains(creator));

    private sealed record Row
    {
        public int Approvals { get; init; }
        public long? TeamId { get; init; }
        public bool NotSubmitter { get; init; }
        public bool NotEditor { get; init; }
        public int? ValidHours { get; init; }
        public bool ReasonRequired { get; init; }
        public long EditorId { get; init; }
    }
}
