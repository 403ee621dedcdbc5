using Codo.Modules.Alerts.Incidents;
using Codo.Modules.Alerts.Rules;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Alerts.Channels;

/// <summary>Sends one message at once, to the caller unless a superuser names others, and answers what came back.</summary>
internal static class TestChannel
{
    internal sealed record Command(long? ChannelId, string[]? People) : IRequest<Result>;

    /// <param name="Delivered">Whether the receiver took it.</param>
    /// <param name="Answer">What the receiver answered.</param>
    /// <param name="Warnings">What else keeps people from reading alerts.</param>
    internal sealed record Result(long DeliveryId, bool Delivered, string Answer, IReadOnlyList<Text> Warnings)
        : Answer(Delivered ? new Text("发送成功", "Sent") : new Text("发送失败", "Not sent"));

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(test => test.ChannelId).NotNull().Refuse("ID不能为空", "channel_id is missing");
            RuleFor(test => test.People).Must(RuleFields.Names).Refuse("people 最多 50 个，每个不超过 100 个字符", "people: 50 at most, of 100 characters at most");
        }
    }

    internal sealed class Handler(
        NpgsqlDataSource source,
        Sending sending,
        Contacts contacts,
        MessageTexts wording,
        Undeliverable undeliverable,
        PublicAddress address,
        Access access,
        TimeProvider time
    ) : IRequestHandler<Command, Result>
    {
        private const string ReadSql = $"""
            SELECT {ChannelRow.Columns} FROM alerts.channel
                WHERE channel_id = @ChannelId
            """;

        // Never due: a test is not repeated, also when this host dies in the middle of it.
        private const string BeginSql = """
            INSERT INTO alerts.delivery (channel_id, channel_name, reason, people, state, attempts, due_at, create_time, started_at)
            VALUES (@ChannelId, @Name, 'test', @People, 'sending', 1, 'infinity', @Now, @Now) RETURNING delivery_id
            """;

        private const string EndSql = """
            UPDATE alerts.delivery SET state = @State, ended_at = @Now, answer = @Answer WHERE delivery_id = @Id
            """;

        public async Task<Result> Handle(Command request, CancellationToken cancellationToken)
        {
            var caller = access.Caller;
            // The nickname does not count here: anybody can have one that is the name of somebody else, whose contact would be sent.
            string[] own = [caller.Username];
            var names = request.People is { Length: > 0 } named ? named : own;
            // The message has the telephone numbers and addresses of those whom it is for, and goes wherever the channel's editor has it go.
            if (!caller.IsSuperuser && names.Except(own, StringComparer.Ordinal).Any())
                throw Refusal.Forbidden("people 只能是自己，测试别人需要超级用户", "people: only a superuser tests on others than themselves");
            var (channel, id) = await Begin(request.ChannelId!.Value, names, cancellationToken);
            // The call may take as long as the channel's limit, 300 s: no connection of the pool waits with it.
            var outcome = await sending.Call(channel, wording.Test(id, caller.Nickname, channel.Language == "en", await contacts.Find(names)));
            // Recorded also when the caller has gone meanwhile.
            await End(id, outcome);
            return new Result(id, outcome.Taken, outcome.Answer, address.Warning is { } warning ? [warning] : []);
        }

        private async Task<(ChannelRow Channel, long Id)> Begin(long channelId, string[] names, CancellationToken cancellation)
        {
            await using var connection = await source.OpenConnectionAsync(cancellation);
            await using var transaction = await connection.BeginTransactionAsync(cancellation);
            await AlertAccess.Demand(access, Verbs.Edit, await AlertAccess.Channel(connection, channelId));
            var channel = await connection.QuerySingleOrDefaultAsync<ChannelRow>(ReadSql, new { ChannelId = channelId }, transaction)
                ?? throw RuleFields.NoSuchId;
            var id = await connection.ExecuteScalarAsync<long>(
                BeginSql,
                new
                {
                    channel.ChannelId,
                    channel.Name,
                    People = names,
                    Now = time.GetUtcNow().UtcDateTime,
                },
                transaction
            );
            await Audit.Write(connection, transaction, access.Caller, "test", "alert_channel", $"{channelId}", after: new { People = names });
            await transaction.CommitAsync(cancellation);
            return (channel, id);
        }

        private async Task End(long id, Outcome outcome)
        {
            await using var connection = await source.OpenConnectionAsync(CancellationToken.None);
            await connection.ExecuteAsync(
                EndSql,
                new
                {
                    Id = id,
                    State = outcome.Taken ? "sent" : "failed",
                    outcome.Answer,
                    Now = time.GetUtcNow().UtcDateTime,
                }
            );
            if (outcome.Taken) await undeliverable.Over(connection);
        }
    }
}
