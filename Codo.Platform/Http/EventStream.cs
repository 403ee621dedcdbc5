using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Platform.Http;

/// <summary>
/// Server-sent events to one client. A client whose connection takes nothing for half a minute is cut off; it comes back with the id of the last event that it
/// has.
/// </summary>
public sealed class EventStream(HttpContext context)
{
    /// <summary>Proxies cut off what is silent for a minute.</summary>
    public static readonly TimeSpan Heartbeat = TimeSpan.FromSeconds(15);

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly JsonSerializerOptions json = context.RequestServices.GetRequiredService<JsonSerializerOptions>();

    /// <summary>Sends the headers.</summary>
    /// <returns>False, as with every other method, when the client was cut off.</returns>
    public Task<bool> Begin()
    {
        context.Response.ContentType = "text/event-stream; charset=utf-8";
        context.Response.Headers.CacheControl = "no-cache, no-transform";
        context.Response.Headers["X-Accel-Buffering"] = "no";
        return Beat();
    }

    /// <summary>A comment, so that neither side nor a proxy takes the other for dead.</summary>
    public Task<bool> Beat() => Write(": \n\n");

    /// <param name="name">The event's type; null for a plain message.</param>
    /// <param name="id">To resume from; null where the next event belongs to this one.</param>
    public Task<bool> Send(string? name, string? id, object data) => Write(Event(name, id, data));

    /// <summary>An event as it goes out, for several in one write.</summary>
    public string Event(string? name, string? id, object data) =>
        $"{(name is null ? "" : $"event: {name}\n")}{(id is null ? "" : $"id: {id}\n")}data: {JsonSerializer.Serialize(data, json)}\n\n";

    /// <summary>Events that were put together before.</summary>
    public async Task<bool> Write(string text)
    {
        try
        {
            await Out(text).WaitAsync(Patience, context.RequestAborted);
            return true;
        }
        catch (TimeoutException)
        {
            context.Abort();
            return false;
        }
    }

    private async Task Out(string text)
    {
        await context.Response.WriteAsync(text, context.RequestAborted);
        await context.Response.Body.FlushAsync(context.RequestAborted);
    }
}
