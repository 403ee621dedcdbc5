using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>Objects of one kind in a space.</summary>
/// <param name="Kind">One of <see cref="ResourceKind"/>, or <c>silence</c>; orders are those that have not ended.</param>
internal sealed record HeldObjects(string Kind, long Count);

/// <summary>What lies in a space and keeps it from being deleted.</summary>
internal static class SpaceUse
{
    private const string CountsSql = """
        SELECT kind, count FROM (
            SELECT 'job' AS kind, 1 AS place, count(*) AS count FROM cron.job WHERE space_id = @SpaceId
            UNION ALL SELECT 'template', 2, count(*) FROM tasks.scheduler_temp_list WHERE space_id = @SpaceId
            UNION ALL SELECT 'order', 3, count(*) FROM tasks.scheduler_task_list WHERE space_id = @SpaceId AND schedule <> 'OK'
            UNION ALL SELECT 'execute_user', 4, count(*) FROM tasks.scheduler_execute_user WHERE space_id = @SpaceId
            UNION ALL SELECT 'alert_rule', 5, count(*) FROM alerts.rule WHERE space_id = @SpaceId
            UNION ALL SELECT 'alert_channel', 6, count(*) FROM alerts.channel WHERE space_id = @SpaceId
            UNION ALL SELECT 'silence', 7, count(*) FROM alerts.silence WHERE space_id = @SpaceId) held
        WHERE count > 0 ORDER BY place
        """;

    public static async Task<List<HeldObjects>> Of(NpgsqlConnection connection, long space, NpgsqlTransaction? transaction = null) =>
        (await connection.QueryAsync<HeldObjects>(CountsSql, new { SpaceId = space }, transaction)).AsList();

    /// <summary>Some objects of a kind, such as "3 jobs".</summary>
    public static Text Words(HeldObjects held) =>
        held.Kind switch
        {
            ResourceKind.Job => Text.Count(held.Count, "个任务", "job"),
            ResourceKind.Template => Text.Count(held.Count, "个模板", "template"),
            ResourceKind.Order => Text.Count(held.Count, "个未结束的订单", "open order"),
            ResourceKind.ExecuteUser => Text.Count(held.Count, "个执行用户", "execute-user"),
            ResourceKind.Rule => Text.Count(held.Count, "条告警规则", "alert rule"),
            ResourceKind.Channel => Text.Count(held.Count, "个渠道", "channel"),
            _ => Text.Count(held.Count, "条静默", "silence"),
        };

    /// <summary>Why a space that holds something stays.</summary>
    public static Text WhyItStays(IReadOnlyList<HeldObjects> held)
    {
        var words = held.Select(Words).ToList();
        return words.Count == 0
            ? new Text("空间中还有对象", "The space still holds something")
            : new Text(
                $"空间中还有 {string.Join("、", words.Select(word => word.Zh))}",
                $"The space still holds {string.Join(", ", words.Select(word => word.En))}"
            );
    }
}
