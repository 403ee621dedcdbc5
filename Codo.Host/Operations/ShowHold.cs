using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using MediatR;

namespace Codo.Host.Operations;

/// <summary>Whether the installation is held after a restore.</summary>
internal static class ShowHold
{
    internal sealed record Query : IRequest<Result>;

    /// <param name="Since">When it was restored; null where nothing is held.</param>
    /// <param name="BackupAt">When the backup was taken.</param>
    /// <param name="Releasers">Names of superusers.</param>
    internal sealed record Result(bool Held, DateTime? Since, DateTime? BackupAt, IReadOnlyList<string> Releasers, Text? Detail) : Answer(Messages.Fetched);

    internal sealed class Handler(Hold hold) : IRequestHandler<Query, Result>
    {
        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            await hold.Refresh(cancellationToken);
            return hold.Current is { } held
                ? new Result(true, held.Since, held.BackupAt, held.Releasers, held.Detail)
                : new Result(false, null, null, [], null);
        }
    }
}
