using System.Text.Json;
using System.Threading.Channels;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Codo.Platform.Ui;

/// <summary>All topics that a browser follows, in one stream: HTTP/1.1 gives an origin six connections, and a tab must not take one each.</summary>
internal static class LiveStream
{
    public const string Description =
        "`topics` names what to follow, with commas: `jobs`, `runs`, `orders`, `incidents`, `run:{log_id}`, `usage:{log_id}`, `order:{list_id}`, "
        + "`log:{log_key}`. Each event `change` has `topic`, `version` and, where the topic brings it, `data`; without `data` the client reads the "
        + "object again. That of an object which the caller may not see, or which is not there, has one event with `refused`. `known` is a JSON object of "
        + "topics and the versions that the client has: only what differs from them is sent.";

    // Events that wait for a slow client; the topics wait with it.
    private const int MostWaiting = 64, MostTopics = 60;

    public static async Task Handle(HttpContext context)
    {
        var topics = context.RequestServices.GetRequiredService<LiveTopics>();
        var access = context.RequestServices.GetRequiredService<Access>();
        var names = context.Request.Query["topics"].ToString().Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        var known = Known(context.Request.Query["known"].ToString());
        if (names.Length is 0 or > MostTopics) throw Refusal.Invalid($"topics 需要 1 到 {MostTopics} 个主题", $"topics must name 1 to {MostTopics} topics");
        var followed = names
            .Distinct(StringComparer.Ordinal)
            .Select(name => (Name: name, Found: topics.Find(name) ?? throw Refusal.NotFound($"没有主题 {name}", $"There is no topic {name}")))
            .ToList();
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(
            context.RequestAborted,
            context.RequestServices.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping
        );
        var changes = Channel.CreateBounded<Change>(MostWaiting);
        var log = context.RequestServices.GetRequiredService<ILoggerFactory>().CreateLogger("Codo.Ui");
        var readers = followed.Select(one => Pump(one.Name, one.Found, access, known.GetValueOrDefault(one.Name), changes.Writer, ending, log)).ToList();
        try
        {
            await Send(new EventStream(context), changes.Reader, ending.Token);
        }
        catch (OperationCanceledException) when (ending.IsCancellationRequested)
        {
            // The client has gone, the host goes, or a topic has failed.
        }
        finally
        {
            await ending.CancelAsync();
            await Task.WhenAll(readers);
        }
    }

    private static async Task Send(EventStream stream, ChannelReader<Change> changes, CancellationToken ending)
    {
        if (!await stream.Begin()) return;
        while (true)
        {
            using var silence = CancellationTokenSource.CreateLinkedTokenSource(ending);
            silence.CancelAfter(EventStream.Heartbeat);
            try
            {
                await changes.WaitToReadAsync(silence.Token);
            }
            catch (OperationCanceledException) when (!ending.IsCancellationRequested)
            {
                if (!await stream.Beat()) return;
                continue;
            }
            while (changes.TryRead(out var change))
                if (!await stream.Send("change", null, change))
                    return;
        }
    }

    private static async Task Pump(
        string name,
        (ILiveTopic Topic, string Argument) followed,
        Access access,
        string? known,
        ChannelWriter<Change> changes,
        CancellationTokenSource ending,
        ILogger log
    )
    {
        try
        {
            await foreach (var change in followed.Topic.Follow(followed.Argument, access, known, ending.Token))
                await changes.WriteAsync(new Change(name, change.Version, change.Data, null), ending.Token);
        }
        catch (Refusal refusal)
        {
            // One topic that is not to be seen does not end the others.
            var told = changes.WriteAsync(new Change(name, "", null, refusal.Text.ToString()), ending.Token).AsTask();
            await told.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        catch (Exception) when (ending.IsCancellationRequested)
        {
            // The stream ends.
        }
        catch (Exception error)
        {
            // Without the topic the stream would look live and bring nothing of it: the client is to come back and follow anew.
            log.LogWarning(error, "Topic {Topic} failed; its stream ends, and the client follows anew", name);
            await ending.CancelAsync();
        }
    }

    private static Dictionary<string, string> Known(string text)
    {
        if (text.Length == 0) return [];
        try
        {
            return JsonSerializer.Deserialize<Dictionary<string, string>>(text) ?? [];
        }
        catch (JsonException)
        {
            throw Refusal.Invalid("known 必须是 JSON 对象", "known must be a JSON object");
        }
    }

    private sealed record Change(string Topic, string Version, object? Data, string? Refused);
}
