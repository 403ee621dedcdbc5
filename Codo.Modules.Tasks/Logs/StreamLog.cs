using System.Globalization;
using System.Text;
using System.Text.Json;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Npgsql;

namespace Codo.Modules.Tasks.Logs;

/// <summary>A log as server-sent events: one event a line, its id the cursor to resume from.</summary>
internal static class StreamLog
{
    private const int PageLines = 1000;

    // Proxies cut off what is silent for a minute.
    private static readonly TimeSpan Heartbeat = TimeSpan.FromSeconds(15);

    public static async Task Handle(HttpContext context)
    {
        // What is empty counts as absent.
        if (context.Request.Query["log_key"].ToString().Length == 0 && context.Request.Query["list_id"].ToString().Length > 0)
        {
            await StreamOrderLog.Handle(context);
            return;
        }
        var services = context.RequestServices;
        var key = await LogAccess.Open(
            services.GetRequiredService<NpgsqlDataSource>(),
            services.GetRequiredService<Access>(),
            context.Request.Query["log_key"],
            context.RequestAborted
        );
        var resume = context.Request.Headers["Last-Event-ID"].ToString();
        var stream = new Stream(
            context,
            Number(context, "sched_id", long.MaxValue),
            (int?)Number(context, "attempt", int.MaxValue),
            LogCursor.Read(resume.Length > 0 ? resume : context.Request.Query["after"]),
            services.GetRequiredService<JsonSerializerOptions>()
        );
        var feeds = services.GetRequiredService<LogFeeds>();
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(
            context.RequestAborted,
            services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping
        );
        var feed = feeds.Share(key);
        using var follower = new Follower();
        feed.Join(follower);
        try
        {
            if (await stream.Begin(feed, follower)) await Follow(stream, feed, follower, services.GetRequiredService<LogReader>(), ending.Token);
        }
        catch (OperationCanceledException) when (ending.IsCancellationRequested)
        {
            // The client has gone, or the host goes.
        }
        finally
        {
            feed.Leave(follower);
            feeds.Return(feed);
        }
    }

    private static async Task Follow(Stream stream, LogFeed feed, Follower follower, LogReader reader, CancellationToken ending)
    {
        while (true)
        {
            // Taken before the lines are read: what comes after that completes it.
            var more = feed.NextChange;
            // The feed stops at the first line that is missing in any attempt: who asked for one attempt or one step reads that alone.
            if (follower.Has is null && (stream.SchedId is not null || stream.Attempt is not null || !feed.Attach(follower, stream.After)))
            {
                var part = await reader.Next(feed.Key, stream.After, PageLines, ending, stream.SchedId, stream.Attempt);
                if (part.Rows.Count > 0)
                {
                    if (!await stream.Send(part.Rows, part.SeveralSteps, feed, follower)) return;
                    continue;
                }
            }
            else
            {
                var rows = feed.Take(follower);
                if (rows.Count > 0)
                {
                    if (!await stream.Send(rows, feed.SeveralSteps, feed, follower)) return;
                    feed.Took(follower, rows.Count);
                    continue;
                }
            }

            if (!await stream.Say(feed.Missing, feed, follower)) return;
            while (!await Comes(more, ending))
                if (!await stream.Beat(feed, follower))
                    return;
        }
    }

    private static async Task<bool> Comes(Task more, CancellationToken ending)
    {
        try
        {
            await more.WaitAsync(Heartbeat, ending);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    private static long? Number(HttpContext context, string name, long most)
    {
        var text = context.Request.Query[name].ToString();
        if (text.Length == 0)
            return null;
        return long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number <= most
            ? number
            : throw Refusal.Invalid($"{name} 必须是数字", $"{name} must be a number");
    }

    private sealed class Stream(HttpContext context, long? schedId, int? attempt, LogCursor after, JsonSerializerOptions json)
    {
        public long? SchedId => schedId;

        public int? Attempt => attempt;

        private readonly List<LostLines> lost = [];
        private Text said = Text.Same("");

        /// <summary>The last line that went out.</summary>
        public LogCursor After { get; private set; } = after;

        public Task<bool> Begin(LogFeed feed, Follower follower)
        {
            context.Response.ContentType = "text/event-stream; charset=utf-8";
            context.Response.Headers.CacheControl = "no-cache, no-transform";
            context.Response.Headers["X-Accel-Buffering"] = "no";
            return Beat(feed, follower);
        }

        public Task<bool> Beat(LogFeed feed, Follower follower) => Write(": \n\n", feed, follower);

        /// <summary>Says, as an event of its own, what a node that is away has of the log, and which lines are lost; an empty one takes it back.</summary>
        public Task<bool> Say(LaggingNode? away, LogFeed feed, Follower follower)
        {
            var missing = LostLines.Words(lost, away);
            if (missing == said) return Task.FromResult(true);
            said = missing;
            return Write($"event: missing\ndata: {JsonSerializer.Serialize(new { missing }, json)}\n\n", feed, follower);
        }

        public async Task<bool> Send(List<LogRow> rows, bool severalSteps, LogFeed feed, Follower follower)
        {
            var text = new StringBuilder();
            foreach (var row in rows)
            {
                if ((schedId is not null && row.SchedId != schedId) || (attempt is not null && row.Attempt != attempt)) continue;
                text.Append("id: ").Append(row.Cursor.Text(severalSteps)).Append("\ndata: ").Append(JsonSerializer.Serialize(row, json)).Append("\n\n");
            }

            if (lost.Count <= LostLines.MostNamed) lost.AddRange(LostLines.Between(rows, After));
            After = rows[^1].Cursor;
            return text.Length == 0 || await Write(text.ToString(), feed, follower);
        }

        private async Task<bool> Write(string text, LogFeed feed, Follower follower)
        {
            if (await SlowReader.Takes(Out(text), feed, follower.Dropped)) return true;
            context.Abort();
            return false;
        }

        private async Task Out(string text)
        {
            await context.Response.WriteAsync(text, context.RequestAborted);
            await context.Response.Body.FlushAsync(context.RequestAborted);
        }
    }
}
