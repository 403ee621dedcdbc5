using Codo.Modules.Tasks.Layout;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>The newest orders of a template that the caller may see: who uses it.</summary>
internal static class ListTemplateOrders
{
    private const int DefaultLimit = 20, MostLimit = 100;

    internal sealed record Query(long? TempId, int? Limit) : IRequest<Result>;

    internal sealed record Result(IReadOnlyList<Row> Data) : Answer(Messages.Fetched);

    internal sealed record Row(long ListId, string TaskName, string Creator, string Schedule, string Status, DateTime CreateTime);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator()
        {
            RuleFor(query => query.TempId).TemplateGiven();
            RuleFor(query => query.Limit).Within(1, MostLimit, "limit");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Query, Result>
    {
        private const string RowsSql = $"""
            SELECT o.list_id, o.task_name, o.creator, o.schedule, CASE WHEN o.schedule = 'new' THEN '0' ELSE CAST(o.status AS text) END AS status, o.create_time
            FROM tasks.scheduler_task_list o WHERE o.temp_id = @TempId AND {OrderAccess.Visible} ORDER BY o.list_id DESC LIMIT @Limit
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await TemplateRight.DemandSee(connection, null, access, query.TempId!.Value);
            var viewer = Viewer.Of(access);
            var asked = new
            {
                viewer.UserId,
                viewer.IsSuperuser,
                viewer.Names,
                viewer.Spaces,
                viewer.Templates,
                viewer.Teams,
                TempId = query.TempId.Value,
                Limit = query.Limit ?? DefaultLimit,
            };
            return new Result((await connection.QueryAsync<Row>(RowsSql, asked)).AsList());
        }
    }
}
