using System.Collections.Concurrent;
using Codo.Platform.Localization;
using CsCheck;
using static Codo.Tests.Modules.Cron.Schedules.CronExpressionTests;

namespace Codo.Tests.Modules.Cron.Schedules;

public sealed class CronWordsTests
{
    [Theory]
    [InlineData("* * * * * *", "每秒", "every second")]
    [InlineData("*/10 * * * * *", "每 10 秒", "every 10 seconds")]
    [InlineData("5/10 * * * * *", "每 10 秒（自第 5 秒起）", "every 10 seconds from second 5")]
    [InlineData("0,30 * * * * *", "每 30 秒", "every 30 seconds")]
    [InlineData("*/7 * * * * *", "每小时每分钟第 0、7、14、21、28、35、42、49、56 秒", "at seconds 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every minute of every hour")]
    [InlineData("0 * * * * *", "每分钟", "every minute")]
    [InlineData("30 * * * * *", "每分钟第 30 秒", "every minute at second 30")]
    [InlineData("0 */5 * * * *", "每 5 分钟", "every 5 minutes")]
    [InlineData("0 0,15,30,45 * * * *", "每 15 分钟", "every 15 minutes")]
    [InlineData("0 3/5 * * * *", "每 5 分钟（自每小时第 3 分起）", "every 5 minutes from minute 3 of the hour")]
    [InlineData("30 */5 * * * *", "每 5 分钟（自每小时第 0 分 30 秒起）", "every 5 minutes from minute 0, second 30 of the hour")]
    [InlineData("0 */25 * * * *", "每小时第 0、25、50 分第 0 秒", "at second 0 of minutes 0, 25 and 50 of every hour")]
    [InlineData("0 10/15 * * * *", "每 15 分钟（自每小时第 10 分起）", "every 15 minutes from minute 10 of the hour")]
    [InlineData("0 20/15 * * * *", "每小时第 20、35、50 分第 0 秒", "at second 0 of minutes 20, 35 and 50 of every hour")]
    [InlineData("0 0 * * * *", "每小时整点", "every hour on the hour")]
    [InlineData("0 20 * * * *", "每小时第 20 分", "every hour at minute 20")]
    [InlineData("15 20 * * * *", "每小时第 20 分 15 秒", "every hour at minute 20, second 15")]
    [InlineData("0 5 */2 * * *", "每 2 小时（自 00:05:00 起）", "every 2 hours, from 00:05:00")]
    [InlineData("0 5 1/2 * * *", "每 2 小时（自 01:05:00 起）", "every 2 hours, from 01:05:00")]
    [InlineData("0 0 */6 * * *", "每天 00:00:00、06:00:00、12:00:00、18:00:00", "at 00:00:00, 06:00:00, 12:00:00 and 18:00:00 every day")]
    [InlineData("0 0 */5 * * *", "每天 00:00:00、05:00:00、10:00:00、15:00:00、20:00:00", "at 00:00:00, 05:00:00, 10:00:00, 15:00:00 and 20:00:00 every day")]
    [InlineData("0 0 9-18 * * *", "09:00:00 至 18:00:00 每小时一次", "every hour from 09:00:00 to 18:00:00")]
    [InlineData("0 */10 9-18 * * *", "09:00:00 至 18:50:00 每 10 分钟", "every 10 minutes, from 09:00:00 to 18:50:00")]
    [InlineData("* * 3 * * *", "03:00:00 至 03:59:59 每秒", "every second, from 03:00:00 to 03:59:59")]
    [InlineData("0 * 9,12 * * *", "9、12 点内每分钟", "every minute, within hours 9 and 12")]
    [InlineData("0 */10 8-11,14-17 * * *", "8 至 11、14 至 17 点内每 10 分钟", "every 10 minutes, within hours 8 to 11 and 14 to 17")]
    [InlineData("0 1,2,3,10 1-5,8,9 * * *", "1 至 5、8、9 点第 1 至 3、10 分第 0 秒", "at second 0 of minutes 1 to 3 and 10 of hours 1 to 5, 8 and 9")]
    [InlineData("* 5 */2 * * *", "0、2、4、6、8、10、12、14、16、18、20、22 点第 5 分每秒", "every second of minute 5 of hours 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20 and 22")]
    [InlineData("0 0 3 * * *", "每天 03:00:00", "at 03:00:00 every day")]
    [InlineData("0 0 3 */1 1-12 0-6", "每天 03:00:00", "at 03:00:00 every day")]
    [InlineData("5,6 0 3,15 * * *", "每天 03:00:05、03:00:06、15:00:05、15:00:06", "at 03:00:05, 03:00:06, 15:00:05 and 15:00:06 every day")]
    [InlineData("0 30 9 * * 1-5", "每周一至周五 09:30:00", "at 09:30:00, every Monday to Friday")]
    [InlineData("0 30 9 * * sat-sun", "每周六、周日 09:30:00", "at 09:30:00, every Saturday and Sunday")]
    [InlineData("0 30 9 * * fri-sun", "每周五至周日 09:30:00", "at 09:30:00, every Friday to Sunday")]
    [InlineData("0 30 9 * * 0", "每周日 09:30:00", "at 09:30:00, every Sunday")]
    [InlineData("0 30 9 * * 0-3", "每周一至周三、周日 09:30:00", "at 09:30:00, every Monday to Wednesday and Sunday")]
    [InlineData("0 30 9 * * */2", "每周二、周四、周六、周日 09:30:00", "at 09:30:00, every Tuesday, Thursday, Saturday and Sunday")]
    [InlineData("0 */5 9-17 * * mon-fri", "每周一至周五，09:00:00 至 17:55:00 每 5 分钟", "every 5 minutes, from 09:00:00 to 17:55:00, every Monday to Friday")]
    [InlineData("0 0 0 * 1 1", "每年 1 月的周一 00:00:00", "at 00:00:00, every Monday of January")]
    [InlineData("0 0 0 * 1-3 *", "每年 1 月至 3 月的每天 00:00:00", "at 00:00:00, every day of January to March")]
    [InlineData("0 0 0 1,15 * *", "每月 1 日、15 日 00:00:00", "at 00:00:00, on days 1 and 15 of every month")]
    [InlineData("0 0 0 31 * *", "每月 31 日（当月有此日时） 00:00:00", "at 00:00:00, on day 31 (where there is one) of every month")]
    [InlineData("0 0 0 31 1,3 *", "每年 1 月、3 月的 31 日 00:00:00", "at 00:00:00, on day 31 of January and March")]
    [InlineData("0 0 0 29 2 *", "每年 2 月的 29 日（当月有此日时） 00:00:00", "at 00:00:00, on day 29 (where there is one) of February")]
    [InlineData("0 0 0 L * *", "每月最后一天 00:00:00", "at 00:00:00, on the last day of every month")]
    [InlineData("0 0 0 last 6,12 *", "每年 6 月、12 月的最后一天 00:00:00", "at 00:00:00, on the last day of June and December")]
    [InlineData("0 0 0 L-1 * *", "每月倒数第 2 天 00:00:00", "at 00:00:00, on the day 1 day before the last of every month")]
    [InlineData("0 0 0 L-29 * *", "每月倒数第 30 天（当月有此日时） 00:00:00", "at 00:00:00, on the day 29 days before the last (where there is one) of every month")]
    [InlineData("0 0 0 LW * *", "每月最后一个工作日（周一至周五） 00:00:00", "at 00:00:00, on the last working day (Monday to Friday) of every month")]
    [InlineData(
        "0 0 0 15W * *",
        "每月离 15 日最近的工作日（周一至周五，不跨月） 00:00:00",
        "at 00:00:00, on the working day (Monday to Friday, same month) nearest to day 15 of every month"
    )]
    [InlineData(
        "0 0 0 L-2W * *",
        "每月离倒数第 3 天最近的工作日（周一至周五，不跨月） 00:00:00",
        "at 00:00:00, on the working day (Monday to Friday, same month) nearest to the day 2 days before the last of every month"
    )]
    [InlineData("0 0 0 * * friL", "每月最后一个周五 00:00:00", "at 00:00:00, on the last Friday of every month")]
    [InlineData("0 0 0 * * 7L", "每月最后一个周日 00:00:00", "at 00:00:00, on the last Sunday of every month")]
    [InlineData("0 0 0 * * fri#2", "每月第 2 个周五 00:00:00", "at 00:00:00, on the second Friday of every month")]
    [InlineData("0 0 0 * 3 fri#5", "每年 3 月的第 5 个周五 00:00:00", "at 00:00:00, on the fifth Friday of March that has one")]
    [InlineData("0 0 0 13 * 5", "每月 13 日（仅当它是周五） 00:00:00", "at 00:00:00, on day 13 of every month, only if it falls on Friday")]
    [InlineData("0 0 0 L * 5L", "每月最后一天（仅当它是当月最后一个周五） 00:00:00", "at 00:00:00, on the last day of every month, only if it is the last Friday of its month")]
    public void Says_what_an_expression_means(string text, string zh, string en) => Parse(text).Describe().ShouldBe(new Text(zh, en));

