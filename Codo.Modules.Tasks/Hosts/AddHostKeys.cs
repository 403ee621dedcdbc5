using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Hosts;

/// <summary>
/// Pins host keys before the first contact: one key of one host, or the text of a known_hosts file. A host that is pinned with another key keeps it unless
/// <c>replace</c> is sent.
/// </summary>
internal static class AddHostKeys
{
    private const int MostText = 1_000_000, MostKey = 20_000, MostPath = 1000;

    /// <param name="Host">Address or name; with <c>key</c>.</param>
    /// <param name="Port">22 when absent; with <c>key</c>.</param>
    /// <param name="Key">The public key, such as <c>ssh-ed25519 AAAA…</c>.</param>
    /// <param name="KnownHosts">The text of a known_hosts file, or what ssh-keyscan prints; instead of <c>host</c> and <c>key</c>.</param>
    /// <param name="Path">The bastions on the way, <c>host:port</c> from the first to the last with commas between, the port 22 where none is given; absent
    /// means that the host is reached directly.</param>
    /// <param name="Replace">Puts the key in the place of another one that is pinned; false when absent.</param>
    internal sealed record Command(string? Host, int? Port, string? Key, string? KnownHosts, string? Path, bool? Replace) : IRequest<Result>;

    /// <param name="Added">Hosts that had no key.</param>
    /// <param name="Unchanged">Hosts that had this key already.</param>
    /// <param name="Replaced">Hosts that had another key.</param>
    /// <param name="Skipped">Lines of <c>known_hosts</c> that gave no key, and why.</param>
    internal sealed record Result(int Added, int Unchanged, int Replaced, IReadOnlyList<KnownHosts.Skipped> Skipped) : Answer(Messages.Added);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command).Must(command => !string.IsNullOrWhiteSpace(command.KnownHosts)
                || (!string.IsNullOrWhiteSpace(command.Host) && !string.IsNullOrWhiteSpace(command.Key)))
                .Refuse("请提供 host 和 key，或 known_hosts", "host and key are needed, or known_hosts");
            RuleFor(command => command).Must(command => string.IsNullOrWhiteSpace(command.KnownHosts)
                || (command.Host is null && command.Key is null && command.Port is null))
                .Refuse("known_hosts 不能与 host、port、key 一起使用", "known_hosts does not go with host, port or key");
            RuleFor(command => command.Host).HostOrNothing("host");
            RuleFor(command => command.Port).Within(1, 65535, "port");
            RuleFor(command => command.Key).AtMost(MostKey, "key");
            RuleFor(command => command.KnownHosts).AtMost(MostText, "known_hosts");
            RuleFor(command => command.Path).AtMost(MostPath, "path");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, Caller caller) : IRequestHandler<Command, Result>
    {
        // Sorted, so that concurrent imports cannot deadlock.
        private const string LockSql = """
            SELECT host, port, key_type, fingerprint, key FROM tasks.host_keys
            WHERE path = @Path AND (host, port) IN (SELECT * FROM unnest(CAST(@Hosts AS text[]), CAST(@Ports AS int[]))) ORDER BY host, port FOR UPDATE
            """;

        private const string SaveSql = """
            INSERT INTO tasks.host_keys (path, host, port, key_type, fingerprint, key, added_by) VALUES (@Path, @Host, @Port, @Type, @Fingerprint, @Bytes, @By)
            ON CONFLICT (path, host, port) DO UPDATE SET key_type = excluded.key_type, fingerprint = excluded.fingerprint, key = excluded.key,
                added_by = excluded.added_by, first_seen = now(), list_id = NULL
            """;

        public async Task<Result> Handle(Command command, CancellationToken cancellationToken)
        {
            var path = HostKeys.NormalPath(command.Path);
            var (keys, skipped) = Given(command, path);
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var pinned = (await connection.QueryAsync<Row>(LockSql,
                new { Path = path, Hosts = keys.Select(key => key.Host).ToArray(), Ports = keys.Select(key => key.Port).ToArray() }, transaction))
                .ToDictionary(row => (row.Host, row.Port));
            var others = keys.Where(key => pinned.TryGetValue((key.Host, key.Port), out var row) && !row.Key.AsSpan().SequenceEqual(key.Bytes)).ToList();
            if (others.Count > 0 && command.Replace != true)
            {
                var named = string.Join(", ", others.Take(5).Select(key => HostKeys.Address(key.Host, key.Port))) + (others.Count > 5 ? " …" : "");
                throw Refusal.Conflict($"这些主机已记录了另一个密钥：{named}。确认后可用 replace 替换",
                    $"Another key of these hosts is pinned: {named}. If the new ones are right, send replace");
            }

            var added = keys.Where(key => !pinned.ContainsKey((key.Host, key.Port))).ToList();
            foreach (var key in added.Concat(others).OrderBy(key => key.Host, StringComparer.Ordinal).ThenBy(key => key.Port))
                await connection.ExecuteAsync(SaveSql, new { Path = path, key.Host, key.Port, key.Type, key.Fingerprint, key.Bytes, By = caller.Username },
                    transaction);
            if (added.Count + others.Count > 0)
            {
                var subject = keys.Count == 1 ? HostKeys.Address(keys[0].Host, keys[0].Port) : $"{keys.Count}";
                var before = others.Count == 0 ? null : new { replaced = others.Select(key => Shown(pinned[(key.Host, key.Port)])) };
                await Audit.Write(connection, transaction, caller, "add", "host_key", subject, before, new { path, keys = added.Concat(others).Select(Shown) });
            }
            await transaction.CommitAsync(cancellationToken);
            return new Result(added.Count, keys.Count - added.Count - others.Count, others.Count, skipped);
        }

        private static (IReadOnlyList<HostKey>, IReadOnlyList<KnownHosts.Skipped>) Given(Command command, string path)
        {
            if (!string.IsNullOrWhiteSpace(command.KnownHosts)) return KnownHosts.Read(command.KnownHosts, path);
            if (!KnownHosts.TryKey(command.Key!, out var bytes, out var why)) throw new Refusal(-1, new Text($"key：{why.Zh}", $"key: {why.En}"));
            return ([HostKey.From(bytes, HostKeys.Name(command.Host!.Trim()), command.Port ?? 22, path)], []);
        }

        private static object Shown(HostKey key) => new { key.Host, key.Port, key.Type, key.Fingerprint };

        private static object Shown(Row row) => new { row.Host, row.Port, type = row.KeyType, row.Fingerprint };

        private sealed record Row(string Host, int Port, string KeyType, string Fingerprint, byte[] Key);
    }
}
