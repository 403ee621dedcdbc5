using Codo.Platform.Http;
using Codo.Platform.Security;

namespace Codo.Modules.Cron.Jobs;

/// <summary>The form of a job that is not there yet.</summary>
public sealed partial class NewJobPage
{
    private Dictionary<string, string> Values =>
        new(StringComparer.Ordinal) { ["cron"] = "0 0 3 * * *", ["time_zone"] = Zone.Info.Id, ["overlap"] = "skip", ["misfire"] = "once" };

    /// <inheritdoc/>
    protected override Task Load() =>
        MayNot(Right.ToMake(ResourceKind.Job)) is { } reason ? throw Refusal.Forbidden(reason, reason) : Task.CompletedTask;
}
