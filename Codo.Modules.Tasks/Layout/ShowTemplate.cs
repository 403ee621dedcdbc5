using System.Data;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

internal static class ShowTemplate
{
    private static readonly Text Fetched = new("获取模板详情成功", "OK");

    internal sealed record Query(long? TempId) : IRequest<Result>;

    /// <param name="Version">Sent back with a change, it is refused where another version is stored by then.</param>
    internal sealed record Result(
        Content Data,
        IReadOnlyList<string> TempUser,
        IReadOnlyList<GroupRow> Groups,
        IReadOnlyList<string> TempArgs,
        string Space,
        int Version
    ) : Answer(Fetched);

    internal sealed record Content(IReadOnlyList<StepRow> TempList, IReadOnlyList<string> TempUser);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => RuleFor(query => query.TempId).TemplateGiven();
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Query, Result>
    {
        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            // One view of it all: another's save must not come between the steps and the groups.
            await using var transaction = await connection.BeginTransactionAsync(IsolationLevel.RepeatableRead, cancellationToken);
            var template = await TemplateRight.DemandSee(connection, transaction, access, query.TempId!.Value);
            var content = await TemplateContent.Read(connection, transaction, query.TempId!.Value);
            return new Result(
                new Content(content.Steps, content.Users),
                content.Users,
                content.Groups,
                content.Declared,
                access.NameOf(template.Space),
                await TemplateVersions.Current(connection, transaction, query.TempId!.Value)
            );
        }
    }
}
