using System.Text;
using Codo.Modules.Tasks.Execution;
using Codo.Modules.Tasks.Logs;
using Codo.Platform.Data;
using Codo.Tests.Support;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Codo.Tests.Modules.Tasks.Logs;

/// <summary>Steps without an engine: what they print goes the way of every step's output.</summary>
internal static class LogSteps
{
    /// <summary>
    /// The partition of a day before yesterday, which a host does not make. A host seals when it starts and minutes later, and drops such a day while it is
    /// empty: its first sealing is over then.
    /// </summary>
    public static async Task<DateTime> MakeDay(this TestHost host, int daysAgo)
    {
        await host.FirstRounds("log sealing");
        var day = DateTime.UtcNow.Date.AddDays(-daysAgo);
        await Partitions.Ensure(host.Source, "tasks.log_line", PartitionSpan.Day, day, 0);
        return day;
    }

    /// <summary>Seals the days that are over until this holds. The host seals by itself too; while it does, others leave it to that.</summary>
    public static Task Sealed(this TestHost host, string sql) =>
        Eventually.True(
            async () =>
            {
                await host.Services.GetRequiredService<LogSealing>().Seal(() => { }, TestContext.Current.CancellationToken);
                return await host.Ask<bool>(sql);
            },
            sql
        );

    private static long last = 1000;

    /// <summary>A place whose numbers nobody else has.</summary>
    public static OutputPlace Place(int attempt = 1, string host = "10.0.0.1")
    {
        var id = Interlocked.Increment(ref last);
        return new OutputPlace(id, 1, 1, host, id, attempt);
    }

    public static StepOutput Open(this TestHost host, OutputPlace place, params string[] secrets) =>
        host.Services.GetRequiredService<OpenOutput>()(place, secrets);

    public static ValueTask Print(this StepOutput output, string text) => output.Append(Encoding.UTF8.GetBytes(text));

    /// <summary>Numbered lines, many to a read, as a busy command gives them.</summary>
    public static async Task PrintLines(this StepOutput output, int first, int count)
    {
        var text = new StringBuilder();
        for (var number = first; number < first + count; number++)
        {
            text.Append("line ").Append(number).Append('\n');
            if (text.Length < 16_000 && number < first + count - 1) continue;
            await output.Print(text.ToString());
            text.Clear();
        }
    }

    /// <summary>What the table has of an attempt, in its order.</summary>
    public static async Task<List<string>> Stored(this NpgsqlDataSource source, OutputPlace place)
    {
        await using var connection = await source.OpenConnectionAsync();
        return (
            await connection.QueryAsync<string>(
                "SELECT log_info FROM tasks.scheduler_task_log WHERE sched_id = @SchedId AND attempt = @Attempt ORDER BY line",
                place
            )
        ).AsList();
    }

    public static IEnumerable<string> Lines(int count) => Enumerable.Range(1, count).Select(number => $"line {number}");

    /// <summary>That every line is there, once, in order.</summary>
    public static void ShouldBeLines(this List<string> stored, int count)
    {
        stored.Count.ShouldBe(count);
        stored.SequenceEqual(Lines(count)).ShouldBeTrue("a line is missing, twice there or out of order");
    }
}
