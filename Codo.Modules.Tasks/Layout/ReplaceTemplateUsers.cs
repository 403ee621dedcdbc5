using System.Globalization;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>Puts other people in the place of a template's users, who may edit it and approve its orders.</summary>
internal static class ReplaceTemplateUsers
{
    private const string Separator = ",,,";
    private const int MostUsers = 1000;
    private static readonly Text Saved = new("修改成功", "Saved");

    /// <param name="NewUserInfo">Each <c>{user_id},,,{nickname}</c>, as the console puts them together.</param>
    internal sealed record Command(long? TempId, IReadOnlyList<string?>? NewUserInfo) : IRequest<Answer>;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command.TempId).TemplateGiven();
            RuleFor(command => command.NewUserInfo).NotNull().Refuse(LibraryRules.NothingMissing.Zh, LibraryRules.NothingMissing.En);
            RuleFor(command => command.NewUserInfo)
                .Must(users => users is null || users.Count <= MostUsers)
                .Refuse($"new_user_info 最多 {MostUsers} 人", $"new_user_info has at most {MostUsers} people");
            RuleFor(command => command.NewUserInfo)
                .Must(users => users is null || users.All(user => Read(user) is not null))
                .Refuse("new_user_info 的每一项应为 用户ID,,,昵称", "each of new_user_info must be user_id,,,nickname");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Command, Answer>
    {
        private const string RemoveSql = """
            DELETE FROM tasks.scheduler_temp_user WHERE temp_id = @TempId
            """;

        private const string AddSql = """
            INSERT INTO tasks.scheduler_temp_user (temp_id, user_id, nickname)
            SELECT @TempId, u.user_id, u.nickname FROM unnest(CAST(@Ids AS bigint[]), CAST(@Nicknames AS text[])) AS u(user_id, nickname)
            ON CONFLICT (temp_id, user_id) DO NOTHING
            """;

        public async Task<Answer> Handle(Command command, CancellationToken cancellationToken)
        {
            var id = command.TempId!.Value;
            var users = command.NewUserInfo!.Select(user => Read(user)!.Value).ToList();
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            await TemplateRight.LockForEdit(connection, transaction, access, id);
            var before = await TemplateContent.Read(connection, transaction, id);
            await connection.ExecuteAsync(RemoveSql, new { TempId = id }, transaction);
            await connection.ExecuteAsync(
                AddSql,
                new
                {
                    TempId = id,
                    Ids = users.Select(user => user.Id).ToArray(),
                    Nicknames = users.Select(user => user.Nickname).ToArray(),
                },
                transaction
            );
            var after = await TemplateContent.Read(connection, transaction, id);
            await Audit.Write(connection, transaction, access.Caller, "edit users", "template", $"{id}", new { before.Users }, new { after.Users });
            await transaction.CommitAsync(cancellationToken);
            return new Answer(Saved);
        }
    }

    // A nickname may hold commas of its own: the first separator ends the id.
    internal static (long Id, string Nickname)? Read(string? user)
    {
        var at = user?.IndexOf(Separator, StringComparison.Ordinal) ?? -1;
        if (at < 1 || !long.TryParse(user.AsSpan(0, at), NumberStyles.None, CultureInfo.InvariantCulture, out var id) || id == 0) return null;
        var nickname = user![(at + Separator.Length)..];
        return nickname.IsWithin(LibraryRules.MostName) ? (id, nickname) : null;
    }
}
