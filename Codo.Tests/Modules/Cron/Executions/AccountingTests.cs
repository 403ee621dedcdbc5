using System.Globalization;
using Codo.Modules.Cron.Executions;
using Codo.Modules.Cron.Schedules;
using Codo.Platform.Localization;
using CsCheck;

namespace Codo.Tests.Modules.Cron.Executions;

public sealed class AccountingTests
{
    private static readonly DateTimeOffset Noon = new(2026, 6, 1, 12, 0, 0, TimeSpan.Zero);

    [Fact]
    public void What_is_on_time_fires_once_for_each_due_time()
    {
        var outcome = Account(Job("* * * * * *", "allow"), Noon.AddSeconds(3));
        Statuses(outcome).ShouldBe(["queued 1 schedule", "queued 1 schedule", "queued 1 schedule"]);
        outcome.NextRunAt.ShouldBe(Noon.AddSeconds(4));
    }

    [Theory]
    [InlineData("skip", new[] { "missed 10 schedule" })]
    [InlineData("once", new[] { "missed 9 schedule", "queued 1 catch_up" })]
    [InlineData(
        "all",
        new[]
        {
            "missed 4 schedule",
            "queued 1 catch_up",
            "queued 1 catch_up",
            "queued 1 catch_up",
            "queued 1 catch_up",
            "queued 1 catch_up",
            "queued 1 catch_up",
        }
    )]
    public void What_is_late_follows_its_misfire_policy(string misfire, string[] expected)
    {
        // Every 10 s, due at :10 … :100, noticed at :109: the last six are within the window of 60 s, and nothing is on time. Where they may not overlap they
        // wait for one another.
        foreach (var overlap in new[] { "allow", "skip", "queue" })
            Statuses(Account(Job("*/10 * * * * *", overlap, misfire), Noon.AddSeconds(109))).ShouldBe(expected, ignoreOrder: false, customMessage: overlap);
    }

    [Fact]
    public void What_is_made_up_for_does_not_wait_for_a_run_of_before()
    {
        var outcome = Accounting.Account(Job("*/10 * * * * *", "skip", "all"), new Accounting.Active(1, 1), Noon.AddSeconds(109));
        Statuses(outcome).ShouldBe(["missed 4 schedule", "skipped 6 schedule"]);
    }

    [Fact]
    public void Once_makes_up_for_nothing_that_is_older_than_the_window() =>
        Statuses(Account(Job("0 0 * * * *", "allow", "once", from: Noon.AddMinutes(-1)), Noon.AddMinutes(2))).ShouldBe(["missed 1 schedule"]);

    [Fact]
    public void Five_seconds_is_on_time_and_more_is_late()
    {
        Statuses(Account(Job("10 0 12 * * *", "skip", "skip"), Noon.AddSeconds(15))).ShouldBe(["queued 1 schedule"]);
        Statuses(Account(Job("10 0 12 * * *", "skip", "skip"), Noon.AddSeconds(15.001))).ShouldBe(["missed 1 schedule"]);
    }

    [Theory]
    [InlineData("skip", 0, new[] { "queued 1 schedule", "skipped 2 schedule" })]
    [InlineData("skip", 1, new[] { "skipped 3 schedule" })]
    [InlineData("queue", 0, new[] { "queued 1 schedule", "queued 1 schedule", "skipped 1 schedule" })]
    [InlineData("queue", 1, new[] { "queued 1 schedule", "skipped 2 schedule" })]
    [InlineData("queue", 2, new[] { "skipped 3 schedule" })]
    [InlineData("allow", 2, new[] { "queued 1 schedule", "queued 1 schedule", "queued 1 schedule" })]
    [InlineData("replace", 1, new[] { "skipped 1 schedule", "skipped 1 schedule", "queued 1 schedule" })]
    public void What_overlaps_follows_its_policy(string overlap, int going, string[] expected)
    {
        var outcome = Accounting.Account(
            Job("* * * * * *", overlap),
            new Accounting.Active(going, going > 0 ? 1 : 0),
            Noon.AddSeconds(3)
        );
        Statuses(outcome).ShouldBe(expected);
        outcome.StopOthers.ShouldBe(overlap == "replace");
    }

    [Fact]
    public void A_pause_is_one_entry_however_long_it_is()
    {
        var outcome = Account(Job("* * * * * *", "skip", paused: true), Noon.AddHours(2));
        Statuses(outcome).ShouldBe(["skipped 7200 schedule"]);
        outcome.Entries[0].From.ShouldBe(Noon.AddSeconds(1));
        outcome.Entries[0].Until.ShouldBe(Noon.AddHours(2));
    }

