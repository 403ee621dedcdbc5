using System.Text;
using Renci.SshNet;

namespace Codo.Modules.Tasks.Hosts;

/// <summary>Where to connect to, as whom, and whom to trust.</summary>
/// <param name="Host">IPv4, IPv6 or a name.</param>
/// <param name="Key">Read once (<see cref="SshKeys"/>) and shared by all connections: opening one with a passphrase takes a tenth of a second of a CPU.</param>
/// <param name="Trust">Decides on the host's key during each connect; called on a thread of the connection, so it must answer at once.</param>
/// <param name="KnownKeyType">The kind of the key that is known of this host, such as <c>ssh-ed25519</c>: a host that has several keys is asked for that
/// one.</param>
internal sealed record SshTarget(string Host, int Port, string User, PrivateKeyFile Key, Func<HostKey, bool> Trust, string? KnownKeyType = null)
{
    /// <summary>How often a host is asked for an answer while a command runs; one that says nothing for as long again is lost.</summary>
    public TimeSpan KeepAlive { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>What commands there are written in and write; null for UTF-8.</summary>
    public Encoding? Encoding { get; init; }

    /// <summary>Tells whether the certificate of the key is over.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>How it is reached, as <see cref="HostKey.Path"/>; empty when directly.</summary>
    public string Path { get; init; } = "";

    /// <summary>Takes part in the connection to the bastion before it; null when it is reached directly.</summary>
    public Func<Task<BastionUse>>? Via { get; init; }
}
