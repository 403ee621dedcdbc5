using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>Takes a template away with its steps, groups and users. Orders that were made from it have copies of all they need and stay.</summary>
internal static class DeleteTemplate
{
    internal sealed record Command(long? TempId) : IRequest<Answer>;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(command => command.TempId).NotNull().Refuse("不能为空", "The template's id is missing");
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Command, Answer>
    {
        private const string RemoveSql = """
            DELETE FROM tasks.scheduler_temp_list WHERE temp_id = @TempId
            """;

        public async Task<Answer> Handle(Command command, CancellationToken cancellationToken)
        {
            var id = command.TempId!.Value;
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var (name, resource, _) = await TemplateRight.LockForEdit(connection, transaction, access, id);
            var content = await TemplateContent.Read(connection, transaction, id);
            await connection.ExecuteAsync(RemoveSql, new { command.TempId }, transaction);
            await ObjectGrants.Forget(connection, transaction, access.Caller, resource.Kind, resource.Id);
            await Audit.Write(
                connection,
                transaction,
                access.Caller,
                "delete",
                "template",
                $"{id}",
                before: new
                {
                    temp_name = name,
                    content.Steps,
                    content.Groups,
                    content.Users,
                }
            );
            await transaction.CommitAsync(cancellationToken);
            return new Answer(Say.Deleted);
        }
    }
}
