using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Logs;

/// <summary>A log from some line on.</summary>
internal static class ReadLog
{
    private const int DefaultLimit = 1000, MostLimit = Paging.MostLimit;

    /// <param name="Tail">Instead of <paramref name="After"/>: so many of the newest lines.</param>
    internal sealed record Query(string? LogKey, string? After, int? Limit, long? SchedId, int? Attempt, int? Tail) : IRequest<Result>;

    /// <param name="After">To ask with next.</param>
    /// <param name="More">There is more already; otherwise ask again later.</param>
    /// <param name="CatchingUp">The step has ended and its node has lines of it, or may have, that the database does not have yet: ask again.</param>
    /// <param name="Missing">
    /// Which lines between these are lost, and which node that is away has lines of it; or that all of it was deleted; else empty. In words.
    /// </param>
    /// <param name="Before">Of an answer to <c>tail</c>: lines of the log before these.</param>
    /// <param name="LostLines">How many lines between these nobody has.</param>
    internal sealed record Result(IReadOnlyList<LogRow> Data, string After, bool More, bool CatchingUp, Text Missing, long? Before, long LostLines)
        : Answer(Messages.Fetched);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator()
        {
            RuleFor(query => query.Limit).Within(1, MostLimit, "limit");
            RuleFor(query => query.Tail).Within(1, MostLimit, "tail");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, LogReader reader, StepLogs steps, LogBacklog backlog, Access access)
        : IRequestHandler<Query, Result>
    {
        private static readonly Text Deleted = new("输出已过保留期，已删除", "Its output is past its retention and was deleted");

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            var key = await LogAccess.Open(source, access, query.LogKey, cancellationToken);
            // Asked before the lines: what is written between is then in them.
            var here = steps.IsCatchingUp(key.Text);
            var elsewhere = await backlog.Elsewhere(key, cancellationToken, query.SchedId, query.Attempt);
            if (query.Tail is { } tail)
            {
                var end = await reader.End(key, tail, cancellationToken, query.SchedId, query.Attempt);
                var lostOfEnd = LostLines.Between(end.Rows, null);
                return new Result(
                    end.Rows,
                    end.After.Text(end.SeveralSteps),
                    false,
                    here || elsewhere is { Alive: true },
                    await Missing(end.Rows.Count == 0, lostOfEnd),
                    end.Before,
                    lostOfEnd.Sum(lines => lines.Count)
                );
            }
            var after = LogCursor.Read(query.After);
            var part = await reader.Next(key, after, query.Limit ?? DefaultLimit, cancellationToken, query.SchedId, query.Attempt);
            var lost = LostLines.Between(part.Rows, after);
            return new Result(
                part.Rows,
                part.After.Text(part.SeveralSteps),
                part.More,
                here || elsewhere is { Alive: true },
                await Missing(part.Rows.Count == 0 && after == LogCursor.Start, lost),
                null,
                lost.Sum(lines => lines.Count)
            );

            // What is lost is said once, by the answer that passes it; of a node that is away each answer says it.
            async Task<Text> Missing(bool isBlank, List<LostLines> passed) =>
                passed.Count > 0 || elsewhere is not null ? LostLines.Words(passed, elsewhere)
                : isBlank && !here && await backlog.IsDeleted(key, query.SchedId, query.Attempt, cancellationToken) ? Deleted
                : Text.Same("");
        }
    }
}
