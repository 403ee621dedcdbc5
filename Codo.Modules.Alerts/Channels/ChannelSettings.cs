using System.Security.Cryptography;
using System.Text.Json;
using Codo.Platform.Http;
using Codo.Platform.Security;

namespace Codo.Modules.Alerts.Channels;

/// <summary>A channel's settings between a request, the two columns that hold them, and the channel.</summary>
internal sealed class ChannelSettings(IEnumerable<IChannel> channels, SecretBox box, RunAsRule runAs)
{
    /// <summary>What stands for a value that is not shown; sent back, it leaves the value as it was.</summary>
    public const string Mask = "******";

    private const string Place = "alerts.channel.secrets";
    private const int MostValue = 4000;
    private readonly Dictionary<string, IChannel> byKind = channels.ToDictionary(channel => channel.Kind, StringComparer.Ordinal);

    public IChannel Of(string kind) => byKind[kind];

    /// <summary>What is stored: the open settings as JSON, the secret ones sealed.</summary>
    /// <param name="before">
    /// What was stored, whose values stay where the request carries none or a mask; null for a new channel. What does not read stays as it is while the request
    /// carries no settings, and is lost with those that it carries.
    /// </param>
    /// <exception cref="Refusal">A setting that the kind does not have, lacks, or cannot be so; another mail server without its password.</exception>
    public (string Settings, byte[]? Secrets) Store(Caller caller, string kind, JsonElement? given, Stored? before)
    {
        var (values, isWhole) = before is null ? (new Dictionary<string, string>(), true) : OpenWhatReads(kind, before);
        if (!isWhole && given is not { ValueKind: not JsonValueKind.Null }) return (before!.Settings, before.Secrets);
        var was = new Dictionary<string, string>(values);
        var ranAs = before is not null && isWhole ? was.GetValueOrDefault(CommandChannel.RunAs) : null;
        foreach (var (name, value) in Given(given))
        {
            var field = Of(kind).Fields.FirstOrDefault(field => field.Name == name)
                ?? throw Refusal.Invalid($"settings.{name} 不是 {kind} 的设置", $"settings.{name} is no setting of {kind}");
            if (field.Secret && value == Mask)
            {
                if (before is null) throw Refusal.Invalid($"settings.{name} 的值不能是 {Mask}", $"The value of settings.{name} cannot be {Mask}");
                continue;
            }
            values[name] = value;
            if (name == EmailChannel.Password) was.Remove(name);
        }
        foreach (var field in Of(kind).Fields)
            Check(field, values);
        // The server gets the password as it is: whoever may change the channel would read it at a server of their own.
        if (was.GetValueOrDefault(EmailChannel.Password) is { Length: > 0 } && EmailChannel.Server.Any(name => values[name] != was[name]))
            throw Refusal.Invalid("修改了邮件服务器，请重新填写 settings.password", "Give settings.password anew when the mail server changes");
        if (values.TryGetValue(CommandChannel.RunAs, out var named))
            values[CommandChannel.RunAs] = runAs.Choose(caller, named, ranAs);
        var secrets = values.Where(pair => Of(kind).Fields.Any(field => field.Name == pair.Key && field.Secret)).ToDictionary();
        return (
            JsonSerializer.Serialize(values.Where(pair => !secrets.ContainsKey(pair.Key)).ToDictionary(), Json.Stored),
            secrets.Count == 0 ? null : box.Seal(JsonSerializer.Serialize(secrets), Place)
        );
    }

    /// <summary>Every setting, defaults filled in: what a channel sends with.</summary>
    public Dictionary<string, string> Open(string kind, Stored stored)
    {
        var values = Of(kind).Fields.ToDictionary(field => field.Name, field => field.Default);
        foreach (var (name, value) in Read(stored.Settings)) values[name] = value;
        foreach (var (name, value) in Secrets(stored)) values[name] = value;
        return values;
    }

    /// <summary>As answers and the audit show it, the defaults for what does not read.</summary>
    public Dictionary<string, string> Masked(string kind, Stored stored) => Shown(kind, stored).Values;

    /// <summary>The same, and whether all of it reads: it was not sealed under another key, and the row is not damaged.</summary>
    public (Dictionary<string, string> Values, bool IsWhole) Shown(string kind, Stored stored)
    {
        var (values, isWhole) = OpenWhatReads(kind, stored);
        foreach (var field in Of(kind).Fields.Where(field => field.Secret && values[field.Name].Length > 0)) values[field.Name] = Mask;
        return (values, isWhole);
    }

    private (Dictionary<string, string> Values, bool IsWhole) OpenWhatReads(string kind, Stored stored)
    {
        var (values, isWhole) = (Of(kind).Fields.ToDictionary(field => field.Name, field => field.Default), true);
        foreach (var read in new Func<Dictionary<string, string>>[] { () => Read(stored.Settings), () => Secrets(stored) })
            try
            {
                foreach (var (name, value) in read()) values[name] = value;
            }
            catch (Exception error) when (error is JsonException or CryptographicException)
            {
                isWhole = false;
            }
        return (values, isWhole);
    }

    private Dictionary<string, string> Secrets(Stored stored) => stored.Secrets is null ? [] : Read(box.Open(stored.Secrets, Place));

    /// <exception cref="JsonException">It is not texts by their names.</exception>
    private static Dictionary<string, string> Read(string json) =>
        JsonSerializer.Deserialize<Dictionary<string, string>>(json) is { } read && read.Values.All(value => value is not null)
            ? read
            : throw new JsonException("The stored settings are not texts by their names.");

    private static void Check(Field field, Dictionary<string, string> values)
    {
        var value = values.TryGetValue(field.Name, out var given) ? given : values[field.Name] = field.Default;
        if (field.Required && value.Length == 0)
            throw Refusal.Invalid($"settings.{field.Name} 不能为空", $"settings.{field.Name} is missing");
        if (field.Allowed is { } words && !words.Contains(value))
            throw Refusal.Invalid(
                $"settings.{field.Name} 只能是 {string.Join(" | ", words)}",
                $"settings.{field.Name} must be one of {string.Join(" | ", words)}"
            );
        var wrong =
            value.Length > MostValue
            || (
                field.Name is "url" or "endpoint"
                && value.Length > 0
                && !(Uri.TryCreate(value, UriKind.Absolute, out var url) && url.Scheme is "http" or "https")
            )
            || (field.Name == "port" && !(int.TryParse(value, out var port) && port is > 0 and < 65536))
            || (field.Name == "path" && !value.StartsWith('/'))
            || (field.Name == "from" && !MimeKit.MailboxAddress.TryParse(value, out _));
        if (wrong) throw Refusal.Invalid($"settings.{field.Name} 格式错误", $"settings.{field.Name} is not of the right form");
    }

    private static IEnumerable<(string Name, string Value)> Given(JsonElement? given)
    {
        if (given is not { } settings || settings.ValueKind == JsonValueKind.Null) return [];
        if (settings.ValueKind != JsonValueKind.Object) throw Refusal.Invalid("settings 必须是 JSON 对象", "settings must be a JSON object");
        return settings.EnumerateObject().Where(pair => pair.Value.ValueKind != JsonValueKind.Null).Select(pair => (pair.Name, pair.Value.ValueKind switch
        {
            JsonValueKind.String => pair.Value.GetString()!,
            JsonValueKind.Number => pair.Value.GetRawText(),
            _ => throw Refusal.Invalid($"settings.{pair.Name} 必须是文本", $"settings.{pair.Name} must be text"),
        })).ToList();
    }
}

/// <summary>The two columns.</summary>
internal sealed record Stored(string Settings, byte[]? Secrets);
