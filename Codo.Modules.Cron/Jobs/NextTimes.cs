using Codo.Platform.Http;
using Codo.Platform.Localization;
using FluentValidation;
using MediatR;

namespace Codo.Modules.Cron.Jobs;

/// <summary>What an expression means, before a job has it.</summary>
internal static class NextTimes
{
    internal sealed record Query(string? Cron, string? TimeZone, int? Count) : IRequest<Result>;

    internal sealed record Result(string Cron, Text CronText, string TimeZone, List<Due> Data) : Answer(Messages.Fetched);

    /// <summary>A due time in the zone asked for and in UTC, with a note where a change of the clock touches it.</summary>
    internal sealed record Due(string Local, string Utc, Text? Note);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator()
        {
            RuleFor(query => query.TimeZone).Must(JobFields.IsZone)
                .Refuse("time_zone 不是有效的 IANA 时区名，例如 Asia/Shanghai", "time_zone is no IANA time zone, such as Asia/Shanghai");
            RuleFor(query => query.Count).Within(1, 100, "count");
        }
    }

    internal sealed class Handler(Zone zone, TimeProvider time) : IRequestHandler<Query, Result>
    {
        private const int DefaultCount = 10;

        public Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            var expression = JobFields.Expression(request.Cron, "定时器错误", "The schedule is wrong");
            var inZone = request.TimeZone is null ? zone.Info : JobFields.Zone(request.TimeZone);
            var data = new List<Due>();
            var after = time.GetUtcNow();
            while (data.Count < (request.Count ?? DefaultCount) && expression.Next(after, inZone) is { } next)
            {
                data.Add(new Due(Times.FormatWithOffset(next, inZone), Times.FormatWithOffset(next, TimeZoneInfo.Utc), expression.DstNote(next, inZone)));
                after = next;
            }
            return Task.FromResult(new Result(expression.ToString(), expression.Describe(), inZone.Id, data));
        }
    }
}
