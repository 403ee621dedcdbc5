using System.Diagnostics;
using System.Globalization;
using Codo.Modules.Cron.Schedules;
using Codo.Platform.Localization;
using Cronos;
using CsCheck;
using CronExpression = Codo.Modules.Cron.Schedules.CronExpression;

namespace Codo.Tests.Modules.Cron.Schedules;

public sealed class CronExpressionTests
{
    [Theory]
    [InlineData("* * * * * *")]
    [InlineData("0 */5 * * * *")]
    [InlineData("0 0 3 * * *")]
    [InlineData("0 30 9 * * 1-5")]
    [InlineData("0 30 9 * * mon-fri")]
    [InlineData("0 30 9 * * MON-Fri")]
    [InlineData("0 0 0 * * sat-sun")]
    [InlineData("0 0 0 * * fri-sun")]
    [InlineData("0 0 0 * * 5-sun")]
    [InlineData("0 0 0 * * sun-tue")]
    [InlineData("0 0 0 * * sun")]
    [InlineData("0 0 0 * * 0")]
    [InlineData("0 0 0 * * 7")]
    [InlineData("0 0 0 * * 0-7")]
    [InlineData("0 0 0 * * 5-7")]
    [InlineData("0 0 0 * * */2")]
    [InlineData("0 0 0 * * mon,wed,fri")]
    [InlineData("0 0 0 1 jan,jul *")]
    [InlineData("0 0 0 1 1-12/3 *")]
    [InlineData("0 0 0 1 JAN-DEC *")]
    [InlineData("0 0 0 L * *")]
    [InlineData("0 0 0 l * *")]
    [InlineData("0 0 0 last * *")]
    [InlineData("0 0 0 LAST * *")]
    [InlineData("0 0 0 L-0 * *")]
    [InlineData("0 0 0 L-3 * *")]
    [InlineData("0 0 0 LW * *")]
    [InlineData("0 0 0 lw * *")]
    [InlineData("0 0 0 L-3W * *")]
    [InlineData("0 0 0 15W * *")]
    [InlineData("0 0 0 1w * *")]
    [InlineData("0 0 0 31W * *")]
    [InlineData("0 0 0 * * 5L")]
    [InlineData("0 0 0 * * friL")]
    [InlineData("0 0 0 * * FRIl")]
    [InlineData("0 0 0 * * fri#2")]
    [InlineData("0 0 0 * * 1#1")]
    [InlineData("0 0 0 * * 7#5")]
    [InlineData("0 0 0 13 * 5")]
    [InlineData("0 0 0 29 2 *")]
    [InlineData("0 0 0 29 2 1#5")]
    [InlineData("0 0 0 L-28 2 *")]
    [InlineData("0 0 0 1-31/2 * *")]
    [InlineData("0 5/10 * * * *")]
    [InlineData("*/59 */59 */23 */31 */12 */7")]
    [InlineData("0,15,30,45 0 0 * * *")]
    [InlineData("0 0-10,20,30-59/7 0 * * *")]
    [InlineData("0 */15,7 * * * *")]
    [InlineData("0 7,* * * * *")]
    [InlineData("00 01 02 03 04 05")]
    [InlineData("  0   0\t0  *\n*   * ")]
    [InlineData("59 59 23 31 12 7")]
    public void Takes_what_the_contract_names(string text)
    {
        CronExpression.TryParse(text, out var expression, out _, out var wrongFieldCount).ShouldBeTrue();
        wrongFieldCount.ShouldBeFalse();
        expression!.Fields.Count.ShouldBe(6);
        expression.Fields.ShouldBe(text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
        expression.ToString().ShouldBe(string.Join(' ', expression.Fields));
        expression.Next(At("2026-01-01T00:00:00Z"), TimeZoneInfo.Utc).ShouldNotBeNull();
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("   ")]
    [InlineData("*")]
    [InlineData("@daily")]
    [InlineData("@every_second")]
    [InlineData("*/5 * * * *")]
    [InlineData("0 0 * * *")]
    [InlineData("* * * * * * *")]
    [InlineData("0 0 12 * * ? 2026")]
    [InlineData("0 0 0 last fri * *")]
    public void Tells_a_wrong_number_of_fields_apart(string? text)
    {
        CronExpression.TryParse(text, out var expression, out var why, out var wrongFieldCount).ShouldBeFalse();
        expression.ShouldBeNull();
        wrongFieldCount.ShouldBeTrue();
        why.En.ShouldStartWith("six fields");
    }

    [Theory]
    [InlineData("60 * * * * *", "秒：“60” 超出范围 0–59", "second: \"60\" is out of range 0-59")]
    [InlineData("* 60 * * * *", "分：“60” 超出范围 0–59", "minute: \"60\" is out of range 0-59")]
    [InlineData("* 100 * * * *", "分：“100” 超出范围 0–59", "minute: \"100\" is out of range 0-59")]
    [InlineData("* * 24 * * *", "时：“24” 超出范围 0–23", "hour: \"24\" is out of range 0-23")]
    [InlineData("* * 5-25 * * *", "时：“25” 超出范围 0–23", "hour: \"25\" is out of range 0-23")]
    [InlineData("* * * 0 * *", "日：“0” 超出范围 1–31", "day: \"0\" is out of range 1-31")]
    [InlineData("* * * 32 * *", "日：“32” 超出范围 1–31", "day: \"32\" is out of range 1-31")]
    [InlineData("* * * * 0 *", "月：“0” 超出范围 1–12", "month: \"0\" is out of range 1-12")]
    [InlineData("* * * * 13 *", "月：“13” 超出范围 1–12", "month: \"13\" is out of range 1-12")]
    [InlineData("* * * * * 8", "星期：“8” 超出范围 0–7", "weekday: \"8\" is out of range 0-7")]
    [InlineData("*/0 * * * * *", "秒：步长不能为 0", "second: a step cannot be 0")]
    [InlineData("* 0-30/00 * * * *", "分：步长不能为 0", "minute: a step cannot be 0")]
    [InlineData("* */60 * * * *", "分：步长 “60” 应为 1–59 的数字", "minute: the step \"60\" must be a number from 1 to 59")]
    [InlineData("* * */24 * * *", "时：步长 “24” 应为 1–23 的数字", "hour: the step \"24\" must be a number from 1 to 23")]
    [InlineData("* */x * * * *", "分：步长 “x” 应为 1–59 的数字", "minute: the step \"x\" must be a number from 1 to 59")]
    [InlineData("* */ * * * *", "分：步长 “” 应为 1–59 的数字", "minute: the step \"\" must be a number from 1 to 59")]
    [InlineData("* */5/5 * * * *", "分：步长 “5/5” 应为 1–59 的数字", "minute: the step \"5/5\" must be a number from 1 to 59")]
    [InlineData("* */-5 * * * *", "分：步长 “-5” 应为 1–59 的数字", "minute: the step \"-5\" must be a number from 1 to 59")]
    [InlineData("* 30-10 * * * *", "分：范围 “30-10” 的起点大于终点", "minute: the range \"30-10\" is reversed")]
    [InlineData("* * 22-2 * * *", "时：范围 “22-2” 的起点大于终点", "hour: the range \"22-2\" is reversed")]
    [InlineData("* * * * dec-feb *", "月：范围 “dec-feb” 的起点大于终点", "month: the range \"dec-feb\" is reversed")]
    [InlineData("* * * * * fri-mon", "星期：范围 “fri-mon” 的起点大于终点", "weekday: the range \"fri-mon\" is reversed")]
    [InlineData("* * * * * 5-1", "星期：范围 “5-1” 的起点大于终点", "weekday: the range \"5-1\" is reversed")]
    [InlineData("* * * * * 5-0", "星期：范围 “5-0” 的起点大于终点", "weekday: the range \"5-0\" is reversed")]
    [InlineData("* * * * * 7-2", "星期：范围 “7-2” 的起点大于终点", "weekday: the range \"7-2\" is reversed")]
    [InlineData("0 0 0 ? * *", "日：不支持 ?，请用 *", "day: ? is not supported, use *")]
    [InlineData("0 0 0 * * ?", "星期：不支持 ?，请用 *", "weekday: ? is not supported, use *")]
    [InlineData("0 0 0 last_fri * *", "日：“last_fri” 不是 1–31 的数字", "day: \"last_fri\" is not a number from 1 to 31")]
    [InlineData("0 0 0 lastx * *", "日：“lastx” 不是 1–31 的数字", "day: \"lastx\" is not a number from 1 to 31")]
    [InlineData("0 0 0 * * last", "星期：“last” 不是 0–7 的数字，也不是 mon 这样的名称", "weekday: \"last\" is neither a number from 0 to 7 nor a name like mon")]
    [InlineData("0 0 0 * * L", "星期：“L” 的 L 前应为一个星期，例如 5L 或 friL", "weekday: the L of \"L\" must follow a weekday, as in 5L or friL")]
    [InlineData("0 0 0 * * 8L", "星期：“8L” 的 L 前应为一个星期，例如 5L 或 friL", "weekday: the L of \"8L\" must follow a weekday, as in 5L or friL")]
    [InlineData("0 0 0 * * fri#6", "星期：“fri#6” 应为 星期#第几个（1–5），例如 fri#2", "weekday: \"fri#6\" must be a weekday, # and 1 to 5, as in fri#2")]
    [InlineData("0 0 0 * * fri#0", "星期：“fri#0” 应为 星期#第几个（1–5），例如 fri#2", "weekday: \"fri#0\" must be a weekday, # and 1 to 5, as in fri#2")]
    [InlineData("0 0 0 * * #2", "星期：“#2” 应为 星期#第几个（1–5），例如 fri#2", "weekday: \"#2\" must be a weekday, # and 1 to 5, as in fri#2")]
    [InlineData("0 0 0 * * 1#1,3#1", "星期：“1#1” 不能放在列表中，L、W、# 须单独使用", "weekday: \"1#1\" cannot stand in a list: L, W and # stand alone")]
    [InlineData("0 0 0 1,L * *", "日：“L” 不能放在列表中，L、W、# 须单独使用", "day: \"L\" cannot stand in a list: L, W and # stand alone")]
    [InlineData("0 0 0 1W,15W * *", "日：“1W” 不能放在列表中，L、W、# 须单独使用", "day: \"1W\" cannot stand in a list: L, W and # stand alone")]
    [InlineData("0 0 0 32W * *", "日：“32W” 的 W 前应为一个 1–31 的数字或 L", "day: the W of \"32W\" must follow one number from 1 to 31, or L")]
    [InlineData("0 0 0 1-5W * *", "日：“1-5W” 的 W 前应为一个 1–31 的数字或 L", "day: the W of \"1-5W\" must follow one number from 1 to 31, or L")]
    [InlineData("0 0 0 L-31 * *", "日：“L-31” 应为 L-0 至 L-30", "day: \"L-31\" must be L-0 to L-30")]
    [InlineData("0 0 0 5L * *", "日：“5L” 不是 1–31 的数字", "day: \"5L\" is not a number from 1 to 31")]
    [InlineData("0 0 L * * *", "时：“L” 不是 0–23 的数字", "hour: \"L\" is not a number from 0 to 23")]
    [InlineData("0 0 0 * january *", "月：“january” 不是 1–12 的数字，也不是 jan 这样的名称", "month: \"january\" is neither a number from 1 to 12 nor a name like jan")]
    [InlineData("0 0 0 * mon *", "月：“mon” 不是 1–12 的数字，也不是 jan 这样的名称", "month: \"mon\" is neither a number from 1 to 12 nor a name like jan")]
    [InlineData("0 0 0 * * friday", "星期：“friday” 不是 0–7 的数字，也不是 mon 这样的名称", "weekday: \"friday\" is neither a number from 0 to 7 nor a name like mon")]
    [InlineData("1,,2 * * * * *", "秒：列表中有空项", "second: an item of the list is empty")]
    [InlineData("1, * * * * *", "秒：列表中有空项", "second: an item of the list is empty")]
    [InlineData(", * * * * *", "秒：列表中有空项", "second: an item of the list is empty")]
    [InlineData("1- * * * * *", "秒：“” 不是 0–59 的数字", "second: \"\" is not a number from 0 to 59")]
    [InlineData("-1 * * * * *", "秒：“” 不是 0–59 的数字", "second: \"\" is not a number from 0 to 59")]
    [InlineData("*-5 * * * * *", "秒：“*” 不是 0–59 的数字", "second: \"*\" is not a number from 0 to 59")]
    [InlineData("1-2-3 * * * * *", "秒：“2-3” 不是 0–59 的数字", "second: \"2-3\" is not a number from 0 to 59")]
    [InlineData("+5 * * * * *", "秒：“+5” 不是 0–59 的数字", "second: \"+5\" is not a number from 0 to 59")]
    [InlineData("1.5 * * * * *", "秒：“1.5” 不是 0–59 的数字", "second: \"1.5\" is not a number from 0 to 59")]
    [InlineData("H * * * * *", "秒：“H” 不是 0–59 的数字", "second: \"H\" is not a number from 0 to 59")]
    [InlineData("** * * * * *", "秒：“**” 不是 0–59 的数字", "second: \"**\" is not a number from 0 to 59")]
    [InlineData("＊ * * * * *", "秒：“＊” 含有 ASCII 以外的字符（例如全角字符）", "second: \"＊\" has characters beyond ASCII (full-width ones, for example)")]
    [InlineData("٣ * * * * *", "秒：“٣” 含有 ASCII 以外的字符（例如全角字符）", "second: \"٣\" has characters beyond ASCII (full-width ones, for example)")]
    [InlineData("0 0 0 laſt * *", "日：“laſt” 含有 ASCII 以外的字符（例如全角字符）", "day: \"laſt\" has characters beyond ASCII (full-width ones, for example)")]
    [InlineData("0 0 0 30 2 *", "日、月、星期：没有同时满足的日期", "day, month, weekday: no date matches all three")]
    [InlineData("0 0 0 31 4,6,9,11 *", "日、月、星期：没有同时满足的日期", "day, month, weekday: no date matches all three")]
    [InlineData("0 0 0 L-29 2 *", "日、月、星期：没有同时满足的日期", "day, month, weekday: no date matches all three")]
    [InlineData("0 0 0 1 * mon#2", "日、月、星期：没有同时满足的日期", "day, month, weekday: no date matches all three")]
    [InlineData("0 0 0 15W * sun", "日、月、星期：没有同时满足的日期", "day, month, weekday: no date matches all three")]
    public void Refuses_the_rest_and_names_the_field_and_why(string text, string zh, string en)
    {
        CronExpression.TryParse(text, out var expression, out var why, out var wrongFieldCount).ShouldBeFalse();
        expression.ShouldBeNull();
        wrongFieldCount.ShouldBeFalse();
        why.ShouldBe(new Text(zh, en));
    }

    [Fact]
    public void Refuses_what_is_too_long_before_looking_at_it()
    {
        var watch = Stopwatch.StartNew();
        foreach (var piece in new[] { "*", "1,", " ", "* ", "1-", "*/", "L", "#", "\0", "日", "0 0 0 " })
        {
            var text = string.Concat(Enumerable.Repeat(piece, 10_000));
            CronExpression.TryParse(text, out _, out var why, out var wrongFieldCount).ShouldBeFalse();
            wrongFieldCount.ShouldBeFalse();
            why.En.ShouldBe("the expression is longer than 200 characters");
        }

        CronExpression.TryParse(new string(' ', 189) + "* * * * * *", out _, out _, out _).ShouldBeTrue();
        CronExpression.TryParse(new string(' ', 190) + "* * * * * *", out _, out _, out _).ShouldBeFalse();
        watch.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(15));
    }

