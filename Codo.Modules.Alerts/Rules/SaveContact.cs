using System.Text.RegularExpressions;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Alerts.Rules;

/// <summary>Keeps how a person is reached: anybody their own, a superuser everybody's. A field that the request does not carry stays.</summary>
internal static partial class SaveContact
{
    internal sealed record Command(string? Name, long? UserId, string? Tel, string? Email, string? Feishu) : IRequest<Answer>;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(contact => contact.Name).Must(name => !string.IsNullOrWhiteSpace(name)).Refuse("名称不能为空", "The name is missing");
            RuleFor(contact => contact.Name).AtMost(RuleFields.MaxName, "name");
            RuleFor(contact => contact.Tel).Must(tel => string.IsNullOrEmpty(tel) || Contact.IsTel(tel)).Refuse("tel 格式错误", "tel is no telephone number");
            RuleFor(contact => contact.Email).Must(email => string.IsNullOrEmpty(email) || Contact.IsEmail(email)).Refuse("email 格式错误", "email is no address");
            RuleFor(contact => contact.Feishu).Must(id => string.IsNullOrEmpty(id) || Id().IsMatch(id)).Refuse("feishu 格式错误", "feishu is no user id");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, Caller caller) : IRequestHandler<Command, Answer>
    {
        private const string BeforeSql = """
            SELECT name, tel, email, feishu FROM alerts.contact WHERE name = @Name FOR UPDATE
            """;

        private const string SaveSql = """
            INSERT INTO alerts.contact (name, user_id, tel, email, feishu) VALUES (@Name, @UserId, coalesce(@Tel, ''), coalesce(@Email, ''),
                coalesce(@Feishu, ''))
            ON CONFLICT (name) DO UPDATE SET user_id = coalesce(@UserId, alerts.contact.user_id), tel = coalesce(@Tel, alerts.contact.tel),
                email = coalesce(@Email, alerts.contact.email),
                feishu = coalesce(@Feishu, alerts.contact.feishu), update_time = now()
            """;

        public async Task<Answer> Handle(Command request, CancellationToken cancellationToken)
        {
            ContactRight.Demand(caller, request.Name!);
            // A person's own contact carries their own id and no other.
            var id = caller.IsSuperuser ? request.UserId : caller.UserId;
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var before = await connection.QuerySingleOrDefaultAsync<Contact>(BeforeSql, new { request.Name }, transaction);
            try
            {
                await connection.ExecuteAsync(SaveSql, new { request.Name, UserId = id, request.Tel, request.Email, request.Feishu }, transaction);
            }
            catch (PostgresException error) when (error.SqlState == PostgresErrorCodes.UniqueViolation)
            {
                throw Refusal.Conflict("user_id 已用于另一联系人", "The user_id is another contact's");
            }
            var after = await connection.QuerySingleAsync<Contact>(BeforeSql, new { request.Name }, transaction);
            await Audit.Write(connection, transaction, caller, before is null ? "create" : "edit", "contact", request.Name!, before, after);
            await transaction.CommitAsync(cancellationToken);
            return new Answer(before is null ? Messages.Added : Messages.Edited);
        }
    }

    // It goes into a message as an attribute, where "all" is everybody.
    [GeneratedRegex(@"^(?!(?i:all)\z)[0-9A-Za-z_\-]{1,100}\z", RegexOptions.CultureInvariant)]
    private static partial Regex Id();
}

/// <summary>Contacts are personal data: one's own, or everybody's for a superuser.</summary>
internal static class ContactRight
{
    public static void Demand(Caller caller, string name)
    {
        if (!caller.IsSuperuser && (name != caller.Username || name.Length == 0)) throw Refusal.Forbidden("只能维护自己的联系方式", "You may keep your own contact only");
    }
}
