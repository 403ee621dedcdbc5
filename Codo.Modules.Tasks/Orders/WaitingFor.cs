using Codo.Modules.Tasks.Execution;

namespace Codo.Modules.Tasks.Orders;

/// <summary>What a list says of the approvals of an order <c>o</c>; an order of the version before needs one of any of its approvers.</summary>
internal static class WaitingFor
{
    /// <summary><c>approvals_needed</c>, <c>approvals_given</c>, and in <c>waits_for</c> the names of those who can still give one.</summary>
    public const string Columns = $"""
        COALESCE((SELECT a.needed FROM tasks.order_approval a WHERE a.list_id = o.list_id), 1) AS approvals_needed,
        (SELECT CAST(count(*) AS int) FROM tasks.approval p WHERE p.list_id = o.list_id AND p.verdict = 'approve' AND {OrderApproval.Counts})
            AS approvals_given,
        CASE WHEN o.schedule <> 'new' THEN ''
            WHEN EXISTS (SELECT FROM tasks.order_approval a WHERE a.list_id = o.list_id) THEN COALESCE((
                SELECT string_agg(CASE c.name WHEN '' THEN '#' || c.id ELSE c.name END, '，' ORDER BY c.place) FROM {OrderApproval.Candidates} c
                WHERE c.place <= 50
                    AND NOT EXISTS (SELECT FROM tasks.approval p WHERE p.list_id = o.list_id AND p.user_id = c.id AND p.verdict = 'approve'
                        AND {OrderApproval.Counts})), '')
            ELSE COALESCE((SELECT string_agg(u.nickname, '，' ORDER BY u.id) FROM tasks.scheduler_temp_user u
                WHERE u.temp_id = o.temp_id AND u.user_id = ANY(o.approver_ids)), '') END AS waits_for
        """;
}
