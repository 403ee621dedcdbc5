using Codo.Platform.Localization;
using Cronos;
using CsCheck;
using static Codo.Tests.Modules.Cron.Schedules.CronExpressionTests;

namespace Codo.Tests.Modules.Cron.Schedules;

public sealed class WallClockTests
{
    private const string NewYork = "America/New_York",
        Berlin = "Europe/Berlin",
        LordHowe = "Australia/Lord_Howe",
        Dublin = "Europe/Dublin";

    [Theory]
    // Forward: what the change skips is due when the clocks have changed, once.
    [InlineData("0 30 2 * * *", NewYork, "2026-03-07T12:00Z", 2, "03-08 03:00-04:00 | 03-09 02:30-04:00")]
    [InlineData("0 0,30 2 * * *", NewYork, "2026-03-07T12:00Z", 2, "03-08 03:00-04:00 | 03-09 02:00-04:00")]
    [InlineData("0 0 2,3 * * *", NewYork, "2026-03-07T12:00Z", 2, "03-08 03:00-04:00 | 03-09 02:00-04:00")]
    [InlineData("0 30 2,3 * * *", NewYork, "2026-03-07T12:00Z", 2, "03-08 03:00-04:00 | 03-08 03:30-04:00")]
    [InlineData("0 */20 * * * *", NewYork, "2026-03-08T06:20Z", 4, "03-08 01:40-05:00 | 03-08 03:00-04:00 | 03-08 03:20-04:00 | 03-08 03:40-04:00")]
    [InlineData("0 30 */2 * * *", NewYork, "2026-03-08T05:00Z", 3, "03-08 00:30-05:00 | 03-08 03:00-04:00 | 03-08 04:30-04:00")]
    [InlineData("0 30 2 * * *", Berlin, "2026-03-28T12:00Z", 2, "03-29 03:00+02:00 | 03-30 02:30+02:00")]
    [InlineData("0 0 3 * * *", Berlin, "2026-03-28T12:00Z", 2, "03-29 03:00+02:00 | 03-30 03:00+02:00")]
    [InlineData("0 15 2 * * *", LordHowe, "2026-10-02T16:00Z", 2, "10-04 02:30+11:00 | 10-05 02:15+11:00")]
    [InlineData("0 45 2 * * *", LordHowe, "2026-10-03T00:00Z", 2, "10-04 02:45+11:00 | 10-05 02:45+11:00")]
    [InlineData("0 */10 * * * *", LordHowe, "2026-10-03T15:20Z", 3, "10-04 02:30+11:00 | 10-04 02:40+11:00 | 10-04 02:50+11:00")]
    [InlineData("0 30 1 * * *", Dublin, "2026-03-28T12:00Z", 2, "03-29 02:00+01:00 | 03-30 01:30+01:00")]
    [InlineData("0 */30 * * * *", Dublin, "2026-03-29T00:00Z", 3, "03-29 00:30+00:00 | 03-29 02:00+01:00 | 03-29 02:30+01:00")]
    [InlineData("0 0 0 * * *", "Asia/Beirut", "2022-03-26T12:00Z", 2, "03-27 01:00+03:00 | 03-28 00:00+03:00")]
    [InlineData("0 0 12 * * *", "Pacific/Apia", "2011-12-29T20:00Z", 3, "12-29 12:00-10:00 | 12-31 00:00+14:00 | 12-31 12:00+14:00")]
    // Back: a named time is due at the first of the two, an interval goes on through both.
    [InlineData("0 30 1 * * *", NewYork, "2026-10-31T12:00Z", 2, "11-01 01:30-04:00 | 11-02 01:30-05:00")]
    [InlineData("0 0,30 1,2 * * *", NewYork, "2026-10-31T12:00Z", 4, "11-01 01:00-04:00 | 11-01 01:30-04:00 | 11-01 02:00-05:00 | 11-01 02:30-05:00")]
    [InlineData("0 */30 1 * * *", NewYork, "2026-10-31T12:00Z", 4, "11-01 01:00-04:00 | 11-01 01:30-04:00 | 11-01 01:00-05:00 | 11-01 01:30-05:00")]
    [InlineData("0 30 1-1 * * *", NewYork, "2026-10-31T12:00Z", 3, "11-01 01:30-04:00 | 11-01 01:30-05:00 | 11-02 01:30-05:00")]
    [InlineData("0 30 2 * * *", Berlin, "2026-10-24T12:00Z", 2, "10-25 02:30+02:00 | 10-26 02:30+01:00")]
    [InlineData("0 0 3 * * *", Berlin, "2026-10-24T12:00Z", 2, "10-25 03:00+01:00 | 10-26 03:00+01:00")]
    [InlineData("0 */30 * * * *", Berlin, "2026-10-25T00:00Z", 4, "10-25 02:30+02:00 | 10-25 02:00+01:00 | 10-25 02:30+01:00 | 10-25 03:00+01:00")]
    [InlineData("0 45 1 * * *", LordHowe, "2026-04-03T20:00Z", 2, "04-05 01:45+11:00 | 04-06 01:45+10:30")]
    [InlineData(
        "0 */15 * * * *",
        LordHowe,
        "2026-04-04T14:15Z",
        5,
        "04-05 01:30+11:00 | 04-05 01:45+11:00 | 04-05 01:30+10:30 | 04-05 01:45+10:30 | 04-05 02:00+10:30"
    )]
    [InlineData("0 30 1 * * *", Dublin, "2026-10-24T12:00Z", 2, "10-25 01:30+01:00 | 10-26 01:30+00:00")]
    [InlineData("0 */30 * * * *", Dublin, "2026-10-25T00:00Z", 4, "10-25 01:30+01:00 | 10-25 01:00+00:00 | 10-25 01:30+00:00 | 10-25 02:00+00:00")]
    public void Nothing_is_skipped_in_spring_and_nothing_runs_twice_in_autumn(string text, string zone, string after, int count, string expected) =>
        string.Join(
                " | ",
                Parse(text)
                    .Between(At(after), DateTimeOffset.MaxValue, Zone(zone))
                    .Take(count)
                    .Select(time => time.ToString("MM-dd HH:mmzzz", System.Globalization.CultureInfo.InvariantCulture))
            )
            .ShouldBe(expected);

