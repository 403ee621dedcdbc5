using Codo.Platform.Http;
using Codo.Platform.Processes;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>Changes an execute-user. The mask leaves a secret as it was; a new key brings its own passphrase or none; a new alias goes to the steps that name the old one.</summary>
internal static class EditExecuteUser
{
    internal sealed record Command(long? Id, string? AliasUser, string? ExecUser, int? SshPort, string? UserKey, string? Passphrase, string? Remarks, string? Encoding) : IRequest<Answer>
    {
        // A record writes out all it holds; this one holds a private key.
        public override string ToString() => $"EditExecuteUser {Id}";
    }

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command.Id).IdGiven();
            RuleFor(command => command.AliasUser).Must(GivenOrAbsent).Refuse("不能为空", "A required value is missing");
            RuleFor(command => command.ExecUser).Must(GivenOrAbsent).Refuse("不能为空", "A required value is missing");
            RuleFor(command => command.UserKey).Must(GivenOrAbsent).Refuse("不能为空", "A required value is missing");
            RuleFor(command => command.AliasUser).Must(name => !ExecuteUser.HasChinese(name)).Refuse("项目代号或者英文名称不能有汉字", "The alias must have no Chinese characters", -2);
            RuleFor(command => command.ExecUser).Must(name => !ExecuteUser.HasChinese(name)).Refuse("系统用户名称不能有汉字", "The system user's name must have no Chinese characters");
            RuleFor(command => command.AliasUser).AtMost(LibraryRules.MostName, "alias_user");
            RuleFor(command => command.ExecUser).AtMost(LibraryRules.MostName, "exec_user");
            RuleFor(command => command.SshPort).Within(1, 65535, "ssh_port");
            RuleFor(command => command.UserKey).AtMost(CreateExecuteUser.MostKey, "user_key");
            RuleFor(command => command.Passphrase).AtMost(CreateExecuteUser.MostPassphrase, "passphrase");
            RuleFor(command => command.Remarks).AtMost(CreateExecuteUser.MostRemarks, "remarks");
            RuleFor(command => command.Encoding).OneOf("encoding", [.. CommandForm.Encodings]);
        }

        private static bool GivenOrAbsent(string? text) => text is null || !string.IsNullOrWhiteSpace(text);
    }

    internal sealed record State(string AliasUser, string ExecUser, int SshPort, byte[] UserKey, byte[]? Passphrase, string Remarks, string Encoding);

    internal sealed class Handler(NpgsqlDataSource source, Caller caller, SecretBox box) : IRequestHandler<Command, Answer>
    {
        private const string LockSql = """
            SELECT alias_user, exec_user, ssh_port, user_key, passphrase, remarks, encoding FROM tasks.scheduler_execute_user WHERE id = @Id FOR UPDATE
            """;

        private const string SaveSql = """
            UPDATE tasks.scheduler_execute_user SET alias_user = @AliasUser, exec_user = @ExecUser, ssh_port = @SshPort, user_key = @UserKey,
                passphrase = CAST(@Passphrase AS bytea), remarks = @Remarks, encoding = @Encoding, update_time = now()
            WHERE id = @Id
            """;

        private const string RenameSql = """
            UPDATE tasks.scheduler_temp_details SET exec_user = @To WHERE exec_user = @From
            """;

        public async Task<Answer> Handle(Command command, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var before = await connection.QuerySingleOrDefaultAsync<State>(LockSql, new { command.Id }, transaction) ?? throw LibraryRules.NoSuchId;
            var after = WithSecrets(command, before) with
            {
                AliasUser = command.AliasUser ?? before.AliasUser,
                ExecUser = command.ExecUser ?? before.ExecUser,
                SshPort = command.SshPort ?? before.SshPort,
                Remarks = command.Remarks ?? before.Remarks,
                Encoding = command.Encoding ?? before.Encoding,
            };
            try
            {
                await connection.ExecuteAsync(SaveSql, new { command.Id, after.AliasUser, after.ExecUser, after.SshPort, after.UserKey, after.Passphrase, after.Remarks, after.Encoding }, transaction);
            }
            catch (PostgresException error) when (error.IsTaken())
            {
                throw LibraryRules.NameIsTaken;
            }
            if (after.AliasUser != before.AliasUser) await connection.ExecuteAsync(RenameSql, new { From = before.AliasUser, To = after.AliasUser }, transaction);
            await Audit.Write(connection, transaction, caller, "edit", "execute_user", $"{command.Id}", Masked(before, false), Masked(after, after.UserKey != before.UserKey || after.Passphrase != before.Passphrase));
            await transaction.CommitAsync(cancellationToken);
            return new Answer(Say.Edited);
        }

        private State WithSecrets(Command command, State before)
        {
            var newKey = command.UserKey is { } key && key != ExecuteUser.Mask ? key : null;
            var newPassphrase = command.Passphrase == ExecuteUser.Mask ? null : command.Passphrase;
            if (newKey is null && newPassphrase is null) return before;
            var passphrase = string.IsNullOrEmpty(newPassphrase) ? null : newPassphrase;
            ExecuteUser.CheckKey(newKey ?? box.Open(before.UserKey, ExecuteUser.KeyPlace), passphrase);
            return before with
            {
                UserKey = newKey is null ? before.UserKey : box.Seal(newKey, ExecuteUser.KeyPlace),
                Passphrase = passphrase is null ? null : box.Seal(passphrase, ExecuteUser.PassphrasePlace),
            };
        }

        private static object Masked(State state, bool secretsChanged) => new
        {
            state.AliasUser,
            state.ExecUser,
            state.SshPort,
            user_key = ExecuteUser.Mask,
            passphrase = state.Passphrase is null ? null : ExecuteUser.Mask,
            secrets_changed = secretsChanged,
            state.Remarks,
            state.Encoding,
        };
    }
}
