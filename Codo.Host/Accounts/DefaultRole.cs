using Codo.Host.LocalServices;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>
/// <c>Codo:Auth:DefaultRole</c>: what everyone signed in has in the space <c>default</c>. Where it is not set it is <c>viewer</c> as long as a list of
/// operators is set, or was when an older version was upgraded, and else <c>editor</c>.
/// </summary>
internal static class DefaultRole
{
    public const string Setting = "Codo:Auth:DefaultRole";

    private static readonly string[] Allowed = ["none", "viewer", "operator", "editor"];

    // Deleted in the transaction that decides: of hosts that start at once the others wait here, and find nothing.
    private const string TakeSql = """
        DELETE FROM platform.setting WHERE key = 'stamp.default_role' AND value = 'due'
        """;

    private const string KeepSql = """
        INSERT INTO platform.setting (key, value) VALUES ('keep.default_role', @Role) ON CONFLICT (key) DO UPDATE SET value = excluded.value
        """;

    private const string KeptSql = """
        SELECT value FROM platform.setting WHERE key = 'keep.default_role'
        """;

    // Whoever has submitted orders from a template goes on doing so: viewer alone would stop them all at once.
    private const string SubmittersSql = """
        INSERT INTO accounts.role_grant (user_id, role, kind, object_id, by_id, by_name)
        SELECT DISTINCT o.creator_id, 'operator', 'template', CAST(o.temp_id AS text), 0, 'Codo'
        FROM tasks.scheduler_task_list o JOIN tasks.scheduler_temp_list t USING (temp_id)
        WHERE o.creator_id > 0 AND o.create_time > clock_timestamp() - interval '1 year'
        ON CONFLICT DO NOTHING
        """;

    /// <summary>Decides for an installation of before, exactly once after the migration. To be called after migrating and before anything listens.</summary>
    /// <exception cref="StartRefused">The setting is no role that everyone can have.</exception>
    public static async Task Settle(NpgsqlDataSource source, IConfiguration configuration, IReadOnlyCollection<OperatorList> operators, ILogger log)
    {
        if (configuration[Setting] is { Length: > 0 } set && !Allowed.Contains(set))
            throw new StartRefused($"{Setting} must be one of {string.Join(", ", Allowed)}; '{set}' is not. / {Setting} 只能是 {string.Join("、", Allowed)}。");
        await using var connection = await source.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        if (await connection.ExecuteAsync(TakeSql, transaction: transaction) == 0) return;
        var role = HasList(operators) ? "viewer" : "editor";
        await connection.ExecuteAsync(KeepSql, new { Role = role }, transaction);
        var grants = role == "viewer" ? await connection.ExecuteAsync(SubmittersSql, transaction: transaction) : 0;
        await Audit.Write(connection, transaction, Caller.Codo, "stamp", "default_role", role, after: new { role, grants });
        await transaction.CommitAsync();
        log.LogWarning(
            "{Setting} is {Role} after this upgrade; {Grants} people and templates were noted, so that who has submitted orders goes on. "
                + "Grant roles to others, or set it",
            Setting,
            role,
            grants
        );
    }

    /// <summary>The role in force.</summary>
    public static async Task<string> Read(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        IConfiguration configuration,
        IReadOnlyCollection<OperatorList> operators
    ) =>
        configuration[Setting] is { Length: > 0 } set ? set
        : HasList(operators) ? "viewer"
        : await connection.ExecuteScalarAsync<string?>(KeptSql, transaction: transaction) is { } kept && Allowed.Contains(kept) ? kept
        : "editor";

    /// <summary>Says at each start that everyone may do more than look.</summary>
    public static void Warn(AccessRules rules, ILogger log)
    {
        if (rules.DefaultRole is not ("viewer" or "none"))
            log.LogWarning(
                "{Setting} is {Role}: everyone signed in has it in the space default. Set it to viewer and grant roles to people and teams",
                Setting,
                rules.DefaultRole
            );
    }

    private static bool HasList(IEnumerable<OperatorList> operators) => operators.Any(list => list.Names.Count > 0 && !list.Names.Contains("*"));
}
