using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Alerts.Rules;

internal static class DeleteContact
{
    internal sealed record Command(string? Name) : IRequest<Answer>;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(contact => contact.Name).Must(name => !string.IsNullOrWhiteSpace(name)).Refuse("名称不能为空", "The name is missing");
    }

    internal sealed class Handler(NpgsqlDataSource source, Caller caller) : IRequestHandler<Command, Answer>
    {
        private const string DeleteSql = """
            DELETE FROM alerts.contact WHERE name = @Name RETURNING name, tel, email, feishu
            """;

        public async Task<Answer> Handle(Command request, CancellationToken cancellationToken)
        {
            ContactRight.Demand(caller, request.Name!);
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var gone = await connection.QuerySingleOrDefaultAsync<Contact>(DeleteSql, new { request.Name }, transaction)
                ?? throw Refusal.NotFound($"联系人 {request.Name} 不存在", $"There is no contact {request.Name}");
            await Audit.Write(connection, transaction, caller, "delete", "contact", request.Name!, before: gone);
            await transaction.CommitAsync(cancellationToken);
            return new Answer(Messages.Deleted);
        }
    }
}
