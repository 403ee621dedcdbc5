using System.Collections.Concurrent;
using Codo.Modules.Tasks.Hosts;
using Codo.Modules.Tasks.Layout;
using Codo.Platform.Http;
using Codo.Platform.Processes;
using Codo.Platform.Security;
using Npgsql;
using Renci.SshNet;

namespace Codo.Modules.Tasks.Execution;

/// <summary>Connects to hosts as an execute-user, and holds their keys to those that were pinned.</summary>
internal sealed class HostAccess(NpgsqlDataSource source, SecretBox box, HostKeys hostKeys, DatabaseTurns turns)
{
    // Reading a key that has a passphrase takes a tenth of a second of a CPU, and a hundred lanes need the same one.
    private readonly ConcurrentDictionary<(string Key, string? Passphrase), PrivateKeyFile> read = new();

    /// <summary>Connects, and pins the key of a host that was never met.</summary>
    /// <param name="listId">The order that needs it.</param>
    /// <exception cref="SshFailedException">It cannot be reached, lets the user not in, or has another key than the one that is pinned.</exception>
    /// <exception cref="CommandNotStartedException">There is no such execute-user, or its key cannot be read.</exception>
    public async Task<SshConnection> Connect(string host, string execUser, long listId)
    {
        var known = new KnownKey();
        var target = await Target(host, execUser, known);
        SshConnection connection;
        try
        {
            connection = await SshConnection.ConnectAsync(target);
        }
        catch (SshFailedException failure) when (failure.Kind == SshFailureKind.HostKey && known is { Pinned: { } pinned, Shown: { } shown })
        {
            throw new SshFailedException(SshFailureKind.HostKey, HostKeys.Changed(pinned, shown), failure);
        }
        if (known is not { Pinned: null, Shown: { } first }) return connection;
        var now = await turns.UntilAnswered(() => hostKeys.Pin(first, listId, CancellationToken.None));
        if (HostKeys.AreSame(now, first)) return connection;
        // Another lane met the host in the same moment, and was shown another key.
        await connection.DisposeAsync();
        throw new SshFailedException(SshFailureKind.HostKey, HostKeys.Changed(now, first));
    }

    /// <summary>Where to look for a command that was left behind.</summary>
    public Task<SshTarget> Target(string host, string execUser) => Target(host, execUser, new KnownKey());

    private async Task<SshTarget> Target(string host, string execUser, KnownKey known)
    {
        var user = await turns.UntilAnswered(async () =>
        {
            await using var connection = await source.OpenConnectionAsync();
            return await ExecuteUser.Find(connection, box, execUser);
        }) ?? throw new CommandNotStartedException(new Text($"执行用户 {execUser} 不存在", $"There is no execute-user {execUser}"));
        if (!read.TryGetValue((user.PrivateKey, user.Passphrase), out var key))
        {
            if (!SshKeys.TryRead(user.PrivateKey, user.Passphrase, out key, out var why)) throw new CommandNotStartedException(new Text($"执行用户 {execUser}：{why.Zh}", $"Execute-user {execUser}: {why.En}"));
            read[(user.PrivateKey, user.Passphrase)] = key;
        }
        known.Pinned = await turns.UntilAnswered(() => hostKeys.Find(host, user.Port, CancellationToken.None));
        return new SshTarget(host, user.Port, user.Login, key, known.Trusts, known.Pinned?.Type) { Encoding = CommandForm.EncodingOf(user.Encoding) };
    }

    private sealed class KnownKey
    {
        public HostKey? Pinned { get; set; }

        public HostKey? Shown { get; private set; }

        public bool Trusts(HostKey key)
        {
            Shown = key;
            return Pinned is null || HostKeys.AreSame(Pinned, key);
        }
    }
}

/// <summary>The connections of one lane: one for each host and user, kept for its steps.</summary>
internal sealed class LaneHosts(HostAccess access) : IAsyncDisposable
{
    private readonly Dictionary<(string Host, string User), SshConnection> connections = [];

    /// <exception cref="SshFailedException"/>
    /// <exception cref="CommandNotStartedException"/>
    public async Task<SshConnection> Connect(string host, string execUser, long listId)
    {
        if (connections.Remove((host, execUser), out var open))
        {
            if (open is { IsConnected: true, IsUsedUp: false }) return connections[(host, execUser)] = open;
            await open.DisposeAsync();
        }
        return connections[(host, execUser)] = await access.Connect(host, execUser, listId);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var connection in connections.Values) await connection.DisposeAsync();
    }
}
