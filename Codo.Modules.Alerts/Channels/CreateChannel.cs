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

internal static class CreateChannel
{
    internal sealed record Command(
        string? Name,
        string? Kind,
        bool? Enabled,
        string? Language,
        int? RateLimit,
        int? Timeout,
        JsonElement? Settings,
        string? Space = null
    )
        : IRequest<Result>,
            IChannelFields;

    /// <param name="OpenIncidents">Incidents that are open, of which the channel tells at once.</param>
    internal sealed record Result(long ChannelId, int OpenIncidents) : Answer(Messages.Added);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator(IEnumerable<IChannel> channels)
        {
            RuleFor(channel => channel.Name).NotNull().Refuse("名称不能为空", "The name is missing");
            RuleFor(channel => channel.Kind).NotNull().Refuse("kind 不能为空", "kind is missing");
            RuleFor(channel => channel.Kind).OneOf("kind", [.. channels.Select(channel => channel.Kind)]);
            this.Fields();
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, ChannelSettings channels, Notifier notifier, TimeProvider time, Access access)
        : IRequestHandler<Command, Result>
    {
        private const string InsertSql = """
            INSERT INTO alerts.channel (name, kind, enabled, language, rate_limit, timeout, settings, secrets, creator, space_id)
            VALUES (@Name, @Kind, @Enabled, @Language, @RateLimit, @Timeout, CAST(@Settings AS jsonb), @Secrets, @Creator, @SpaceId)
            ON CONFLICT (name) DO NOTHING RETURNING channel_id
            """;

        public async Task<Result> Handle(Command request, CancellationToken cancellationToken)
        {
            var (caller, space) = (access.Caller, await access.SpaceForNew(ResourceKind.Channel, request.Space));
            var (settings, secrets) = channels.Store(caller, request.Kind!, request.Settings, before: null);
            var channel = new
            {
                request.Name,
                request.Kind,
                Enabled = request.Enabled ?? true,
                Language = request.Language ?? "zh",
                RateLimit = request.RateLimit ?? 20,
                Timeout = request.Timeout ?? 10,
                Settings = settings,
                Secrets = secrets,
                Creator = caller.Nickname,
                SpaceId = space,
            };
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var id = await connection.ExecuteScalarAsync<long?>(InsertSql, channel, transaction) ?? throw RuleFields.NameIsTaken;
            await Audit.Write(
                connection,
                transaction,
                caller,
                "create",
                "alert_channel",
                $"{id}",
                after: new
                {
                    channel.Name,
                    channel.Kind,
                    channel.Enabled,
                    channel.Language,
                    channel.RateLimit,
                    channel.Timeout,
                    Space = access.NameOf(space),
                    Settings = channels.Masked(request.Kind!, new Stored(settings, secrets)),
                }
            );
            var told = await OpenIncidents.Tell(connection, transaction, id, time.GetUtcNow().UtcDateTime);
            await transaction.CommitAsync(cancellationToken);
            notifier.Written.Set();
            return new Result(id, told);
        }
    }
}

/// <summary>The fields that making and changing a channel share.</summary>
internal interface IChannelFields
{
    string? Name { get; }
    string? Language { get; }
    int? RateLimit { get; }
    int? Timeout { get; }
}

internal static class ChannelFields
{
    public static void Fields<T>(this AbstractValidator<T> validator) where T : IChannelFields
    {
        validator.RuleFor(channel => channel.Name).AtMost(RuleFields.MaxName, "name");
        validator.RuleFor(channel => channel.Name).Must(name => name is null || !string.IsNullOrWhiteSpace(name)).Refuse("名称不能为空", "The name is empty");
        validator.RuleFor(channel => channel.Language).OneOf("language", "zh", "en");
        validator.RuleFor(channel => channel.RateLimit).Within(1, 10_000, "rate_limit");
        validator.RuleFor(channel => channel.Timeout).Within(1, 300, "timeout");
    }
}
