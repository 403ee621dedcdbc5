using System.Globalization;
using Codo.Platform.Events;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Host.Operations;

/// <summary>Sends a dead letter again: it waits for its turn in its stream, with all its attempts before it.</summary>
internal static class ResendMessage
{
    internal sealed record Command(long? MessageId) : IRequest<Answer>;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(command => command.MessageId).NotNull().Refuse("message_id 不能为空", "message_id is missing");
    }

    internal sealed class Handler(NpgsqlDataSource source, Outbox outbox, OutboxRelay relay, Caller caller) : IRequestHandler<Command, Answer>
    {
        private const string ReviveSql = """
            UPDATE platform.outbox SET dead_at = NULL, attempts = 0, next_try_at = clock_timestamp() WHERE message_id = @MessageId
                AND dead_at IS NOT NULL RETURNING kind || ' ' || stream
            """;

        public async Task<Answer> Handle(Command request, CancellationToken cancellationToken)
        {
            var id = request.MessageId!.Value;
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var message =
                await connection.ExecuteScalarAsync<string?>(ReviveSql, new { MessageId = id }, transaction)
                ?? throw Refusal.NotFound($"没有编号为 {id} 的死信", $"There is no dead letter {id}");
            await Audit.Write(connection, transaction, caller, "resend", "outbox", id.ToString(CultureInfo.InvariantCulture), after: new { message });
            await transaction.CommitAsync(cancellationToken);
            await relay.SayOverWithoutDeadLetters();
            outbox.Wake();
            return new Answer(new Text("已重新发送", "It is being sent again"));
        }
    }
}
