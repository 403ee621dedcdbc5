using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.RegularExpressions;
using Codo.Modules.Tasks.Execution;
using Codo.Platform.Data;

namespace Codo.Modules.Tasks.Logs;

/// <summary>
/// What travels over Redis: the original's message, <c>{"log_key", "exec_time", "result"}</c>, and three numbers of ours, <c>sched_id</c>, <c>attempt</c>
/// and <c>line</c>, without which it is another publisher's.
/// </summary>
internal static partial class TaskLogMessage
{
    private static readonly JsonWriterOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };

    public static ReadOnlyMemory<byte> Write(OutputPlace place, in SpooledLine line)
    {
        var buffer = new ArrayBufferWriter<byte>(line.Utf8.Length + 160);
        using (var json = new Utf8JsonWriter(buffer, Plain))
        {
            json.WriteStartObject();
            json.WriteString("log_key"u8, place.LogKey);
            json.WriteNumber("exec_time"u8, line.Milliseconds);
            json.WriteString("result"u8, line.Utf8.Span);
            json.WriteNumber("sched_id"u8, place.SchedId);
            json.WriteNumber("attempt"u8, place.Attempt);
            json.WriteNumber("line"u8, line.Line);
            if (line.Marks.HasFlag(LineMarks.Continues)) json.WriteBoolean("continues"u8, true);
            json.WriteEndObject();
        }

        return buffer.WrittenMemory;
    }

    /// <summary>Null for what is no message of this kind. A line without a number gets <see cref="LogLine.Line"/> 0.</summary>
    /// <param name="time">For a line without a time, and for one without a number whose time is more than a day ahead.</param>
    public static LogLine? Parse(ReadOnlyMemory<byte> message, TimeProvider time)
    {
        try
        {
            using var json = JsonDocument.Parse(message);
            return Read(json.RootElement, time);
        }
        catch (InvalidOperationException)
        {
            // Half a surrogate pair, which Python writes as an escape: JSON takes it, text cannot.
            return WithoutLoneSurrogates(message, time);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static LogLine? WithoutLoneSurrogates(ReadOnlyMemory<byte> message, TimeProvider time)
    {
        try
        {
            using var json = JsonDocument.Parse(
                LoneSurrogate().Replace(Encoding.UTF8.GetString(message.Span), match => match.Value.Length == 12 ? match.Value : "\\uFFFD")
            );
            return Read(json.RootElement, time);
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            return null;
        }
    }

    private static LogLine? Read(JsonElement json, TimeProvider time)
    {
        if (
            json.ValueKind != JsonValueKind.Object
            || !json.TryGetProperty("log_key", out var key)
            || key.ValueKind != JsonValueKind.String
            || !json.TryGetProperty("result", out var result)
        )
            return null;
        var text = result.ValueKind == JsonValueKind.String ? result.GetString()! : result.GetRawText();
        var now = time.GetUtcNow().UtcDateTime;
        var at = Number(json, "exec_time") is { } milliseconds and > 0 and < 253_402_300_800_000 ? DateTime.UnixEpoch.AddMilliseconds(milliseconds) : now;
        var (sched, attempt, line) = (Number(json, "sched_id"), Number(json, "attempt"), Number(json, "line"));
        var numbered = sched > 0 && attempt is > 0 and <= int.MaxValue && line > 0;
        // Another publisher's clock is wrong. One of ours has to have the same time when it is written again.
        if (!numbered && at > now.AddDays(1)) at = now;
        return new LogLine(
            LogKey.Parse(OutsideText.Storable(key.GetString()!)), numbered ? sched!.Value : 0, numbered ? (int)attempt!.Value : 0, numbered ? line!.Value : 0,
            json.TryGetProperty("continues", out var continues) && continues.ValueKind == JsonValueKind.True, OutsideText.Storable(text), at);
    }

    private static long? Number(JsonElement json, string name) =>
        json.TryGetProperty(name, out var value)
            ? value.ValueKind switch
            {
                JsonValueKind.Number when value.TryGetInt64(out var number) => number,
                JsonValueKind.Number when value.TryGetDouble(out var number) && Math.Abs(number) < 1e15 => (long)number,
                JsonValueKind.String
                    when double.TryParse(value.GetString(), NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && Math.Abs(number) < 1e15 =>
                    (long)number,
                _ => null,
            }
            : null;

    // A whole pair is matched as one and left alone.
    [GeneratedRegex(@"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}", RegexOptions.CultureInvariant)]
    private static partial Regex LoneSurrogate();
}
