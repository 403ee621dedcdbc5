using Codo.Platform.Http;
using Codo.Platform.Security;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>An order's hosts × steps in one compact answer: 1,000 hosts with 10 steps are about 60 kB.</summary>
internal static class ShowGrid
{
    internal sealed record Query(long? ListId) : IRequest<Result>;

    internal sealed record Result(GridOrder Order, IReadOnlyList<GridGroup> Groups) : Answer(Messages.Fetched);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => RuleFor(query => query.ListId).NotNull().Refuse("订单ID不能为空", "list_id is required");
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Query, Result>
    {
        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            if (!await OrderAccess.Sees(connection, access, query.ListId!.Value)) throw OrderAccess.NoSuchOrder;
            var grid = await OrderGrid.Read(connection, query.ListId.Value, cancellationToken);
            return new Result(grid.Order, grid.Groups);
        }
    }
}
