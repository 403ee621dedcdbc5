using System.Globalization;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>Makes a token for a program, which may do some of what its owner may. It is shown this once.</summary>
internal static class CreateAccessToken
{
    /// <summary>What every token has that somebody asks for.</summary>
    internal interface IWanted
    {
        string? Name { get; }

        List<string>? Scopes { get; }

        int? Days { get; }
    }

    internal sealed record Command(string? Name, List<string>? Scopes, int? Days, List<string>? Networks) : IRequest<Result>, IWanted;

    internal sealed record Result(string Token, long TokenId, DateTime Expires) : Answer(Messages.Added);

    internal sealed class WantedValidator : AbstractValidator<IWanted>
    {
        private const int MostDays = 366;

        public WantedValidator()
        {
            RuleFor(command => command.Name).NotEmpty().Refuse("name 不能为空", "name is required").AtMost(100, "name");
            RuleFor(command => command.Scopes)
                .Must(scopes => scopes is { Count: > 0 } && scopes.All(scope => scope is not null && AccessTokens.AllScopes.Contains(scope)))
                .Refuse(
                    $"scopes 必填，每一项只能是 {string.Join(" | ", AccessTokens.AllScopes)}",
                    $"scopes is required, each one of {string.Join(" | ", AccessTokens.AllScopes)}"
                );
            RuleFor(command => command.Days).NotNull().Refuse("days 不能为空", "days is required").Within(1, MostDays, "days");
        }
    }

    internal sealed class Validator : AbstractValidator<Command>
    {
        private const int MostNetworks = 50;

        public Validator()
        {
            Include(new WantedValidator());
            RuleFor(command => command.Networks)
                .Must(networks => networks is null || (networks.Count <= MostNetworks && networks.All(IsNetwork)))
                .Refuse(
                    $"networks 最多 {MostNetworks} 个，每一个是地址或网段，如 10.0.0.0/8",
                    $"networks are at most {MostNetworks} addresses or networks, such as 10.0.0.0/8"
                );
        }

        private static bool IsNetwork(string? text)
        {
            if (text is null) return false;
            try
            {
                AccessTokens.ParseNetwork(text);
                return true;
            }
            catch (FormatException)
            {
                return false;
            }
        }
    }

    private const int MostOfPerson = 100;

    // The person's row is locked, so that the limit holds for requests at once.
    private const string CountSql = """
        SELECT (SELECT count(*) FROM accounts.access_token t WHERE t.user_id = p.user_id AND t.revoked_at IS NULL AND t.expires_at > clock_timestamp())
        FROM accounts.person p WHERE p.user_id = @UserId FOR UPDATE OF p
        """;

    private const string MakeSql = """
        INSERT INTO accounts.access_token (user_id, name, digest, hint, scopes, networks, of_superuser, expires_at)
        VALUES (@UserId, @Name, @Digest, @Hint, @Scopes, @Networks, @IsSuperuser, clock_timestamp() + make_interval(days => @Days))
        RETURNING token_id, expires_at
        """;

    /// <summary>The scopes once each, in the order of the roles' verbs.</summary>
    internal static string[] Ordered(List<string> scopes) => [.. AccessTokens.AllScopes.Where(scopes.Contains)];

    /// <summary>
    /// Writes a token of its owner and the line of the audit. It is a superuser's only if what asked for it is one's, whatever its person is now or becomes.
    /// The caller of this method commits, then refreshes <see cref="Revocations"/>.
    /// </summary>
    internal static async Task<(long Id, DateTime Expires)> Insert(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        AccessTokens tokens,
        Caller owner,
        string token,
        Command wanted
    )
    {
        if (await connection.QuerySingleAsync<long>(CountSql, new { owner.UserId }, transaction) >= MostOfPerson)
            throw Refusal.Conflict($"最多 {MostOfPerson} 个有效的访问令牌", $"You have {MostOfPerson} access tokens, the most there may be");
        var scopes = Ordered(wanted.Scopes!);
        var networks = wanted.Networks?.ToArray() ?? [];
        var made = await connection.QuerySingleAsync<(long Id, DateTime Expires)>(
            MakeSql,
            new
            {
                owner.UserId,
                Name = wanted.Name!.Trim(),
                Digest = tokens.Digest(token),
                Hint = token[^4..],
                Scopes = scopes,
                Networks = networks,
                owner.IsSuperuser,
                Days = wanted.Days!.Value,
            },
            transaction
        );
        await Audit.Write(
            connection,
            transaction,
            owner,
            "create",
            "access_token",
            made.Id.ToString(CultureInfo.InvariantCulture),
            after: new
            {
                name = wanted.Name,
                scopes,
                networks,
                made.Expires,
            }
        );
        await Revocations.Announce(connection, transaction);
        return made;
    }

    internal sealed class Handler(NpgsqlDataSource source, AccessTokens tokens, Revocations revocations, People people, Caller caller)
        : IRequestHandler<Command, Result>
    {
        public async Task<Result> Handle(Command request, CancellationToken cancellationToken)
        {
            if (caller.AccessTokenId is not null)
                throw Refusal.Forbidden("访问令牌不能创建访问令牌", "An access token does not make another one");
            // Whoever asks was let in just now, and may not be written yet.
            await people.Record(cancellationToken);
            var token = AccessTokens.Make();
            (long Id, DateTime Expires) made;
            await using (var connection = await source.OpenConnectionAsync(cancellationToken))
            await using (var transaction = await connection.BeginTransactionAsync(cancellationToken))
            {
                made = await Insert(connection, transaction, tokens, caller, token, request);
                await transaction.CommitAsync(cancellationToken);
            }

            await revocations.Refresh(cancellationToken);
            return new Result(token, made.Id, made.Expires);
        }
    }
}
