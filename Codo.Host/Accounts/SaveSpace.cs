using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>Makes a space.</summary>
internal static class CreateSpace
{
    internal sealed record Command(string? Name, string? Description, bool? Confirm) : IRequest<Result>, ISpaceFields;

    internal sealed record Result(long SpaceId) : Answer(Messages.Added);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(space => space.Name).NotNull().Refuse("名称不能为空", "The name is missing");
            this.Fields();
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, RulesReader rules, Caller caller) : IRequestHandler<Command, Result>
    {
        private const string InsertSql = """
            INSERT INTO accounts.space (name, description, confirm) VALUES (@Name, @Description, @Confirm) ON CONFLICT DO NOTHING RETURNING space_id
            """;

        public async Task<Result> Handle(Command request, CancellationToken cancellationToken)
        {
            var space = new { Name = request.Name!.Trim(), Description = request.Description ?? "", Confirm = request.Confirm ?? false };
            long id;
            await using (var connection = await source.OpenConnectionAsync(cancellationToken))
            await using (var transaction = await connection.BeginTransactionAsync(cancellationToken))
            {
                id = await connection.ExecuteScalarAsync<long?>(InsertSql, space, transaction) ?? throw SpaceFields.NameIsTaken;
                await Audit.Write(connection, transaction, caller, "create", "space", $"{id}", after: space);
                await transaction.CommitAsync(cancellationToken);
            }
            await rules.Refresh(cancellationToken);
            return new Result(id);
        }
    }
}

/// <summary>Changes the fields of a space that the request carries.</summary>
internal static class EditSpace
{
    [Echoed("verbs", "holds")]
    internal sealed record Command(long? SpaceId, string? Name, string? Description, bool? Confirm) : IRequest<Answer>, ISpaceFields;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(space => space.SpaceId).NotNull().Refuse("ID不能为空", "space_id is missing");
            this.Fields();
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, RulesReader rules, Access access) : IRequestHandler<Command, Answer>
    {
        private const string LockSql = """
            SELECT space_id, name, description, confirm FROM accounts.space WHERE space_id = @SpaceId FOR UPDATE
            """;

        private const string SaveSql = """
            UPDATE accounts.space SET name = @Name, description = @Description, confirm = @Confirm WHERE space_id = @SpaceId
            """;

        public async Task<Answer> Handle(Command request, CancellationToken cancellationToken)
        {
            var id = request.SpaceId!.Value;
            await access.Demand(Verbs.Admin, NamedObjects.OfSpace(id), SpaceFields.NoSuchSpace);
            await using (var connection = await source.OpenConnectionAsync(cancellationToken))
            await using (var transaction = await connection.BeginTransactionAsync(cancellationToken))
            {
                var before = await connection.QuerySingleOrDefaultAsync<Space>(LockSql, new { SpaceId = id }, transaction) ?? throw SpaceFields.NoSuchSpace;
                if (id == Resource.DefaultSpace && request.Name is { } name && name.Trim() != before.Name)
                    throw Refusal.Invalid("空间 default 不能改名", "The space default keeps its name");
                var after = before with
                {
                    Name = request.Name?.Trim() ?? before.Name,
                    Description = request.Description ?? before.Description,
                    Confirm = request.Confirm ?? before.Confirm,
                };
                try
                {
                    await connection.ExecuteAsync(SaveSql, after, transaction);
                }
                catch (PostgresException error) when (error.SqlState == PostgresErrorCodes.UniqueViolation)
                {
                    throw SpaceFields.NameIsTaken;
                }
                await Audit.Write(connection, transaction, access.Caller, "edit", "space", $"{id}", before, after);
                await transaction.CommitAsync(cancellationToken);
            }
            await rules.Refresh(cancellationToken);
            return new Answer(Messages.Edited);
        }
    }
}

/// <summary>Deletes a space in which nothing is any more; grants on it go with it.</summary>
internal static class DeleteSpace
{
    internal sealed record Command(long? SpaceId) : IRequest<Answer>;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(space => space.SpaceId).NotNull().Refuse("ID不能为空", "space_id is missing");
            RuleFor(space => space.SpaceId)
                .Must(id => id != Resource.DefaultSpace)
                .Refuse("空间 default 不能删除", "The space default stays");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, RulesReader rules, Caller caller) : IRequestHandler<Command, Answer>
    {
        private const string GrantsSql = $"""
            SELECT {RulesReader.Columns} FROM accounts.role_grant WHERE space_id = @SpaceId ORDER BY grant_id FOR UPDATE
            """;

        private const string DeleteSql = """
            DELETE FROM accounts.space WHERE space_id = @SpaceId RETURNING space_id, name, description, confirm
            """;

        public async Task<Answer> Handle(Command request, CancellationToken cancellationToken)
        {
            await using (var connection = await source.OpenConnectionAsync(cancellationToken))
            await using (var transaction = await connection.BeginTransactionAsync(cancellationToken))
            {
                var held = await SpaceUse.Of(connection, request.SpaceId!.Value, transaction);
                if (held.Count > 0) throw InUse(held);
                var grants = (await connection.QueryAsync<RoleGrant>(GrantsSql, request, transaction)).AsList();
                Space gone;
                try
                {
                    gone = await connection.QuerySingleOrDefaultAsync<Space>(DeleteSql, request, transaction) ?? throw SpaceFields.NoSuchSpace;
                }
                catch (PostgresException error) when (error.SqlState == PostgresErrorCodes.ForeignKeyViolation)
                {
                    throw InUse([]);
                }
                var before = new
                {
                    gone.SpaceId,
                    gone.Name,
                    gone.Description,
                    gone.Confirm,
                    grants,
                };
                await Audit.Write(connection, transaction, caller, "delete", "space", $"{request.SpaceId}", before);
                await transaction.CommitAsync(cancellationToken);
            }
            await rules.Refresh(cancellationToken);
            return new Answer(Messages.Deleted);
        }

        private static Refusal InUse(IReadOnlyList<HeldObjects> held)
        {
            var why = SpaceUse.WhyItStays(held);
            return Refusal.Conflict(why.Zh, why.En);
        }
    }
}

/// <summary>The fields that making and changing a space share.</summary>
internal interface ISpaceFields
{
    string? Name { get; }
    string? Description { get; }
}

/// <summary>What every field of a space may be.</summary>
internal static class SpaceFields
{
    public static readonly Refusal NameIsTaken = Refusal.Conflict("名称不能重复", "The name is taken", -2);

    public static readonly Refusal NoSuchSpace = Refusal.NotFound("空间不存在", "There is no such space");

    public static void Fields<T>(this AbstractValidator<T> validator) where T : ISpaceFields
    {
        validator.RuleFor(space => space.Name).AtMost(100, "name");
        validator
            .RuleFor(space => space.Name)
            .Must(name => name is null || (name.Trim().Length > 0 && !name.Trim().Any(letter => char.IsWhiteSpace(letter) || letter == ':')))
            .Refuse("name 不能为空，不能含空白和冒号", "name must not be empty, nor have blanks or colons");
        validator.RuleFor(space => space.Description).AtMost(4000, "description");
    }
}
