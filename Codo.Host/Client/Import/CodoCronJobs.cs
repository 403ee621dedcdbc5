using System.Text.Json.Nodes;

namespace Codo.Host.Client.Import;

/// <summary>Jobs of codo-cron, which numbers weekdays from Monday = 0 although it promises crontab.</summary>
internal static class CodoCronJobs
{
    private static readonly string[] Weekdays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

    public static List<ImportItem> Read(IEnumerable<JsonObject> jobs, TimeZoneInfo zone) => [.. jobs.Select(job => Read(job, zone))];

    private static ImportItem Read(JsonObject job, TimeZoneInfo zone)
    {
        var (name, text) = (job.Text("job_id"), job.Text("cron"));
        var item = new ImportItem(name, $"{text} {job.Text("cmd")}") { IsPaused = job.Text("status") == "1" };
        var fields = text.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (fields.Length != 6) return item with { Refused = $"The schedule {text} has not six fields." };
        try
        {
            var (days, isDay) = Day(fields[3]);
            var weekdays = ScheduleField.Read(fields[5], "weekday", 0, 6, Weekdays, isOpen: true);
            var months = ScheduleField.Read(fields[4], "month", 1, 12, ScheduleField.Months, isOpen: true);
            var schedule = new SourceSchedule(
                ScheduleField.Read(fields[0], "second", 0, 59, [], isOpen: true),
                ScheduleField.Read(fields[1], "minute", 0, 59, [], isOpen: true),
                ScheduleField.Read(fields[2], "hour", 0, 23, [], isOpen: true),
                // DayOfWeek counts from Sunday = 0.
                day => months.Contains(day.Month) && isDay(day) && weekdays.Contains(((int)day.DayOfWeek + 6) % 7),
                zone,
                fields.Take(3).Any(field => field.Contains('*', StringComparison.Ordinal))
            );
            var changes = new List<string>();
            if (fields[5].Any(char.IsAsciiDigit))
            {
                var crontab = ScheduleField.Write(weekdays.Select(day => day + 1));
                changes.Add($"The weekday {fields[5]} counts from Monday = 0 there and is {crontab} here.");
                fields[5] = crontab;
            }
            if (days != fields[3]) changes.Add($"The day {fields[3]} is {days} here.");
            fields[3] = days;
            return item with
            {
                Changes = changes,
                Schedule = schedule,
                Job = new JsonObject
                {
                    ["job_id"] = name,
                    ["cmd"] = job.Text("cmd"),
                    ["cron"] = string.Join(' ', fields),
                    ["time_zone"] = zone.Id,
                },
            };
        }
        catch (FormatException wrong)
        {
            return item with { Refused = wrong.Message };
        }
    }

    private static (string Text, Func<DateOnly, bool> IsDay) Day(string field)
    {
        if (field.Equals("last", StringComparison.OrdinalIgnoreCase)) return ("L", day => day.AddDays(1).Day == 1);
        var days = ScheduleField.Read(field, "day", 1, 31, [], isOpen: true);
        return (field, day => days.Contains(day.Day));
    }
}
