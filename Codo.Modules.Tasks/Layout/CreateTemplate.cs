using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

internal static class CreateTemplate
{
    private static readonly Text Added = new("模板创建成功，可以对此模板进行编辑了", "The template was made and can be edited now");

    internal sealed record Command(string? TempName, string? Space) : IRequest<Result>;

    internal sealed record Result(long TempId) : Answer(Added);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command.TempName).Must(name => !string.IsNullOrWhiteSpace(name)).Refuse("编排模板名称不能为空", "The template's name is missing");
            RuleFor(command => command.TempName).AtMost(LibraryRules.MostName, "temp_name");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Command, Result>
    {
        private const string AddSql = """
            INSERT INTO tasks.scheduler_temp_list (temp_name, creator, creator_id, space_id) VALUES (@TempName, @Username, @UserId, @SpaceId)
            ON CONFLICT (temp_name) DO NOTHING
            RETURNING temp_id
            """;

        public async Task<Result> Handle(Command command, CancellationToken cancellationToken)
        {
            var (caller, space) = (access.Caller, await access.SpaceForNew(ResourceKind.Template, command.Space));
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var id = await connection.ExecuteScalarAsync<long?>(AddSql, new { command.TempName, caller.Username, caller.UserId, SpaceId = space }, transaction)
                ?? throw Refusal.Conflict("模板已存在", "The template exists already", -2);
            await Audit.Write(connection, transaction, caller, "create", "template", $"{id}", after: command);
            await transaction.CommitAsync(cancellationToken);
            return new Result(id);
        }
    }
}
