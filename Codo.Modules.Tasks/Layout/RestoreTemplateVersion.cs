using System.Text.Json;
using System.Text.Json.Nodes;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>
/// Saves the steps, groups and words of an old version again: a save like any other, under the same right and rules, which makes a new version. Users and space
/// stay, since they decide who may do what; orders that were made from the template have copies and are not touched.
/// </summary>
internal static class RestoreTemplateVersion
{
    /// <param name="Version">The version whose content is to come back.</param>
    /// <param name="Current">The version that must be the stored one still; absent is any.</param>
    internal sealed record Command(long? TempId, int? Version, int? Current) : IRequest<Result>;

    /// <param name="Version">The new version.</param>
    internal sealed record Result(long TempId, int Version, IReadOnlyList<Text> Warnings, int From)
        : Answer(new Text($"版本 {From} 的内容已恢复，成为版本 {Version}", $"The content of version {From} is back, as version {Version}"));

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command.TempId).TemplateGiven();
            RuleFor(command => command.Version).NotNull().Refuse("version 不能为空", "version is missing");
            RuleFor(command => command.Version).Within(1, int.MaxValue, "version");
            RuleFor(command => command.Current).Within(1, int.MaxValue, "current");
        }
    }

    internal sealed class Handler(
        NpgsqlDataSource source,
        IRequestHandler<ReplaceSteps.Command, ReplaceSteps.Result> saves,
        IValidator<ReplaceSteps.Command> rules,
        Access access
    ) : IRequestHandler<Command, Result>
    {
        public async Task<Result> Handle(Command command, CancellationToken cancellationToken)
        {
            var id = command.TempId!.Value;
            TemplateVersion version;
            await using (var connection = await source.OpenConnectionAsync(cancellationToken))
            {
                // Not DemandSee: this is an attempt to change it, which the audit records also of a template that the caller may not see.
                var template = await TemplateRight.Find(connection, null, id) ?? throw TemplateRight.NoSuchTemplate;
                if (!await access.May(Verbs.See, template)) throw TemplateRight.NoSuchTemplate.AsHidden();
                version = await TemplateVersions.One(connection, id, command.Version!.Value);
            }
            var content = VersionContent.Of(version, access);
            ReplaceSteps.Command save;
            try
            {
                save = new ReplaceSteps.Command(
                    id,
                    [.. content.Steps.Select(step => step.Deserialize<ReplaceSteps.Step>(Json.Stored))],
                    [.. content.Groups.Select(group => group.Deserialize<ReplaceSteps.GroupProperties>(Json.Stored))],
                    content.Words is JsonArray words ? [.. words.Select(word => (string?)word)] : null,
                    null
                )
                {
                    Version = command.Current,
                    RestoredFrom = version.Version,
                };
            }
            catch (Exception error) when (error is JsonException or InvalidOperationException)
            {
                throw Refusal.Conflict($"版本 {version.Version} 的数据损坏", $"The row of version {version.Version} is damaged");
            }
            rules.Demand(save);
            var saved = await saves.Handle(save, cancellationToken);
            return new Result(id, saved.Version, saved.Warnings ?? [], version.Version);
        }
    }
}
