using System.Globalization;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>
/// Gives a person or a team a role on a space or on one object. Whoever grants is admin there, and grants no more than they have and for no longer.
/// </summary>
internal static class CreateGrant
{
    internal sealed record Command(long? UserId, long? TeamId, string? Role, string? Space, string? Object, string? Until) : IRequest<Result>;

    internal sealed record Result(long GrantId) : Answer(Messages.Added);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(grant => grant)
                .Must(grant => grant.UserId is null != grant.TeamId is null)
                .Refuse("user_id 和 team_id 必须填一个，且只填一个", "Give user_id or team_id, and only one of them");
            RuleFor(grant => grant)
                .Must(grant => string.IsNullOrWhiteSpace(grant.Space) != string.IsNullOrWhiteSpace(grant.Object))
                .Refuse("space 和 object 必须填一个，且只填一个", "Give space or object, and only one of them");
            RuleFor(grant => grant.UserId).Must(id => id is null or > 0).Refuse("user_id 必须大于 0", "user_id must be greater than 0");
            RuleFor(grant => grant.Role).NotNull().Refuse("role 不能为空", "role is missing");
            RuleFor(grant => grant.Role).OneOf("role", [.. Roles.All.Keys]);
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, NamedObjects objects, RulesReader rules, Access access, Zone zone, TimeProvider time)
        : IRequestHandler<Command, Result>
    {
        private const string TeamSql = """
            SELECT EXISTS (SELECT FROM accounts.team WHERE team_id = @TeamId)
            """;

        // One that has run out holds nothing: it is given again. The expressions are those of the index role_grant_once.
        private const string InsertSql = """
            INSERT INTO accounts.role_grant (user_id, team_id, role, space_id, kind, object_id, until, by_id, by_name)
            VALUES (@UserId, @TeamId, @Role, @SpaceId, @Kind, @ObjectId, @Until, @ById, @ByName)
            ON CONFLICT (coalesce(user_id, 0), coalesce(team_id, 0), role, coalesce(space_id, 0), coalesce(kind, ''), coalesce(object_id, ''))
                DO UPDATE SET until = excluded.until, by_id = excluded.by_id, by_name = excluded.by_name, create_time = clock_timestamp()
                WHERE role_grant.until <= clock_timestamp()
            RETURNING grant_id
            """;

        public async Task<Result> Handle(Command request, CancellationToken cancellationToken)
        {
            long id;
            await using (var connection = await source.OpenConnectionAsync(cancellationToken))
            await using (var transaction = await connection.BeginTransactionAsync(cancellationToken))
            {
                var named = string.IsNullOrWhiteSpace(request.Object) ? $"space:{request.Space!.Trim()}" : request.Object.Trim();
                var on = await objects.Find(connection, named, changes: true);
                var isSpace = on.Kind == ResourceKind.Space;
                if (!isSpace && (!on.IsOne || !ResourceKind.Granted.Contains(on.Kind)))
                    throw Refusal.Invalid("object 必须是一个已有的对象，且不能是订单", "object must be one that exists, and no order");
                if (!isSpace)
                {
                    // Looked for again: a deletion that was under way is over, and the grant would wait for the next object of that name.
                    await ObjectGrants.Hold(connection, transaction, on.Kind, on.Id);
                    on = await objects.Find(connection, named, changes: true);
                }
                await GrantRights.Demand(access, on, request.Role!);
                var until = GrantRights.Until(request.Until, zone, time);
                GrantRights.DemandEnd(access, on, until, zone, time);
                if (request.TeamId is not null && !await connection.ExecuteScalarAsync<bool>(TeamSql, new { request.TeamId }, transaction))
                    throw TeamFields.NoSuchTeam;
                var grant = new
                {
                    request.UserId,
                    request.TeamId,
                    request.Role,
                    SpaceId = isSpace ? on.Space : (long?)null,
                    Kind = isSpace ? null : on.Kind,
                    ObjectId = isSpace ? null : on.Id,
                    Until = until,
                    ById = access.Caller.UserId,
                    ByName = access.Caller.Nickname,
                };
                id =
                    await connection.ExecuteScalarAsync<long?>(InsertSql, grant, transaction)
                    ?? throw Refusal.Conflict("这个授权已经存在", "There is such a grant already");
                await Audit.Write(connection, transaction, access.Caller, "create", "grant", id.ToString(CultureInfo.InvariantCulture), after: grant);
                await transaction.CommitAsync(cancellationToken);
            }
            await rules.Refresh(cancellationToken);
            return new Result(id);
        }
    }
}

