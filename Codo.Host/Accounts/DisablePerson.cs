using System.Globalization;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>Shuts a person out, or lets the person in again: a disabled person is refused with any token, on every node within a second.</summary>
internal static class DisablePerson
{
    internal sealed record Command(long? UserId, bool? Disabled, string? Reason) : IRequest<Answer>;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command.UserId).Must(id => id > 0).Refuse("user_id 必须大于 0", "user_id must be greater than 0");
            RuleFor(command => command.Disabled).NotNull().Refuse("disabled 不能为空", "disabled is required");
            RuleFor(command => command.Reason).AtMost(500, "reason");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, Revocations revocations, Caller caller) : IRequestHandler<Command, Answer>
    {
        private const string DisableSql = """
            UPDATE accounts.person SET disabled = @Disabled WHERE user_id = @UserId AND disabled <> @Disabled
            """;

        private const string ExistsSql = """
            SELECT EXISTS (SELECT FROM accounts.person WHERE user_id = @UserId)
            """;

        public async Task<Answer> Handle(Command request, CancellationToken cancellationToken)
        {
            if (request.UserId == caller.UserId) throw Refusal.Conflict("不能停用自己", "You cannot disable yourself");
            await using (var connection = await source.OpenConnectionAsync(cancellationToken))
            await using (var transaction = await connection.BeginTransactionAsync(cancellationToken))
            {
                var (id, disabled) = (request.UserId!.Value, request.Disabled!.Value);
                if (!await connection.ExecuteScalarAsync<bool>(ExistsSql, new { UserId = id }, transaction))
                    throw Refusal.NotFound("没有这个用户", "There is no such person");
                if (await Change(connection, transaction, caller, id, disabled, request.Reason))
                    await transaction.CommitAsync(cancellationToken);
            }

            await revocations.Refresh(cancellationToken);
            return new Answer(Messages.Edited);
        }

        /// <summary>Changes and announces it; false when the person is so already.</summary>
        public static async Task<bool> Change(
            NpgsqlConnection connection,
            NpgsqlTransaction transaction,
            Caller by,
            long userId,
            bool disabled,
            string? reason
        )
        {
            if (await connection.ExecuteAsync(DisableSql, new { UserId = userId, Disabled = disabled }, transaction) == 0) return false;
            await Audit.Write(
                connection,
                transaction,
                by,
                disabled ? "disable" : "enable",
                "person",
                userId.ToString(CultureInfo.InvariantCulture),
                after: new { disabled, Reason = reason ?? "" }
            );
            await Revocations.Announce(connection, transaction);
            return true;
        }
    }
}
