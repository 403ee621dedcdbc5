using System.Security.Cryptography;
using System.Text.Json;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Microsoft.Extensions.Configuration;

namespace Codo.Modules.Cron.Executions;

/// <summary>A job's own environment variables.</summary>
/// <param name="Values">By name.</param>
/// <param name="Marked">Names that the owner marked as secrets, in order.</param>
internal sealed record JobVariables(IReadOnlyDictionary<string, string> Values, IReadOnlyList<string> Marked)
{
    public static readonly JobVariables None = new(new Dictionary<string, string>(), []);
}

/// <summary>
/// Environment variables of jobs: sealed at rest, and never shown where the name, the owner or a password in a URL says that the value is a secret.
/// </summary>
internal sealed class JobEnvironment(SecretBox box, IConfiguration configuration)
{
    /// <summary>What stands for a value that is not shown; sent back, it leaves the value as it was.</summary>
    public const string Mask = "******";

    private const string Place = "cron.job.env";

    // Sealed beside the values, so that a run keeps the marks that it was started with. No variable of a job can have this name: CODO_ is Codo's own.
    private const string Marks = "CODO_SECRET_ENV";

    private readonly SecretNames secretNames = SecretNames.Of(configuration, "Codo:Cron:SecretNames");

    public byte[]? Seal(JobVariables variables)
    {
        if (variables.Values.Count == 0) return null;
        var stored = variables.Values.ToDictionary();
        if (variables.Marked.Count > 0) stored[Marks] = string.Join(',', variables.Marked);
        return box.Seal(JsonSerializer.Serialize(stored), Place);
    }

    public JobVariables Open(byte[]? stored)
    {
        var values = stored is null ? [] : JsonSerializer.Deserialize<Dictionary<string, string>>(box.Open(stored, Place))!;
        return new JobVariables(values, values.Remove(Marks, out var marked) ? marked.Split(',') : []);
    }

    /// <summary>The same; null when it does not read, because it was sealed under another key or the row is damaged.</summary>
    public JobVariables? TryOpen(byte[]? stored)
    {
        try
        {
            return Open(stored);
        }
        catch (Exception error) when (DoesNotRead(error))
        {
            return null;
        }
    }

    /// <summary>Whether <see cref="Open"/> failed because of what is stored.</summary>
    public static bool DoesNotRead(Exception error) =>
        error is CryptographicException or JsonException or FormatException or ArgumentException or KeyNotFoundException or InvalidOperationException;

    /// <summary>As answers and the audit show it; nothing of an environment that does not read.</summary>
    public Dictionary<string, string> Masked(byte[]? stored) => Masked(TryOpen(stored) ?? JobVariables.None);

    public Dictionary<string, string> Masked(JobVariables variables) =>
        variables.Values.ToDictionary(pair => pair.Key, pair => IsSecret(variables, pair) ? Mask : pair.Value);

    /// <summary>The texts that no output of the job may show: secret values, and the password alone of one that is a URL.</summary>
    public IEnumerable<string> Secrets(byte[]? stored)
    {
        var variables = Open(stored);
        return variables.Values.Where(pair => IsSecret(variables, pair)).SelectMany(pair => SecretNames.Passwords(pair.Value).Prepend(pair.Value));
    }

    /// <summary>The text with every value that is not shown replaced; values of a character or two would hit words that are no secrets.</summary>
    public string WithoutSecrets(string text, byte[]? stored) => Secrets(stored).Where(secret => secret.Length > 2)
        .OrderByDescending(secret => secret.Length).Aggregate(text, (masked, secret) => masked.Replace(secret, Mask, StringComparison.Ordinal));

    /// <summary>What a caller sent on top of what is stored: masks, and values cut for a list, give way to the stored ones.</summary>
    /// <param name="given">Null leaves the variables as they are.</param>
    /// <param name="marked">Null leaves the marks as they are.</param>
    /// <exception cref="Refusal">A mask for a name that has no value yet; a mark for no variable; a mark taken away from a value that would be shown by
    /// that.</exception>
    public JobVariables Merge(IReadOnlyDictionary<string, string>? given, string[]? marked, byte[]? stored)
    {
        // One that does not read has no values that a mask could stand for.
        var before = TryOpen(stored) ?? JobVariables.None;
        var values = (given ?? before.Values).ToDictionary(pair => pair.Key, pair => Kept(pair, before) ?? pair.Value);
        var marks = (marked ?? before.Marked.Where(values.ContainsKey)).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToList();
        if (marks.Find(name => !values.ContainsKey(name)) is { } unknown)
            throw Refusal.Invalid($"secret_env：env 中没有变量 {unknown}", $"secret_env: env has no variable {unknown}");
        var merged = new JobVariables(values, marks);
        foreach (var (name, value) in values)
        {
            if (value == Mask && IsSecret(merged, new(name, value)))
                throw Refusal.Invalid($"env.{name} 的值不能是 {Mask}", $"The value of env.{name} cannot be {Mask}");
            var isKept = given is null || !given.TryGetValue(name, out var sent) || sent != value;
            if (isKept && before.Marked.Contains(name, StringComparer.Ordinal) && !IsSecret(merged, new(name, value)))
                throw Refusal.Invalid($"取消 {name} 的 secret_env 时请重新填写它的值", $"Give env.{name} its value anew to take it out of secret_env");
        }
        return merged;
    }

    // The stored value, where what was sent stands for it.
    private string? Kept(KeyValuePair<string, string> sent, JobVariables before)
    {
        if (!before.Values.TryGetValue(sent.Key, out var stored)) return null;
        var secret = IsSecret(before, new(sent.Key, stored));
        return (secret && sent.Value == Mask) || (!secret && Excerpt.Is(sent.Value, stored)) ? stored : null;
    }

    private bool IsSecret(JobVariables variables, KeyValuePair<string, string> pair) =>
        secretNames.Match(pair.Key) || variables.Marked.Contains(pair.Key, StringComparer.Ordinal) || SecretNames.Passwords(pair.Value).Any();
}
