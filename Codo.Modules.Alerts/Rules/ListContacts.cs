using Codo.Platform.Http;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Alerts.Rules;

/// <summary>
/// Codo's own contacts: a superuser sees all, everybody else their own. What codo-admin keeps in Redis is not listed here, and goes before it.
/// </summary>
internal static class ListContacts
{
    internal sealed record Query(int? Page, int? Limit, string? Name) : IRequest<Result>, IPaged;

    internal sealed record Result(List<View> Data, long Count) : Answer(Messages.Fetched);

    internal sealed record View(string Name, long? UserId, string Tel, string Email, string Feishu, DateTime UpdateTime);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => this.Paged();
    }

    internal sealed class Handler(NpgsqlDataSource source, Caller caller) : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 15;

        private const string Where = """
            WHERE (CAST(@Name AS text) IS NULL OR name = @Name) AND (@Super OR name = @Own)
            """;

        private const string ListSql = $"""
            SELECT name, user_id, tel, email, feishu, update_time FROM alerts.contact {Where} ORDER BY name LIMIT @Limit OFFSET @Offset;
            """;

        private const string CountSql = $"""
            SELECT count(*) FROM alerts.contact {Where}
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var both = await connection.QueryMultipleAsync(
                ListSql + CountSql,
                new
                {
                    request.Name,
                    Super = caller.IsSuperuser,
                    Own = caller.Username,
                    Limit = request.Limit ?? DefaultLimit,
                    Offset = request.Offset(DefaultLimit),
                }
            );
            var rows = (await both.ReadAsync<View>()).AsList();
            return new Result(rows, await both.ReadSingleAsync<long>());
        }
    }
}
