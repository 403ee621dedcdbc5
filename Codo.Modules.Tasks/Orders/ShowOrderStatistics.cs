using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>What ended orders came to, by template: how many succeeded, how long they waited for their start and how long they ran.</summary>
internal static class ShowOrderStatistics
{
    /// <param name="From">A time or a day; a week back by default.</param>
    /// <param name="To">A time or a day, which is meant to its end.</param>
    internal sealed record Query(string? From, string? To) : IRequest<Result>;

    internal sealed record Result(List<Row> Data) : Answer(Messages.Fetched);

    /// <param name="WaitP50">Seconds from the making of an order to its start time, which an approval sets.</param>
    internal sealed record Row(
        string TaskType,
        long Orders,
        long Done,
        long Failed,
        double WaitP50,
        double WaitP95,
        double SecondsP50,
        double SecondsP95
    );

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator(Zone zone)
        {
            RuleFor(query => query.From)
                .Must(text => text is null || Times.TryParseStart(text, zone.Info, out _))
                .Refuse("from " + Times.Expected.Zh, "from " + Times.Expected.En);
            RuleFor(query => query.To)
                .Must(text => text is null || Times.TryParseEnd(text, zone.Info, out _))
                .Refuse("to " + Times.Expected.Zh, "to " + Times.Expected.En);
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, Zone zone, TimeProvider time, Access access) : IRequestHandler<Query, Result>
    {
        private const int MostDays = 100;

        private const string RowsSql = $"""
            SELECT e.task_type, count(*) AS orders, count(*) FILTER (WHERE e.status = 3) AS done, count(*) FILTER (WHERE e.status <> 3) AS failed,
                (percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY e.wait))[1] AS wait_p50,
                (percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY e.wait))[2] AS wait_p95,
                (percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY e.took))[1] AS seconds_p50,
                (percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY e.took))[2] AS seconds_p95
            FROM (SELECT o.task_type, o.status, CAST(extract(epoch FROM GREATEST(o.start_time - o.create_time, interval '0')) AS float8) AS wait,
                    CAST(extract(epoch FROM GREATEST(o.ended_at - o.start_time, interval '0')) AS float8) AS took
                FROM tasks.scheduler_task_list o WHERE o.schedule = 'OK' AND o.ended_at >= @From AND o.ended_at < @Before AND {OrderAccess.Visible}) e
            GROUP BY e.task_type ORDER BY orders DESC, e.task_type LIMIT 200
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            var now = time.GetUtcNow();
            var from = Times.TryParseStart(query.From, zone.Info, out var start) ? start : now.AddDays(-7);
            var before = Times.TryParseEnd(query.To, zone.Info, out var end) ? end : now.AddDays(1);
            // There is no summary of orders: each of the range is read. Nothing has ended after now; the hour is that of a change of the clocks.
            if ((before < now ? before : now) - from > TimeSpan.FromDays(MostDays) + TimeSpan.FromHours(1))
                throw Refusal.Invalid($"最多查询 {MostDays} 天", $"At most {MostDays} days are answered");
            var viewer = Viewer.Of(access);
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var rows = await connection.QueryAsync<Row>(
                RowsSql,
                new
                {
                    From = from.UtcDateTime,
                    Before = before.UtcDateTime,
                    viewer.UserId,
                    viewer.IsSuperuser,
                    viewer.Names,
                    viewer.Spaces,
                    viewer.Templates,
                    viewer.Teams,
                }
            );
            return new Result(rows.AsList());
        }
    }
}
