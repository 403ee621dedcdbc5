using System.Data;
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
    internal sealed record Result(IReadOnlyList<Row> Data, long Count, int Version) : Answer(Messages.Fetched);

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

        // A template may be 8 MiB long, and as text and objects it takes many times that.
        private static readonly SemaphoreSlim OneAtATime = new(1);

        private const string RowsSql = $"""
            SELECT {TemplateVersions.Columns} FROM tasks.template_version WHERE temp_id = @TempId ORDER BY version DESC LIMIT @Limit OFFSET @Offset
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            var id = query.TempId!.Value;
            int version;
            long count;
            // No connection is held while others have their turn: lists in a queue would take them all.
            await using (var connection = await source.OpenConnectionAsync(cancellationToken))
            {
                await TemplateRight.DemandSee(connection, null, access, id);
                version = await TemplateVersions.Current(connection, null, id);
                count = await TemplateVersions.Count(connection, id);
            }
            await OneAtATime.WaitAsync(cancellationToken);
            try
            {
                return new Result(await Read(query, cancellationToken), count, version);
            }
            finally
            {
                OneAtATime.Release();
            }
        }

        // One row at a time: each is compared with the one that is read next, and no more than these two are held.
        private async Task<List<Row>> Read(Query query, CancellationToken cancellation)
        {
            var limit = query.Limit ?? DefaultLimit;
            var asked = new { query.TempId, Limit = limit + 1, Offset = query.Offset(DefaultLimit) };
            var data = new List<Row>();
            VersionContent? newer = null;
            await using var connection = await source.OpenConnectionAsync(cancellation);
            await using var reader = await connection.ExecuteReaderAsync(
                new CommandDefinition(RowsSql, asked, cancellationToken: cancellation),
                CommandBehavior.SequentialAccess
            );
            var parse = reader.GetRowParser<TemplateVersion>();
            while (await reader.ReadAsync(cancellation))
            {
                var row = parse(reader);
                var content = VersionContent.Of(row, access);
                if (newer is not null) data[^1] = data[^1] with { Changed = newer.Since(content).ConvertAll(Said) };
                if (data.Count < limit) data.Add(new Row(row.Version, row.At, row.ById, row.ByName, row.RestoredFrom, []));
                newer = content;
            }
            return data;
        }

        // A step is named by its name, which says more than its number.
        private static string Said(FieldDifference one) =>
            one.Of.Length == 0 ? one.Field : string.Join('.', one.Field.Split('.').Skip(2).Prepend(one.Of));
    }
}
