using Codo.Modules.Tasks.Hosts;
using Codo.Platform.Http;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>The bastions on the way to an execute-user's hosts: each is an execute-user itself, with the address of its machine.</summary>
internal static class BastionChain
{
    /// <summary>Bastions on one way.</summary>
    public const int Most = 3;

    // Two changes at once could close a ring that neither of them sees.
    private const string LockSql = """
        LOCK TABLE tasks.scheduler_execute_user IN SHARE ROW EXCLUSIVE MODE
        """;

    private const string AboveSql = """
        WITH RECURSIVE way AS (
            SELECT id, alias_user, ssh_host, via_id, 1 AS hop FROM tasks.scheduler_execute_user WHERE alias_user = @Alias
            UNION ALL
            SELECT u.id, u.alias_user, u.ssh_host, u.via_id, w.hop + 1 FROM way w JOIN tasks.scheduler_execute_user u ON u.id = w.via_id WHERE w.hop < 5)
        SELECT id, alias_user, ssh_host FROM way ORDER BY hop
        """;

    private const string BelowSql = """
        WITH RECURSIVE way AS (
            SELECT id, 1 AS hop FROM tasks.scheduler_execute_user WHERE via_id = @Id
            UNION ALL
            SELECT u.id, w.hop + 1 FROM way w JOIN tasks.scheduler_execute_user u ON u.via_id = w.id WHERE w.hop < 5)
        SELECT COALESCE(max(hop), 0) FROM way
        """;

    private const string UsersSql = """
        SELECT alias_user FROM tasks.scheduler_execute_user WHERE via_id = @Id ORDER BY alias_user LIMIT 5
        """;

    private const string WaysSql = """
        WITH RECURSIVE way AS (
            SELECT alias_user AS alias, ssh_port AS last_port, via_id, 0 AS hop, '' AS ssh_host, 0 AS ssh_port
            FROM tasks.scheduler_execute_user WHERE alias_user = ANY(@Aliases)
            UNION ALL
            SELECT w.alias, w.last_port, u.via_id, w.hop + 1, u.ssh_host, u.ssh_port
            FROM way w JOIN tasks.scheduler_execute_user u ON u.id = w.via_id WHERE w.hop < 3)
        SELECT alias, last_port, hop, ssh_host, ssh_port FROM way ORDER BY alias, hop DESC
        """;

    /// <summary>The id of the bastion that is named.</summary>
    /// <param name="id">Of the execute-user that names it; null when it is new.</param>
    /// <exception cref="Refusal">There is none of that name, it has no address, the way would be too long, or a ring.</exception>
    public static async Task<long> Find(NpgsqlConnection connection, NpgsqlTransaction transaction, string alias, long? id)
    {
        await connection.ExecuteAsync(LockSql, transaction: transaction);
        var way = (await connection.QueryAsync<Hop>(AboveSql, new { Alias = alias }, transaction)).AsList();
        if (way.Count == 0) throw Refusal.Invalid($"via：执行用户 {alias} 不存在", $"via: there is no execute-user {alias}");
        if (way.FirstOrDefault(hop => hop.SshHost.Length == 0) is { } nowhere)
            throw Refusal.Invalid($"via：执行用户 {nowhere.AliasUser} 没有 ssh_host，不能作为跳板机",
                $"via: the execute-user {nowhere.AliasUser} has no ssh_host, so it is no bastion");
        if (way.Exists(hop => hop.Id == id)) throw Refusal.Invalid($"via：跳板机 {alias} 又经过它自己，形成环", $"via: the way over {alias} leads back to this execute-user");
        var below = id is null ? 0 : await connection.ExecuteScalarAsync<int>(BelowSql, new { Id = id }, transaction);
        if (way.Count + below > Most) throw Refusal.Invalid($"via：最多经过 {Most} 台跳板机", $"via: a way has at most {Most} bastions");
        return way[0].Id;
    }

    /// <summary>Who reaches its hosts over this one, for a sentence; empty when nobody does.</summary>
    public static async Task<string> UsersOf(NpgsqlConnection connection, NpgsqlTransaction transaction, long id) =>
        string.Join(", ", await connection.QueryAsync<string>(UsersSql, new { Id = id }, transaction));

    /// <summary>How the hosts of execute-users are reached.</summary>
    public static async Task<IReadOnlyDictionary<string, Way>> Ways(NpgsqlConnection connection, IReadOnlyCollection<string> aliases) =>
        (await connection.QueryAsync<WayRow>(WaysSql, new { Aliases = aliases.ToArray() })).GroupBy(row => row.Alias).ToDictionary(rows => rows.Key, rows =>
        {
            var (bastions, path) = (new List<KeyPlace>(), "");
            foreach (var row in rows.Where(row => row.Hop > 0))
            {
                bastions.Add(new KeyPlace(path, HostKeys.Name(row.SshHost), row.SshPort));
                path = HostKeys.Through(path, row.SshHost, row.SshPort);
            }

            return new Way(path, rows.First().LastPort, bastions);
        });

    /// <summary>Where a host's key is pinned.</summary>
    internal sealed record KeyPlace(string Path, string Host, int Port);

    /// <param name="Path">Under which the keys of the hosts are pinned.</param>
    /// <param name="Port">Of SSH on the hosts.</param>
    /// <param name="Bastions">The first of them is reached directly.</param>
    internal sealed record Way(string Path, int Port, IReadOnlyList<KeyPlace> Bastions);

    private sealed record Hop(long Id, string AliasUser, string SshHost);

    private sealed record WayRow(string Alias, int LastPort, int Hop, string SshHost, int SshPort);
}
