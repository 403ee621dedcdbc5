using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using MediatR;
using Npgsql;

namespace Codo.Host.Operations;

/// <summary>
/// A person has looked at the users that an upgrade wrote into jobs, steps and channels: health says no more of it, and what runs as Codo's own user is changed
/// by superusers alone.
/// </summary>
internal static class ConfirmRunAs
{
    internal sealed record Command : IRequest<Answer>;

    internal sealed class Handler(NpgsqlDataSource source, Caller caller) : IRequestHandler<Command, Answer>
    {
        public async Task<Answer> Handle(Command request, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            if (await RunAsStamp.Seen(connection, transaction) is { } name) await Audit.Write(connection, transaction, caller, "confirm", "run_as", name);
            await transaction.CommitAsync(cancellationToken);
            return new Answer(new Text("已确认升级时写入的 run_as", "The run_as that the upgrade has written is confirmed"));
        }
    }
}
