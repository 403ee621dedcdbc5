using System.Globalization;
using System.Text.RegularExpressions;
using Codo.Platform.Localization;

namespace Codo.Modules.Cron.Schedules;

/// <summary>What to write instead of an expression that other schedulers know and Codo does not.</summary>
internal static partial class CronHints
{
    private static readonly Dictionary<string, string> Nicknames = new(StringComparer.OrdinalIgnoreCase)
    {
        ["@yearly"] = "0 0 0 1 1 *",
        ["@annually"] = "0 0 0 1 1 *",
        ["@monthly"] = "0 0 0 1 * *",
        ["@weekly"] = "0 0 0 * * 0",
        ["@daily"] = "0 0 0 * * *",
        ["@midnight"] = "0 0 0 * * *",
        ["@hourly"] = "0 0 * * * *",
        ["@every_minute"] = "0 * * * * *",
        ["@every_second"] = "* * * * * *",
    };

    /// <summary>A hint for an expression that was refused; null where there is nothing better to say than what is wrong.</summary>
    public static Text? Of(string text)
    {
        text = text.Trim();
        if (text.StartsWith('@')) return Nickname(text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[0]);
        var fields = text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        if (fields.Length is < 5 or > 7)
            return new(
                "六个字段：秒 分 时 日 月 星期，例如每天 03:30 是 0 30 3 * * *",
                "Six fields: second minute hour day month weekday; each day at 03:30 is 0 30 3 * * *"
            );
        if (fields.Any(field => Hashed().IsMatch(field)))
            return Hash(fields);
        return fields.Length switch
        {
            5 => Crontab(fields),
            7 => Quartz("没有年份字段，去掉第七个", "There is no field for the year: leave the seventh out", fields[..6], fields[6] is "*" or "?"),
            _ when fields.Contains("?") => Quartz("用 * 代替 ?", "Write * in place of ?", fields, true),
            _ => null,
        };
    }

    private static Text Crontab(string[] fields)
    {
        const string Zh = "crontab 的五个字段前面要加上秒", En = "Put the second before crontab's five fields";
        string[] six = ["0", .. fields];
        // crontab(5): of day and weekday either will do, unless one of them begins with *.
        return !fields[2].StartsWith('*') && !fields[4].StartsWith('*') && IsRead(six)
            ? new(
                $"{Zh}，并拆成两个任务（crontab 里日和星期满足其一即可，这里须同时满足）",
                $"{En}, and make two jobs of it (crontab takes day or weekday, here both must match)"
            )
            : Said(Zh, En, six);
    }

    // The fields of Quartz without the year; isEachYear: they mean the same without it.
    private static Text Quartz(string zh, string en, string[] six, bool isEachYear)
    {
        if (Nth().Replace(six[5], "").Any(char.IsAsciiDigit))
            return new($"{zh}；Quartz 的星期数字从周日 = 1 数起，这里周日是 0 或 7", $"{en}; Quartz counts weekdays from Sunday = 1, here Sunday is 0 or 7");
        // Quartz has ? for the day or the weekday. Elsewhere the fields are others than they look like: AWS begins with the minute.
        var isQuartz = !six.Where((field, place) => field == "?" && place is not (3 or 5)).Any();
        return isQuartz && isEachYear ? Said(zh, en, [.. six.Select(field => field == "?" ? "*" : field)]) : new(zh, en);
    }

    private static Text Nickname(string word)
    {
        if (Nicknames.TryGetValue(word, out var fields)) return new($"{word} 写成 {fields}", $"Write {fields} for {word}");
        return word.Equals("@reboot", StringComparison.OrdinalIgnoreCase)
            ? new("没有 @reboot：Codo 不随机器启动执行命令，请用 systemd 服务", "There is no @reboot: Codo runs nothing when a machine starts; a systemd unit does")
            : new("不支持 @ 写法，请写六个字段：秒 分 时 日 月 星期", "Words with @ are not known: write six fields, second minute hour day month weekday");
    }

    // Jenkins spreads jobs by a hash of their names; here a number is chosen once and stays where it can be read.
    private static Text Hash(string[] fields)
    {
        var six = fields.Length == 5 ? ["0", .. fields] : fields[..6];
        int[] chosen = [17, 23, 3, 5, 5, 3];
        for (var place = 0; place < six.Length; place++)
        {
            var (number, bounds) = (chosen[place], CronField.Fields[place]);
            six[place] = Hashed().Replace(six[place], match => Unhashed(match, number, bounds));
        }
        return Said("没有 H：自己选一个数", "There is no H: choose a number", six);
    }

    private static string Unhashed(Match match, int number, CronField.Bounds bounds)
    {
        int Number(string group) => int.Parse(match.Groups[group].ValueSpan, CultureInfo.InvariantCulture);
        var hasLimits = match.Groups["low"].Success;
        var (low, high) = hasLimits ? (Number("low"), Number("high")) : (bounds.First, bounds.Last);
        if (!match.Groups["step"].Success) return $"{(hasLimits ? low : number)}";
        // The first of the times lies within the limits, and so do those that follow it.
        var (step, values) = (Number("step"), Math.Max(1, high - low + 1));
        return $"{low + number % Math.Min(step, values)}{(hasLimits ? $"-{high}" : "")}/{step}";
    }

    private static Text Said(string zh, string en, string[] fields)
    {
        var instead = string.Join(' ', fields);
        return IsRead(fields) ? new($"{zh}：{instead}", $"{en}: {instead}") : new(zh, en);
    }

    private static bool IsRead(string[] fields) => CronExpression.TryParse(string.Join(' ', fields), out _, out _, out _);

    [GeneratedRegex(@"^H(\((?<low>[0-9]{1,2})-(?<high>[0-9]{1,2})\))?(/(?<step>[1-9][0-9]?))?$", RegexOptions.CultureInvariant)]
    private static partial Regex Hashed();

    // Which one in the month is no number of a weekday.
    [GeneratedRegex("#[0-9]+")]
    private static partial Regex Nth();
}
