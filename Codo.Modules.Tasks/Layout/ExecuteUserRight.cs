using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>
/// Who may name an execute-user in a step, or as a bastion, and change it: superusers, and those whom its <c>users</c> name; everybody with the operator's
/// right where they name nobody.
/// </summary>
internal static class ExecuteUserRight
{
    /// <summary>For a WHERE with the execute-user as <c>u</c>.</summary>
    public const string Visible = "(@SeesAll OR u.space_id = ANY(@Spaces) OR u.id = ANY(@Objects))";

    private const string FindSql = """
        SELECT u.id, u.alias_user, u.space_id, ARRAY(SELECT r.user_id FROM tasks.scheduler_execute_user_right r WHERE r.exec_user_id = u.id) AS users
        FROM tasks.scheduler_execute_user u WHERE u.alias_user = ANY(@Aliases) OR u.id = @Id ORDER BY u.alias_user
        """;

    private const string UsersSql = """
        SELECT user_id || ',,,' || nickname FROM tasks.scheduler_execute_user_right WHERE exec_user_id = @Id ORDER BY place
        """;

    private const string ForgetSql = """
        DELETE FROM tasks.scheduler_execute_user_right WHERE exec_user_id = @Id
        """;

    private const string KeepSql = """
        INSERT INTO tasks.scheduler_execute_user_right (exec_user_id, user_id, nickname, place)
        SELECT @Id, u.user_id, u.nickname, u.place FROM unnest(CAST(@Ids AS bigint[]), CAST(@Nicknames AS text[])) WITH ORDINALITY AS u(user_id, nickname,
            place)
        ON CONFLICT (exec_user_id, user_id) DO NOTHING
        """;

    /// <summary>The execute-user with this number; null when there is none.</summary>
    public static async Task<(Resource Resource, string Alias)?> Find(NpgsqlConnection connection, NpgsqlTransaction? transaction, long id) =>
        (await connection.QueryAsync<Row>(FindSql, new { Aliases = Array.Empty<string>(), Id = id }, transaction)).FirstOrDefault() is { } row
            ? (Of(row), row.AliasUser)
            : null;

    /// <summary>Refuses whoever may not change it.</summary>
    /// <exception cref="Refusal">There is none with this number, or it is not the caller's to change.</exception>
    public static async Task<Resource> DemandEdit(NpgsqlConnection connection, NpgsqlTransaction transaction, Access access, long id)
    {
        var (found, alias) = await Find(connection, transaction, id) ?? throw LibraryRules.NoSuchId;
        await access.Demand(Verbs.Edit, found, LibraryRules.NoSuchId, found.People.Count > 0 ? Closed(alias) : null);
        return found;
    }

    /// <summary>Refuses a name that the caller may not give to a step, or to another's way. One that does not exist is nobody's.</summary>
    /// <param name="isNew">Whether the caller brings it in; false: it is there already, and only those that name their users are closed.</param>
    /// <param name="space">That of the template; null where it is not for one.</param>
    /// <exception cref="Refusal">One of them is not for the caller, or of another space than the template; the text names it.</exception>
    public static async Task Demand(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        Access access,
        string[] aliases,
        bool isNew = true,
        long? space = null
    )
    {
        if (aliases.Length == 0) return;
        foreach (var row in (await connection.QueryAsync<Row>(FindSql, new { Aliases = aliases, Id = 0L }, transaction)).AsList())
        {
            var user = Of(row);
            var isClosed = user.People.Count > 0;
            var isTheirs = (!isNew && (!isClosed || user.People.Contains(access.Caller.UserId))) || await access.May(Verbs.Run, user);
            if (!isTheirs)
                throw await access.May(Verbs.See, user)
                    ? access.Refuse(Verbs.Run, user, isClosed ? Closed(row.AliasUser) : null)
                    : Refusal.Forbidden($"执行用户 {row.AliasUser} 不是你可以使用的", $"The execute-user {row.AliasUser} is not yours to use");
            if (space is { } own && user.Space != own && user.Space != Resource.DefaultSpace)
                throw Refusal.Forbidden(
                    $"执行用户 {row.AliasUser} 在另一个空间，模板只能使用本空间和 default 的执行用户",
                    $"The execute-user {row.AliasUser} is in another space; a template uses those of its own and of default"
                );
        }
    }

    /// <summary>Those who may name it, each <c>{user_id},,,{nickname}</c>.</summary>
    public static async Task<IReadOnlyList<string>> Users(NpgsqlConnection connection, NpgsqlTransaction transaction, long id) =>
        (await connection.QueryAsync<string>(UsersSql, new { Id = id }, transaction)).AsList();

    /// <summary>Puts others in their place.</summary>
    public static async Task Replace(NpgsqlConnection connection, NpgsqlTransaction transaction, long id, IEnumerable<(long Id, string Nickname)> users)
    {
        var all = users.ToList();
        await connection.ExecuteAsync(ForgetSql, new { Id = id }, transaction);
        await connection.ExecuteAsync(
            KeepSql,
            new
            {
                Id = id,
                Ids = all.Select(user => user.Id).ToArray(),
                Nicknames = all.Select(user => user.Nickname).ToArray(),
            },
            transaction
        );
    }

    private static Text Closed(string alias) =>
        new($"执行用户 {alias} 只有它的 users 中的人可以使用", $"The execute-user {alias} is for the people in its users alone");

    private static Resource Of(Row row) =>
        new(ResourceKind.ExecuteUser, row.Id.ToString(System.Globalization.CultureInfo.InvariantCulture), row.SpaceId) { People = row.Users };

    // With properties, because Dapper gives no array to a constructor.
    private sealed record Row
    {
        public long Id { get; init; }
        public string AliasUser { get; init; } = "";
        public long SpaceId { get; init; }
        public long[] Users { get; init; } = [];
    }
}

/// <summary>Finds execute-users for decisions that are asked about by name.</summary>
internal sealed class ExecuteUserResources : IResourceReader
{
    public string Kind => ResourceKind.ExecuteUser;

    public async Task<Resource?> Find(NpgsqlConnection connection, string id) =>
        long.TryParse(id, System.Globalization.CultureInfo.InvariantCulture, out var number)
            ? (await ExecuteUserRight.Find(connection, null, number))?.Resource
            : null;
}
