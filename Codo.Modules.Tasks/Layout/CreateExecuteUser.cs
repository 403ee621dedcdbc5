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

internal static class CreateExecuteUser
{
    /// <summary>Characters of a private key; the longest RSA keys in use have some 13,000.</summary>
    public const int MostKey = 65_536;

    public const int MostRemarks = 1000, MostPassphrase = 1000, MostCertificate = 16_384, MostUsers = 1000;

    /// <param name="SshPort">The port of SSH on the hosts; 22 when absent.</param>
    /// <param name="UserKey">OpenSSH, PEM, PKCS#8, PuTTY or ssh.com.</param>
    /// <param name="Certificate">An OpenSSH certificate of the key, one line.</param>
    /// <param name="SshHost">The machine that is entered when this is another's bastion: address or name.</param>
    /// <param name="Via">The alias of the execute-user that is the bastion; it has <c>ssh_host</c>.</param>
    /// <param name="Users">Who may name it in a step, each <c>{user_id},,,{nickname}</c>; none is everybody with the operator's right.</param>
    [Echoed("id", "update_time", Empty = ["password"])]
    internal sealed record Command(
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
        public override string ToString() => $"CreateExecuteUser {AliasUser}";
    }

    /// <param name="Warnings">What is likely to be a mistake.</param>
    internal sealed record Result(long Id, IReadOnlyList<Text> Warnings) : Answer(Messages.Added);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command.AliasUser).Given();
            RuleFor(command => command.ExecUser).Given();
            RuleFor(command => command.UserKey).Given();
            RuleFor(command => command.AliasUser).Must(name => !ExecuteUser.HasChinese(name)).Refuse("名称不能有汉字", "The name must have no Chinese characters");
            RuleFor(command => command.ExecUser).Must(name => !ExecuteUser.HasChinese(name)).Refuse("名称不能有汉字", "The name must have no Chinese characters");
            RuleFor(command => command.AliasUser).AtMost(LibraryRules.MostName, "alias_user");
            RuleFor(command => command.ExecUser).AtMost(LibraryRules.MostName, "exec_user");
            RuleFor(command => command.SshPort).Within(1, 65535, "ssh_port");
            RuleFor(command => command.UserKey).AtMost(MostKey, "user_key");
            RuleFor(command => command.Passphrase).AtMost(MostPassphrase, "passphrase");
            RuleFor(command => command.Certificate).AtMost(MostCertificate, "certificate");
            RuleFor(command => command.SshHost).HostOrNothing("ssh_host");
            RuleFor(command => command.Remarks).AtMost(MostRemarks, "remarks");
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
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access, SecretBox box, TimeProvider time) : IRequestHandler<Command, Result>
    {
        private const string AddSql = """
            INSERT INTO tasks.scheduler_execute_user (alias_user, exec_user, ssh_port, user_key, passphrase, certificate, ssh_host, via_id, remarks,
                encoding, creator, creator_id, space_id)
            VALUES (@AliasUser, @ExecUser, @Port, @Key, CAST(@Secret AS bytea), @Certificate, @SshHost, CAST(@ViaId AS bigint), @Remarks, @Encoding,
                @Username, @UserId, @SpaceId)
            ON CONFLICT (alias_user) DO NOTHING
            RETURNING id
            """;

        public async Task<Result> Handle(Command command, CancellationToken cancellationToken)
        {
            var (caller, space) = (access.Caller, await access.SpaceForNew(ResourceKind.ExecuteUser, command.Space));
            var (passphrase, port, remarks) = (
                string.IsNullOrEmpty(command.Passphrase) ? null : command.Passphrase,
                command.SshPort ?? 22,
                command.Remarks ?? ""
            );
            var (alias, login, encoding) = (command.AliasUser!.Trim(), command.ExecUser!.Trim(), command.Encoding ?? "utf-8");
            var (certificate, host) = (SshKeys.NormalCertificate(command.Certificate ?? ""), (command.SshHost ?? "").Trim());
            var warnings = ExecuteUser.CheckKey(command.UserKey!, passphrase, certificate, time.GetUtcNow());
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            if (!string.IsNullOrWhiteSpace(command.Via)) await ExecuteUserRight.Demand(connection, transaction, access, [command.Via.Trim()]);
            var via = string.IsNullOrWhiteSpace(command.Via) ? (long?)null : await BastionChain.Find(connection, transaction, command.Via.Trim(), null);
            var id = await connection.ExecuteScalarAsync<long?>(AddSql, new
            {
                AliasUser = alias,
                ExecUser = login,
                Port = port,
                Key = box.Seal(command.UserKey!, ExecuteUser.KeyPlace),
                Secret = passphrase is null ? null : box.Seal(passphrase, ExecuteUser.PassphrasePlace),
                Certificate = certificate,
                SshHost = host,
                ViaId = via,
                Remarks = remarks,
                Encoding = encoding,
                caller.Username,
                caller.UserId,
                SpaceId = space,
            }, transaction) ?? throw LibraryRules.NameIsTaken;
            await ExecuteUserRight.Replace(connection, transaction, id, (command.Users ?? []).Select(user => ReplaceTemplateUsers.Read(user)!.Value));
            await Audit.Write(connection, transaction, caller, "create", "execute_user", $"{id}",
                after: new
                {
                    AliasUser = alias,
                    ExecUser = login,
                    ssh_port = port,
                    user_key = ExecuteUser.Mask,
                    passphrase = passphrase is null ? null : ExecuteUser.Mask,
                    certificate,
                    ssh_host = host,
                    command.Via,
                    remarks,
                    encoding,
                    users = command.Users ?? [],
                    space = access.NameOf(space),
                });
            await transaction.CommitAsync(cancellationToken);
            return new Result(id, warnings);
        }
    }
}
