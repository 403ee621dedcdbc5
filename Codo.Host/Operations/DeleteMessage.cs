using System.Globalization;
using Codo.Platform.Events;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Host.Operations;

/// <summary>Deletes a dead letter: nobody will hear of what it tells.</summary>
internal static class DeleteMessage
{
    internal sealed record Command(long? MessageId) : IRequest<Answer>;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(command => command.MessageId).NotNull().Refuse("message_id 不能为空", "message_id is missing");
    }

    internal sealed class Handler(NpgsqlDataSource source, OutboxRelay relay, Caller caller) : IRequestHandler<Command, Answer>
    {
        private const string DeleteSql = """
            DELETE FROM platform.outbox WHERE message_id = @MessageId AND dead_at IS NOT NULL RETURNING kind || ' ' || stream
            """;

        public async Task<Answer> Handle(Command request, CancellationToken cancellationToken)
        {
            var id = request.MessageId!.Value;
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var message =
                await connection.ExecuteScalarAsync<string?>(DeleteSql, new { MessageId = id }, transaction)
                ?? throw Refusal.NotFound($"没有编号为 {id} 的死信", $"There is no dead letter {id}");
            await Audit.Write(connection, transaction, caller, "delete", "outbox", id.ToString(CultureInfo.InvariantCulture), before: new { message });
            await transaction.CommitAsync(cancellationToken);
            await relay.SayOverWithoutDeadLetters();
            return new Answer(Messages.Deleted);
        }
    }
}
