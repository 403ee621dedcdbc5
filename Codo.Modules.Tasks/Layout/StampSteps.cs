using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>
/// Steps of a version that ran every local step as the host's user: those of templates, and of orders that have not ended. What is forced to another host never
/// runs here.
/// </summary>
internal sealed class StampSteps : IStampRunAs
{
    private const string TemplatesSql = """
        UPDATE tasks.scheduler_temp_details SET run_as = @Name WHERE run_as = '' AND force_host IN ('', '127.0.0.1')
        """;

    // It changes nothing of what runs, and makes no version.
    private const string VersionsSql = """
        UPDATE tasks.template_version v SET content = tasks.template_content(v.temp_id) FROM tasks.scheduler_temp_list t
        WHERE t.temp_id = v.temp_id AND t.version = v.version
        """;

    private const string OrdersSql = """
        UPDATE tasks.scheduler_task_info i SET run_as = @Name FROM tasks.scheduler_task_list o WHERE o.list_id = i.list_id AND o.schedule <> 'OK'
            AND i.run_as = '' AND i.force_host IN ('', '127.0.0.1')
        """;

    public async Task<int> Stamp(NpgsqlConnection connection, NpgsqlTransaction transaction, string name)
    {
        await connection.ExecuteAsync(OrdersSql, new { Name = name }, transaction);
        var stamped = await connection.ExecuteAsync(TemplatesSql, new { Name = name }, transaction);
        await connection.ExecuteAsync(VersionsSql, transaction: transaction);
        return stamped;
    }
}
