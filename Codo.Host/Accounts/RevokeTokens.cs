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
/// Takes tokens back before their end: one by its jti, or all that a person has had so far. Every node refuses them within a second, and what they hold open
/// ends.
/// </summary>
internal static class RevokeTokens
{
    internal sealed record Command(string? Jti, long? UserId, string? Reason) : IRequest<Answer>;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command)
                .Must(command => string.IsNullOrEmpty(command.Jti) != command.UserId is null)
                .Refuse("jti 和 user_id 必须填一个，且只填一个", "Give jti or user_id, and only one of them");
            RuleFor(command => command.Jti).AtMost(200, "jti");
            RuleFor(command => command.UserId).Must(id => id is null or > 0).Refuse("user_id 必须大于 0", "user_id must be greater than 0");
            RuleFor(command => command.Reason).AtMost(500, "reason");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, Revocations revocations, Caller caller) : IRequestHandler<Command, Answer>
    {
        private const string RevokeSql = """
            INSERT INTO accounts.revocation (jti, user_id, by_id, reason) VALUES (NULLIF(@Jti, ''), CAST(@UserId AS bigint), @By, @Reason)
            RETURNING revoked_at
            """;

        // Beside the moment up to which all is ended: what is over is shown as such and counts no more, and one that a clock ahead made later than that ends.
        private const string AccessTokensSql = """
            UPDATE accounts.access_token SET revoked_at = clock_timestamp() WHERE user_id = @UserId AND revoked_at IS NULL
                AND expires_at > clock_timestamp()
            """;

        public async Task<Answer> Handle(Command request, CancellationToken cancellationToken)
        {
            await using (var connection = await source.OpenConnectionAsync(cancellationToken))
            await using (var transaction = await connection.BeginTransactionAsync(cancellationToken))
            {
                var revokedAt = await connection.QuerySingleAsync<DateTime>(
                    RevokeSql,
                    new
                    {
                        Jti = request.Jti ?? "",
                        request.UserId,
                        By = caller.UserId,
                        Reason = request.Reason ?? "",
                    },
                    transaction
                );
                if (request.UserId is { } person)
                {
                    await connection.ExecuteAsync(AccessTokensSql, new { UserId = person }, transaction);
                    await Revocations.RevokeIssuedAfter(connection, transaction, person, revokedAt, caller.UserId);
                }
                await Audit.Write(
                    connection,
                    transaction,
                    caller,
                    "revoke",
                    request.UserId is null ? "token" : "person",
                    request.UserId?.ToString(CultureInfo.InvariantCulture) ?? request.Jti!,
                    after: new { request.Reason }
                );
                await Revocations.Announce(connection, transaction);
                await transaction.CommitAsync(cancellationToken);
            }

            await revocations.Refresh(cancellationToken);
            return new Answer(new Text("已撤销", "Revoked"));
        }
    }
}
