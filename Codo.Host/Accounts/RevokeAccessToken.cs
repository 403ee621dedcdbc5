using System.Globalization;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>Ends an access token: every node refuses it within a second, and what it holds open ends. Its owner may, and a superuser.</summary>
internal static class RevokeAccessToken
{
    internal sealed record Command(long? TokenId) : IRequest<Answer>;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(command => command.TokenId).NotNull().Refuse("token_id 不能为空", "token_id is required");
    }

    internal sealed class Handler(NpgsqlDataSource source, Revocations revocations, Caller caller) : IRequestHandler<Command, Answer>
    {
        private const string RevokeSql = """
            UPDATE accounts.access_token SET revoked_at = clock_timestamp()
            WHERE token_id = @TokenId AND revoked_at IS NULL AND (user_id = @UserId OR @IsSuperuser) RETURNING name
            """;

        public async Task<Answer> Handle(Command request, CancellationToken cancellationToken)
        {
            if (caller.AccessTokenId is not null && request.TokenId != caller.AccessTokenId && !caller.IsSuperuser)
                throw Refusal.Forbidden("访问令牌只能撤销自己", "An access token ends itself only");
            await using (var connection = await source.OpenConnectionAsync(cancellationToken))
            await using (var transaction = await connection.BeginTransactionAsync(cancellationToken))
            {
                var name =
                    await connection.QuerySingleOrDefaultAsync<string>(
                        RevokeSql,
                        new { request.TokenId, caller.UserId, caller.IsSuperuser },
                        transaction
                    ) ?? throw Refusal.NotFound("没有这个访问令牌", "There is no such access token");
                await Audit.Write(
                    connection,
                    transaction,
                    caller,
                    "revoke",
                    "access_token",
                    request.TokenId!.Value.ToString(CultureInfo.InvariantCulture),
                    before: new { name }
                );
                await Revocations.Announce(connection, transaction);
                await transaction.CommitAsync(cancellationToken);
            }

            await revocations.Refresh(cancellationToken);
            return new Answer(new Text("已撤销", "Revoked"));
        }
    }
}
