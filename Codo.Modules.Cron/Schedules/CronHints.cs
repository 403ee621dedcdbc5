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
            5 => Said("crontab 的五个字段前面要加上秒", "Put the second before crontab's five fields", ["0", .. fields]),
            7 => Said("没有年份字段，去掉第七个", "There is no field for the year: leave the seventh out", fields[..6]),
            _ when fields.Contains("?") => Said("用 * 代替 ?", "Write * in place of ?", [.. fields.Select(field => field == "?" ? "*" : field)]),
            _ => null,
        };
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
            var number = chosen[place];
            six[place] = Hashed().Replace(six[place], match => Unhashed(match, number));
        }
        return Said("没有 H：自己选一个数", "There is no H: choose a number", six);
    }

    private static string Unhashed(Match match, int number)
    {
        if (!match.Groups["step"].Success) return match.Groups["low"].Success ? match.Groups["low"].Value : $"{number}";
        var step = match.Groups["step"].Value;
        return $"{number % int.Parse(step, System.Globalization.CultureInfo.InvariantCulture)}/{step}";
    }

    private static Text Said(string zh, string en, string[] fields)
    {
        var instead = string.Join(' ', fields);
        return CronExpression.TryParse(instead, out _, out _, out _) ? new($"{zh}：{instead}", $"{en}: {instead}") : new(zh, en);
    }

    [GeneratedRegex(@"^H(\((?<low>\d{1,2})-\d{1,2}\))?(/(?<step>[1-9]\d?))?$", RegexOptions.CultureInvariant)]
    private static partial Regex Hashed();
}
