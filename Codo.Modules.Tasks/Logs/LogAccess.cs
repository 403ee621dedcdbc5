using Codo.Modules.Tasks.Orders;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Npgsql;

namespace Codo.Modules.Tasks.Logs;

/// <summary>A log is seen by those who see its order; one without an order, another publisher's, by superusers.</summary>
internal static class LogAccess
{
    public static Refusal NoSuchLog => Refusal.NotFound("没有这个日志，或你没有权限查看", "No such log, or it is not yours to see");

    /// <exception cref="Refusal">None of this name is to be seen by the caller.</exception>
    public static async Task<LogKey> Open(NpgsqlDataSource source, Access access, string? logKey, CancellationToken cancellation)
    {
        if (string.IsNullOrEmpty(logKey)) throw Refusal.Invalid("log_key 不能为空", "log_key must be given");
        // PostgreSQL takes no NUL in a text: no log can have such a name.
        if (logKey.Contains('\0', StringComparison.Ordinal)) throw Refusal.Invalid("log_key 的值不正确", "log_key is not of the right form");
        var key = LogKey.Parse(logKey);
        if (access.Caller.IsSuperuser) return key;
        await using var connection = await source.OpenConnectionAsync(cancellation);
        return key.ListId > 0 && await OrderAccess.Sees(connection, access, key.ListId) ? key : throw NoSuchLog;
    }
}