    [Fact]
    public void Searches_for_rare_and_missing_dates_in_bounded_time()
    {
        var watch = Stopwatch.StartNew();
        foreach (var text in new[]
                 {
                     "59 59 23 30 2 *", "* * * 31W 2,4,6,9,11 *", "* * * L-29W 2 1#5", "0 0 0 29 2 7#5", "0 0 0 15W * 6", "0 0 0 29W 2 sun", "* * * 1-31 2 5#5",
                 })
        {
            if (CronExpression.TryParse(text, out var expression, out _, out _))
                expression!.Next(At("2099-01-01T00:00:00Z"), Zone("America/New_York"));
        }

        watch.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(15));
    }

    [Fact]
    public void Never_throws_whatever_comes() =>
        Gen.OneOf(Gen.String, Gen.String[Gen.Char["0123456789*/-,LlWw#? \tsunmojafehd@\n"], 0, 210], Fields(NearlyField)).Sample(text =>
        {
            if (!CronExpression.TryParse(text, out var expression, out var why, out var wrongFieldCount))
            {
                (why.Zh.Length > 0 && why.En.Length > 0).ShouldBeTrue();
                return;
            }

            wrongFieldCount.ShouldBeFalse();
            expression!.Describe().En.ShouldNotBeEmpty();
            expression.Next(DateTimeOffset.MinValue, TimeZoneInfo.Utc);
            expression.Next(DateTimeOffset.MaxValue, TimeZoneInfo.Utc).ShouldBeNull();
        }, iter: 6_000);

    [Fact]
    public void Takes_only_what_Cronos_takes_and_understands_it_the_same()
    {
        var taken = 0;
        Fields(NearlyField).Sample(text =>
        {
            if (!CronExpression.TryParse(text, out var expression, out _, out _))
                return;
            Interlocked.Increment(ref taken);

            // Cronos has no name for the last day, takes no star in a list, and counts wrongly from one Sunday to the other.
            if (
                !text.Contains("last", StringComparison.OrdinalIgnoreCase)
                && !text.Contains("7-sun", StringComparison.OrdinalIgnoreCase)
                && Cronos.CronExpression.TryParse(text, CronFormat.IncludeSeconds, out var cronos)
            )
                expression!.Meaning.ShouldBe(cronos.ToString());
        },
                iter: 6_000
            );
        taken.ShouldBeGreaterThan(150);
    }

    [Fact]
    public void A_parsed_expression_written_out_is_read_as_the_same() =>
        Fields(NearlyField).Where(text => CronExpression.TryParse(text, out _, out _, out _)).Sample(text =>
        {
            var first = Parse(text);
            Parse(first.ToString()).Meaning.ShouldBe(first.Meaning);
            Parse(first.ForCronos).Meaning.ShouldBe(first.Meaning);
            Cronos.CronExpression.Parse(first.ForCronos, CronFormat.IncludeSeconds).ToString().ShouldBe(first.Meaning);
            Parse(text.ToUpperInvariant()).Meaning.ShouldBe(first.Meaning);
        }, iter: 500);

    [Theory]
    [InlineData("0 0 3 * * *", "2026-11-22T19:00:00+08:00", "2026-11-23 03:00:00")]
    [InlineData("0 30 9 * * 1-5", "2026-11-20T10:00:00+08:00", "2026-11-23 09:30:00")]
    [InlineData("0 0 0 * * 0", "2026-11-19T00:00:00+08:00", "2026-11-22 00:00:00")]
    [InlineData("0 0 0 * * 7", "2026-11-19T00:00:00+08:00", "2026-11-22 00:00:00")]
    [InlineData("0 0 0 * * 1", "2026-11-19T00:00:00+08:00", "2026-11-23 00:00:00")]
    [InlineData("0 0 0 last * *", "2026-02-01T00:00:00+08:00", "2026-02-28 00:00:00")]
    [InlineData("0 0 0 L-1 2 *", "2028-01-01T00:00:00+08:00", "2028-02-28 00:00:00")]
    [InlineData("0 0 0 LW * *", "2026-05-01T00:00:00+08:00", "2026-05-29 00:00:00")]
    [InlineData("0 0 0 1W * *", "2026-07-31T12:00:00+08:00", "2026-08-03 00:00:00")]
    [InlineData("0 0 0 * * friL", "2026-11-01T00:00:00+08:00", "2026-11-27 00:00:00")]
    [InlineData("0 0 0 * * fri#2", "2026-11-01T00:00:00+08:00", "2026-11-13 00:00:00")]
    [InlineData("0 0 0 13 * 5", "2026-03-14T00:00:00+08:00", "2026-11-13 00:00:00")]
    [InlineData("0 0 0 29 2 *", "2026-01-01T00:00:00+08:00", "2028-02-29 00:00:00")]
    [InlineData("* * * * * *", "2026-11-22T19:00:00.5+08:00", "2026-11-22 19:00:01")]
    [InlineData("* * * * * *", "2026-11-22T19:00:00+08:00", "2026-11-22 19:00:01")]
    [InlineData("0 0 0 1 1 *", "2026-12-31T23:59:59.9999999+08:00", "2027-01-01 00:00:00")]
    public void Finds_the_next_time(string text, string after, string expected) =>
        Times.Format(Parse(text).Next(At(after), Zone("Asia/Shanghai"))!.Value, Zone("Asia/Shanghai")).ShouldBe(expected);

    [Fact]
    public void Between_leaves_out_its_start_takes_its_end_and_is_lazy()
    {
        var minutes = Parse("0 * * * * *");
        minutes.Between(At("2026-01-01T00:00:00Z"), At("2026-01-01T00:03:00Z"), TimeZoneInfo.Utc).Select(time => time.Minute).ShouldBe([1, 2, 3]);
        minutes.Between(At("2026-01-01T00:00:00Z"), DateTimeOffset.MaxValue, TimeZoneInfo.Utc).Take(2).Count().ShouldBe(2);
        minutes.Between(At("2026-01-01T00:00:00Z"), At("2025-01-01T00:00:00Z"), TimeZoneInfo.Utc).ShouldBeEmpty();
    }

    internal static CronExpression Parse(string text)
    {
        CronExpression.TryParse(text, out var expression, out var why, out _).ShouldBeTrue($"{text}: {why.En}");
        return expression!;
    }

    internal static DateTimeOffset At(string text) => DateTimeOffset.Parse(text, CultureInfo.InvariantCulture);

    internal static TimeZoneInfo Zone(string id) => TimeZoneInfo.FindSystemTimeZoneById(id);

    /// <summary>Six fields, each by the generator that its index gives.</summary>
    internal static Gen<string> Fields(Func<int, Gen<string>> field) =>
        Gen.Select(field(0), field(1), field(2), field(3), field(4), field(5)).Select((a, b, c, d, e, f) => $"{a} {b} {c} {d} {e} {f}");

    /// <summary>Fields that are right more often than not.</summary>
    internal static Gen<string> NearlyField(int index)
    {
        var bounds = CronField.Fields[index];
        var number = Gen.Int[Math.Max(0, bounds.First - 1), bounds.Last + 1].Select(value => $"{value}");
        var value = bounds.Names.Length == 0 ? number : Gen.OneOf(number, Gen.OneOf(bounds.Names));
        var span = Gen.OneOf(value, Gen.Select(value, value).Select((low, high) => $"{low}-{high}"), Gen.Const("*"));
        var item = Gen.OneOf(span, Gen.Select(span, Gen.Int[0, bounds.Last + 1]).Select((some, step) => $"{some}/{step}"));
        var list = item.Array[1, 3].Select(items => string.Join(',', items));
        var special = index switch
        {
            3 => Gen.OneOf(
                Gen.OneOf("L", "last", "LW", "lw"),
                Gen.Int[0, 31].Select(n => $"L-{n}"),
                Gen.Int[0, 31].Select(n => $"L-{n}W"),
                value.Select(n => n + "W")
            ),
            5 => Gen.OneOf(value.Select(n => n + "L"), Gen.Select(value, Gen.Int[0, 6]).Select((n, k) => $"{n}#{k}")),
            _ => item,
        };
        return Gen.Frequency((3, Gen.Const("*")), (2, value), (2, item), (2, list), (2, special));
    }
}
