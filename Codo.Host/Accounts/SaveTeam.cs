using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>Makes a team.</summary>
internal static class CreateTeam
{
    internal sealed record Command(string? Name, string? Description) : IRequest<Result>, ITeamFields;

    internal sealed record Result(long TeamId) : Answer(Messages.Added);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(team => team.Name).NotNull().Refuse("名称不能为空", "The name is missing");
            this.Fields();
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, RulesReader rules, Caller caller) : IRequestHandler<Command, Result>
    {
        private const string InsertSql = """
            INSERT INTO accounts.team (name, description) VALUES (@Name, @Description) ON CONFLICT DO NOTHING RETURNING team_id
            """;

        public async Task<Result> Handle(Command request, CancellationToken cancellationToken)
        {
            var team = new { Name = request.Name!.Trim(), Description = request.Description ?? "" };
            long id;
            await using (var connection = await source.OpenConnectionAsync(cancellationToken))
            await using (var transaction = await connection.BeginTransactionAsync(cancellationToken))
            {
                id = await connection.ExecuteScalarAsync<long?>(InsertSql, team, transaction) ?? throw TeamFields.NameIsTaken;
                await Audit.Write(connection, transaction, caller, "create", "team", $"{id}", after: team);
                await transaction.CommitAsync(cancellationToken);
            }
            await rules.Refresh(cancellationToken);
            return new Result(id);
        }
    }
}

/// <summary>Changes the fields of a team that the request carries.</summary>
internal static class EditTeam
{
    [Echoed("people", "mine", "members")]
    internal sealed record Command(long? TeamId, string? Name, string? Description) : IRequest<Answer>, ITeamFields;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(team => team.TeamId).NotNull().Refuse("ID不能为空", "team_id is missing");
            this.Fields();
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, RulesReader rules, Caller caller) : IRequestHandler<Command, Answer>
    {
        private const string LockSql = """
            SELECT name, description FROM accounts.team WHERE team_id = @TeamId FOR UPDATE
            """;

        private const string SaveSql = """
            UPDATE accounts.team SET name = coalesce(@Name, name), description = coalesce(@Description, description) WHERE team_id = @TeamId
            """;

        public async Task<Answer> Handle(Command request, CancellationToken cancellationToken)
        {
            await using (var connection = await source.OpenConnectionAsync(cancellationToken))
            await using (var transaction = await connection.BeginTransactionAsync(cancellationToken))
            {
                var before = await connection.QuerySingleOrDefaultAsync<Row>(LockSql, new { request.TeamId }, transaction) ?? throw TeamFields.NoSuchTeam;
                try
                {
                    await connection.ExecuteAsync(SaveSql, new { request.TeamId, Name = request.Name?.Trim(), request.Description }, transaction);
                }
                catch (PostgresException error) when (error.SqlState == PostgresErrorCodes.UniqueViolation)
                {
                    throw TeamFields.NameIsTaken;
                }
                var after = await connection.QuerySingleAsync<Row>(LockSql, new { request.TeamId }, transaction);
                await Audit.Write(connection, transaction, caller, "edit", "team", $"{request.TeamId}", before, after);
                await transaction.CommitAsync(cancellationToken);
            }
            await rules.Refresh(cancellationToken);
            return new Answer(Messages.Edited);
        }

        private sealed record Row(string Name, string Description);
    }
}

/// <summary>Deletes a team with its grants. One that approves orders stays: nobody else may approve them.</summary>
internal static class DeleteTeam
{
    internal sealed record Command(long? TeamId) : IRequest<Answer>;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(team => team.TeamId).NotNull().Refuse("ID不能为空", "team_id is missing");
    }

    internal sealed class Handler(NpgsqlDataSource source, RulesReader rules, Caller caller) : IRequestHandler<Command, Answer>
    {
        private const string GrantsSql = $"""
            SELECT {RulesReader.Columns} FROM accounts.role_grant WHERE team_id = @TeamId ORDER BY grant_id FOR UPDATE
            """;

        // Whoever sets a rule that names the team holds it until the rule is there.
        private const string LockSql = """
            SELECT name FROM accounts.team WHERE team_id = @TeamId FOR UPDATE
            """;

        // The rule of a space that is gone is nobody's to change any more, and no order comes under it.
        private const string ApprovesSql = """
            SELECT (SELECT count(*) FROM tasks.approval_rule r WHERE r.team_id = @TeamId
                    AND (r.space_id IS NULL OR EXISTS (SELECT FROM accounts.space s WHERE s.space_id = r.space_id))) AS rules,
                (SELECT count(*) FROM tasks.order_approval a JOIN tasks.scheduler_task_list o USING (list_id)
                    WHERE a.team_id = @TeamId AND o.schedule <> 'OK') AS orders
            """;

        private const string DeleteSql = """
            DELETE FROM accounts.team WHERE team_id = @TeamId
            """;

        public async Task<Answer> Handle(Command request, CancellationToken cancellationToken)
        {
            await using (var connection = await source.OpenConnectionAsync(cancellationToken))
            await using (var transaction = await connection.BeginTransactionAsync(cancellationToken))
            {
                var name = await connection.ExecuteScalarAsync<string?>(LockSql, request, transaction) ?? throw TeamFields.NoSuchTeam;
                var (byRules, orders) = await connection.QuerySingleAsync<(long Rules, long Orders)>(ApprovesSql, request, transaction);
                if (byRules > 0 || orders > 0) throw Approves(byRules, orders);
                var grants = (await connection.QueryAsync<RoleGrant>(GrantsSql, request, transaction)).AsList();
                await connection.ExecuteAsync(DeleteSql, request, transaction);
                await Audit.Write(connection, transaction, caller, "delete", "team", $"{request.TeamId}", before: new { name, grants });
                await transaction.CommitAsync(cancellationToken);
            }
            await rules.Refresh(cancellationToken);
            return new Answer(Messages.Deleted);
        }

        private static Refusal Approves(long byRules, long inOrders)
        {
            var (rule, order) = (Text.Count(byRules, "条审批规则", "approval rule"), Text.Count(inOrders, "个未结束的订单", "open order"));
            return Refusal.Conflict(
                $"还有 {rule.Zh}和 {order.Zh}由此团队审批；请先修改规则、处理订单",
                $"The team is to approve by {rule.En} and in {order.En}; change the rules and settle the orders first"
            );
        }
    }
}

