using Codo.Modules.Cron.Schedules;
using Codo.Platform.Localization;
using Codo.Platform.Processes;

namespace Codo.Modules.Cron.Jobs;

/// <summary>What POST and PUT of a job say beside their answer: when it runs next, and what is likely to be a mistake though it is accepted.</summary>
/// <param name="CronText">The expression in words.</param>
/// <param name="NextRunTimes">The next three times, in the job's zone.</param>
internal sealed record JobAdvice(Text CronText, IReadOnlyList<string> NextRunTimes, IReadOnlyList<Text> Warnings)
{
    private const int Times = 3, Day = 3, Weekday = 5;

    /// <param name="cmd">Null where a change does not carry it: then it was warned of before.</param>
    public static JobAdvice Of(CronExpression expression, TimeZoneInfo zone, DateTimeOffset now, string? cmd)
    {
        var next = new List<string>();
        for (var after = now; next.Count < Times && expression.Next(after, zone) is { } at; after = at)
            next.Add(Codo.Platform.Localization.Times.FormatWithOffset(at, zone));
        return new JobAdvice(expression.Describe(), next, [.. Warn(expression, cmd)]);
    }

    /// <summary>
    /// What is said of a folder that is not there. For a caller that holds no connection and no lock: its file system may be away, and is waited for.
    /// </summary>
    /// <param name="workingDirectory">Null where a change does not carry it: then it was warned of before.</param>
    /// <param name="runAs">Who the command runs as: of what the host may not see of that user's nothing is said.</param>
    public static async Task<IReadOnlyList<Text>> OfFolder(FolderCheck folders, string? workingDirectory, string runAs) =>
        !string.IsNullOrEmpty(workingDirectory)
        && CommandUser.TryFind(runAs, out var user, out _)
        && user.IsSeenThrough
        && await folders.Find(workingDirectory) == false
            ?
            [
                new(
                    $"工作目录 {workingDirectory} 在本机不存在，命令将无法启动",
                    $"The working directory {workingDirectory} does not exist on this machine: the command cannot start there"
                ),
            ]
            : [];

    private static IEnumerable<Text> Warn(CronExpression expression, string? cmd)
    {
        if (expression.Fields[Day] != "*" && expression.Fields[Weekday] != "*")
            yield return new("日和星期都已指定：这里两者必须同时满足，crontab 是满足其一即可", "Day and weekday are both given: here both must match, in crontab one of them is enough");
        if (cmd?.Contains('%', StringComparison.Ordinal) == true)
            yield return new("命令里的 % 原样交给 shell；crontab 把它当作换行，所以那里写成 \\%，这里要去掉反斜杠",
                "A % in the command reaches the shell as it is; crontab takes it for a line end, so what is written \\% there loses its backslash here");
    }
}