/// <summary>Changes a grant's role, or when it ends.</summary>
internal static class EditGrant
{
    /// <param name="Until">Empty is for good.</param>
    [Echoed("user_id", "username", "team_id", "team", "verbs", "space", "object", "kinds", "by", "source", "words")]
    internal sealed record Command(long? GrantId, string? Role, string? Until) : IRequest<Answer>;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(grant => grant.GrantId).NotNull().Refuse("ID不能为空", "grant_id is missing");
            RuleFor(grant => grant.Role).OneOf("role", [.. Roles.All.Keys]);
        }
    }

    internal sealed class Handler(
        NpgsqlDataSource source,
        IEnumerable<IResourceReader> readers,
        RulesReader rules,
        Access access,
        Zone zone,
        TimeProvider time
    ) : IRequestHandler<Command, Answer>
    {
        private const string SaveSql = """
            UPDATE accounts.role_grant SET role = @Role, until = @Until WHERE grant_id = @GrantId
            """;

        public async Task<Answer> Handle(Command request, CancellationToken cancellationToken)
        {
            await using (var connection = await source.OpenConnectionAsync(cancellationToken))
            await using (var transaction = await connection.BeginTransactionAsync(cancellationToken))
            {
                var (before, on) = await GrantRights.Lock(connection, transaction, readers, request.GrantId!.Value);
                await access.Demand(Verbs.Admin, on, GrantRights.NoSuchGrant);
                await GrantRights.Demand(access, on, before.Role);
                await GrantRights.Demand(access, on, request.Role ?? before.Role);
                var after = before with
                {
                    Role = request.Role ?? before.Role,
                    Until = request.Until is null ? before.Until : GrantRights.Until(request.Until, zone, time),
                };
                GrantRights.DemandEnd(access, on, after.Until, zone, time);
                try
                {
                    await connection.ExecuteAsync(SaveSql, new { after.GrantId, after.Role, after.Until }, transaction);
                }
                catch (PostgresException error) when (error.SqlState == PostgresErrorCodes.UniqueViolation)
                {
                    throw Refusal.Conflict("这个授权已经存在", "There is such a grant already");
                }
                await Audit.Write(connection, transaction, access.Caller, "edit", "grant", $"{request.GrantId}", before, after);
                await transaction.CommitAsync(cancellationToken);
            }
            await rules.Refresh(cancellationToken);
            return new Answer(Messages.Edited);
        }
    }
}

/// <summary>Takes a grant back. It holds no longer on any node within a second.</summary>
internal static class DeleteGrant
{
    internal sealed record Command(long? GrantId) : IRequest<Answer>;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(grant => grant.GrantId).NotNull().Refuse("ID不能为空", "grant_id is missing");
    }

    internal sealed class Handler(NpgsqlDataSource source, IEnumerable<IResourceReader> readers, RulesReader rules, Access access)
        : IRequestHandler<Command, Answer>
    {
        private const string DeleteSql = """
            DELETE FROM accounts.role_grant WHERE grant_id = @GrantId
            """;

        public async Task<Answer> Handle(Command request, CancellationToken cancellationToken)
        {
            await using (var connection = await source.OpenConnectionAsync(cancellationToken))
            await using (var transaction = await connection.BeginTransactionAsync(cancellationToken))
            {
                var (before, on) = await GrantRights.Lock(connection, transaction, readers, request.GrantId!.Value);
                await access.Demand(Verbs.Admin, on, GrantRights.NoSuchGrant);
                await GrantRights.Demand(access, on, before.Role);
                await connection.ExecuteAsync(DeleteSql, request, transaction);
                await Audit.Write(connection, transaction, access.Caller, "delete", "grant", $"{request.GrantId}", before: before);
                await transaction.CommitAsync(cancellationToken);
            }
            await rules.Refresh(cancellationToken);
            return new Answer(Messages.Deleted);
        }
    }
}

