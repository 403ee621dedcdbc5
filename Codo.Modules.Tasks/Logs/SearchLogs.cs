using Codo.Modules.Tasks.Orders;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using FluentValidation;
using MediatR;

namespace Codo.Modules.Tasks.Logs;

/// <summary>Lines that contain a text, newest first, of all logs that the caller may see.</summary>
internal static class SearchLogs
{
    private const int DefaultLimit = 50, MostLimit = 1000, MostDepth = 10_000, MostContext = 5, MostNames = 100;

    /// <param name="Q">Taken literally, ignoring case.</param>
    /// <param name="From">A time or a day.</param>
    /// <param name="To">A time or a day, which is meant to its end.</param>
    /// <param name="Context">Lines of the same attempt before and after each.</param>
    internal sealed record Query(string? Q, long? ListId, string? Host, string? From, string? To, int? Page, int? Limit, int? Context = null)
        : IRequest<Result>,
            IPaged;

    /// <param name="Count">Lines that were found up to the end of this page.</param>
    /// <param name="More">There are more, on the next page.</param>
    /// <param name="Partial">The time was over before all was looked through: there may be more, and older ones.</param>
    /// <param name="Groups">The lines of this page by their text, the newest first.</param>
    /// <param name="ContextPartial">The time was over before the context of all lines was read.</param>
    internal sealed record Result(
        IReadOnlyList<Row> Data,
        int Count,
        bool More,
        bool Partial,
        IReadOnlyList<EqualLines> Groups,
        bool ContextPartial
    ) : Answer(Messages.Fetched);

    /// <param name="Newest">The <c>log_id</c> of the newest of them.</param>
    /// <param name="Hosts">At most 100.</param>
    internal sealed record EqualLines(string LogInfo, int Count, int HostCount, int OrderCount, IReadOnlyList<string> Hosts, long Newest);

    internal sealed record Row(
        long LogId,
        string LogKey,
        long ListId,
        string OrderName,
        string Host,
        int TaskLevel,
        string StepName,
        long SchedId,
        int Attempt,
        long Line,
        string LogInfo,
        DateTime ExecTime
    )
    {
        /// <summary>Lines before it; null where no context was asked for, or it was not read in time.</summary>
        public IReadOnlyList<string>? Before { get; init; }

        public IReadOnlyList<string>? After { get; init; }
    }

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator(Zone zone)
        {
            this.Paged();
            RuleFor(query => query.Q).NotEmpty().Refuse("q 不能为空", "q must be given").AtMost(1000, "q");
            RuleFor(query => query.Limit).Within(1, MostLimit, "limit");
            RuleFor(query => query.Context).Within(0, MostContext, "context");
            RuleFor(query => query).Must(query => query.Offset(DefaultLimit) <= MostDepth)
                .Refuse($"最多只能翻到第 {MostDepth} 条，请缩小时间范围", $"no more than {MostDepth} lines are paged through; narrow the times");
            RuleFor(query => query.From)
                .Must(text => text is null || Times.TryParseStart(text, zone.Info, out _))
                .Refuse("from " + Times.Expected.Zh, "from " + Times.Expected.En);
            RuleFor(query => query.To)
                .Must(text => text is null || Times.TryParseEnd(text, zone.Info, out _))
                .Refuse("to " + Times.Expected.Zh, "to " + Times.Expected.En);
        }
    }

    private static EqualLines Group(IGrouping<string, Row> same)
    {
        var hosts = same.Select(row => row.Host).Distinct().ToList();
        return new EqualLines(
            same.Key,
            same.Count(),
            hosts.Count,
            same.Select(row => row.ListId).Distinct().Count(),
            [.. hosts.Take(MostNames)],
            same.First().LogId
        );
    }

    internal sealed class Handler(LogSearch search, Zone zone, Access access) : IRequestHandler<Query, Result>
    {
        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            var from = Times.TryParseStart(query.From, zone.Info, out var start) ? start.UtcDateTime : (DateTime?)null;
            var before = Times.TryParseEnd(query.To, zone.Info, out var end) ? end.UtcDateTime : (DateTime?)null;
            var (offset, limit) = ((int)query.Offset(DefaultLimit), query.Limit ?? DefaultLimit);
            var found = await search.Find(
                new LogSearch.Wanted(query.Q!, query.ListId, query.Host, from, before),
                Viewer.Of(access),
                offset + limit + 1,
                cancellationToken
            );
            var page = await search.Complete([.. found.Lines.Skip(offset).Take(limit)], cancellationToken);
            var isCut = false;
            if (query.Context is > 0 and { } context) (page, isCut) = await search.WithContext(page, context, cancellationToken);
            return new Result(
                page,
                Math.Min(found.Lines.Count, offset + limit),
                found.Lines.Count > offset + limit,
                found.Partial,
                [.. page.GroupBy(row => row.LogInfo).Select(Group)],
                isCut
            );
        }
    }
}
