using System.Security.Cryptography;
using Codo.Modules.Tasks.Hosts;
using Codo.Modules.Tasks.Layout;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Codo.Platform.Security;
using Npgsql;

namespace Codo.Modules.Tasks.Execution;

/// <summary>Connects to hosts as an execute-user, directly or over its bastions, and holds their keys to those that are pinned.</summary>
internal sealed class HostAccess(
    NpgsqlDataSource source,
    SecretBox box,
    HostKeys hostKeys,
    OpenKeys openKeys,
    Bastions bastions,
    TaskSettings settings,
    DatabaseThrottle throttle,
    TimeProvider time
)
{
    /// <summary>Connects, and pins the key of a host that was never met.</summary>
    /// <param name="listId">The order that needs it.</param>
    /// <exception cref="SshFailedException">It cannot be reached, lets the user not in, or has another key than the one that is pinned.</exception>
    /// <exception cref="CommandNotStartedException">There is no such execute-user, or its key cannot be read.</exception>
    public async Task<SshConnection> Connect(string host, string execUser, long listId) => await Connect(await Reach(host, execUser, listId), listId);

    /// <summary>Where to look for a command that was left behind.</summary>
    public async Task<SshTarget> Target(string host, string execUser) => (await Reach(host, execUser, null)).Target;

    private async Task<SshConnection> Connect(Reached reached, long? listId)
    {
        var (target, known) = (reached.Target, reached.Known);
        SshConnection connection;
        try
        {
            connection = await SshConnection.ConnectAsync(target);
        }
        catch (SshFailedException failure) when (failure.Kind == SshFailureKind.HostKey && known.Shown is { } shown && !known.Takes(shown))
        {
            throw known.Pinned is { } pinned
                ? new SshFailedException(SshFailureKind.HostKey, HostKeys.Changed(pinned, shown), failure)
                : new SshFailedException(SshFailureKind.HostKeyUnknown, HostKeys.Unknown(shown), failure);
        }

        if (known is not { Pinned: null, Shown: { } first }) return connection;
        var now = await throttle.UntilAnswered(() => hostKeys.Pin(first, listId, CancellationToken.None));
        if (HostKeys.AreSame(now, first)) return connection;
        // Another lane met the host in the same moment, and was shown another key.
        await connection.DisposeAsync();
        throw new SshFailedException(SshFailureKind.HostKey, HostKeys.Changed(now, first));
    }

    private async Task<Reached> Reach(string host, string execUser, long? listId)
    {
        var chain = await Chain(execUser, listId);
        if (chain.Count == 0) throw new CommandNotStartedException(new Text($"执行用户 {execUser} 不存在", $"There is no execute-user {execUser}"));
        Reached? before = null;
        var path = "";
        // From this machine outwards.
        foreach (var hop in chain.Skip(1).Reverse())
        {
            before = await Reach(hop.SshHost, hop, path, Via(before, listId));
            path = HostKeys.Through(path, hop.SshHost, hop.Port);
        }

        return await Reach(host, chain[0], path, Via(before, listId));
    }

    private async Task<IReadOnlyList<ExecuteUser>> Chain(string execUser, long? listId)
    {
        try
        {
            return await throttle.UntilAnswered(async () =>
            {
                await using var connection = await source.OpenConnectionAsync();
                return await ExecuteUser.FindChain(connection, box, execUser, listId);
            });
        }
        catch (CryptographicException error)
        {
            throw new CommandNotStartedException(
                new Text(
                    $"执行用户 {execUser} 或其跳板机的私钥无法解密：{error.Message}",
                    $"The key of execute-user {execUser}, or of a bastion on its way, cannot be opened: {error.Message}"
                ),
                error
            );
        }
    }

    private async Task<Reached> Reach(string host, ExecuteUser user, string path, Func<Task<BastionUse>>? via)
    {
        if (!openKeys.TryOpen(user, out var key, out var why))
            throw new CommandNotStartedException(new Text($"执行用户 {user.Alias}：{why.Zh}", $"Execute-user {user.Alias}: {why.En}"));
        var pinned = await throttle.UntilAnswered(() => hostKeys.Find(host, user.Port, CancellationToken.None, path));
        var known = new KnownKey(pinned, settings.HostKeys == HostKeyPolicy.Pin);
        var target = new SshTarget(host, user.Port, user.Login, key, known.Trusts, pinned?.Type)
        {
            Encoding = CommandForm.EncodingOf(user.Encoding),
            Path = path,
            Via = via,
            Time = time,
        };
        return new Reached(target, known, new BastionName(path, HostKeys.Name(host), user.Port, user.Login, OpenKeys.Digest(user)));
    }

    private Func<Task<BastionUse>>? Via(Reached? before, long? listId) =>
        before is null ? null : () => bastions.Take(before.Name, () => Connect(before, listId));

    private sealed record Reached(SshTarget Target, KnownKey Known, BastionName Name);

    private sealed class KnownKey(HostKey? pinned, bool takesUnknown)
    {
        public HostKey? Pinned => pinned;

        public HostKey? Shown { get; private set; }

        public bool Takes(HostKey key) => pinned is null ? takesUnknown : HostKeys.AreSame(pinned, key);

        public bool Trusts(HostKey key)
        {
            Shown = key;
            return Takes(key);
        }
    }
}

/// <summary>The connections of one lane: one for each host and user, kept for its steps.</summary>
internal sealed class LaneHosts(HostAccess access) : IAsyncDisposable
{
    private readonly Dictionary<(string Host, string User), SshConnection> connections = [];

    /// <returns>A connection, and whether it is one that was kept: that may have died meanwhile without a word.</returns>
    /// <exception cref="SshFailedException"/>
    /// <exception cref="CommandNotStartedException"/>
    public async Task<(SshConnection Connection, bool IsKept)> Connect(string host, string execUser, long listId)
    {
        if (connections.Remove((host, execUser), out var open))
        {
            if (open is { IsConnected: true, IsUsedUp: false }) return (connections[(host, execUser)] = open, true);
            await open.DisposeAsync();
        }
        return (connections[(host, execUser)] = await access.Connect(host, execUser, listId), false);
    }

    /// <summary>Keeps a connection no longer that turned out to be dead.</summary>
    public async Task Drop(string host, string execUser)
    {
        if (connections.Remove((host, execUser), out var dead)) await dead.DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var connection in connections.Values) await connection.DisposeAsync();
    }
}
