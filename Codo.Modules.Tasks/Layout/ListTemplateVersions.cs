using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>The versions of a template, newest first: who made each of them, when, and in which fields it differs from the one before.</summary>
internal static class ListTemplateVersions
{
    internal sealed record Query(long? TempId, int? Page, int? Limit) : IRequest<Result>, IPaged;

    /// <param name="Version">The stored one.</param>
    internal sealed record Result(IReadOnlyList<Row> Data, long Count, int Version) : Answer(Say.Fetched);

    /// <param name="By">Who saved it; empty where the template was changed otherwise.</param>
    /// <param name="RestoredFrom">The version whose content came back as this one; null for an edit.</param>
    /// <param name="Changed">Fields that differ from the version before; none of the first, and where that is no longer kept.</param>
    internal sealed record Row(int Version, DateTime At, long ById, string By, int? RestoredFrom, IReadOnlyList<string> Changed);

    internal sealed class Validator : AbstractValidator<Query>
    {
        // Each row is compared with the one before, and a template is as long as its steps.
        private const int MostLimit = 200;

        public Validator()
        {
            RuleFor(query => query.TempId).TemplateGiven();
            RuleFor(query => query.Page).Within(1, int.MaxValue, "page");
            RuleFor(query => query.Limit).Within(1, MostLimit, "limit");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 20;

        private const string RowsSql = $"""
            SELECT {TemplateVersions.Columns} FROM tasks.template_version WHERE temp_id = @TempId ORDER BY version DESC LIMIT @Limit OFFSET @Offset
            """;

        private const string CountSql = """
            SELECT count(*) FROM tasks.template_version WHERE temp_id = @TempId
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            var limit = query.Limit ?? DefaultLimit;
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await TemplateRight.DemandSee(connection, null, access, query.TempId!.Value);
            var asked = new { query.TempId, Limit = limit + 1, Offset = query.Offset(DefaultLimit) };
            var rows = (await connection.QueryAsync<TemplateVersion>(RowsSql, asked)).AsList();
            var contents = rows.ConvertAll(row => VersionContent.Of(row, access));
            var data = rows.Take(limit)
                .Select((row, place) => new Row(row.Version, row.At, row.ById, row.ByName, row.RestoredFrom, Changed(contents, place)))
                .ToList();
            var version = await TemplateVersions.Current(connection, null, query.TempId!.Value);
            return new Result(data, await connection.ExecuteScalarAsync<long>(CountSql, asked), version);
        }

        private static List<string> Changed(List<VersionContent> contents, int place) =>
            place + 1 < contents.Count ? contents[place].Since(contents[place + 1]).ConvertAll(Said) : [];

        // A step is named by its name, which says more than its number.
        private static string Said(FieldDifference one) =>
            one.Of.Length == 0 ? one.Field : string.Join('.', one.Field.Split('.').Skip(2).Prepend(one.Of));
    }
}
