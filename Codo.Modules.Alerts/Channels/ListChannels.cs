using System.Text.Json.Serialization;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Alerts.Channels;

/// <summary>Channels, their secrets masked.</summary>
internal static class ListChannels
{
    internal sealed record Query(int? Page, int? Limit, long? ChannelId) : IRequest<Result>, IPaged;

    internal sealed record Result(List<View> Data, long Count) : Answer(Messages.Fetched);

    /// <param name="Broken">Why its settings do not read and nothing is sent by it; empty where they do.</param>
    internal sealed record View(
        long ChannelId,
        string Name,
        string Kind,
        bool Enabled,
        string Language,
        int RateLimit,
        int Timeout,
        Dictionary<string, string> Settings,
        string Space,
        Text Broken,
        [property: JsonIgnore] long SpaceId
    );

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => this.Paged();
    }

    internal sealed class Handler(NpgsqlDataSource source, ChannelSettings channels, Access access) : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 15;

        private const string Where =
            "(@SeesAll OR space_id = ANY(@Spaces) OR channel_id = ANY(@Objects)) AND (CAST(@ChannelId AS bigint) IS NULL OR channel_id = @ChannelId)";

        private const string ListSql = $"""
            SELECT {ChannelRow.Columns} FROM alerts.channel
            WHERE {Where} ORDER BY channel_id LIMIT @Limit OFFSET @Offset;
            """;

        private const string CountSql = $"""
            SELECT count(*) FROM alerts.channel WHERE {Where}
            """;

        private static readonly Text DoesNotRead = new(
            "设置无法读取（主密钥不同或数据损坏），请重新设置 settings",
            "The settings cannot be read: another master key, or a damaged row; set them again"
        );

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            var sight = access.Sees(ResourceKind.Channel);
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var both = await connection.QueryMultipleAsync(
                ListSql + CountSql,
                new
                {
                    request.ChannelId,
                    SeesAll = sight.All,
                    sight.Spaces,
                    Objects = sight.Numbers,
                    Limit = request.Limit ?? DefaultLimit,
                    Offset = request.Offset(DefaultLimit),
                }
            );
            var rows = (await both.ReadAsync<ChannelRow>()).Select(Shown).ToList();
            return new Result(rows, await both.ReadSingleAsync<long>());
        }

        private View Shown(ChannelRow row)
        {
            var (settings, isWhole) = channels.Shown(row.Kind, row.Stored);
            return new View(
                row.ChannelId,
                row.Name,
                row.Kind,
                row.Enabled,
                row.Language,
                row.RateLimit,
                row.Timeout,
                settings,
                access.NameOf(row.SpaceId),
                isWhole ? new Text("", "") : DoesNotRead,
                row.SpaceId
            );
        }
    }
}