/// <summary>Puts a person into a team, or takes them out. What a group of the OpenID provider has put in, the provider takes out.</summary>
internal static class ChangeMember
{
    internal sealed record Add(long? TeamId, long? UserId) : IRequest<Answer>;

    internal sealed record Remove(long? TeamId, long? UserId) : IRequest<Answer>;

    internal sealed class AddValidator : AbstractValidator<Add>
    {
        public AddValidator() =>
            RuleFor(member => member)
                .Must(member => member.TeamId is not null && member.UserId is > 0)
                .Refuse("team_id 和 user_id 不能为空", "team_id and user_id are required");
    }

    internal sealed class RemoveValidator : AbstractValidator<Remove>
    {
        public RemoveValidator() =>
            RuleFor(member => member)
                .Must(member => member.TeamId is not null && member.UserId is > 0)
                .Refuse("team_id 和 user_id 不能为空", "team_id and user_id are required");
    }

    internal sealed class Handler(NpgsqlDataSource source, RulesReader rules, Caller caller) : IRequestHandler<Add, Answer>, IRequestHandler<Remove, Answer>
    {
        private const string ThereSql = """
            SELECT true FROM accounts.team WHERE team_id = @TeamId FOR KEY SHARE
            """;

        private const string AddSql = """
            INSERT INTO accounts.team_member (team_id, user_id) VALUES (@TeamId, @UserId) ON CONFLICT DO NOTHING
            """;

        private const string RemoveSql = """
            DELETE FROM accounts.team_member WHERE team_id = @TeamId AND user_id = @UserId AND source = 'manual'
            """;

        public Task<Answer> Handle(Add request, CancellationToken cancellationToken) =>
            Change(AddSql, "add member", request.TeamId!.Value, request.UserId!.Value, Messages.Added, cancellationToken);

        public Task<Answer> Handle(Remove request, CancellationToken cancellationToken) =>
            Change(RemoveSql, "remove member", request.TeamId!.Value, request.UserId!.Value, Messages.Deleted, cancellationToken);

        private async Task<Answer> Change(
            string sql,
            string action,
            long team,
            long user,
            Text done,
            CancellationToken cancellation
        )
        {
            var values = new { TeamId = team, UserId = user };
            await using (var connection = await source.OpenConnectionAsync(cancellation))
            await using (var transaction = await connection.BeginTransactionAsync(cancellation))
            {
                if (!await connection.ExecuteScalarAsync<bool>(ThereSql, values, transaction)) throw TeamFields.NoSuchTeam;
                if (await connection.ExecuteAsync(sql, values, transaction) > 0)
                    await Audit.Write(connection, transaction, caller, action, "team", $"{team}", after: new { user_id = user });
                await transaction.CommitAsync(cancellation);
            }
            await rules.Refresh(cancellation);
            return new Answer(done);
        }
    }
}

/// <summary>The fields that making and changing a team share.</summary>
internal interface ITeamFields
{
    string? Name { get; }
    string? Description { get; }
}

/// <summary>What every field of a team may be.</summary>
internal static class TeamFields
{
    public static readonly Refusal NameIsTaken = Refusal.Conflict("名称不能重复", "The name is taken", -2);

    public static readonly Refusal NoSuchTeam = Refusal.NotFound("团队不存在", "There is no such team");

    public static void Fields<T>(this AbstractValidator<T> validator) where T : ITeamFields
    {
        validator.RuleFor(team => team.Name).AtMost(100, "name");
        validator.RuleFor(team => team.Name).Must(name => name is null || !string.IsNullOrWhiteSpace(name)).Refuse("名称不能为空", "The name is empty");
        validator.RuleFor(team => team.Description).AtMost(4000, "description");
    }
}
