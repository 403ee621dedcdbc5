using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using MediatR;
using Npgsql;

namespace Codo.Host.Operations;

/// <summary>A superuser releases a restored installation: schedules, orders and alerts go on.</summary>
internal static class ReleaseHold
{
    internal sealed record Command : IRequest<Answer>;

    internal sealed class Handler(NpgsqlDataSource source, Hold hold, Caller caller) : IRequestHandler<Command, Answer>
    {
        public async Task<Answer> Handle(Command request, CancellationToken cancellationToken)
        {
            await using (var connection = await source.OpenConnectionAsync(cancellationToken))
            await using (var transaction = await connection.BeginTransactionAsync(cancellationToken))
            {
                if (!await Hold.Release(connection, transaction, caller.Username)) throw Refusal.Conflict("此安装未被暂停", "Nothing is held");
                await Audit.Write(connection, transaction, caller, "release", "installation", "hold");
                // Every node looks at once.
                await Control.Notify(connection, transaction, "");
                await transaction.CommitAsync(cancellationToken);
            }
            await hold.Refresh(cancellationToken);
            return new Answer(new Text("已解除暂停：定时任务、订单与告警继续", "Released: schedules, orders and alerts go on"));
        }
    }
}
