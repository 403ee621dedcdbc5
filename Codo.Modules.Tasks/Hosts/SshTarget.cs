using Renci.SshNet;

namespace Codo.Modules.Tasks.Hosts;

/// <summary>Where to connect to, as whom, and whom to trust.</summary>
/// <param name="Host">IPv4, IPv6 or a name.</param>
/// <param name="Key">Read once (<see cref="SshKeys"/>) and shared by all connections: opening one with a passphrase takes a tenth of a second of a CPU.</param>
/// <param name="Trust">Decides on the host's key during each connect; called on a thread of the connection, so it must answer at once.</param>
/// <param name="KnownKeyType">The kind of the key that is known of this host, such as <c>ssh-ed25519</c>: a host that has several keys is asked for that one.</param>
internal sealed record SshTarget(string Host, int Port, string User, PrivateKeyFile Key, Func<HostKey, bool> Trust, string? KnownKeyType = null);

/// <summary>The key with which a host proves who it is.</summary>
/// <param name="Type">As in a known_hosts file, such as <c>ssh-ed25519</c> or <c>ssh-rsa</c>.</param>
/// <param name="Fingerprint">As <c>ssh-keygen -l</c> shows it: <c>SHA256:…</c>.</param>
/// <param name="Bytes">The public key itself, in the protocol's form.</param>
internal sealed record HostKey(string Host, int Port, string Type, string Fingerprint, byte[] Bytes);