    [Fact]
    public void Says_the_same_exactly_when_it_means_the_same()
    {
        var byZh = new ConcurrentDictionary<string, string>();
        var byEn = new ConcurrentDictionary<string, string>();
        var words = new ConcurrentDictionary<string, Text>();
        Gen.OneOf(Fields(NearlyField), Fields(OfFewValues)).Sample(text =>
        {
            if (!Codo.Modules.Cron.Schedules.CronExpression.TryParse(text, out var expression, out _, out _))
                return;
            var says = expression!.Describe();
            if (byZh.GetOrAdd(says.Zh, expression.Meaning) != expression.Meaning || byEn.GetOrAdd(says.En, expression.Meaning) != expression.Meaning
                || words.GetOrAdd(expression.Meaning, says) != says)
                throw new ShouldAssertException($"{expression.Meaning}: {says.Zh} {says.En}");
        }, iter: 8_000);
    }

    // So few that the same meaning comes up in many writings.
    private static Gen<string> OfFewValues(int index) => index switch
    {
        0 => Gen.OneOf("*", "0", "0-59", "30", "*/30", "0,30", "0-30/30", "1", "1,31"),
        1 => Gen.OneOf("*", "0", "*/1", "*/20", "0,20,40", "5", "5/20", "*/25", "0,5"),
        2 => Gen.OneOf("*", "0", "0-23", "9-17", "9", "*/2", "1/2", "*/5", "9,12", "9-11", "9,10,11"),
        3 => Gen.OneOf("*", "1", "1-31", "L", "last", "L-0", "L-1", "LW", "15W", "15", "31", "31W", "*/2"),
        4 => Gen.OneOf("*", "1", "1-12", "jan", "1,2", "1-3", "jan-mar"),
        _ => Gen.OneOf("*", "0", "7", "sun", "0-7", "1-7", "fri", "5L", "fril", "5#2", "5#5", "1-5", "0-5", "6,0", "sat-sun"),
    };
}
