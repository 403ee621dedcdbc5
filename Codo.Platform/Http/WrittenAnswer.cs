using System.Security.Cryptography;
using System.Text.Json.Serialization;
using Codo.Platform.Localization;
using Microsoft.AspNetCore.Http;

namespace Codo.Platform.Http;

/// <summary>An answer that may have been written before: then its bytes are sent as they are, or not at all where the client has them.</summary>
public abstract record WrittenAnswer(Text Msg) : Answer(Msg)
{
    /// <summary>The whole body; null where the answer is still to be written.</summary>
    [JsonIgnore]
    public WrittenBody? Body { get; init; }
}

/// <summary>A body in bytes with its entity tag.</summary>
public sealed class WrittenBody(byte[] bytes)
{
    /// <summary>Weak, since a proxy may compress the body.</summary>
    public string Tag { get; } = $"W/\"{Convert.ToHexStringLower(SHA256.HashData(bytes).AsSpan(0, 12))}\"";

    public int Length => bytes.Length;

    internal async Task Send(HttpContext context)
    {
        context.Response.Headers.ETag = Tag;
        if (context.Request.Headers.IfNoneMatch.Any(tags => tags?.Contains(Tag, StringComparison.Ordinal) == true))
        {
            context.Response.StatusCode = StatusCodes.Status304NotModified;
            return;
        }
        context.Response.ContentType = "application/json; charset=utf-8";
        context.Response.ContentLength = bytes.Length;
        await context.Response.Body.WriteAsync(bytes, context.RequestAborted);
    }
}
