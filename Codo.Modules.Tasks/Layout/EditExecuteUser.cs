using Codo.Modules.Tasks.Hosts;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>
/// Changes an execute-user. The mask leaves a secret as it was; a new key brings its own passphrase or none; a new alias goes to the steps that name the old
/// one.
/// </summary>
internal static class EditExecuteUser
{
    /// <param name="Certificate">Absent leaves it, but a new key takes it away; empty takes it away.</param>
    /// <param name="SshHost">Absent leaves it; empty makes it nobody's bastion.</param>
    /// <param name="Via">Absent leaves it; empty means that the hosts are reached directly.</param>
    /// <param name="Users">Absent leaves them; an empty list opens it to everybody with the operator's right.</param>
    [Echoed("update_time", Empty = ["password"])]
    internal sealed record Command(
        long? Id,
        string? AliasUser,
        string? ExecUser,
        int? SshPort,
        string? UserKey,
        string? Passphrase,
        string? Certificate,
        string? SshHost,
        string? Via,
        string? Remarks,
        string? Encoding,
        IReadOnlyList<string?>? Users,
        string? Space
    ) : IRequest<Result>
    {
        // A record writes out all it holds; this one holds a private key.
        public override string ToString() => $"EditExecuteUser {Id}";
    }

    /// <param name="Warnings">What the change means that is easily overlooked.</param>
    internal sealed record Result(IReadOnlyList<Text> Warnings) : Answer(Messages.Edited);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command.Id).IdGiven();
            RuleFor(command => command.AliasUser).Must(GivenOrAbsent).Refuse("不能为空", "A required value is missing");
            RuleFor(command => command.ExecUser).Must(GivenOrAbsent).Refuse("不能为空", "A required value is missing");
            RuleFor(command => command.UserKey).Must(GivenOrAbsent).Refuse("不能为空", "A required value is missing");
            RuleFor(command => command.AliasUser)
                .Must(name => !ExecuteUser.HasChinese(name))
                .Refuse("项目代号或者英文名称不能有汉字", "The alias must have no Chinese characters", -2);
            RuleFor(command => command.ExecUser)
                .Must(name => !ExecuteUser.HasChinese(name))
                .Refuse("系统用户名称不能有汉字", "The system user's name must have no Chinese characters");
            RuleFor(command => command.AliasUser).AtMost(LibraryRules.MostName, "alias_user");
            RuleFor(command => command.ExecUser).AtMost(LibraryRules.MostName, "exec_user");
            RuleFor(command => command.SshPort).Within(1, 65535, "ssh_port");
            RuleFor(command => command.UserKey).AtMost(CreateExecuteUser.MostKey, "user_key");
            RuleFor(command => command.Passphrase).AtMost(CreateExecuteUser.MostPassphrase, "passphrase");
            RuleFor(command => command.Certificate).AtMost(CreateExecuteUser.MostCertificate, "certificate");
            RuleFor(command => command.SshHost).HostOrNothing("ssh_host");
            RuleFor(command => command.Remarks).AtMost(CreateExecuteUser.MostRemarks, "remarks");
            RuleFor(command => command.Encoding).OneOf("encoding", [.. CommandForm.Encodings]);
            RuleFor(command => command.Users)
                .Must(users =>
                    users is null || (users.Count <= CreateExecuteUser.MostUsers && users.All(user => ReplaceTemplateUsers.Read(user) is { Id: > 0 }))
                )
                .Refuse(
                    $"users 最多 {CreateExecuteUser.MostUsers} 人，每一项应为 用户ID,,,昵称",
                    $"users: {CreateExecuteUser.MostUsers} at most, each user_id,,,nickname"
                );
        }

        private static bool GivenOrAbsent(string? text) => text is null || !string.IsNullOrWhiteSpace(text);
    }

    internal sealed record State(
        string AliasUser,
        string ExecUser,
        int SshPort,
        byte[] UserKey,
        byte[]? Passphrase,
        string Certificate,
        string SshHost,
        long? ViaId,
        string Via,
        string Remarks,
        string Encoding
    );

    internal sealed class Handler(NpgsqlDataSource source, Access access, SecretBox box, TimeProvider time) : IRequestHandler<Command, Result>
    {
        private const string LockSql = """
            SELECT u.alias_user, u.exec_user, u.ssh_port, u.user_key, u.passphrase, u.certificate, u.ssh_host, u.via_id, COALESCE(v.alias_user, '') AS via,
                u.remarks, u.encoding
            FROM tasks.scheduler_execute_user u LEFT JOIN tasks.scheduler_execute_user v ON v.id = u.via_id WHERE u.id = @Id FOR UPDATE OF u
            """;

        private const string SaveSql = """
            UPDATE tasks.scheduler_execute_user SET alias_user = @AliasUser, exec_user = @ExecUser, ssh_port = @SshPort, user_key = @UserKey,
                passphrase = CAST(@Passphrase AS bytea), certificate = @Certificate, ssh_host = @SshHost, via_id = CAST(@ViaId AS bigint),
                    remarks = @Remarks, encoding = @Encoding, space_id = @SpaceId,
                update_time = now()
            WHERE id = @Id
            """;

        // Templates before their steps, as a save locks them.
        private const string LockTemplatesSql = """
            SELECT t.temp_id FROM tasks.scheduler_temp_list t WHERE EXISTS (SELECT FROM tasks.scheduler_temp_details d WHERE d.temp_id = t.temp_id
                AND d.exec_user = @From) ORDER BY t.temp_id FOR NO KEY UPDATE
            """;

        private const string RenameSql = """
            UPDATE tasks.scheduler_temp_details SET exec_user = @To WHERE exec_user = @From
            """;

        private const string LosingSql = $"""
            SELECT t.temp_name FROM tasks.scheduler_temp_list t WHERE t.space_id <> @To AND CAST(@From AS bigint) IN (1, t.space_id)
                AND EXISTS (SELECT FROM tasks.scheduler_temp_details d WHERE d.temp_id = t.temp_id AND d.exec_user = @Alias AND d.force_host <> @Local)
                AND {TemplateRight.Visible}
            ORDER BY t.temp_id
            """;

        private const int MostNamed = 10;

        private const string PinnedSql = """
            SELECT count(*) FROM tasks.host_keys WHERE port = @SshPort
            """;

        public async Task<Result> Handle(Command command, CancellationToken cancellationToken)
        {
            // To open a key takes a while: neither a connection nor the lock on the row waits for a new one.
            var warnings = new List<Text>(CheckNewKey(command));
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var before = await connection.QuerySingleOrDefaultAsync<State>(LockSql, new { command.Id }, transaction) ?? throw LibraryRules.NoSuchId;
            var resource = await ExecuteUserRight.DemandEdit(connection, transaction, access, command.Id!.Value);
            var (caller, space) = (access.Caller, await access.SpaceFor(resource, command.Space));
            if (space != resource.Space && space != Resource.DefaultSpace)
            {
                await ExecuteUser.DemandUnused(connection, transaction, before.AliasUser, new Text("移动", "move"), (resource.Space, space));
                if (await Losing(connection, transaction, before.AliasUser, resource.Space, space) is { } losing) warnings.Add(losing);
            }
            if (command.Via?.Trim() is { Length: > 0 } other && other != before.Via) await ExecuteUserRight.Demand(connection, transaction, access, [other]);
            var users = await ExecuteUserRight.Users(connection, transaction, command.Id!.Value);
            if (command.Users is { } given)
                await ExecuteUserRight.Replace(connection, transaction, command.Id.Value, given.Select(user => ReplaceTemplateUsers.Read(user)!.Value));
            var after = WithSecrets(command, before, warnings) with
            {
                // Sent back as it is stored it is no new one, also where an older host has stored blanks with it.
                AliasUser = command.AliasUser is { } alias && alias != before.AliasUser ? alias.Trim() : before.AliasUser,
                ExecUser = command.ExecUser?.Trim() ?? before.ExecUser,
                SshPort = command.SshPort ?? before.SshPort,
                Remarks = command.Remarks ?? before.Remarks,
                Encoding = command.Encoding ?? before.Encoding,
            };
            after = await WithWay(connection, transaction, command, after);
            try
            {
                await connection.ExecuteAsync(SaveSql, new
                {
                    command.Id,
                    after.AliasUser,
                    after.ExecUser,
                    after.SshPort,
                    after.UserKey,
                    after.Passphrase,
                    after.Certificate,
                    after.SshHost,
                    after.ViaId,
                    after.Remarks,
                    after.Encoding,
                    SpaceId = space,
                }, transaction);
            }
            catch (PostgresException error) when (error.IsTaken())
            {
                throw LibraryRules.NameIsTaken;
            }
            if (after.AliasUser != before.AliasUser)
            {
                var names = new { From = before.AliasUser, To = after.AliasUser };
                await ExecuteUser.DemandUnused(connection, transaction, before.AliasUser, new Text("改名", "rename"));
                var templates = (await connection.QueryAsync<long>(LockTemplatesSql, names, transaction)).AsList();
                await connection.ExecuteAsync(RenameSql, names, transaction);
                foreach (var template in templates) await TemplateVersions.Keep(connection, transaction, template, access.Caller);
            }
            var known = 0L;
            if (after.SshPort != before.SshPort)
            {
                known = await connection.ExecuteScalarAsync<long>(PinnedSql, new { after.SshPort }, transaction);
                warnings.Add(
                    new Text(
                        $"ssh_port 由 {before.SshPort} 改为 {after.SshPort}：主机密钥按主机和端口记录，端口 {after.SshPort} 已记录 {known} 台主机的密钥，其余主机按未知主机处理",
                        ($"ssh_port has changed from {before.SshPort} to {after.SshPort}: host keys are pinned per host and port. {known} keys are pinned "
                            + $"for port {after.SshPort}; every other host is met as unknown there")
                    )
                );
            }
            if (after.Via != before.Via || (before.SshHost.Length > 0 && (after.SshHost != before.SshHost || after.SshPort != before.SshPort)))
                warnings.Add(
                    new Text(
                        "到主机的路径变了（via、ssh_host 或跳板机的 ssh_port）：主机密钥按路径记录，新路径上没有记录的主机按未知主机处理",
                        ("The way to the hosts has changed (via, ssh_host, or ssh_port of a bastion): host keys are pinned per way, and a host without one on "
                            + "the new way is met as unknown")
                    )
                );
            var secrets = after.UserKey != before.UserKey || after.Passphrase != before.Passphrase;
            await Audit.Write(
                connection,
                transaction,
                caller,
                "edit",
                "execute_user",
                $"{command.Id}",
                Masked(before, users, false, null, access.NameOf(resource.Space)),
                Masked(
                    after,
                    command.Users is null ? users : await ExecuteUserRight.Users(connection, transaction, command.Id.Value),
                    secrets,
                    after.SshPort == before.SshPort ? null : known,
                    access.NameOf(space)
                )
            );
            await transaction.CommitAsync(cancellationToken);
            return new Result(warnings);
        }

        // Those that name it and will not find it there. What the caller may not see is not named.
        private async Task<Text?> Losing(NpgsqlConnection connection, NpgsqlTransaction transaction, string alias, long from, long to)
        {
            var asked = new DynamicParameters(TemplateRight.Parameters(access));
            asked.AddDynamicParams(
                new
                {
                    Alias = alias,
                    From = from,
                    To = to,
                    StepHost.Local,
                }
            );
            var names = (await connection.QueryAsync<string>(LosingSql, asked, transaction)).AsList();
            if (names.Count == 0) return null;
            var more = names.Count > MostNamed ? $" … ({names.Count})" : "";
            return new Text(
                $"这些模板在另一个空间，其步骤不再找得到它：{string.Join("、", names.Take(MostNamed))}{more}",
                $"These templates are in another space, and their steps find it no more: {string.Join(", ", names.Take(MostNamed))}{more}"
            );
        }

        private static async Task<State> WithWay(NpgsqlConnection connection, NpgsqlTransaction transaction, Command command, State after)
        {
            if (command.Via is { } via)
                after = via.Trim() is { Length: > 0 } alias
                    ? after with
                    {
                        ViaId = await BastionChain.Find(connection, transaction, alias, command.Id),
                        Via = alias,
                    }
                    : after with
                    {
                        ViaId = null,
                        Via = "",
                    };
            if (command.SshHost is not { } host)
                return after;
            if (host.Trim().Length == 0 && await BastionChain.UsersOf(connection, transaction, command.Id!.Value) is { Length: > 0 } users)
                throw Refusal.Conflict($"执行用户 {users} 以它为跳板机（via），ssh_host 不能为空", $"It is the bastion (via) of {users}, so ssh_host is needed");
            return after with { SshHost = host.Trim() };
        }

        private static string? NewKey(Command command) => command.UserKey == ExecuteUser.Mask ? null : command.UserKey;

        private static string? NewPassphrase(Command command) => command.Passphrase == ExecuteUser.Mask ? null : command.Passphrase;

        // A new key brings its own passphrase and certificate, or none: nothing of what is stored is needed.
        private IReadOnlyList<Text> CheckNewKey(Command command) =>
            NewKey(command) is { } key
                ? ExecuteUser.CheckKey(key, NoneIfEmpty(NewPassphrase(command)), SshKeys.NormalCertificate(command.Certificate ?? ""), time.GetUtcNow())
                : [];

        private static string? NoneIfEmpty(string? text) => string.IsNullOrEmpty(text) ? null : text;

        // What stays of the key, with another passphrase or certificate, is checked here: it has to be read first.
        private State WithSecrets(Command command, State before, List<Text> warnings)
        {
            var certificate = command.Certificate is { } given ? SshKeys.NormalCertificate(given) : null;
            var (newKey, newPassphrase) = (NewKey(command), NewPassphrase(command));
            if (newKey is null && newPassphrase is null)
            {
                if (certificate is null || certificate == before.Certificate) return before;
                var stored = before.Passphrase is { } secret ? box.Open(secret, ExecuteUser.PassphrasePlace) : null;
                warnings.AddRange(ExecuteUser.CheckKey(box.Open(before.UserKey, ExecuteUser.KeyPlace), stored, certificate, time.GetUtcNow()));
                return before with { Certificate = certificate };
            }
            var passphrase = NoneIfEmpty(newPassphrase);
            // A certificate is one key's: with another key it is of no use.
            certificate ??= newKey is null ? before.Certificate : "";
            if (newKey is null)
                warnings.AddRange(ExecuteUser.CheckKey(box.Open(before.UserKey, ExecuteUser.KeyPlace), passphrase, certificate, time.GetUtcNow()));
            return before with
            {
                Certificate = certificate,
                UserKey = newKey is null ? before.UserKey : box.Seal(newKey, ExecuteUser.KeyPlace),
                Passphrase = passphrase is null ? null : box.Seal(passphrase, ExecuteUser.PassphrasePlace),
            };
        }

        private static object Masked(State state, IReadOnlyList<string> users, bool secretsChanged, long? keysOfNewPort, string space) => new
        {
            state.AliasUser,
            state.ExecUser,
            state.SshPort,
            user_key = ExecuteUser.Mask,
            passphrase = state.Passphrase is null ? null : ExecuteUser.Mask,
            secrets_changed = secretsChanged,
            host_keys_of_new_port = keysOfNewPort,
            state.Certificate,
            state.SshHost,
            state.Via,
            state.Remarks,
            state.Encoding,
            users,
            space,
        };
    }
}
