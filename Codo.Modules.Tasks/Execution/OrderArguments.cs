using System.Text.Json;
using System.Text.Json.Nodes;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Codo.Platform.Security;
using Microsoft.Extensions.Configuration;

namespace Codo.Modules.Tasks.Execution;

/// <summary>An order's arguments at rest: shown values as JSON, secret ones sealed beside it and masked in it.</summary>
internal sealed class OrderArguments(SecretBox box, IConfiguration configuration)
{
    /// <summary>What stands for a secret value wherever it is shown.</summary>
    public const string Mask = CommandLine.Mask;

    /// <summary>Why the secrets of a stored order do not open.</summary>
    public static readonly Text CannotOpen = new(
        "保密参数无法解密：主密钥与提交时不同",
        "A secret argument cannot be opened: the master key is not the one of its submission"
    );

    private const string SealPlace = "tasks.scheduler_task_list.secret_args";

    private readonly SecretNames secretNames = SecretNames.Of(configuration, "Codo:Tasks:SecretNames");

    /// <summary>Takes what was submitted apart.</summary>
    /// <exception cref="Refusal">The mask was submitted as a value: it would be taken for the secret itself.</exception>
    public ArgumentValues Read(JsonObject? submitted)
    {
        var values = CommandLine.Values(submitted ?? []);
        var secret = values
            .Where(pair => secretNames.Match(pair.Key) || SecretNames.Passwords(pair.Value).Any())
            .Select(pair => pair.Key)
            .ToHashSet(StringComparer.Ordinal);
        if (values.FirstOrDefault(pair => pair.Value == Mask).Key is { } masked)
            throw Refusal.Invalid($"参数 {masked} 的值是掩码 {Mask}，请填写真实值", $"The value of {masked} is the mask {Mask}; give the value itself");
        return new ArgumentValues(values, secret);
    }

    /// <summary>The text to store, and the secrets beside it; null where there are none.</summary>
    public (string Args, byte[]? SecretArgs) Seal(ArgumentValues values)
    {
        var shown = JsonSerializer.Serialize(values.Shown, Json.Stored);
        var secrets = values.All.Where(pair => values.SecretNames.Contains(pair.Key)).ToDictionary();
        return (shown, secrets.Count == 0 ? null : box.Seal(JsonSerializer.Serialize(secrets, Json.Stored), SealPlace));
    }

    /// <summary>The arguments of a stored order, secrets opened.</summary>
    /// <exception cref="System.Security.Cryptography.CryptographicException">They do not open: <see cref="CannotOpen"/>.</exception>
    public ArgumentValues Open(string args, byte[]? secretArgs)
    {
        var values = CommandLine.Values(JsonNode.Parse(args)!.AsObject()).ToDictionary(StringComparer.Ordinal);
        var secrets = secretArgs is null ? [] : JsonSerializer.Deserialize<Dictionary<string, string>>(box.Open(secretArgs, SealPlace), Json.Stored)!;
        foreach (var (name, value) in secrets) values[name] = value;
        return new ArgumentValues(values, secrets.Keys.ToHashSet(StringComparer.Ordinal));
    }
}

/// <summary>Argument values of one order. No record: nothing writes it out by accident.</summary>
internal sealed class ArgumentValues(IReadOnlyDictionary<string, string> all, IReadOnlySet<string> secretNames)
{
    public IReadOnlyDictionary<string, string> All => all;

    public IReadOnlySet<string> SecretNames => secretNames;

    /// <summary>The values with secrets masked.</summary>
    public IReadOnlyDictionary<string, string> Shown =>
        all.ToDictionary(pair => pair.Key, pair => secretNames.Contains(pair.Key) ? OrderArguments.Mask : pair.Value);

    /// <summary>The line that a step runs with these values.</summary>
    /// <param name="listId">Null while there is no order yet.</param>
    /// <exception cref="CommandNotStartedException">A value has no place there, or the line is too long.</exception>
    public CommandLine Line(string command, string args, long? listId) =>
        CommandLine.TryRender(command, args, all, listId, secretNames.Contains, out var line, out var why) ? line! : throw new CommandNotStartedException(why);

    /// <summary>The texts that no output may show: secret values, and the password alone of one that is a URL.</summary>
    public IReadOnlyCollection<string> Secrets =>
        [
            .. all.Where(pair => secretNames.Contains(pair.Key) && pair.Value.Length > 0)
                .SelectMany(pair => Platform.Security.SecretNames.Passwords(pair.Value).Prepend(pair.Value)),
        ];
}
