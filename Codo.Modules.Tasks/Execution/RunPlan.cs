using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Codo.Platform.Http;

namespace Codo.Modules.Tasks.Execution;

/// <summary>
/// What an order is going to run, in a form that is the same whenever it is made: every command line, where, in which order, as whom, with which files. The
/// order's id and its times are left out, and secrets are digests under the master key. Two plans are the same when their hashes are.
/// </summary>
/// <param name="Key">The number of the master key under which secrets are digests.</param>
/// <param name="Users">The execute-users that hosts are entered as, by their alias.</param>
/// <param name="Files">SHA-256 of the scripts that steps on Codo's own machine name.</param>
internal sealed record RunPlan(
    int Key,
    IReadOnlyList<PlanGroup> Groups,
    SortedDictionary<string, PlanUser> Users,
    SortedDictionary<string, string> Files
)
{
    private static readonly JsonSerializerOptions Form = new(Json.Stored) { DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull };

    public string Write() => JsonSerializer.Serialize(this, Form);

    /// <summary>Null where it does not read.</summary>
    public static RunPlan? Read(string text)
    {
        try
        {
            return JsonSerializer.Deserialize<RunPlan>(text, Form) is { Groups: not null, Users: not null, Files: not null } plan ? plan : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    public static string HashOf(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
}

/// <summary>One group: its hosts in their order, and the steps that they run.</summary>
internal sealed record PlanGroup(
    int Group,
    int Batches,
    int BatchPause,
    int MaxFailures,
    bool Confirm,
    IReadOnlyList<PlanHost> Hosts,
    IReadOnlyList<PlanStep> Steps
);

internal sealed record PlanHost(string Host, int Batch);

/// <summary>One step.</summary>
/// <param name="Line">The command line, secrets masked; FLOW_ID stands where the order's id will.</param>
/// <param name="Secrets">A digest of the line with its secrets; null where there are none.</param>
/// <param name="RunAs">Who it runs as on Codo's own machine; null where it runs elsewhere alone.</param>
/// <param name="ExecUser">Whose login it runs in elsewhere; null where it runs on Codo's own machine alone.</param>
/// <param name="Hosts">The hosts that run it, where that is not every host of the group.</param>
/// <param name="Node">Which nodes of Codo may run it; null for every one.</param>
internal sealed record PlanStep(
    int Level,
    string Name,
    string Line,
    string? Secrets,
    string Trigger,
    string? ExecUser,
    string? ForceHost,
    string? RunAs,
    int Timeout,
    int Retries,
    int RetryDelay,
    string OnError,
    bool Pty,
    IReadOnlyList<string>? Hosts,
    string? Node
);

/// <summary>An execute-user as it is entered.</summary>
/// <param name="Key">A digest of the private key and its passphrase.</param>
/// <param name="Way">The bastions on the way, each as login@host:port and a digest of its key.</param>
internal sealed record PlanUser(string Login, int Port, string Encoding, string Key, IReadOnlyList<string>? Way);
