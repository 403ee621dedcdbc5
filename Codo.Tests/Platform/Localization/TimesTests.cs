using System.Globalization;
using Codo.Platform.Localization;
using CsCheck;

namespace Codo.Tests.Platform.Localization;

public sealed class TimesTests
{
    private static readonly string[] Zones =
        ["UTC", "Asia/Shanghai", "America/New_York", "Europe/Berlin", "Europe/Dublin", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca"];

    [Theory]
    [InlineData("2026-11-22 19:02", "2026-11-22 19:02:00")]
    [InlineData("2026-11-22 19:02:03", "2026-11-22 19:02:03")]
    [InlineData("2026-1-2 3:04", "2026-01-02 03:04:00")]
    [InlineData("2026-01-02 03:04:05", "2026-01-02 03:04:05")]
    [InlineData("2024-02-29 00:00", "2024-02-29 00:00:00")]
    [InlineData("2026-11-22T19:02:03Z", "2026-11-23 03:02:03")]
    [InlineData("2026-11-22T19:02Z", "2026-11-23 03:02:00")]
    [InlineData("2026-11-22T19:02:03.987Z", "2026-11-23 03:02:03")]
    [InlineData("2026-11-22T19:02:03.123456789+00:00", "2026-11-23 03:02:03")]
    [InlineData("2026-11-22T19:02:03-0530", "2026-11-23 08:32:03")]
    [InlineData("2026-11-22 19:02:03+08:00", "2026-11-22 19:02:03")]
    [InlineData("2026-11-22 19:02:03+14:00", "2026-11-22 13:02:03")]
    [InlineData("2026-11-22 19:02:03+08", "2026-11-22 19:02:03")]
    [InlineData("2026-11-22 19:02:03.987654+08", "2026-11-22 19:02:03")]
    [InlineData("2026-11-22T19:02-05", "2026-11-23 08:02:00")]
    [InlineData("0002-01-01 00:00", "0002-01-01 00:00:00")]
    [InlineData("9998-12-31 23:59:59", "9998-12-31 23:59:59")]
    public void Reads_a_local_time_and_iso_8601(string text, string expected)
    {
        var zone = Zone("Asia/Shanghai");
        Times.TryParse(text, zone, out var time).ShouldBeTrue();
        Times.Format(time, zone).ShouldBe(expected);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData(" ")]
    [InlineData("now")]
    [InlineData("2026-11-22")]
    [InlineData("2026-11-22 ")]
    [InlineData("2026-11-22T19:02:03")]
    [InlineData("2026-11-22 19:02:03.5")]
    [InlineData("2026-11-22 19")]
    [InlineData("2026-11-22 19:2")]
    [InlineData("2026-11-22  19:02")]
    [InlineData(" 2026-11-22 19:02")]
    [InlineData("2026-11-22 19:02 ")]
    [InlineData("2026-11-22 19:02\n")]
    [InlineData("2026-11-22 24:00")]
    [InlineData("2026-11-22 23:60")]
    [InlineData("2026-11-22 23:59:60")]
    [InlineData("2026-11-31 10:00")]
    [InlineData("2025-02-29 10:00")]
    [InlineData("2026-00-01 10:00")]
    [InlineData("2026-13-01 10:00")]
    [InlineData("2026-01-00 10:00")]
    [InlineData("0000-01-01 10:00")]
    [InlineData("0001-01-01 10:00")]
    [InlineData("9999-12-31 10:00")]
    [InlineData("26-11-22 19:02")]
    [InlineData("12026-11-22 19:02")]
    [InlineData("2026/11/22 19:02")]
    [InlineData("22-11-2026 19:02")]
    [InlineData("2026-11-22 7:02 PM")]
    [InlineData("2026-11-22T19:02:03z")]
    [InlineData("2026-11-22T19:02:03+8")]
    [InlineData("2026-11-22T19:02:03+08:")]
    [InlineData("2026-11-22T19:02:03+15")]
    [InlineData("2026-11-22T19:02:03+080")]
    [InlineData("2026-11-22T19:02:03+08:60")]
    [InlineData("2026-11-22T19:02:03+15:00")]
    [InlineData("2026-11-22T19:02:03 +08:00")]
    [InlineData("2026-11-22T19:02:03[Asia/Shanghai]")]
    [InlineData("٢٠٢٦-11-22 19:02")]
    [InlineData("２０２６-11-22 19:02")]
    [InlineData("1763838123")]
    public void Refuses_anything_else(string? text)
    {
        Times.TryParse(text, Zone("Asia/Shanghai"), out var time).ShouldBeFalse();
        time.ShouldBe(default);
    }

    [Theory]
    [InlineData("2026-11-22", true)]
    [InlineData("2026-1-2", true)]
    [InlineData("2026-02-29", false)]
    [InlineData("2026-11-22 00:00", false)]
    [InlineData("2026-11-22\n", false)]
    [InlineData("20261122", false)]
    [InlineData("", false)]
    [InlineData(null, false)]
    public void Reads_a_bare_date_only_where_one_is_asked_for(string? text, bool good) => Times.TryParseDate(text, out _).ShouldBe(good);

    [Theory]
    [InlineData("2026-11-22", "2026-11-22 00:00:00+08:00", "2026-11-23 00:00:00+08:00")]
    [InlineData("2026-12-31", "2026-12-31 00:00:00+08:00", "2027-01-01 00:00:00+08:00")]
    [InlineData("2026-11-22 10:00", "2026-11-22 10:00:00+08:00", "2026-11-22 10:00:01+08:00")]
    [InlineData("2026-11-22 10:00:59", "2026-11-22 10:00:59+08:00", "2026-11-22 10:01:00+08:00")]
    public void Reads_both_ends_of_a_range_as_inclusive(string text, string from, string before)
    {
        var zone = Zone("Asia/Shanghai");
        Times.TryParseStart(text, zone, out var start).ShouldBeTrue();
        Times.TryParseEnd(text, zone, out var end).ShouldBeTrue();
        Times.FormatWithOffset(start, zone).ShouldBe(from);
        Times.FormatWithOffset(end, zone).ShouldBe(before);
    }

    [Fact]
    public void An_end_with_a_fraction_includes_the_whole_second_that_people_see()
    {
        Times.TryParseEnd("2026-11-22T10:00:00.25Z", TimeZoneInfo.Utc, out var end).ShouldBeTrue();
        end.ShouldBe(new DateTimeOffset(2026, 11, 22, 10, 0, 1, TimeSpan.Zero));
    }

    [Theory]
    [InlineData("Asia/Beirut", "2022-03-27", "2022-03-27 01:00:00+03:00")]
    [InlineData("America/Havana", "2026-11-01", "2026-11-01 00:00:00-04:00")]
    public void A_day_starts_at_its_first_moment_where_midnight_is_missing_or_comes_twice(string id, string date, string expected)
    {
        Times.TryParseStart(date, Zone(id), out var start).ShouldBeTrue();
        Times.FormatWithOffset(start, Zone(id)).ShouldBe(expected);
    }

    [Theory]
    [InlineData("America/New_York", "2026-03-08 02:30", "2026-03-08 03:30:00-04:00")]
    [InlineData("America/New_York", "2026-03-08 01:59:59", "2026-03-08 01:59:59-05:00")]
    [InlineData("America/New_York", "2026-03-08 03:00", "2026-03-08 03:00:00-04:00")]
    [InlineData("America/New_York", "2026-11-01 01:30", "2026-11-01 01:30:00-04:00")]
    [InlineData("America/New_York", "2026-11-01 02:00", "2026-11-01 02:00:00-05:00")]
    [InlineData("Europe/Berlin", "2026-03-29 02:30", "2026-03-29 03:30:00+02:00")]
    [InlineData("Europe/Berlin", "2026-10-25 02:30", "2026-10-25 02:30:00+02:00")]
    [InlineData("Europe/Berlin", "2026-10-25 03:00", "2026-10-25 03:00:00+01:00")]
    [InlineData("Europe/Dublin", "2026-03-29 01:30", "2026-03-29 02:30:00+01:00")]
    [InlineData("Europe/Dublin", "2026-10-25 01:30", "2026-10-25 01:30:00+01:00")]
    [InlineData("Australia/Lord_Howe", "2026-10-04 02:15", "2026-10-04 02:45:00+11:00")]
    [InlineData("Australia/Lord_Howe", "2026-04-05 01:45", "2026-04-05 01:45:00+11:00")]
    [InlineData("Pacific/Apia", "2011-12-30 12:00", "2011-12-31 12:00:00+14:00")]
    public void A_missing_local_time_moves_forward_and_a_double_one_is_the_first(string id, string text, string expected)
    {
        Times.TryParse(text, Zone(id), out var time).ShouldBeTrue();
        Times.FormatWithOffset(time, Zone(id)).ShouldBe(expected);
    }

    [Fact]
    public void What_is_formatted_with_its_offset_is_read_back_as_the_same_second() =>
        Gen.Select(Gen.Long[0, 8_000_000_000], Gen.OneOf(Zones)).Sample((seconds, id) =>
        {
            var time = DateTimeOffset.FromUnixTimeSeconds(seconds);
            Times.TryParse(Times.FormatWithOffset(time, Zone(id)), Zone("Asia/Tokyo"), out var again).ShouldBeTrue();
            again.ShouldBe(time);
        });

    [Fact]
    public void What_is_formatted_is_read_back_as_the_same_wall_clock() =>
        Gen.Select(Gen.Long[0, 8_000_000_000], Gen.OneOf(Zones)).Sample((seconds, id) =>
        {
            var text = Times.Format(DateTimeOffset.FromUnixTimeSeconds(seconds), Zone(id));
            Times.TryParse(text, Zone(id), out var again).ShouldBeTrue();
            Times.Format(again, Zone(id)).ShouldBe(text);
            again.ToUnixTimeSeconds().ShouldBeLessThanOrEqualTo(seconds);
        });

    [Fact]
    public void Never_throws_whatever_comes() =>
        Gen.OneOf(Gen.String, Gen.String[Gen.Char["0123456789-: TZ+.\n"], 0, 40], NearlyTimes).Sample(text =>
        {
            foreach (var id in Zones)
            {
                var good = Times.TryParse(text, Zone(id), out var time);
                if (good)
                    Times.Format(time, Zone(id)).Length.ShouldBe(19);
                Times.TryParseStart(text, Zone(id), out var from);
                Times.TryParseEnd(text, Zone(id), out var before);
                if (good)
                    from.ShouldBeLessThan(before);
            }
        });

    private static Gen<string> NearlyTimes => Gen.Select(Gen.Int[0, 9999], Gen.Int[0, 13], Gen.Int[0, 32], Gen.Int[0, 25], Gen.Int[0, 61], Gen.Int[-16, 16])
        .Select((year, month, day, hour, minute, offset) => string.Create(CultureInfo.InvariantCulture,
            $"{year:0000}-{month}-{day} {hour}:{minute:00}{(offset % 3 == 0 ? "" : offset.ToString("+00;-00;+00", CultureInfo.InvariantCulture) + ":30")}"));

    private static TimeZoneInfo Zone(string id) => TimeZoneInfo.FindSystemTimeZoneById(id);
}
