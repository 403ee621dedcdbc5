using System.Collections.Concurrent;
using System.Reflection;
using System.Text;
using System.Text.Json;

namespace Codo.Platform.Http;

/// <summary>
/// How many items a list of a body may have. They are counted before anything is made of them: some megabytes of <c>{}</c> would be millions of objects before
/// a validator saw them.
/// </summary>
/// <param name="most">So many are taken.</param>
/// <param name="zh">What is said of more, in Chinese.</param>
/// <param name="en">The same in English.</param>
[AttributeUsage(AttributeTargets.Property)]
public sealed class MostItemsAttribute(int most, string zh, string en) : Attribute
{
    public int Most => most;

    public string Zh => zh;

    public string En => en;
}

/// <summary>Counts the items of those lists of a body that have a <see cref="MostItemsAttribute"/>.</summary>
internal static class ItemLimits
{
    private static readonly ConcurrentDictionary<Type, Limited[]> Lists = new();

    /// <summary>What is said of a list that is too long; null where none is. The body is read no further than to its first item too many.</summary>
    public static Refusal? Exceeded(Type type, ReadOnlySpan<byte> json)
    {
        var lists = Lists.GetOrAdd(type, static of => [.. of.GetProperties().Select(ListOf).OfType<Limited>()]);
        if (lists.Length == 0) return null;
        try
        {
            return Count(lists, json);
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            // Whoever reads the body then says what is wrong with it, and where.
            return null;
        }
    }

    private static Refusal? Count(Limited[] lists, ReadOnlySpan<byte> json)
    {
        var reader = new Utf8JsonReader(json);
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var limit = LimitOf(lists, ref reader);
            reader.Read();
            if (limit is null || reader.TokenType != JsonTokenType.StartArray)
            {
                reader.Skip();
                continue;
            }
            for (var count = 1; reader.Read() && reader.TokenType != JsonTokenType.EndArray; count++)
            {
                if (count > limit.Most) return Refusal.Invalid(limit.Zh, limit.En);
                reader.Skip();
            }
        }
        return null;
    }

    private static MostItemsAttribute? LimitOf(Limited[] lists, ref Utf8JsonReader reader)
    {
        foreach (var list in lists)
            if (reader.ValueTextEquals(list.Name))
                return list.Limit;
        return null;
    }

    private static Limited? ListOf(PropertyInfo property) =>
        property.GetCustomAttribute<MostItemsAttribute>() is { } limit
            ? new Limited(Encoding.UTF8.GetBytes(JsonNamingPolicy.SnakeCaseLower.ConvertName(property.Name)), limit)
            : null;

    /// <param name="Name">As it stands in the body.</param>
    private sealed record Limited(byte[] Name, MostItemsAttribute Limit);
}
