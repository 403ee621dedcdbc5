using System.Text.Json;
using System.Text.Json.Serialization;

namespace Codo.Platform.Localization;

/// <summary>Codo's time zone: taken from the machine at the first start, kept in the database, the same on every node.</summary>
public sealed class Zone
{
    private TimeZoneInfo? info;

    /// <summary>The zone; set once, before the host listens.</summary>
    public TimeZoneInfo Info
    {
        get => info ?? throw new InvalidOperationException("Codo's time zone is read from the database at the start, and this ran before it.");
        set => info = value;
    }

    /// <summary><c>yyyy-MM-dd HH:mm:ss</c> in Codo's zone.</summary>
    public string Text(DateTime utc) => Times.Format(new DateTimeOffset(DateTime.SpecifyKind(utc, DateTimeKind.Utc)), Info);
}

/// <summary>Writes every time of an answer as the contract wants it.</summary>
internal sealed class ZonedDateTimeConverter(Zone zone) : JsonConverter<DateTime>
{
    public override DateTime Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        throw new JsonException("a time is bound as text");

    public override void Write(Utf8JsonWriter writer, DateTime value, JsonSerializerOptions options) => writer.WriteStringValue(zone.Text(value));
}
