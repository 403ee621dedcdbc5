using System.Text.Json;
using Codo.Modules.Cron.Executions;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Cron.Jobs;

/// <summary>
/// Saves the content of an old version again: an edit like any other, under the same right, rules and quotas, which makes a new version. The space stays, since
/// it decides who may see the job, and a paused job stays paused.
/// </summary>
internal static class RestoreJobVersion
{
    /// <param name="Version">The version whose content is to come back.</param>
    /// <param name="Current">The version that must be the stored one still; absent is any.</param>
    internal sealed record Command(string? JobId, int? Version, int? Current) : IRequest<Result>;

    /// <param name="Version">The new version; the stored one where nothing has changed.</param>
    /// <param name="Changed">False where the job differs from the old version in nothing that comes back with one.</param>
    internal sealed record Result(
        string JobId,
        int Version,
        Text CronText,
        IReadOnlyList<string> NextRunTimes,
        IReadOnlyList<Text> Warnings,
        int From,
        bool Changed
    ) : Answer(Changed
        ? new Text($"版本 {From} 的内容已恢复，成为版本 {Version}", $"The content of version {From} is back, as version {Version}")
        : new Text(
            $"没有变化：内容与版本 {From} 相同，仍是版本 {Version}；空间不随版本改变",
            $"Nothing has changed: the content is that of version {From} already, and stays version {Version}; no version brings a space back"
        ));

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command.JobId).Must(id => !string.IsNullOrWhiteSpace(id)).Refuse("job id 不能为空", "job_id is missing");
            RuleFor(command => command.Version).NotNull().Refuse("version 不能为空", "version is missing");
            RuleFor(command => command.Version).Within(1, int.MaxValue, "version");
            RuleFor(command => command.Current).Within(1, int.MaxValue, "current");
        }
    }

    internal sealed class Handler(
        NpgsqlDataSource source,
        JobEnvironment environments,
        IRequestHandler<EditJob.Command, EditJob.Result> edits,
        IValidator<EditJob.Command> rules,
        Access access
    ) : IRequestHandler<Command, Result>
    {
        public async Task<Result> Handle(Command request, CancellationToken cancellationToken)
        {
            JobVersion version;
            IReadOnlyList<string> marked;
            await using (var connection = await source.OpenConnectionAsync(cancellationToken))
            {
                var job = await JobVersions.HeadOf(connection, access, Verbs.Edit, request.JobId!);
                version = await JobVersions.One(connection, job.Id, request.Version!.Value);
                marked = await JobVersions.Marked(connection, null, job.Id, job.Env, environments);
            }
            var edit = Edit(request, version, marked);
            rules.Demand(edit);
            var saved = await edits.Handle(edit, cancellationToken);
            return new Result(saved.JobId, saved.Version, saved.CronText, saved.NextRunTimes, saved.Warnings, request.Version!.Value, saved.Changed);
        }

        private EditJob.Command Edit(Command request, JobVersion version, IReadOnlyList<string> marked)
        {
            var old = JobContent.Of(version, [], environments, access);
            if (old.Variables is not { } variables)
                throw Refusal.Conflict(
                    $"版本 {version.Version} 的环境变量无法读取（主密钥不同或数据损坏）",
                    $"The environment of version {version.Version} does not read (another master key, or a damaged row)"
                );
            return new EditJob.Command(
                request.JobId,
                old.Text("cmd"),
                old.Text("cron"),
                old.Text("time_zone"),
                old.Number("timeout") ?? 0,
                old.Text("overlap"),
                old.Text("misfire"),
                old.Number("misfire_window"),
                old.Number("retries"),
                old.Number("retry_delay"),
                JsonSerializer.SerializeToElement(variables.Values),
                // What was ever marked stays marked: an old version does not show a secret again.
                [.. variables.Marked.Union(marked.Where(variables.Values.ContainsKey))],
                old.Text("working_directory"),
                old.Text("interpreter"),
                old.Text("encoding"),
                old.Text("run_as"),
                old.Text("node"),
                old.Text("description"),
                old.Words("tags"),
                old.Words("owners"),
                null
            )
            {
                Version = request.Current,
                RestoredFrom = version.Version,
            };
        }
    }
}
