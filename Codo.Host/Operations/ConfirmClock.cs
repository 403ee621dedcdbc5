using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using MediatR;
using Npgsql;

namespace Codo.Host.Operations;

/// <summary>A person says that PostgreSQL's clock is right although it jumped: retention goes on.</summary>
internal static class ConfirmClock
{
    internal sealed record Command : IRequest<Answer>;

    internal sealed class Handler(NpgsqlDataSource source, RetentionGuard guard, Caller caller) : IRequestHandler<Command, Answer>
    {
        public async Task<Answer> Handle(Command request, CancellationToken cancellationToken)
        {
            await using (var connection = await source.OpenConnectionAsync(cancellationToken))
            await using (var transaction = await connection.BeginTransactionAsync(cancellationToken))
            {
                await RetentionGuard.Confirm(connection, transaction);
                await Audit.Write(connection, transaction, caller, "confirm", "clock", "postgresql");
                await transaction.CommitAsync(cancellationToken);
            }
            await guard.Watch(cancellationToken);
            return new Answer(new Text("已确认 PostgreSQL 的时钟正确，历史清理继续", "PostgreSQL's clock is confirmed; retention goes on"));
        }
    }
}
