using Codo.Modules.Cron.Executions;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Npgsql;

namespace Codo.Modules.Cron.Jobs;

/// <summary>A job that waits for a second person, because a high-risk rule asks for one.</summary>
internal static class JobHold
{
    /// <summary>What POST and PUT say of it.</summary>
    /// <param name="wasHeld">Of a change: whether the job waited for a second person before it.</param>
    public static IEnumerable<Text> Warnings(JobRisk risk, bool isHeld, bool wasHeld = false)
    {
        if (isHeld) yield return new Text($"{risk.SecondCause.Zh}；任务已保存并暂停", $"{risk.SecondCause.En}; the job is saved and paused");
        // It may have been paused by a person before a rule held it.
        else if (wasHeld) yield return new Text("任务仍处于暂停：现在无需放行，请恢复", "The job is still paused: it needs no release now; resume it");
        else if (risk.Second is not null)
            yield return new Text("命令需要另一人放行，此前已放行", "The command needs a second person, who has released it before");
    }

    /// <summary>What a paused job needs to run again.</summary>
    /// <returns>The digest of the command that is released with it; empty when nothing has to be.</returns>
    /// <exception cref="Refusal">A rule blocks the command, or the caller is the one who cannot release it.</exception>
    public static async Task<string> Release(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        RiskRules rules,
        JobEnvironment environments,
        Caller caller,
        JobRow job
    )
    {
        var risk = JobRisk.Of(await rules.Read(connection, transaction), job.Cmd, job.Interpreter, () => environments.TryOpen(job.Env)?.Values);
        risk.Demand();
        if (!risk.NeedsSecond(job.Released)) return "";
        if (caller.UserId == (job.HeldBy ?? job.WriterId))
            throw Refusal.Forbidden(
                $"{risk.SecondCause.Zh}：最后保存它的人不能放行自己的修改",
                $"{risk.SecondCause.En}, and not whoever saved it last"
            );
        return risk.Digest;
    }
}