    [Fact]
    public void Agrees_with_Cronos_wherever_Cronos_is_right() =>
        Gen.Select(
                Fields(OnAnyDay),
                Gen.OneOf(NewYork, Berlin, LordHowe, "Asia/Shanghai", "UTC"),
                Gen.Int[2020, 2036],
                Gen.Bool,
                Gen.Int[-3 * 86_400, 3 * 86_400]
            )
            .Sample(
                (text, id, year, spring, seconds) =>
                {
                    var expression = Parse(text);
                    var zone = Zone(id);
                    Cronos.CronExpression.TryParse(text, CronFormat.IncludeSeconds, out var cronos).ShouldBeTrue();
                    var after = Change(zone, year, spring).AddSeconds(seconds);
                    for (var i = 0; i < 8; i++)
                    {
                        var next = expression.Next(after, zone);
                        var theirs = cronos.GetNextOccurrence(after, zone);
                        next.ShouldBe(theirs, $"{text} after {after:O} in {id}");
                        next!.Value.Offset.ShouldBe(theirs!.Value.Offset);
                        after = next.Value;
                    }
                },
                iter: 3_000
            );

    [Fact]
    public void The_next_time_is_always_later_and_is_one_that_matches_or_ends_a_gap() =>
        Gen.Select(
                Fields(OnAnyDay),
                Gen.OneOf(Dublin, "Africa/Casablanca", "America/Sao_Paulo", "Asia/Tehran", "Africa/Cairo", "Antarctica/Troll"),
                Gen.Long[0, 40L * 365 * 86_400]
            )
            .Sample(
                (text, id, seconds) =>
                {
                    var expression = Parse(text);
                    var zone = Zone(id);
                    var from = At("1995-01-01T00:00Z").AddSeconds(seconds);
                    var (after, until) = (from, from.AddDays(2));
                    var between = expression.Between(from, until, zone).Take(8).ToList();
                    for (var i = 0; i < 8; i++)
                    {
                        var next = expression.Next(after, zone)!.Value;
                        next.ShouldBeGreaterThan(after);
                        if (next <= until) between[i].EqualsExact(next).ShouldBeTrue($"{text} at {next:O}, not {between[i]:O}, in {id}");
                        else between.Count.ShouldBeLessThanOrEqualTo(i);
                        next.Offset.ShouldBe(zone.GetUtcOffset(next));
                        (Matches(expression, next.DateTime) || zone.GetUtcOffset(next.AddSeconds(-1)) < next.Offset).ShouldBeTrue(
                            $"{text} at {next:O} in {id}"
                        );
                        after = next;
                    }
                },
                iter: 3_000
            );

