using Codo.Platform.Http;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Alerts.Channels;

/// <summary>Channels, their secrets masked.</summary>
internal static class ListChannels
{
    internal sealed record Query(int? Page, int? Limit, long? ChannelId) : IRequest<Result>, IPaged;

    internal sealed record Result(List<View> Data, long Count) : Answer(Say.Fetched);

    internal sealed record View(
        long ChannelId,
        string Name,
        string Kind,
        bool Enabled,
        string Language,
        int RateLimit,
        int Timeout,
        Dictionary<string, string> Settings
    );

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => this.Paged();
    }

    internal sealed class Handler(NpgsqlDataSource source, ChannelSettings channels) : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 15;

        private const string ListSql = $"""
            SELECT {ChannelRow.Columns} FROM alerts.channel
            WHERE CAST(@ChannelId AS bigint) IS NULL OR channel_id = @ChannelId ORDER BY channel_id LIMIT @Limit OFFSET @Offset;
            """;

        private const string CountSql = """
            SELECT count(*) FROM alerts.channel WHERE CAST(@ChannelId AS bigint) IS NULL OR channel_id = @ChannelId
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var both = await connection.QueryMultipleAsync(
                ListSql + CountSql,
                new
                {
                    request.ChannelId,
                    Limit = request.Limit ?? DefaultLimit,
                    Offset = request.Offset(DefaultLimit),
                }
            );
            var rows = (await both.ReadAsync<ChannelRow>())
                .Select(row => new View(
                    row.ChannelId,
                    row.Name,
                    row.Kind,
                    row.Enabled,
                    row.Language,
                    row.RateLimit,
                    row.Timeout,
                    channels.Masked(row.Kind, row.Stored)
                ))
                .ToList();
            return new Result(rows, await both.ReadSingleAsync<long>());
        }
    }
}