/// <summary>Who may grant what.</summary>
internal static class GrantRights
{
    private const string LockSql = $"""
        SELECT {RulesReader.Columns} FROM accounts.role_grant WHERE grant_id = @GrantId FOR UPDATE
        """;

    public static readonly Refusal NoSuchGrant = Refusal.NotFound("授权不存在", "There is no such grant");

    /// <summary>Refuses whoever is no admin there, or has not every verb of the role.</summary>
    public static async Task Demand(Access access, Resource on, string role)
    {
        if (!await access.May(Verbs.Admin, on)) throw access.Refuse(Verbs.Admin, on);
        foreach (var verb in Roles.Words.Values.Where(verb => Roles.All[role].HasFlag(verb)))
            if (!await access.May(verb, on)) throw access.Refuse(verb, on);
    }

    /// <summary>Refuses a grant that outlasts what makes the caller admin there: whoever is admin until Friday makes nobody admin for longer.</summary>
    /// <param name="until">UTC; null for good.</param>
    public static void DemandEnd(Access access, Resource on, DateTime? until, Zone zone, TimeProvider time)
    {
        if (access.Caller.IsSuperuser) return;
        var granters = access.Rules.Granters(on, time.GetUtcNow().UtcDateTime);
        var ends = access.Rules.GrantsOf(access.Caller.UserId).Intersect(granters).Select(grant => grant.Until).ToList();
        // No end is for good. Without a grant, which has just run out, there is no last end, and nothing is before it.
        if (ends.Contains(null) || until <= ends.Max()) return;
        var last = ends.Max() is { } end ? zone.Text(end) : "";
        throw Refusal.Forbidden($"你在此处的 admin 到 {last} 为止，授权不能更晚结束", $"You are admin here until {last}, and a grant of yours ends no later");
    }

    /// <summary>Locks a grant; answers it with what it is on. One on an object that is gone is a superuser's to delete.</summary>
    public static async Task<(RoleGrant Grant, Resource On)> Lock(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        IEnumerable<IResourceReader> readers,
        long id
    )
    {
        var grant = await connection.QuerySingleOrDefaultAsync<RoleGrant>(LockSql, new { GrantId = id }, transaction) ?? throw NoSuchGrant;
        if (grant.SpaceId is { } space) return (grant, NamedObjects.OfSpace(space));
        var on = readers.FirstOrDefault(reader => reader.Kind == grant.Kind) is { } reader ? await reader.Find(connection, grant.ObjectId!) : null;
        return (grant, on ?? new Resource(grant.Kind!, grant.ObjectId!, 0));
    }

    /// <summary>When a grant ends; null for good.</summary>
    /// <exception cref="Refusal">The text is no time, or one that is over.</exception>
    public static DateTime? Until(string? text, Zone zone, TimeProvider time)
    {
        if (string.IsNullOrWhiteSpace(text)) return null;
        if (!Times.TryParse(text, zone.Info, out var until)) throw Refusal.Invalid($"until {Times.Expected.Zh}", $"until {Times.Expected.En}");
        return until > time.GetUtcNow() ? until.UtcDateTime : throw Refusal.Invalid("until 必须晚于现在", "until must be after now");
    }
}
