using Codo.Platform.Http;
using Codo.Platform.Security;

namespace Codo.Modules.Cron.Jobs;

/// <summary>Jobs that were deleted within 30 days, each with the button that brings it back.</summary>
public sealed partial class DeletedJobsPage
{
    private const int Limit = 50;

    private readonly Dictionary<long, string?> mayNot = [];
    private ListDeletedJobs.Result list = null!;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Topics => ["jobs"];

    /// <inheritdoc/>
    protected override async Task Load()
    {
        list = await Send(new ListDeletedJobs.Query(PageNumber, Limit));
        foreach (var space in list.Data.Select(row => row.SpaceId).Distinct())
            mayNot[space] = await MayNot(Verbs.Edit, Resource.Any(ResourceKind.Job, space));
    }

    private string? Reason(ListDeletedJobs.Row row) =>
        row.Taken ? T($"已有另一个任务叫 {row.JobId}", $"There is another job {row.JobId} by now")
        : row.Space.Length == 0 ? T("它的空间已删除：请用接口恢复，并指定 space", "Its space is gone: bring it back by the API, with space")
        : mayNot[row.SpaceId];
}
