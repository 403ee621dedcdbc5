using System.Security.Cryptography;
using System.Text.Json;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Microsoft.Extensions.Configuration;

namespace Codo.Modules.Cron.Jobs;

/// <summary>A job's own environment variables: sealed at rest, and those whose names say so never shown.</summary>
internal sealed class JobEnvironment(SecretBox box, IConfiguration configuration)
{
    /// <summary>What stands for a value that is not shown; sent back, it leaves the value as it was.</summary>
    public const string Mask = "******";

    private const string Place = "cron.job.env";
    private readonly SecretNames secret = SecretNames.Of(configuration, "Codo:Cron:SecretNames");

    public byte[]? Seal(IReadOnlyDictionary<string, string> variables) => variables.Count == 0 ? null : box.Seal(JsonSerializer.Serialize(variables), Place);

    public Dictionary<string, string> Open(byte[]? stored) =>
        stored is null ? [] : JsonSerializer.Deserialize<Dictionary<string, string>>(box.Open(stored, Place))!;

    /// <summary>As answers and the audit show it; nothing of an environment that does not read.</summary>
    public Dictionary<string, string> Masked(byte[]? stored) => TryMasked(stored) ?? [];

    /// <summary>The same; null when it does not read, because it was sealed under another key or the row is damaged.</summary>
    public Dictionary<string, string>? TryMasked(byte[]? stored)
    {
        try
        {
            return Open(stored).ToDictionary(pair => pair.Key, pair => secret.Match(pair.Key) ? Mask : pair.Value);
        }
        catch (Exception error) when (DoesNotRead(error))
        {
            return null;
        }
    }

    /// <summary>Whether <see cref="Open"/> failed because of what is stored.</summary>
    public static bool DoesNotRead(Exception error) => error is CryptographicException or JsonException or FormatException or ArgumentException or KeyNotFoundException or InvalidOperationException;

    /// <summary>The text with every value that is not shown replaced; values of a character or two would hit words that are no secrets.</summary>
    public string WithoutSecrets(string text, byte[]? stored) => Open(stored).Where(pair => secret.Match(pair.Key) && pair.Value.Length > 2)
        .OrderByDescending(pair => pair.Value.Length).Aggregate(text, (masked, pair) => masked.Replace(pair.Value, Mask, StringComparison.Ordinal));

    // One that does not read has no values that a mask could stand for.
    private Dictionary<string, string> OpenOrEmpty(byte[]? stored)
    {
        try
        {
            return Open(stored);
        }
        catch (Exception error) when (DoesNotRead(error))
        {
            return [];
        }
    }

    /// <summary>What a caller sent, with the masks replaced by what is stored.</summary>
    /// <exception cref="Refusal">A mask for a name that has no value yet.</exception>
    public Dictionary<string, string> Merge(IReadOnlyDictionary<string, string> given, byte[]? stored)
    {
        var before = OpenOrEmpty(stored);
        return given.ToDictionary(pair => pair.Key, pair => pair.Value != Mask || !secret.Match(pair.Key)
            ? pair.Value
            : before.TryGetValue(pair.Key, out var kept) ? kept : throw Refusal.Invalid($"env.{pair.Key} 的值不能是 {Mask}", $"The value of env.{pair.Key} cannot be {Mask}"));
    }
}
