using System.Buffers;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Unicode;
using Codo.Platform.Security;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Platform.Http;

/// <summary>Turns a request into a slice's command or query: a JSON object whatever its Content-Type says, or the query's values.</summary>
public static class Body
{
    /// <summary>GET reads the query. Everything else reads the body; a DELETE without one reads the query, which some clients send.</summary>
    /// <exception cref="Refusal">Malformed JSON, no object, invalid UTF-8 or a wrong type, naming the field.</exception>
    public static async Task<T> Bind<T>(HttpContext context, JsonSerializerOptions options)
    {
        if (HttpMethods.IsGet(context.Request.Method) || HttpMethods.IsHead(context.Request.Method)) return FromQuery<T>(context.Request.Query, options);
        var bytes = await ReadAll(context);
        if (Caller.Of(context) is { } caller && !await context.RequestServices.GetRequiredService<Quotas>().Take(caller, bytes.Length))
            throw new BadHttpRequestException("Codo:Quotas:BytesPerMinute", StatusCodes.Status429TooManyRequests);
        if (bytes.AsSpan().Trim(" \t\r\n"u8).IsEmpty)
            return HttpMethods.IsDelete(context.Request.Method) ? FromQuery<T>(context.Request.Query, options) : Read<T>("{}"u8, options);
        if (bytes.AsSpan().StartsWith((ReadOnlySpan<byte>)[0xEF, 0xBB, 0xBF])) bytes = bytes[3..];
        if (!Utf8.IsValid(bytes)) throw Refusal.Invalid("请求体不是有效的 UTF-8", "The body is not valid UTF-8");
        var request = Read<T>(bytes, options);
        if (request is IVersioned { Version: null } change) change.Version = IfMatch.Version(context);
        UnknownFields.Note<T>(context, bytes, options);
        return request;
    }

    private static T FromQuery<T>(IQueryCollection query, JsonSerializerOptions options)
    {
        var fields = new JsonObject();
        foreach (var (name, values) in query)
            if (values[^1] is { Length: > 0 } value)
                fields[name] = value;
        return Read<T>(JsonSerializer.SerializeToUtf8Bytes(fields), options);
    }

    private static T Read<T>(ReadOnlySpan<byte> json, JsonSerializerOptions options)
    {
        try
        {
            if (json.TrimStart(" \t\r\n"u8) is not [(byte)'{', ..]) throw IsNoObject(json);
            if (ItemLimits.Exceeded(typeof(T), json) is { } tooMany) throw tooMany;
            return JsonSerializer.Deserialize<T>(json, options)!;
        }
        catch (JsonException error)
        {
            var field = FieldOf(error.Path);
            if (field.Length > 0 && error.InnerException is null)
                throw Refusal.Invalid($"字段 {field} 的值或类型不正确", $"The field {field} has a wrong value or type");
            var (zh, en) = field.Length > 0 ? ($"，字段 {field}", $", field {field}") : ("", "");
            throw Refusal.Invalid($"请求体不是有效的 JSON（第 {error.LineNumber + 1} 行{zh}）", $"The body is not valid JSON (line {error.LineNumber + 1}{en})");
        }
        catch (Exception error) when (error is InvalidOperationException or NotSupportedException)
        {
            throw Refusal.Invalid("请求体里有无效的字符", "The body has invalid characters");
        }
    }

    private static Refusal IsNoObject(ReadOnlySpan<byte> json)
    {
        try
        {
            using var document = JsonDocument.Parse(json.ToArray());
            return Refusal.Invalid("请求体必须是 JSON 对象", "The body must be a JSON object");
        }
        catch (JsonException)
        {
            return Refusal.Invalid("请求体不是有效的 JSON", "The body is not valid JSON");
        }
    }

    // "$.steps[3].level" is what the reader says; "steps[3].level" is what the caller wrote.
    private static string FieldOf(string? path) => path is null ? "" : path.TrimStart('$').TrimStart('.');

    private static async Task<byte[]> ReadAll(HttpContext context)
    {
        var reader = context.Request.BodyReader;
        while (true)
        {
            var read = await reader.ReadAsync(context.RequestAborted);
            if (read.IsCompleted)
            {
                var bytes = read.Buffer.ToArray();
                reader.AdvanceTo(read.Buffer.End);
                return bytes;
            }
            reader.AdvanceTo(read.Buffer.Start, read.Buffer.End);
        }
    }
}
