using System.Globalization;
using Codo.Modules.Cron.Executions;
using Codo.Platform.Http;
using Microsoft.AspNetCore.Components;
using Npgsql;

namespace Codo.Modules.Cron.Jobs;

/// <summary>The versions of a job: who changed what and when, two of them beside each other, and the button that brings one back.</summary>
public sealed partial class JobVersionsPage
{
    private const int Limit = 50;

    private string jobId = "";
    private string? mayNot;
    private ListJobVersions.Result list = null!;
    private ShowJobVersion.Result shown = null!;

    [Inject]
    private NpgsqlDataSource Source { get; set; } = null!;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Topics => ["jobs"];

    private string Api => $"/v1/cron/job/version/?job_id={Uri.EscapeDataString(jobId)}&version={shown?.Version}&with={shown?.With}";

    private string Heading =>
        shown.With is { } with
            ? T($"版本 {shown.Version} 与版本 {with} 的不同", $"Version {shown.Version} against version {with}")
            : T($"版本 {shown.Version}", $"Version {shown.Version}");

    private static string RestoreWords(int version) =>
        T(
            $"恢复到版本 {version}\n它的内容成为新的版本\n空间和暂停状态不变",
            $"Restore version {version}\nIts content becomes a new version\nSpace and pause stay"
        );

    private string Address(int version) => string.Create(CultureInfo.InvariantCulture, $"{JobPaths.Of(jobId)}/versions?version={version}");

    /// <inheritdoc/>
    protected override async Task Load()
    {
        jobId = Part("job_id");
        list = await Send(new ListJobVersions.Query(jobId, PageNumber, Limit));
        shown = await Send(new ShowJobVersion.Query(jobId, (int?)AskedNumber("version"), (int?)AskedNumber("with")));
        await using var connection = await Source.OpenConnectionAsync(Context.RequestAborted);
        if (await JobAccess.Find(connection, jobId) is { } job) mayNot = await MayNot(Verbs.Edit, job);
    }
}
