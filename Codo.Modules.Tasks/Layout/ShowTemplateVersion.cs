using System.Text.Json.Nodes;
using Codo.Platform.Http;
using Codo.Platform.Security;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>One version of a template, whole, and in which fields it differs from another one.</summary>
internal static class ShowTemplateVersion
{
    /// <param name="Version">Absent, the stored one.</param>
    /// <param name="With">The version that it is compared with; absent, the one before.</param>
    internal sealed record Query(long? TempId, int? Version, int? With) : IRequest<Result>;

    /// <param name="With">The version that it was compared with; null for the first, which nothing goes before.</param>
    /// <param name="Content">Its steps, groups, words and space as the template had them.</param>
    internal sealed record Result(
        int Version,
        int? With,
        DateTime At,
        long ById,
        string By,
        int? RestoredFrom,
        JsonObject Content,
        IReadOnlyList<FieldDifference> Differences
    ) : Answer(Messages.Fetched);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator()
        {
            RuleFor(query => query.TempId).TemplateGiven();
            RuleFor(query => query.Version).Within(1, int.MaxValue, "version");
            RuleFor(query => query.With).Within(1, int.MaxValue, "with");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Query, Result>
    {
        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            var id = query.TempId!.Value;
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await TemplateRight.DemandSee(connection, null, access, id);
            var version = await TemplateVersions.One(connection, id, query.Version ?? await TemplateVersions.Current(connection, null, id));
            var with = query.With is { } named
                ? await TemplateVersions.One(connection, id, named)
                : (await TemplateVersions.Some(connection, null, id, version.Version - 1)).FirstOrDefault();
            var content = VersionContent.Of(version, access);
            return new Result(
                version.Version,
                with?.Version,
                version.At,
                version.ById,
                version.ByName,
                version.RestoredFrom,
                content.Shown,
                with is null ? [] : content.Since(VersionContent.Of(with, access))
            );
        }
    }
}
