using System.Net.WebSockets;
using System.Text;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Npgsql;

namespace Codo.Modules.Tasks.Logs;

/// <summary>
/// A log over a WebSocket, as the original's console reads it: the client names a log and gets all of it as one text, and again whenever there is more, at most
/// twice a second.
/// </summary>
internal static class WatchLog
{
    private const int MostKeyBytes = 4096;

    private const char ZeroWidthSpace = '\u200b';

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(500);

    /// <summary>Each line with its time, the command's as well.</summary>
    public static Task WithTimes(HttpContext context)
    {
        var zone = context.RequestServices.GetRequiredService<Zone>();
        return Handle(context, row => $"{zone.Text(row.ExecTime)}： {BreakDashes(row.LogInfo)}");
    }

    /// <summary>
    /// The line with a zero-width space after each third dash of a run and after a dash at its end: the console splits the text at <c>----</c>, wherever it
    /// stands.
    /// </summary>
    internal static string BreakDashes(string line)
    {
        if (!line.Contains("----", StringComparison.Ordinal) && !line.EndsWith('-')) return line;
        var text = new StringBuilder(line.Length + 8);
        var run = 0;
        foreach (var letter in line)
        {
            run = letter == '-' ? run + 1 : 0;
            if (run == 4)
            {
                text.Append(ZeroWidthSpace);
                run = 1;
            }
            text.Append(letter);
        }
        if (run > 0) text.Append(ZeroWidthSpace);
        return text.ToString();
    }

    /// <summary>What the command printed, and nothing else.</summary>
    public static Task OutputOnly(HttpContext context) =>
        Handle(context, row => row.LogInfo.StartsWith("[CMD]", StringComparison.Ordinal) ? null : row.LogInfo);

    private static async Task Handle(HttpContext context, Func<LogRow, string?> show)
    {
        if (!context.WebSockets.IsWebSocketRequest)
            throw Refusal.Invalid("请使用 WebSocket 连接", "Connect with a WebSocket");
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(
            context.RequestAborted,
            context.RequestServices.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping
        );
        using var socket = await context.WebSockets.AcceptWebSocketAsync();
        try
        {
            await Serve(context, socket, show, ending.Token);
        }
        catch (Exception error) when (error is WebSocketException or OperationCanceledException)
        {
            // The client has gone, or the host goes: there is nobody to tell.
            context.Abort();
        }
    }

    // A client that names another log follows that one from then on.
    private static async Task Serve(HttpContext context, WebSocket socket, Func<LogRow, string?> show, CancellationToken ending)
    {
        var asked = Ask(socket, ending);
        while (await asked is { } logKey)
        {
            LogKey key;
            try
            {
                key = await LogAccess.Open(
                    context.RequestServices.GetRequiredService<NpgsqlDataSource>(),
                    context.RequestServices.GetRequiredService<Access>(),
                    logKey,
                    ending
                );
            }
            catch (Refusal refusal)
            {
                await socket.CloseAsync(WebSocketCloseStatus.PolicyViolation, refusal.Text.ToString(), ending);
                return;
            }

            asked = Ask(socket, ending);
            using var over = CancellationTokenSource.CreateLinkedTokenSource(ending);
            var following = Follow(context, socket, key, show, over.Token);
            var first = await Task.WhenAny(asked, following);
            await over.CancelAsync();
            if (!await Ended(following)) return;
            if (first == following) return;
        }

        if (socket.State == WebSocketState.CloseReceived) await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, ending);
    }

    /// <summary>False when the client was cut off.</summary>
    private static async Task<bool> Ended(Task<bool> following)
    {
        try
        {
            return await following;
        }
        catch (OperationCanceledException)
        {
            return true;
        }
    }

    private static async Task<bool> Follow(HttpContext context, WebSocket socket, LogKey key, Func<LogRow, string?> show, CancellationToken over)
    {
        var feeds = context.RequestServices.GetRequiredService<LogFeeds>();
        var feed = feeds.Share(key);
        try
        {
            var seen = 0L;
            var last = "";
            while (true)
            {
                await feed.Beyond(seen).WaitAsync(over);
                if (feed.Window() is not { } end) continue;
                seen = end.Change;
                var lost = LostLines.Between(end.Rows, end.Total > end.Rows.Count ? null : LogCursor.Start);
                var text = Text(end.Rows, end.Total, show, LostLines.Line(lost, feed.Missing));
                // More commands are no more output: where those are left out there is nothing new to send.
                if (text == last) continue;
                last = text;
                // Not with the token that ends the following: a send that is cut short ends the connection.
                if (
                    !await SlowReader.Takes(
                        socket.SendAsync(Encoding.UTF8.GetBytes(text), WebSocketMessageType.Text, true, context.RequestAborted),
                        feed,
                        CancellationToken.None
                    )
                )
                {
                    context.Abort();
                    return false;
                }

                await Task.Delay(Pause, over);
            }
        }
        finally
        {
            feeds.Return(feed);
        }
    }

    private static string Text(List<LogRow> rows, long total, Func<LogRow, string?> show, string? missing)
    {
        var older = total - rows.Count;
        var lines = rows.Select(show).OfType<string>();
        if (older > 0) lines = lines.Prepend($"… 之前的 {older} 行未显示 / {older} earlier lines are not shown …");
        if (missing is not null) lines = lines.Append(missing);
        return string.Join("----", lines);
    }

    /// <summary>The next text that the client sends; null when it closes.</summary>
    private static async Task<string?> Ask(WebSocket socket, CancellationToken ending)
    {
        var buffer = new byte[MostKeyBytes];
        var length = 0;
        while (true)
        {
            var received = await socket.ReceiveAsync(buffer.AsMemory(length), ending);
            if (received.MessageType == WebSocketMessageType.Close) return null;
            length += received.Count;
            if (received.EndOfMessage) return Encoding.UTF8.GetString(buffer, 0, length).Trim();
            if (length < buffer.Length) continue;
            await socket.CloseAsync(WebSocketCloseStatus.MessageTooBig, "log_key", ending);
            return null;
        }
    }
}
