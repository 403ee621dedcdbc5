using Codo.Platform.Http;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Hosts;

internal static class ListHostKeys
{
    private const int DefaultLimit = 100;

    internal sealed record Query(string? Host, int? Port, string? Path, int? Page, int? Limit) : IRequest<Result>, IPaged;

    internal sealed record Result(IReadOnlyList<Row> Data, long Count) : Answer(Messages.Fetched);

    /// <param name="ListId">The order that first met the host.</param>
    /// <param name="Path">The bastions on the way, <c>host:port</c> with commas between; empty when the host is reached directly.</param>
    /// <param name="AddedBy">Who gave the key before the first contact; empty when that contact pinned it.</param>
    internal sealed record Row(string Host, int Port, string KeyType, string Fingerprint, DateTime FirstSeen, long? ListId, string Path, string AddedBy);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator()
        {
            this.Paged();
            RuleFor(query => query.Port).Within(1, 65535, "port");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source) : IRequestHandler<Query, Result>
    {
        private const string RowsSql = """
            SELECT host, port, key_type, fingerprint, first_seen, list_id, path, added_by FROM tasks.host_keys
            WHERE (CAST(@Host AS text) IS NULL OR host = @Host) AND (CAST(@Port AS int) IS NULL OR port = @Port) AND (CAST(@Path AS text) IS NULL
                OR path = @Path)
            ORDER BY host, port, path LIMIT CAST(@Limit AS bigint) OFFSET CAST(@Offset AS bigint)
            """;

        private const string CountSql = """
            SELECT count(*) FROM tasks.host_keys
            WHERE (CAST(@Host AS text) IS NULL OR host = @Host) AND (CAST(@Port AS int) IS NULL OR port = @Port) AND (CAST(@Path AS text) IS NULL
                OR path = @Path)
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            var parameters = new
            {
                Host = query.Host is { } host ? HostKeys.Name(host) : null,
                query.Port,
                Path = query.Path is null ? null : HostKeys.NormalPath(query.Path),
                Limit = (long)(query.Limit ?? DefaultLimit),
                Offset = query.Offset(DefaultLimit),
            };
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            return new Result(
                (await connection.QueryAsync<Row>(RowsSql, parameters)).AsList(),
                await connection.ExecuteScalarAsync<long>(CountSql, parameters)
            );
        }
    }
}
