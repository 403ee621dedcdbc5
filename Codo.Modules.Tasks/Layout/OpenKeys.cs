using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;
using Codo.Modules.Tasks.Hosts;
using Codo.Platform.Localization;
using Renci.SshNet;

namespace Codo.Modules.Tasks.Layout;

/// <summary>
/// Private keys that were read a moment ago: reading one that has a passphrase takes a tenth of a second of a CPU, and a hundred lanes need the same one. A
/// key that nobody asked for within five minutes is dropped. What is looked up is a digest, so that no text of a key is held.
/// </summary>
internal sealed class OpenKeys : IDisposable
{
    private static readonly TimeSpan KeepTime = TimeSpan.FromMinutes(5);

    private readonly ConcurrentDictionary<string, Held> held = new(StringComparer.Ordinal);
    private readonly TimeProvider time;
    private readonly ITimer sweep;

    public OpenKeys(TimeProvider time)
    {
        this.time = time;
        sweep = time.CreateTimer(_ => Drop(), null, TimeSpan.FromMinutes(1), TimeSpan.FromMinutes(1));
    }

    /// <summary>Keys that are held now.</summary>
    public int Count => held.Count;

    /// <summary>Reads an execute-user's key, or says in a sentence why it cannot be used.</summary>
    public bool TryOpen(ExecuteUser user, [NotNullWhen(true)] out PrivateKeyFile? key, out Text why)
    {
        why = default;
        var digest = Digest(user);
        if (held.TryGetValue(digest, out var known))
        {
            known.UsedAt = time.GetTimestamp();
            key = known.Key;
            return true;
        }

        if (!SshKeys.TryRead(user.PrivateKey, user.Passphrase, user.Certificate, out key, out why)) return false;
        held[digest] = new Held(key) { UsedAt = time.GetTimestamp() };
        return true;
    }

    /// <summary>Names a key without telling it.</summary>
    public static string Digest(ExecuteUser user) =>
        Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes($"{user.PrivateKey}\0{user.Passphrase}\0{user.Certificate}")));

    public void Dispose() => sweep.Dispose();

    // Not disposed: a lane may use it still. Its memory goes with its last user.
    private void Drop()
    {
        foreach (var (digest, key) in held)
            if (time.GetElapsedTime(key.UsedAt) > KeepTime) held.TryRemove(digest, out _);
    }

    private sealed class Held(PrivateKeyFile key)
    {
        public PrivateKeyFile Key => key;

        public long UsedAt { get; set; }
    }
}