    [Theory]
    [InlineData(true, "skipped 60 schedule")]
    [InlineData(false, "missed 60 schedule")]
    public void What_was_due_while_a_job_was_broken_is_missed_unless_it_was_paused(bool paused, string expected)
    {
        var job = Job("* * * * * *", "skip", paused: paused) with { Gap = new Accounting.GapReason("broken", Text.Same("broken")) };
        Statuses(Account(job, Noon.AddMinutes(1))).ShouldBe([expected]);
    }

    [Fact]
    public void Catching_up_is_bounded() =>
        Statuses(Account(Job("* * * * * *", "allow", "all", window: 7 * 86400), Noon.AddHours(1)))
            .Count(entry => entry == "queued 1 catch_up")
            .ShouldBe(Accounting.MostCatchUps);

    [Fact]
    public void Every_due_time_is_in_exactly_one_entry_whatever_the_policies_are() =>
        Gen.Select(
                Gen.OneOf("skip", "queue", "allow", "replace"),
                Gen.OneOf("skip", "once", "all"),
                Gen.Int[1, 400],
                Gen.OneOf("* * * * * *", "*/7 * * * * *", "0 * * * * *"),
                Gen.Int[0, 2],
                Gen.Bool
            )
            .Sample(
                (overlap, misfire, seconds, cron, going, paused) =>
                {
                    var job = Job(cron, overlap, misfire, paused: paused);
                    var now = Noon.AddSeconds(seconds);
                    var outcome = Accounting.Account(job, new Accounting.Active(going, going > 0 ? 1 : 0), now);
                    var due = job.Expression.Between(Noon, now, job.Zone).ToList();
                    outcome.Entries.Sum(entry => entry.Times).ShouldBe(due.Count);
                    foreach (var time in due)
                        outcome.Entries.Count(entry => entry.From <= time && time <= entry.Until).ShouldBe(1, time.ToString("O", CultureInfo.InvariantCulture));
                }
            );

    [Theory]
    [InlineData("Europe/Berlin", "2026-03-29", 1)]
    [InlineData("Europe/Berlin", "2026-10-25", 1)]
    [InlineData("America/New_York", "2026-03-08", 1)]
    [InlineData("America/New_York", "2026-11-01", 1)]
    [InlineData("Australia/Lord_Howe", "2026-04-05", 1)]
    [InlineData("Australia/Lord_Howe", "2026-10-04", 1)]
    public void A_daily_job_in_the_hour_of_a_clock_change_runs_once_that_day(string zone, string day, int expected)
    {
        foreach (var cron in new[] { "0 30 1 * * *", "0 15 2 * * *", "0 30 2 * * *" })
        {
            var info = TimeZoneInfo.FindSystemTimeZoneById(zone);
            var midnight = DateTime.ParseExact(day, "yyyy-MM-dd", CultureInfo.InvariantCulture);
            var from = new DateTimeOffset(midnight, info.GetUtcOffset(midnight)).AddSeconds(-1);
            var next = midnight.AddDays(1);
            var until = new DateTimeOffset(next, info.GetUtcOffset(next)).AddSeconds(-1);
            Parse(cron).Between(from, until, info).Count().ShouldBe(expected, $"{cron} on {day} in {zone}");
        }
    }

    [Theory]
    [InlineData("Europe/Berlin", "2026-03-29", 23)]
    [InlineData("Europe/Berlin", "2026-10-25", 25)]
    public void An_interval_goes_on_through_a_clock_change(string zone, string day, int hours)
    {
        var info = TimeZoneInfo.FindSystemTimeZoneById(zone);
        var midnight = DateTime.ParseExact(day, "yyyy-MM-dd", CultureInfo.InvariantCulture);
        var from = new DateTimeOffset(midnight, info.GetUtcOffset(midnight)).AddSeconds(-1);
        var until = new DateTimeOffset(midnight.AddDays(1), info.GetUtcOffset(midnight.AddDays(1))).AddSeconds(-1);
        var times = Parse("0 0/30 * * * *").Between(from, until, info).ToList();
        times.Count.ShouldBe(hours * 2);
        times.Zip(times.Skip(1)).ShouldAllBe(pair => pair.Second - pair.First == TimeSpan.FromMinutes(30));
    }

    private static CronExpression Parse(string cron)
    {
        CronExpression.TryParse(cron, out var expression, out var why, out _).ShouldBeTrue(why.En);
        return expression!;
    }

    private static Accounting.Due Job(
        string cron,
        string overlap,
        string misfire = "once",
        bool paused = false,
        int window = 60,
        DateTimeOffset? from = null
    ) => new(Parse(cron), TimeZoneInfo.Utc, paused, overlap, misfire, TimeSpan.FromSeconds(window), from ?? Noon, DateTimeOffset.MaxValue);

    private static Accounting.Outcome Account(Accounting.Due job, DateTimeOffset now) => Accounting.Account(job, default, now);

    private static List<string> Statuses(Accounting.Outcome outcome) =>
        outcome.Entries.Select(entry => $"{entry.Status.Word()} {entry.Times} {entry.Trigger}").ToList();
}