    [Theory]
    [InlineData(
        "0 30 2 * * *",
        NewYork,
        "2026-03-08T03:00-04:00",
        "clocks go forward from 02:00:00 to 03:00:00, so 02:30:00 does not exist: it runs once, at 03:00:00",
        "当天时钟由 02:00:00 拨快到 03:00:00，02:30:00 不存在，改在 03:00:00 运行一次"
    )]
    [InlineData(
        "0 0,30 2 * * *",
        NewYork,
        "2026-03-08T03:00-04:00",
        "clocks go forward from 02:00:00 to 03:00:00, so 02:00:00, 02:30:00 do not exist: it runs once, at 03:00:00",
        "当天时钟由 02:00:00 拨快到 03:00:00，02:00:00、02:30:00 不存在，改在 03:00:00 运行一次"
    )]
    [InlineData(
        "0 */10 2 * * *",
        Berlin,
        "2026-03-29T03:00+02:00",
        "clocks go forward from 02:00:00 to 03:00:00, so 02:00:00, 02:10:00, 02:20:00 and more do not exist: it runs once, at 03:00:00",
        "当天时钟由 02:00:00 拨快到 03:00:00，02:00:00、02:10:00、02:20:00 等不存在，改在 03:00:00 运行一次"
    )]
    [InlineData(
        "0 15 2 * * *",
        LordHowe,
        "2026-10-04T02:30+11:00",
        "clocks go forward from 02:00:00 to 02:30:00, so 02:15:00 does not exist: it runs once, at 02:30:00",
        "当天时钟由 02:00:00 拨快到 02:30:00，02:15:00 不存在，改在 02:30:00 运行一次"
    )]
    [InlineData(
        "0 */10 * * * *",
        LordHowe,
        "2026-10-04T02:30+11:00",
        "clocks go forward from 02:00:00 to 02:30:00: the times between do not exist, the interval goes on at 02:30:00",
        "当天时钟由 02:00:00 拨快到 02:30:00，其间的时间不存在，间隔从 02:30:00 继续"
    )]
    [InlineData(
        "0 30 1 * * *",
        NewYork,
        "2026-11-01T01:30-04:00",
        "clocks go back from 02:00:00 to 01:00:00, so 01:30:00 comes twice: it runs at the first one only (-04:00)",
        "当天时钟由 02:00:00 拨回 01:00:00，01:30:00 出现两次，只在第一次（-04:00）运行"
    )]
    [InlineData(
        "0 */30 * * * *",
        Berlin,
        "2026-10-25T02:30+02:00",
        "clocks go back from 03:00:00 to 02:00:00, so 02:30:00 comes twice: an interval runs at both, this is the first (+02:00)",
        "当天时钟由 03:00:00 拨回 02:00:00，02:30:00 出现两次，按间隔两次都运行，这是第一次（+02:00）"
    )]
    [InlineData(
        "0 */15 * * * *",
        LordHowe,
        "2026-04-05T01:45+10:30",
        "clocks go back from 02:00:00 to 01:30:00, so 01:45:00 comes twice: an interval runs at both, this is the second (+10:30)",
        "当天时钟由 02:00:00 拨回 01:30:00，01:45:00 出现两次，按间隔两次都运行，这是第二次（+10:30）"
    )]
    public void Notes_what_a_clock_change_does(string text, string zone, string due, string en, string zh) =>
        Parse(text).DstNote(At(due), Zone(zone)).ShouldBe(new Text(zh, en));

    [Theory]
    [InlineData("0 0 3 * * *", NewYork, "2026-03-08T03:00-04:00")]
    [InlineData("0 30 2 * * *", NewYork, "2026-03-09T02:30-04:00")]
    [InlineData("0 30 3 * * *", NewYork, "2026-03-08T03:30-04:00")]
    [InlineData("0 0 2 * * *", NewYork, "2026-11-01T02:00-05:00")]
    [InlineData("0 59 0 * * *", NewYork, "2026-11-01T00:59-04:00")]
    [InlineData("0 0 3 * * *", "Asia/Shanghai", "2026-03-08T03:00+08:00")]
    [InlineData("0 0 3 * * *", "UTC", "2026-03-08T03:00+00:00")]
    public void Notes_nothing_where_nothing_happens(string text, string zone, string due) => Parse(text).DstNote(At(due), Zone(zone)).ShouldBeNull();

    private static bool Matches(Codo.Modules.Cron.Schedules.CronExpression expression, DateTime wall) =>
        expression.Next(new DateTimeOffset(wall, TimeSpan.Zero).AddTicks(-1), TimeZoneInfo.Utc) is { } next && next.DateTime == wall;

    // The moment of a clock change of that year, or the year's first moment where there is none.
    private static DateTimeOffset Change(TimeZoneInfo zone, int year, bool forward)
    {
        var start = new DateTimeOffset(year, 1, 1, 0, 0, 0, TimeSpan.Zero);
        for (var hour = 1; hour < 366 * 24; hour++)
            if ((zone.GetUtcOffset(start.AddHours(hour)) - zone.GetUtcOffset(start.AddHours(hour - 1))).Ticks is var ticks && (forward ? ticks > 0 : ticks < 0))
                return start.AddHours(hour);
        return start;
    }

    private static Gen<string> OnAnyDay(int index) =>
        index switch
        {
            0 => Gen.OneOf("0", "*/30", "15", "*"),
            1 => Gen.OneOf("*", "0", "30", "*/7", "15,45", "*/20", "10-20", "0-59/30"),
            2 => Gen.OneOf("*", "0", "1", "2", "3", "1,2,3", "*/2", "1/2", "0-3", "23,0,1", "2-2"),
            3 => Gen.OneOf("*", "*", "*", "L", "1-7", "8-14"),
            4 => Gen.Const("*"),
            _ => Gen.OneOf("*", "*", "0", "sun", "1-5"),
        };
}
