using System.Text.Json;
using Codo.Modules.Alerts.Incidents;
using Codo.Modules.Alerts.Rules;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Alerts.Channels;

/// <summary>Changes the fields and settings that the request carries. Its kind stays.</summary>
internal static class EditChannel
{
    [Echoed("kind", "broken", "creator", "create_time", "update_time")]
    internal sealed record Command(
        long? ChannelId,
        string? Name,
        bool? Enabled,
        string? Language,
        int? RateLimit,
        int? Timeout,
        JsonElement? Settings,
        string? Space = null
    )
        : IRequest<Answer>,
            IChannelFields;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(channel => channel.ChannelId).NotNull().Refuse("ID不能为空", "channel_id is missing");
            this.Fields();
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, ChannelSettings channels, Notifier notifier, TimeProvider time, Access access, RunAsRule runAs)
        : IRequestHandler<Command, Answer>
    {
        private const string LockSql = $"""
            SELECT {ChannelRow.Columns} FROM alerts.channel
                WHERE channel_id = @ChannelId FOR UPDATE
            """;

        private const string UpdateSql = """
            UPDATE alerts.channel SET name = @Name, enabled = @Enabled, language = @Language, rate_limit = @RateLimit, timeout = @Timeout,
                settings = CAST(@Settings AS jsonb), secrets = @Secrets,
                space_id = @SpaceId, update_time = now()
            WHERE channel_id = @ChannelId
            """;

        public async Task<Answer> Handle(Command request, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var id = request.ChannelId!.Value;
            await AlertAccess.Demand(access, Verbs.Edit, await AlertAccess.Channel(connection, id));
            var before = await connection.QuerySingleOrDefaultAsync<ChannelRow>(LockSql, new { request.ChannelId }, transaction) ?? throw RuleFields.NoSuchId;
            // Asked again under the lock: somebody may have moved the channel meanwhile, and it must not go back to where it was.
            var resource = await AlertAccess.Demand(access, Verbs.Edit, await AlertAccess.Channel(connection, id));
            var (caller, space) = (access.Caller, await access.SpaceFor(resource, request.Space));
            var (settings, secrets) = channels.Store(caller, before.Kind, request.Settings, before.Stored);
            var after = before with
            {
                Name = request.Name ?? before.Name,
                Enabled = request.Enabled ?? before.Enabled,
                Language = request.Language ?? before.Language,
                RateLimit = request.RateLimit ?? before.RateLimit,
                Timeout = request.Timeout ?? before.Timeout,
                Settings = settings,
                Secrets = secrets,
                SpaceId = space,
            };
            var (old, now) = (channels.Masked(before.Kind, before.Stored), channels.Masked(before.Kind, after.Stored));
            if (old.TryGetValue(CommandChannel.RunAs, out var user) && now[CommandChannel.RunAs] == user && old.Any(pair => now[pair.Key] != pair.Value))
                await runAs.MayChange(connection, transaction, caller, user);
            try
            {
                await connection.ExecuteAsync(UpdateSql, after, transaction);
            }
            catch (PostgresException error) when (error.SqlState == PostgresErrorCodes.UniqueViolation)
            {
                throw RuleFields.NameIsTaken;
            }
            await Audit.Write(connection, transaction, caller, "edit", "alert_channel", $"{request.ChannelId}", Shown(before), Shown(after));
            if (after.Enabled && !before.Enabled) await OpenIncidents.Tell(connection, transaction, after.ChannelId, time.GetUtcNow().UtcDateTime);
            await transaction.CommitAsync(cancellationToken);
            notifier.Written.Set();
            return new Answer(Messages.Edited);
        }

        private object Shown(ChannelRow row) =>
            new
            {
                row.Name,
                row.Enabled,
                row.Language,
                row.RateLimit,
                row.Timeout,
                Space = access.NameOf(row.SpaceId),
                Settings = channels.Masked(row.Kind, row.Stored),
            };
    }
}
