using Codo.Modules.Alerts.Incidents;
using Codo.Modules.Alerts.Rules;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Alerts.Channels;

/// <summary>Deletes a channel; the record of what it has sent stays.</summary>
internal static class DeleteChannel
{
    internal sealed record Command(long? ChannelId) : IRequest<Answer>;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(channel => channel.ChannelId).NotNull().Refuse("ID不能为空", "channel_id is missing");
    }

    internal sealed class Handler(NpgsqlDataSource source, Undeliverable undeliverable, Access access, TimeProvider time) : IRequestHandler<Command, Answer>
    {
        private const string DeleteSql = """
            DELETE FROM alerts.channel WHERE channel_id = @ChannelId RETURNING name, kind
            """;

        private const string DropSql = """
            UPDATE alerts.delivery SET state = 'failed', ended_at = @Now, answer = 'the channel was deleted' WHERE channel_id = @ChannelId
                AND state = ANY(@From)
            RETURNING incident_id, round
            """;

        public async Task<Answer> Handle(Command request, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var channel = await AlertAccess.Demand(access, Verbs.Edit, await AlertAccess.Channel(connection, request.ChannelId!.Value));
            var gone = await connection.QuerySingleOrDefaultAsync<Gone>(DeleteSql, new { request.ChannelId }, transaction) ?? throw RuleFields.NoSuchId;
            var dropped = await connection.QueryAsync<GivenUp>(
                DropSql,
                new
                {
                    request.ChannelId,
                    Now = time.GetUtcNow().UtcDateTime,
                    From = DeliveryStates.From(DeliveryAction.GiveUp),
                },
                transaction
            );
            await undeliverable.GivenUp(connection, transaction, dropped.AsList());
            await ObjectGrants.Forget(connection, transaction, access.Caller, channel.Kind, channel.Id);
            await Audit.Write(connection, transaction, access.Caller, "delete", "alert_channel", $"{request.ChannelId}", before: gone);
            await transaction.CommitAsync(cancellationToken);
            return new Answer(Messages.Deleted);
        }

        private sealed record Gone(string Name, string Kind);
    }
}
